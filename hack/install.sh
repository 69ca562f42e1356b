#!/usr/bin/env bash
# Installs Hades on a server, or upgrades it: a user of its own, the programs, a
# service, and the first login. Run it again with newer programs to upgrade; the
# data stays.
#
#   hack/install.sh [--bin DIR]      programs hades and hadesctl from DIR; by default
#                                    they are built from this checkout
#   hack/install.sh --listen ADDR    listen there (default 127.0.0.1:7443)
#   hack/install.sh --tls-san NAME   further name for the certificate; may be repeated
#   hack/install.sh --uninstall      remove service and programs; the data stays
#   hack/install.sh --root DIR       into DIR as if it were /: nothing is started
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root="" bin="" listen="" uninstall=""
names=()

die() { echo "install.sh: $*" >&2; exit 1; }
say() { echo "== $*"; }

while [ "$#" -gt 0 ]; do
    case $1 in
        --bin) bin=${2:?--bin needs a folder}; shift ;;
        --root) root=${2:?--root needs a folder}; shift ;;
        --listen) listen=${2:?--listen needs an address}; shift ;;
        --tls-san) names+=("${2:?--tls-san needs a name}"); shift ;;
        --uninstall) uninstall=yes ;;
        -h | --help) sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
        *) die "there is no $1; see --help" ;;
    esac
    shift
done

[ "$(id -u)" = 0 ] || die "run this as root: sudo $0"
[ "$(uname -s)" = Linux ] || die "the server runs on Linux; hadesctl alone runs elsewhere too"

programs=$root/usr/local/bin
unit=$root/etc/systemd/system/hades.service
settings=$root/etc/hades/hades.env
data=$root/var/lib/hades

# Whether systemd runs here: not in a container, and not where --root leads to.
has_systemd() { [ -z "$root" ] && [ -d /run/systemd/system ]; }

remove() {
    if has_systemd && [ -e "$unit" ]; then
        systemctl disable --now hades || true
    elif [ -n "$root" ] && [ -e "$unit" ]; then
        systemctl --root "$root" disable --quiet hades
    fi
    rm -f "$unit" "$programs/hades" "$programs/hadesctl"
    has_systemd && systemctl daemon-reload
    echo "Hades is removed. What it ran goes on running."
    echo "Its data is still in $data, and its settings in $settings: remove them when you are sure."
}

# Where the programs are: given, or built now.
find_programs() {
    [ -n "$bin" ] || build
    local program
    for program in hades hadesctl; do
        [ -x "$bin/$program" ] || die "there is no program $bin/$program"
    done
    "$bin/hades" version >/dev/null || die "$bin/hades doesn't run on this machine"
}

# Builds what isn't built yet, as whoever called sudo: the toolchain and what was
# built before are his.
build() {
    # shellcheck source=hack/lib/install.sh
    . "$here/lib/install.sh"
    install_packages cc=build-essential
    # shellcheck disable=SC2016
    local run=(bash -euc '
        . "$0/lib/install.sh"
        require_rust
        cd "$0/.."
        cargo build --release --locked --package hades --package hadesctl >&2
        echo "$CARGO_TARGET_DIR/release"' "$here")
    if [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ]; then
        run=(sudo --user "$SUDO_USER" --set-home -- "${run[@]}")
    fi
    say "Building the programs, which takes some minutes the first time"
    bin=$("${run[@]}")
}

# The user that Hades runs as; a member of the group that may use Docker.
make_user() {
    local options=()
    [ -z "$root" ] || options=(--root "$root")
    if ! grep -qs '^hades:' "$root/etc/passwd"; then
        say "Making the user hades"
        useradd "${options[@]}" --system --user-group --home-dir /var/lib/hades \
            --no-create-home --shell /usr/sbin/nologin hades
    fi
    if grep -qs '^docker:' "$root/etc/group"; then
        usermod "${options[@]}" --append --groups docker hades
    else
        echo "There is no group docker yet. Once Docker is installed here, run this again, so"
        echo "that Hades may use it; hosts elsewhere work without."
    fi
}

# Puts a file in its place in one step, so that a program that runs is not cut off.
put() {
    local mode=$1 from=$2 to=$3
    mkdir -p "$(dirname "$to")"
    install -m "$mode" "$from" "$to.new"
    mv -f "$to.new" "$to"
}

# The value of a setting; nothing when it isn't there.
setting() { sed -n "s/^$1=//p" "$settings" 2>/dev/null | tail -n 1; }

# Sets one; the others are the administrator's.
set_setting() {
    { grep -v "^$1=" "$settings" || true; echo "$1=$2"; } >"$settings.new"
    chmod --reference="$settings" "$settings.new"
    mv -f "$settings.new" "$settings"
}

write_settings() {
    if [ ! -e "$settings" ]; then
        mkdir -p "$(dirname "$settings")"
        echo "# Settings of the service hades; see docs/operations.md. Read at its start." >"$settings"
        chmod 644 "$settings"
        set_setting HADES_LISTEN 127.0.0.1:7443
    fi
    [ -z "$listen" ] || set_setting HADES_LISTEN "$listen"
    local name known
    for name in "${names[@]}"; do
        known=$(setting HADES_TLS_SAN)
        case ,$known, in
            *",$name,"*) ;;
            *) set_setting HADES_TLS_SAN "${known:+$known,}$name" ;;
        esac
    done
}

# The data directory, for its user alone. systemd sees to it too; this is for what
# was there before.
close_data() {
    local owner
    mkdir -p "$data"
    owner=$(sed -n 's/^hades:[^:]*:\([0-9]*\):\([0-9]*\):.*/\1:\2/p' "$root/etc/passwd")
    [ "$(stat -c %u:%g "$data")" = "$owner" ] || chown -R "$owner" "$data"
    chmod 700 "$data"
}

start() {
    if ! has_systemd; then
        [ -z "$root" ] || systemctl --root "$root" enable --quiet hades
        echo "systemd doesn't run here. Start Hades by hand:"
        echo "  setpriv --reuid hades --regid hades --init-groups \\"
        echo "    hades serve --data-dir /var/lib/hades"
        return
    fi
    say "Starting the service"
    systemctl daemon-reload
    systemctl enable --quiet hades
    # Returns once it answers: Type=notify.
    if ! systemctl restart hades; then
        journalctl --unit hades --no-pager --lines 20 >&2 || true
        die "Hades doesn't start; the lines above say why"
    fi
}

tell() {
    local address
    address=$(setting HADES_LISTEN)
    # Everywhere is no address to go to.
    case $address in
        0.0.0.0:* | "[::]:"*) address=127.0.0.1:${address##*:} ;;
        "") address=127.0.0.1:7443 ;;
    esac
    echo
    echo "Hades $("$programs/hades" version | cut -d' ' -f2) is installed."
    if [ -e "$data/first-login" ]; then
        echo
        echo "The first login, until its password is changed:"
        sed 's/^/  /' "$data/first-login"
        echo
        echo "Next:"
        echo "  hadesctl login https://$address --user admin"
        echo "  hadesctl passwd"
    else
        echo "Next:"
        echo "  hadesctl login https://$address"
    fi
}

if [ -n "$uninstall" ]; then
    remove
    exit 0
fi
find_programs
make_user
say "Installing the programs and the service"
put 755 "$bin/hades" "$programs/hades"
put 755 "$bin/hadesctl" "$programs/hadesctl"
put 644 "$here/systemd/hades.service" "$unit"
write_settings
close_data
start
tell
