# What sessions use besides kubectl.

# follow LINES COMMAND…: shows the first lines that a command prints, then ends it.
follow() {
    local count=$1 line pid
    shift
    exec 9< <(exec "$@")
    pid=$!
    while [ "$count" -gt 0 ] && IFS= read -r -t 50 line <&9; do
        printf '%s\n' "$line"
        count=$((count - 1))
    done
    kill "$pid" 2>/dev/null
    exec 9<&-
}

# meanwhile ACTION COMMAND…: runs a kubectl that watches, and the action as soon as
# its watch is open (or, for --for=create, as soon as it found nothing).
meanwhile() {
    local action=$1 pid tries=0
    shift
    : >watch.log
    "$@" -v=6 2>watch.log &
    pid=$!
    while kill -0 "$pid" 2>/dev/null && [ "$tries" -lt 500 ] &&
        ! grep -q 'watch=true\|404 Not Found' watch.log; do
        sleep 0.05
        tries=$((tries + 1))
    done
    eval "$action" >/dev/null
    wait "$pid"
    local code=$?
    # What is no log line is a complaint.
    grep -v '^[IWE][0-9][0-9][0-9][0-9] ' watch.log
    return "$code"
}
