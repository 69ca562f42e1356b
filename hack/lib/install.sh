# Installs what is missing on Debian. Sourced by the scripts beside it.

# A toolchain is the one thing that is expected to be there.
require_rust() {
    command -v cargo >/dev/null && return
    [ ! -x "$HOME/.cargo/bin/cargo" ] || { PATH="$HOME/.cargo/bin:$PATH"; return; }
    echo "Rust is missing: install it with rustup, then run this again." >&2
    exit 1
}

# install_packages COMMAND=PACKAGE…: the Debian packages of commands that are missing.
install_packages() {
    local pair missing=()
    for pair in "$@"; do
        command -v "${pair%%=*}" >/dev/null || missing+=("${pair#*=}")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    echo "Installing ${missing[*]} …"
    local as_root=()
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || { echo "run this as root, or install: ${missing[*]}" >&2; exit 1; }
        as_root=(sudo)
    fi
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends \
        "${missing[@]}" >/dev/null
}

# Where everything is compiled into: outside the checkout, so that a fresh clone
# finds what an earlier one built.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/hades/target}
