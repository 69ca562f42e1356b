#!/usr/bin/env bash
# A Docker engine for tests, started if need be and left running.
#
#   dockerd.sh [start [NAME] [--disk SIZE]]
#                               print the engine's endpoint (unix://…); with --disk,
#                               all that it keeps is on a small disk of its own (96M)
#   dockerd.sh stop NAME        stop it; containers with a live restart policy come back with it
#   dockerd.sh pause NAME       let it accept connections and answer nothing; its containers run on
#   dockerd.sh resume NAME      let it answer again
#   dockerd.sh address NAME     print the address at which its published ports answer
#   dockerd.sh namespace NAME   print the network namespace that it is in, for nsenter
#                               --net=/run/netns/…; other servers of that host go there, too
#   dockerd.sh remove NAME      stop it and remove all that it kept
#
# NAME `shared` (the default) is the machine's own engine: $DOCKER_HOST or
# /var/run/docker.sock if something answers there, else one that is started on
# that socket. Any other NAME is a private engine in a network namespace of its
# own, so that it disturbs neither the machine's engine nor another private one;
# tests may stop and start it as they like. $HADES_TESTBED_DOCKERD_OPTIONS are
# further options that a private engine is started with, such as a TLS listener.
#
# State is kept in ${HADES_TESTBED_DIR:-/tmp/hades-testbed}/dockerd-NAME; the
# engine's log is the file `log` there. Needs root and the package docker.io.
set -euo pipefail

readonly START_SECONDS=60
readonly SHARED_SOCKET=/var/run/docker.sock

fail() { echo "dockerd.sh: $*" >&2; exit 1; }

# The default folder is each user's own.
default_state() { if [ "$(id -u)" = 0 ]; then echo /tmp/hades-testbed; else echo "/tmp/hades-testbed-$(id -u)"; fi; }

# Whether an engine answers at a socket.
answers() { [ -S "$1" ] && curl -fsS --max-time 5 --unix-socket "$1" http://docker/_ping >/dev/null 2>&1; }

# The name of a namespace or link: short, as the kernel allows 15 characters.
short_name() { printf 'hd%s' "$(printf '%s' "$1" | sha256sum | cut -c1-8)"; }

# Two addresses of a /30 that belongs to this name, host side and engine side.
link_addresses() {
    local sum third fourth
    sum=$(printf '%s' "$1" | cksum | cut -d' ' -f1)
    third=$((sum % 256)); fourth=$((sum / 256 % 64 * 4))
    echo "100.127.$third.$((fourth + 1)) 100.127.$third.$((fourth + 2))"
}

# A directory whose iptables works here, to be put in front of PATH; nothing
# when the default one does. Fails when none does.
iptables_shim() {
    local state=$1
    iptables -w -t nat -nL >/dev/null 2>&1 && return 0
    local multi
    for multi in /usr/sbin/xtables-legacy-multi /usr/sbin/xtables-nft-multi; do
        [ -x "$multi" ] || continue
        mkdir -p "$state/bin"
        ln -sf "$multi" "$state/bin/iptables"
        ln -sf "$multi" "$state/bin/ip6tables"
        if "$state/bin/iptables" -w -t nat -nL >/dev/null 2>&1; then
            echo "$state/bin"
            return 0
        fi
    done
    return 1
}

# Engines refuse to start where no control groups are mounted (plain containers).
ensure_cgroups() {
    [ -e /sys/fs/cgroup/cgroup.controllers ] || [ -d /sys/fs/cgroup/devices ] && return 0
    mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null || true
}

ensure_namespace() {
    local namespace=$1 host_side engine_side
    read -r host_side engine_side <<<"$(link_addresses "$2")"
    ip netns list 2>/dev/null | grep -qw "$namespace" && return 0
    ip netns add "$namespace"
    ip link add "$namespace" type veth peer name eth0 netns "$namespace"
    ip addr add "$host_side/30" dev "$namespace"
    ip link set "$namespace" up
    ip -n "$namespace" addr add "$engine_side/30" dev eth0
    ip -n "$namespace" link set eth0 up
    ip -n "$namespace" link set lo up
    ip -n "$namespace" route add default via "$host_side"
}

# Whether the process of a pid file runs the program. A killed one that nobody
# has reaped yet doesn't.
runs() {
    local fields
    [ -s "$1" ] && read -r -a fields 2>/dev/null <"/proc/$(cat "$1")/stat" || return 1
    [ "${fields[2]}" != Z ] && [ "${fields[1]}" = "($2)" ]
}

alive() { runs "$1/pid" dockerd; }

# A disk of that size (as mount wants it) for what the engine keeps, unless there is one.
ensure_disk() {
    mkdir -p "$1"
    mountpoint -q "$1" || mount -t tmpfs -o "size=$2" hades-testbed "$1"
}

# Pid files and sockets left by a killed engine keep the next one from starting
# when their number belongs to another process, or to one not reaped yet.
drop_leftovers() {
    local state=$1 socket=$2
    alive "$state" || rm -f "$state/pid"
    runs "$state/exec/containerd/containerd.pid" containerd ||
        rm -f "$state/exec/containerd/containerd.pid" "$state"/exec/containerd/*.sock*
    if [ -S "$socket" ] && ! alive "$state"; then rm -f "$socket"; fi
}

# Starts the engine of a state directory on a socket, within a namespace if one
# is named, and waits until it answers.
start_engine() {
    local name=$1 socket=$2 namespace=$3 state=$4
    command -v dockerd >/dev/null || fail "dockerd is not installed: apt-get install docker.io"
    [ "$(id -u)" = 0 ] || fail "starting an engine needs root"
    ensure_cgroups
    local -a enter=() options=()
    if [ -n "$namespace" ]; then
        ensure_namespace "$namespace" "$name"
        # Not `ip netns exec`: it mounts a new /sys, without control groups.
        enter=(nsenter "--net=/run/netns/$namespace")
        options+=(--containerd-namespace "hades-$name" --containerd-plugins-namespace "hades-$name-plugins")
    fi
    if [ -n "$namespace" ]; then
        local -a further
        read -r -a further <<<"${HADES_TESTBED_DOCKERD_OPTIONS:-}"
        options+=("${further[@]}")
    fi
    local shim
    if shim=$(iptables_shim "$state"); then
        [ -z "$shim" ] || PATH="$shim:$PATH"
    else
        options+=(--iptables=false)
    fi
    echo '{}' >"$state/daemon.json"
    drop_leftovers "$state" "$socket"
    setsid "${enter[@]}" dockerd --config-file "$state/daemon.json" --host "unix://$socket" \
        --data-root "$state/data" --exec-root "$state/exec" --pidfile "$state/pid" \
        "${options[@]}" </dev/null >>"$state/log" 2>&1 9>&- &
    local started=$! deadline=$((SECONDS + START_SECONDS))
    until answers "$socket"; do
        kill -0 "$started" 2>/dev/null || { tail -n 5 "$state/log" >&2; fail "the engine ended; its log is $state/log"; }
        [ "$SECONDS" -lt "$deadline" ] || fail "the engine doesn't answer after $START_SECONDS s; its log is $state/log"
        sleep 0.1
    done
}

# Where the machine has a service manager, its own engine is a service.
start_service() {
    [ -d /run/systemd/system ] && ! answers "$1" || return 0
    systemctl start docker.service >/dev/null 2>&1 || return 0
    local deadline=$((SECONDS + START_SECONDS))
    until answers "$1" || [ "$SECONDS" -ge "$deadline" ]; do sleep 0.1; done
}

stop_engine() {
    local state=$1
    alive "$state" || return 0
    local pid deadline=$((SECONDS + START_SECONDS))
    pid=$(cat "$state/pid")
    kill "$pid"
    while alive "$state" && [ "$(cat "$state/pid" 2>/dev/null)" = "$pid" ]; do
        [ "$SECONDS" -lt "$deadline" ] || fail "the engine (process $pid) doesn't stop"
        sleep 0.1
    done
}

main() {
    local command=${1:-start} name=${2:-shared} disk=''
    if [ "${3:-}" = --disk ]; then
        [[ ${4:-} =~ ^[0-9]+[kmgKMG]$ ]] || fail "--disk wants a size such as 96M"
        disk=$4
    fi
    [[ $name =~ ^[a-z0-9][a-z0-9-]{0,40}$ ]] || fail "$name: a name is lower-case letters, digits and '-'"
    local state=${HADES_TESTBED_DIR:-$(default_state)}/dockerd-$name
    local socket=$state/docker.sock namespace
    namespace=$(short_name "$state")
    if [ "$name" = shared ]; then
        namespace='' socket=$SHARED_SOCKET
        case ${DOCKER_HOST:-} in
            unix://*) ! answers "${DOCKER_HOST#unix://}" || socket=${DOCKER_HOST#unix://} ;;
        esac
    fi
    if [ "$command" = start ] && answers "$socket"; then
        echo "unix://$socket"
        return
    fi
    mkdir -p "$state"
    # One at a time per engine: tests start it from many processes at once.
    exec 9>"$state/lock"
    flock 9
    case $command in
        start)
            [ "$name" != shared ] || start_service "$socket"
            [ -z "$disk" ] || ensure_disk "$state/data" "$disk"
            answers "$socket" || start_engine "$name" "$socket" "$namespace" "$state"
            echo "unix://$socket"
            ;;
        stop) stop_engine "$state" ;;
        pause) ! alive "$state" || kill -STOP "$(cat "$state/pid")" ;;
        resume) ! alive "$state" || kill -CONT "$(cat "$state/pid")" ;;
        namespace) echo "$namespace" ;;
        address)
            if [ -n "$namespace" ]; then link_addresses "$name" | cut -d' ' -f2; else echo 127.0.0.1; fi
            ;;
        remove)
            [ "$name" != shared ] || fail "the machine's own engine is not removed"
            ! alive "$state" || kill -CONT "$(cat "$state/pid")"
            # Only the engine can end its containers and free what they mount.
            if [ -d "$state/data" ]; then
                answers "$socket" || start_engine "$name" "$socket" "$namespace" "$state"
                docker --host "unix://$socket" ps --all --quiet |
                    xargs -r docker --host "unix://$socket" rm --force >/dev/null
            fi
            stop_engine "$state"
            [ -z "$namespace" ] || ip netns del "$namespace" 2>/dev/null || true
            # What a killed engine left mounted would keep the folder busy.
            awk -v under="$state/" 'index($2, under) == 1 { print $2 }' /proc/mounts | sort -r |
                xargs -r -n1 umount -l
            rm -rf "$state"
            ;;
        *) fail "unknown command $command: start, stop, pause, resume, address, namespace or remove" ;;
    esac
}

main "$@"
