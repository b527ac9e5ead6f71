# Includes against tests/lint/layers: awk -f includes.awk tests/lint/layers FILE…
# Prints "include FROM TO" for each that goes upward or sideways.
function folder(path) { sub(/\/[^\/]*$/, "", path); return path }
function allow(from, to, i, n, words) {
    if ((from, to) in allowed) return
    allowed[from, to] = 1
    n = split(below[to], words, " ")
    for (i = 1; i <= n; i++) allow(from, words[i])
}
FILENAME == ARGV[1] {
    if ($0 !~ /^#/ && NF) { name = $1; sub(/:$/, "", name); $1 = ""; below[name] = $0; known[name] = 1 }
    next
}
!closed { closed = 1; for (name in known) allow(name, name) }
FNR == 1 { from = folder(FILENAME); if (!(from in known)) print "include " FILENAME " (its folder is not in tests/lint/layers)" }
/^#include "(common|supervisor|worker)\// {
    split($0, part, "\"")
    if (!((from, folder(part[2])) in allowed)) print "include " FILENAME " " part[2]
}
