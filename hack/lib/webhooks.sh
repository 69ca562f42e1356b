# Installs GitHub's published examples of webhooks. Sourced by the scripts beside it.

# Pinned: another version has other examples.
webhook_examples_release=@octokit/webhooks-examples@7.6.1

# Puts them at $HADES_WEBHOOK_EXAMPLES, where the test looks. If they can't be had,
# the test says that it is skipped.
install_webhook_examples() {
    local folder=${XDG_CACHE_HOME:-$HOME/.cache}/hades/webhook-examples
    export HADES_WEBHOOK_EXAMPLES=${HADES_WEBHOOK_EXAMPLES:-$folder/package}
    [ ! -f "$HADES_WEBHOOK_EXAMPLES/api.github.com/index.json" ] || return 0
    echo "Installing $webhook_examples_release …"
    install_packages npm=npm
    local download
    download=$(mktemp -d)
    if (cd "$download" && timeout 300 npm pack --silent "$webhook_examples_release" >/dev/null) &&
        mkdir -p "$folder" && tar -xzf "$download"/*.tgz -C "$folder"; then :; else
        echo "$webhook_examples_release can't be had; its test will be skipped" >&2
        unset HADES_WEBHOOK_EXAMPLES
    fi
    rm -rf "$download"
}
