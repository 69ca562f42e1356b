# What sessions use besides kubectl.

# follow LINES COMMAND…: shows the first lines that a command prints, then ends it.
follow() {
    local count=$1 line pid
    shift
    exec 9< <(exec "$@" 2>&1)
    pid=$!
    while [ "$count" -gt 0 ] && IFS= read -r -t 30 line <&9; do
        printf '%s\n' "$line"
        count=$((count - 1))
    done
    kill "$pid"
    exec 9<&-
}
