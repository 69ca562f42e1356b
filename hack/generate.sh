#!/usr/bin/env bash
# Writes what is generated from the code: schemas/, and the CRDs and roles of the chart.
#
#   hack/generate.sh           write
#   hack/generate.sh --check   fail when something would change
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=hack/lib/install.sh
. "$root/hack/lib/install.sh"
cd "$root"
mode=${1:-}
case $mode in '' | --check) ;; *) sed -n '2,5p' "$0"; exit 2 ;; esac
[ "$mode" = --check ] || export HADES_GENERATE=1
cargo nextest run --workspace --package hades-api --test generated --status-level fail
echo "schemas/ and charts/ are what the code says"
