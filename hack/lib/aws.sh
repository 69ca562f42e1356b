# Installs a stand-in for AWS. Sourced by the scripts beside it.

# Pinned: another version answers other things.
ministack_release=ministack==1.5.33

# Puts it at $HADES_MINISTACK, where the tests look. If it can't be had, they say
# that they are skipped.
install_ministack() {
    local folder=${XDG_CACHE_HOME:-$HOME/.cache}/hades/ministack
    export HADES_MINISTACK=${HADES_MINISTACK:-$folder/bin/ministack}
    [ ! -x "$HADES_MINISTACK" ] || return 0
    echo "Installing $ministack_release …"
    # Debian keeps what makes virtual environments in a package of its own.
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages never-there=python3-venv
    if ! { python3 -m venv "$folder" &&
        timeout 300 "$folder/bin/pip" install --quiet --disable-pip-version-check \
            "$ministack_release"; }; then
        echo "$ministack_release can't be installed; its tests will be skipped" >&2
        rm -rf "$folder"
    fi
}
