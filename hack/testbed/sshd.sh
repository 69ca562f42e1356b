#!/usr/bin/env bash
# An SSH server for tests, in the foreground: it ends when it is killed.
#
#   sshd.sh FOLDER ADDRESS PORT [NAMESPACE]
#
# Its host key and `authorized_keys` are in FOLDER, a host key being made when
# there is none; the log goes to standard error. With NAMESPACE, it listens
# within that network namespace (`dockerd.sh namespace NAME` names an engine's).
# Needs root and the package openssh-server.
set -euo pipefail

fail() { echo "sshd.sh: $*" >&2; exit 1; }

[ "$#" -ge 3 ] || fail "usage: sshd.sh FOLDER ADDRESS PORT [NAMESPACE]"
folder=$1 address=$2 port=$3 namespace=${4:-}
[ -x /usr/sbin/sshd ] || fail "sshd is not installed: apt-get install openssh-server"
[ "$(id -u)" = 0 ] || fail "starting an SSH server needs root"

[ -e "$folder/host_key" ] || ssh-keygen -q -t ed25519 -N '' -C '' -f "$folder/host_key"
touch "$folder/authorized_keys"
cat >"$folder/sshd_config" <<END
ListenAddress $address
Port $port
HostKey $folder/host_key
AuthorizedKeysFile $folder/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
LogLevel VERBOSE
MaxStartups 100
END
mkdir -p /run/sshd
# Not `ip netns exec`: it mounts a new /sys.
enter=()
[ -z "$namespace" ] || enter=(nsenter "--net=/run/netns/$namespace")
exec "${enter[@]}" /usr/sbin/sshd -D -e -f "$folder/sshd_config"
