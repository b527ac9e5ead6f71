# compile_commands.json out of the compiler's command lines that `make -n` prints; see Makefile, compdb.
/ -c -o [^ ]+\.o [^ ]+\.c$/ {
    command = $0
    sub(/^[ \t]+/, "", command)
    gsub(/\\/, "\\\\", command)
    gsub(/"/, "\\\"", command)
    printf "%s\n{\"directory\": \"%s\", \"file\": \"%s\", \"output\": \"%s\", \"command\": \"%s\"}", entries++ ? "," : "[",
        directory, $NF, $(NF - 1), command
}
END {
    print entries ? "\n]" : "[]"
}
