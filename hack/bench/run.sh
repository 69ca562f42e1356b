#!/usr/bin/env bash
# Measures Hades against its peers on one engine, side by side in one run.
#
#   hack/bench/run.sh [OPTION…]
#     --only NAME[,NAME…]  some of: noop, scale, rollout, heal, change, hook, memory, fleet,
#                          apiserver, rights, redact, rotation
#     --quick              fewer rounds, to try the scripts out
#     --json FILE          all samples (default: bench.json beside the build)
#     --check              end with status 1 when a target is missed
#     --bin DIR            measure the binaries in DIR instead of building
#
# Builds a release, starts a Docker engine of its own in a network namespace
# (hack/testbed/dockerd.sh, needs root), and removes both containers and engine
# at the end; `--only` with apiserver, fleet, redact, rights or rotation needs neither.
# Takes about twenty-five minutes after the build. docs/benchmarks.md says what the
# numbers mean.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
# shellcheck source=hack/lib/install.sh
. "$root/hack/lib/install.sh"

bin='' json='' only='' arguments=()
while [ "$#" -gt 0 ]; do
    case $1 in
        --bin) bin=$(cd "$2" && pwd); shift ;;
        --json) json=$2; shift ;;
        --only) only=$2; arguments+=("$1" "$2"); shift ;;
        --quick | --check) arguments+=("$1") ;;
        *) sed -n '2,15p' "$0"; exit 2 ;;
    esac
    shift
done

# All but what is measured without an engine, or on stand-ins of one.
needs_engine() { [[ ! $only =~ ^(apiserver|fleet|redact|rights|rotation)(,(apiserver|fleet|redact|rights|rotation))*$ ]]; }

packages=(python3=python3 git=git cc=build-essential)
if needs_engine; then
    packages+=(dockerd=docker.io docker=docker.io docker-compose=docker-compose curl=curl
        iptables=iptables)
fi
install_packages "${packages[@]}"
require_rust

if [ -z "$bin" ]; then
    cargo build --manifest-path "$root/Cargo.toml" --release \
        --package hades --package hadesctl --package hades-bench-load
    bin=$CARGO_TARGET_DIR/release
fi

unset DOCKER_HOST
if needs_engine; then
    trap '"$root/hack/testbed/dockerd.sh" remove bench' EXIT
    DOCKER_HOST=$("$root/hack/testbed/dockerd.sh" start bench)
    export DOCKER_HOST
    "$root/hack/testbed/sample-image.sh" hades-sample:1
fi
python3 "$root/hack/bench/main.py" --bin "$bin" \
    --json "${json:-$CARGO_TARGET_DIR/bench.json}" "${arguments[@]}"
