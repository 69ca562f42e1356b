#!/usr/bin/env bash
# Installs what the tests need, then runs everything: formatting, lints, and the
# tests, among which are the checks that schemas, chart and documents are up to
# date with the code (hack/generate.sh mends the first two).
#
#   hack/test.sh            everything
#   hack/test.sh NAME…      only tests whose names hold one of these
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=hack/lib/install.sh
. "$root/hack/lib/install.sh"
# shellcheck source=hack/lib/aws.sh
. "$root/hack/lib/aws.sh"
# shellcheck source=hack/lib/kubectl.sh
. "$root/hack/lib/kubectl.sh"
# shellcheck source=hack/lib/oidc.sh
. "$root/hack/lib/oidc.sh"
# shellcheck source=hack/lib/schemathesis.sh
. "$root/hack/lib/schemathesis.sh"
# shellcheck source=hack/lib/sops.sh
. "$root/hack/lib/sops.sh"
# shellcheck source=hack/lib/webhooks.sh
. "$root/hack/lib/webhooks.sh"
cd "$root"

step() { printf '\n== %s\n' "$*"; }

step "What the tests need"
install_packages dockerd=docker.io docker=docker.io git=git curl=curl iptables=iptables \
    ip=iproute2 cc=build-essential python3=python3 nsenter=util-linux sshd=openssh-server \
    busybox=busybox-static ssh-keygen=openssh-client docker-registry=docker-registry \
    htpasswd=apache2-utils systemd-nspawn=systemd-container openssl=openssl \
    age=age shellcheck=shellcheck
require_rust
command -v cargo-nextest >/dev/null || cargo install --locked cargo-nextest
install_kubectls
install_schemathesis
install_sops
install_ministack
install_webhook_examples
install_oidc_provider
DOCKER_HOST=$(hack/testbed/dockerd.sh start)
export DOCKER_HOST
hack/testbed/sample-image.sh hades-sample:1
hack/testbed/shell-image.sh hades-shell:1

if [ "$#" -gt 0 ]; then
    step "Tests that match: $*"
    exec cargo nextest run --workspace "$@"
fi

step "Formatting"
cargo fmt --all --check

step "Lints"
shellcheck --shell bash --external-sources --source-path "$root" hack/*.sh hack/*/*.sh .ci/run
cargo clippy --workspace --all-targets --quiet -- --deny warnings

step "Tests"
cargo nextest run --workspace --no-fail-fast
