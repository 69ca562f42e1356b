#!/usr/bin/env bash
# Puts the sample app (tests/fixtures/sample-app) as an image onto an engine.
#
#   sample-image.sh [TAG…]     default: hades-sample:1
#
# DOCKER_HOST names the engine. Nothing is pulled: the image is one static file,
# compiled here once and imported. The variable VARIANT, when set, is written
# into a label, so that two tags can be made to have different image ids.
set -euo pipefail

# The default folder is each user's own.
default_state() { if [ "$(id -u)" = 0 ]; then echo /tmp/hades-testbed; else echo "/tmp/hades-testbed-$(id -u)"; fi; }

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
source=$root/tests/fixtures/sample-app/main.rs
cache=${HADES_TESTBED_DIR:-$(default_state)}/sample-app
[ "$#" -gt 0 ] || set -- hades-sample:1

mkdir -p "$cache"
exec 9>"$cache/lock"
flock 9
digest=$(sha256sum "$source" | cut -c1-16)
archive=$cache/$digest.tar
if [ ! -s "$archive" ]; then
    work=$(mktemp -d "$cache/build.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    mkdir -p "$work/root/tmp" "$work/root/data"
    chmod 1777 "$work/root/tmp" "$work/root/data"
    rustc --edition 2024 -C opt-level=2 -C panic=abort -C strip=symbols \
        -C target-feature=+crt-static --crate-name sample_app -o "$work/root/sample-app" "$source" 9>&-
    # Times and owners are fixed so that the same source gives the same layer.
    tar --create --file "$work/image.tar" --directory "$work/root" --sort=name \
        --owner=0 --group=0 --numeric-owner --mtime=@0 .
    mv "$work/image.tar" "$archive"
fi

variant=${VARIANT:-}
wanted=$digest${variant:+-$variant}
for tag in "$@"; do
    present=$(docker image inspect --format '{{index .Config.Labels "dev.hades.sample"}}' "$tag" 2>/dev/null || true)
    [ "$present" = "$wanted" ] && continue
    docker import --change 'ENTRYPOINT ["/sample-app"]' --change 'EXPOSE 8080' \
        --change "LABEL dev.hades.sample=$wanted" "$archive" "$tag" >/dev/null
done
