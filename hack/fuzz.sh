#!/usr/bin/env bash
# Runs the fuzzers of the API server: everything that reads what clients send. And of
# what reads sealed files.
#
#   hack/fuzz.sh SECONDS            every target for so long
#   hack/fuzz.sh SECONDS TARGET…    these targets
#
# What they learn is kept in the cache and used again. An input that makes the
# server fail is written to operator/apiserver/fuzz/artifacts: mend the mistake and
# copy the input to operator/apiserver/fuzz/corpus/TARGET, which the tests replay.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=hack/lib/install.sh
. "$root/hack/lib/install.sh"

seconds=${1:?"say for how many seconds each target shall run: hack/fuzz.sh SECONDS [TARGET…]"}
shift
fuzz=$root/operator/apiserver/fuzz
learned=${XDG_CACHE_HOME:-$HOME/.cache}/hades/fuzz-learned
export CARGO_TARGET_DIR=${XDG_CACHE_HOME:-$HOME/.cache}/hades/fuzz

install_packages c++=build-essential
require_rust
command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz

cd "$fuzz"
# The same versions as everywhere.
cp "$root/Cargo.lock" Cargo.lock
# Without a sanitizer a stable compiler will do: there is no unsafe code to watch.
cargo fuzz build --sanitizer none

targets=("$@")
[ "${#targets[@]}" -gt 0 ] || mapfile -t targets < <(ls corpus)
failed=()
for name in "${targets[@]}"; do
    program=target
    case $name in request | sops) program=$name ;; esac
    printf '\n== %s for %s s\n' "$name" "$seconds"
    mkdir -p "$learned/$name" "artifacts/$name"
    # Panics that are caught, in parsers that are not ours, would fill the screen.
    HADES_FUZZ_TARGET=$name cargo fuzz run --sanitizer none "$program" "$learned/$name" \
        "corpus/$name" -- -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 \
        -max_len=100000 -dict=dict/json.dict -artifact_prefix="artifacts/$name/" \
        -print_final_stats=1 2>&1 | grep -E 'DONE|ERROR|panicked|stat::|SUMMARY|artifact|Test unit' ||
        true
    [ -z "$(ls -A "artifacts/$name")" ] || failed+=("$name")
done
if [ "${#failed[@]}" -gt 0 ]; then
    echo "Inputs that fail: ${failed[*]/#/operator/apiserver/fuzz/artifacts/}" >&2
    exit 1
fi
