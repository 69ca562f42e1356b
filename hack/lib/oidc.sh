# Installs a real provider of identities. Sourced by the scripts beside it.

# Pinned: another version has other defaults.
oidc_provider_release=oidc-provider@9.13.3

# Puts it at $HADES_OIDC_PROVIDER, where the test looks. If it can't be had, the
# test says that it is skipped.
install_oidc_provider() {
    local folder=${XDG_CACHE_HOME:-$HOME/.cache}/hades/oidc-provider
    export HADES_OIDC_PROVIDER=${HADES_OIDC_PROVIDER:-$folder}
    [ ! -f "$HADES_OIDC_PROVIDER/node_modules/oidc-provider/package.json" ] || return 0
    echo "Installing $oidc_provider_release …"
    install_packages node=nodejs npm=npm
    if ! timeout 300 npm install --silent --no-audit --no-fund --ignore-scripts \
        --prefix "$folder" "$oidc_provider_release" >/dev/null; then
        echo "$oidc_provider_release can't be had; its test will be skipped" >&2
        rm -rf "$folder"
        unset HADES_OIDC_PROVIDER
    fi
}
