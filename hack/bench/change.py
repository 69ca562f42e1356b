"""A change of one line among 1,000 manifests in git, of which 100 are environments
that run a container each: from the moment that Hades is told to the first
container that is made for it."""

import pathlib
import subprocess
import tempfile
import time

from engine import Events
from hades import GROUP, IMAGE, PROJECT, Hades
from result import Result, milliseconds, seconds

ENVIRONMENTS = 100
MANIFESTS = 1000
SYSTEM = "/api/v1/namespaces/hades-system"
REPOSITORY = f"{GROUP}/namespaces/hades-system/configrepositories/bench"
LIMIT = 0.3


def measure(context):
    """Results of this benchmark."""
    with tempfile.TemporaryDirectory(prefix="hades-bench.") as folder:
        repository = Repository(pathlib.Path(folder))
        repository.write_all()
        with Hades(context.bin, context.engine) as hades:
            context.say(f"change: {MANIFESTS} manifests")
            first = _follow(hades, repository)
            hades.wait_ready(*(f"e{n}" for n in range(ENVIRONMENTS)))
            told, synced = [], []
            for n in range(context.rounds(20)):
                one, other = _change(context, hades, repository, n)
                told.append(one)
                synced.append(other)
            full = [_full(hades) for _ in range(context.rounds(5))]
    return [
        Result("first pass, all applied", seconds([first])),
        Result("full pass, nothing changed", milliseconds(full)),
        Result("one line changed, until it is applied", milliseconds(synced)).faster_than(full),
        Result("one line changed, until a container is made", milliseconds(told)).under(LIMIT),
    ]


class Repository:
    """A git repository of manifests."""

    def __init__(self, folder):
        self._folder = folder
        self._git("init", "--quiet", "--initial-branch=main")
        self.url = f"file://{folder}"

    def write_all(self):
        """An environment and nine templates in each folder."""
        for n in range(ENVIRONMENTS):
            self.write(n, "first")
            for m in range(MANIFESTS // ENVIRONMENTS - 1):
                name = f"t{n}-{m}"
                text = _manifest("EnvironmentTemplate", name, f"env: {{NAME: {name}}}")
                (self._folder / f"{n}" / f"{name}.yaml").write_text(text)
        self.commit()

    def write(self, n, message):
        """Environment number `n`."""
        spec = (
            f"defaults: {{host: local}}\n  services:\n    web:\n      image: {IMAGE}\n"
            f"      env: {{MESSAGE: {message}}}"
        )
        folder = self._folder / f"{n}"
        folder.mkdir(exist_ok=True)
        (folder / "environment.yaml").write_text(_manifest("Environment", f"e{n}", spec))

    def commit(self):
        """The id of a commit of everything."""
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", "change")
        return self._git("rev-parse", "HEAD").strip()

    def _git(self, *arguments):
        who = ["-c", "user.name=bench", "-c", "user.email=bench@example.com"]
        command = ["git", "-C", self._folder, *who, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def _manifest(kind, name, spec):
    return (
        f"apiVersion: hades.dev/v1alpha1\nkind: {kind}\n"
        f"metadata: {{name: {name}, namespace: {PROJECT}}}\nspec:\n  {spec}\n"
    )


def _follow(hades, repository):
    """Seconds until the first commit is applied. Credentials are named so that a
    change of them can be what tells Hades to look."""
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wake"}}
    secret["data"] = {"token": "eA=="}
    hades.request("POST", f"{SYSTEM}/secrets", secret)
    spec = {"url": repository.url, "interval": "1h", "secretRef": {"name": "wake"}}
    metadata = {"name": "bench", "namespace": "hades-system"}
    started = time.perf_counter()
    hades.apply({"kind": "ConfigRepository", "metadata": metadata, "spec": spec})
    hades.ctl("wait", "--timeout", "180s", "cr/hades-system/bench")
    return time.perf_counter() - started


def _change(context, hades, repository, n):
    """Seconds from telling Hades of a commit until a container is made for it, and
    until the status says that it is applied."""
    hades.quiet()
    repository.write(n, f"round{n}")
    commit = repository.commit()
    events = Events(context.engine.path)
    path = REPOSITORY.rpartition("/")[0]
    with hades.watch(path) as changes:
        touch = {"metadata": {"annotations": {"round": str(n)}}}
        began, started = time.time_ns(), time.perf_counter()
        hades.merge(f"{SYSTEM}/secrets/wake", touch)
        for changed in changes:
            if changed.get("status", {}).get("syncedCommit") == commit:
                break
        synced = time.perf_counter() - started
    made = events.wait("create", _is_ours, seconds=60)
    events.close()
    hades.wait_ready(f"e{n}")
    return (made - began) / 1e9, synced


def _is_ours(actor):
    return actor["Attributes"].get("hades.dev/project") == PROJECT


def _full(hades):
    """Seconds of a full pass that a person asks for."""
    hades.quiet()
    started = time.perf_counter()
    hades.ctl("sync", "bench", "-n", "hades-system", "--wait")
    return time.perf_counter() - started
