# Prepares a Debian or Ubuntu machine as a host of Hades. Run by `sh -s` over SSH
# by `hadesctl host add`, which puts KEY, COMMENT and SOCKET in front. May be run
# again at any time: what is there already is left as it is.
#
# Answers in lines of their own: `hades-step WORDS`, `hades-failed WORDS`,
# `hades-host-key KEY`, `hades-version VERSION`, `hades-done`.
set -eu

step() { printf 'hades-step %s\n' "$*"; }
fail() { printf 'hades-failed %s\n' "$*"; exit 1; }
user=$(id -un)

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo -n "$@"; fi
}

can_be_root() { [ "$(id -u)" = 0 ] || sudo -n true 2>/dev/null; }

authorize() {
    step "letting the key of Hades in as $user"
    umask 077
    mkdir -p "$HOME/.ssh"
    file=$HOME/.ssh/authorized_keys
    touch "$file"
    # A line of a key that Hades had before ends with this. What others wrote may be in
    # any encoding, and stays byte by byte.
    LC_ALL=C grep -a -v -- " $COMMENT\$" "$file" >"$file.hades" || [ $? = 1 ] || {
        rm -f "$file.hades"
        fail "$file can't be read; nothing in it was changed"
    }
    printf '%s\n' "$KEY" >>"$file.hades"
    cat "$file.hades" >"$file"
    rm -f "$file.hades"
}

install_docker() {
    if command -v dockerd >/dev/null 2>&1 || [ -S "$SOCKET" ]; then
        step "Docker is installed"
        return
    fi
    system=unknown family=
    if [ -r /etc/os-release ]; then
        system=$(. /etc/os-release && printf '%s' "${PRETTY_NAME:-$ID}")
        family=$(. /etc/os-release && printf ' %s %s ' "${ID:-}" "${ID_LIKE:-}")
    fi
    case $family in
        *" debian "* | *" ubuntu "*) ;;
        *) fail "this machine runs $system; Hades installs Docker on Debian and Ubuntu only. Install Docker there, then run this again" ;;
    esac
    can_be_root || fail "installing Docker needs root: log in as root@…, or let $user use sudo without a password"
    log=$(mktemp)
    step "installing docker.io on $system (a minute or two)"
    export DEBIAN_FRONTEND=noninteractive
    if ! as_root apt-get -q -o DPkg::Lock::Timeout=120 update >"$log" 2>&1 ||
        ! as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 \
            install --no-install-recommends docker.io ca-certificates iptables >>"$log" 2>&1; then
        tail -n 15 "$log" >&2
        rm -f "$log"
        fail "apt-get could not install docker.io; its last lines are above"
    fi
    rm -f "$log"
}

start_docker() {
    if [ ! -S "$SOCKET" ] && [ -d /run/systemd/system ]; then
        step "starting Docker"
        can_be_root || fail "starting Docker needs root: log in as root@…, or let $user use sudo without a password"
        as_root systemctl enable --now docker.service >/dev/null 2>&1 ||
            fail "systemctl could not start docker.service; see \`journalctl -u docker\` there"
    fi
    tries=0
    while [ ! -S "$SOCKET" ]; do
        tries=$((tries + 1))
        [ "$tries" -lt 60 ] || fail "there is no socket $SOCKET after 30 s; start Docker there, or name its socket with --socket"
        sleep 0.5
    done
}

open_socket() {
    [ ! -w "$SOCKET" ] || return 0
    step "putting $user into the group docker"
    can_be_root || fail "$user may not use Docker: run \`usermod -aG docker $user\` there as root"
    as_root usermod -aG docker "$user" || fail "usermod could not put $user into the group docker"
}

# What the SSH server shows, asked for on the machine itself.
host_keys() {
    step "reading the host keys"
    keys=
    if [ -n "${SSH_CONNECTION:-}" ] && command -v ssh-keyscan >/dev/null 2>&1; then
        # shellcheck disable=SC2086
        set -- $SSH_CONNECTION
        keys=$(ssh-keyscan -T 10 -p "$4" "$3" 2>/dev/null | grep -v '^#' | cut -d' ' -f2,3) || keys=
    fi
    [ -n "$keys" ] || keys=$(cat /etc/ssh/ssh_host_ed25519_key.pub /etc/ssh/ssh_host_ecdsa_key.pub \
        /etc/ssh/ssh_host_rsa_key.pub 2>/dev/null | cut -d' ' -f1,2) || true
    [ -n "$keys" ] || fail "no host key was found in /etc/ssh"
    printf '%s\n' "$keys" | sed 's/^/hades-host-key /'
}

install_docker
start_docker
open_socket
host_keys
authorize
if command -v dockerd >/dev/null 2>&1; then
    printf 'hades-version %s\n' "$(dockerd --version 2>/dev/null | head -n 1)"
fi
echo hades-done
