# Installs schemathesis. Sourced by the scripts beside it.

# Pinned: another version makes up other inputs.
schemathesis_release=schemathesis==4.32.5

# Puts it at $HADES_SCHEMATHESIS, where the test looks. If it can't be had, the
# test says that it is skipped.
install_schemathesis() {
    local folder=${XDG_CACHE_HOME:-$HOME/.cache}/hades/schemathesis
    export HADES_SCHEMATHESIS=${HADES_SCHEMATHESIS:-$folder/bin/schemathesis}
    [ ! -x "$HADES_SCHEMATHESIS" ] || return 0
    echo "Installing $schemathesis_release …"
    # Debian keeps what makes virtual environments in a package of its own.
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages never-there=python3-venv
    if ! { python3 -m venv "$folder" &&
        timeout 300 "$folder/bin/pip" install --quiet --disable-pip-version-check \
            "$schemathesis_release"; }; then
        echo "schemathesis can't be installed; its test will be skipped" >&2
        rm -rf "$folder"
    fi
}
