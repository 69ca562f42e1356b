#!/usr/bin/env bash
# Starts Hades on this machine and shows a project converge, from a git commit
# to containers that answer. Installs what is missing, leaves nothing running.
#
#   hack/quickstart.sh          stays up until Ctrl-C, for you to play with
#   hack/quickstart.sh --once   ends after the show
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=hack/lib/install.sh
. "$root/hack/lib/install.sh"

once=${1:-}
case $once in '' | --once) ;; *) sed -n '2,6p' "$0"; exit 2 ;; esac

step() { printf '\n\033[1m▶ %s\033[0m\n' "$*"; }
show() { printf '\033[2m$ %s\033[0m\n' "$*"; "$@"; }
# until_true WHAT SECONDS COMMAND…: waits until a command succeeds.
until_true() {
    local what=$1 seconds=$2 deadline
    shift 2
    deadline=$((SECONDS + seconds))
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || { echo "gave up waiting for $what" >&2; return 1; }
        sleep 0.1
    done
}

# free_port FROM: the first port from there on that nothing listens on.
free_port() {
    local port=$1
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    echo "$port"
}

work=$(mktemp -d "${TMPDIR:-/tmp}/hades-quickstart.XXXXXX")
server=''
cleanup() {
    trap - EXIT INT TERM
    [ -z "$server" ] || { kill "$server" 2>/dev/null; wait "$server" 2>/dev/null; } || true
    local installation
    installation=$(cat "$work/data/installation-id" 2>/dev/null || true)
    if [ -n "$installation" ]; then
        local label="label=hades.dev/installation=$installation"
        docker ps -aq --filter "$label" | xargs -r docker rm -f >/dev/null 2>&1 || true
        docker network ls -q --filter "$label" | xargs -r docker network rm >/dev/null 2>&1 || true
        docker volume ls -q --filter "$label" | xargs -r docker volume rm >/dev/null 2>&1 || true
    fi
    rm -rf "$work"
    echo "Everything that this started is stopped and removed."
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step "Looking for what is needed (Docker, git, curl)"
install_packages dockerd=docker.io docker=docker.io git=git curl=curl iptables=iptables cc=build-essential
require_rust
DOCKER_HOST=$("$root/hack/testbed/dockerd.sh" start)
export DOCKER_HOST
docker version --format 'Docker {{.Server.Version}} answers'

step "Building hades and hadesctl (a few minutes the first time)"
cd "$root"
cargo build --profile quickstart --package hades --package hadesctl
bin=$CARGO_TARGET_DIR/quickstart
"$root/hack/testbed/sample-image.sh" hades-sample:1
export PATH="$bin:$PATH"

step "Starting the server"
port=$(free_port 7443)
web=$(free_port 8088)
hades serve --data-dir "$work/data" --listen "127.0.0.1:$port" \
    --docker-socket "${DOCKER_HOST#unix://}" >"$work/server.out" 2>"$work/server.log" &
server=$!
until_true "the server" 30 curl -fsSk "https://127.0.0.1:$port/readyz" || { cat "$work/server.log"; exit 1; }
export KUBECONFIG=$work/data/admin.kubeconfig
hadesctl wait dockerhost/local --timeout 30s >/dev/null
show hadesctl get dockerhosts

step "A git repository of manifests"
config=$work/config
cp -r "$root/examples/quickstart" "$config"
sed -i "s/8088/$web/" "$config/production.yaml"
git -C "$config" init --quiet --initial-branch=main
git -C "$config" config user.name quickstart
git -C "$config" config user.email quickstart@example.com
git -C "$config" add .
git -C "$config" commit --quiet --message "A web server and two workers"
show git -C "$config" log --oneline --stat

step "What Hades would do with it: the plan"
show hadesctl diff -f "$config" || [ $? = 1 ]

step "Telling Hades to follow the repository"
cat >"$work/repository.yaml" <<YAML
apiVersion: hades.dev/v1alpha1
kind: ConfigRepository
metadata: {name: quickstart, namespace: hades-system}
spec: {url: "file://$config", interval: 1s}
YAML
cat "$work/repository.yaml"
show hadesctl apply -f "$work/repository.yaml"
until_true "the environment" 30 hadesctl get env production -p hello
show hadesctl wait hello/production --for=ready --timeout 120s
show hadesctl get env -A
docker ps --filter "label=hades.dev/project=hello" --format 'table {{.Names}}\t{{.Image}}\t{{.Status}}\t{{.Ports}}'
show curl -fsS "http://127.0.0.1:$web/"

step "A commit changes the message"
sed -i 's/Hello from git/Hello again, one commit later/' "$config/production.yaml"
git -C "$config" commit --quiet --all --message "Say it again"
show git -C "$config" show --format=%s --unified=0
says_again() { curl -fsS "http://127.0.0.1:$web/" | grep -q 'one commit later'; }
until_true "the change" 60 says_again
show curl -fsS "http://127.0.0.1:$web/"

step "Somebody kills a container"
container=$(docker ps -q --filter label=hades.dev/project=hello --filter label=hades.dev/service=web)
show docker rm -f "$container"
until_true "the heal" 30 says_again
show curl -fsS "http://127.0.0.1:$web/"
show hadesctl events hello/production

step "What to try next"
cat <<NEXT
  export KUBECONFIG=$KUBECONFIG PATH=$bin:\$PATH
  hadesctl describe env production -p hello     # or: kubectl describe env production -n hello
  hadesctl logs hello/production/web -f
  edit $config/production.yaml, git commit, and watch:  hadesctl get env -A -w
  hadesctl diff hello/production                # nothing to do; stop a container and look again
  hadesctl restart hello/production/worker --wait
NEXT
if [ -z "$once" ]; then
    echo
    echo "Ctrl-C stops and removes all of it."
    wait "$server"
fi
