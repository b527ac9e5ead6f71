# Circles by the linker's symbols. Input: lines of `nm -A -g --defined-only` and `-u` as "FILE KIND SYMBOL", KIND D or U.
# Prints "circle FILE" for each file in a circle of files and "circle FOLDER/" for each folder in one of folders; on
# standard error the circles themselves.
# A symbol belongs to the file's own program, or to common/: the two programs may use one name.
function program(path) { sub(/\/.*/, "", path); return path }
function folder(path) { sub(/\/[^\/]*$/, "", path); return path }
function edge(a, b) { if (a != b && !((a, b) in seen)) { seen[a, b] = 1; out[a] = out[a] " " b; node[a] = node[b] = 1 } }
# Tarjan's, on a stack of its own in `stack`; names from the outermost call are strings without blanks.
function visit(v, i, n, to, w, text, size) {
    at[v] = low[v] = ++clock
    stack[++height] = v
    on[v] = 1
    n = split(out[v], to, " ")
    for (i = 1; i <= n; i++) {
        w = to[i]
        if (!(w in at)) { visit(w); if (low[w] < low[v]) low[v] = low[w] }
        else if (on[w] && at[w] < low[v]) low[v] = at[w]
    }
    if (low[v] == at[v]) {
        do { w = stack[height--]; on[w] = 0; text = text " " w; size++ } while (w != v)
        if (size > 1) {
            circles++
            print "circle of " size ":" text > "/dev/stderr"
            n = split(text, to, " ")
            for (i = 1; i <= n; i++) print "circle " to[i]
        }
    }
}
$2 == "D" { owner[program($1), $3] = $1 }
$2 == "U" { want[++wants] = $1 " " $3 }
END {
    for (i = 1; i <= wants; i++) {
        split(want[i], w, " ")
        p = program(w[1])
        to = (p, w[2]) in owner ? owner[p, w[2]] : ("common", w[2]) in owner ? owner["common", w[2]] : ""
        if (to != "") { edge(w[1], to); files[++pairs] = w[1] " " to }
    }
    for (v in node) if (!(v in at)) visit(v)
    split("", out); split("", seen); split("", node); split("", at); split("", low); split("", on); height = 0
    for (i = 1; i <= pairs; i++) { split(files[i], w, " "); edge(folder(w[1]) "/", folder(w[2]) "/") }
    for (v in node) if (!(v in at)) visit(v)
}
