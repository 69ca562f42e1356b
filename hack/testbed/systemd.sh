#!/usr/bin/env bash
# A machine of its own for tests, as far as systemd goes: this one's files with a
# layer over them, booted in a container (systemd-nspawn) without a network. What is
# installed in it is gone with it.
#
#   systemd.sh start FOLDER     boots it; prints the process that `nsenter` enters
#   systemd.sh run FOLDER …     runs a command in it
#   systemd.sh remove FOLDER    ends it; the folder may go then
#
# FOLDER holds its layer and its log. Needs root and the packages systemd and
# systemd-container.
set -euo pipefail

fail() { echo "systemd.sh: $*" >&2; exit 1; }

[ "$#" -ge 2 ] || fail "usage: systemd.sh start|run|remove FOLDER"
action=$1 folder=$2
shift 2
[ "$(id -u)" = 0 ] || fail "booting a container needs root"
machine=hades-$(basename "$folder" | tr -dc a-zA-Z0-9)

# The container's first process: below the one that started it.
leader() {
    local process
    process=$(cat "$folder/nspawn.pid")
    while [ "$(cat "/proc/$process/comm")" != systemd ]; do
        process=$(pgrep -P "$process" | head -n 1)
        [ -n "$process" ] || return 1
    done
    echo "$process"
}

enter() { nsenter --all --target "$(leader)" -- "$@"; }

start() {
    command -v systemd-nspawn >/dev/null || fail "install the package systemd-container"
    mkdir -p "$folder"/{layer,work,root}
    mount -t overlay overlay "$folder/root" \
        -o "lowerdir=/,upperdir=$folder/layer,workdir=$folder/work"
    # Not the services of this machine, among them its Docker.
    setsid systemd-nspawn --register=no --keep-unit --private-network --directory "$folder/root" \
        --machine "$machine" --console=read-only --boot systemd.unit=basic.target \
        >"$folder/log" 2>&1 </dev/null &
    echo $! >"$folder/nspawn.pid"
    for _ in $(seq 300); do
        if enter test -S /run/systemd/private 2>/dev/null &&
            enter systemctl is-active --quiet basic.target 2>/dev/null; then
            leader
            return
        fi
        [ -d "/proc/$(cat "$folder/nspawn.pid")" ] || break
        sleep 0.1
    done
    cat "$folder/log" >&2
    fail "systemd didn't come up"
}

remove() {
    local process
    if process=$(leader 2>/dev/null); then
        kill -KILL "$process"
        while [ -d "/proc/$(cat "$folder/nspawn.pid")" ]; do sleep 0.1; done
    fi
    umount "$folder/root" 2>/dev/null || true
    rm -rf "/run/systemd/nspawn/propagate/$machine"
}

case $action in
    start) start ;;
    run) enter "$@" ;;
    remove) remove ;;
    *) fail "there is no $action" ;;
esac
