#!/usr/bin/env bash
# Sends the API server what schemathesis makes of its OpenAPI documents. The tests
# do the same for a few seconds.
#
#   hack/schemathesis.sh SECONDS [SEED]     so long for each document
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=hack/lib/install.sh
. "$root/hack/lib/install.sh"
# shellcheck source=hack/lib/schemathesis.sh
. "$root/hack/lib/schemathesis.sh"

export HADES_SCHEMATHESIS_SECONDS=${1:?"say how many seconds each document shall take"}
export HADES_SCHEMATHESIS_SEED=${2:-$RANDOM}
require_rust
install_schemathesis
cd "$root"
echo "Seed $HADES_SCHEMATHESIS_SEED"
cargo test --package hades-apiserver --test schemathesis -- --nocapture
