"""A webhook until the first call that changes something on the engine, for a change
of one line in one of 100 environments, among 1,000 manifests of one repository."""

import os
import pathlib
import queue
import shutil
import socket
import subprocess
import tempfile
import threading
import time
import types

from hades import IMAGE, Hades, documents
from result import Result, milliseconds

PROJECTS = 10
ENVIRONMENTS = 10
OTHERS = 89  # ConfigMaps in each project: 1,000 manifests with all the rest
REPOSITORY = "config"
SECRET = "hook"
TOKEN = "a token for the benchmark"
LIMIT_SECONDS = 60


def measure(context):
    """Results of this benchmark."""
    with Tap(context.engine.path) as tap, Checkout() as checkout:
        engine = types.SimpleNamespace(path=tap.path, remove_all=context.engine.remove_all)
        with Hades(context.bin, engine) as hades:
            context.say(f"hook: {PROJECTS * ENVIRONMENTS} environments to begin with")
            _begin(hades, checkout)
            samples = [_push(hades, checkout, tap, n) for n in range(context.rounds(20))]
    called, synced = zip(*samples)
    return [
        Result("webhook until the first change on the engine", milliseconds(called)).under(0.3),
        Result("webhook until the commit is synced", milliseconds(synced)),
    ]


def _begin(hades, checkout):
    """Everything of the repository runs."""
    system = "hades-system"
    path = f"/api/v1/namespaces/{system}/secrets"
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET}}
    hades.request("POST", path, secret | {"stringData": {"token": TOKEN}})
    spec = {"url": f"file://{checkout.folder}", "interval": "1h"}
    hades.apply({
        "kind": "ConfigRepository",
        "metadata": {"name": REPOSITORY, "namespace": system},
        "spec": spec | {"webhook": {"secretRef": {"name": SECRET}}},
    })
    hades.ctl("wait", "--timeout", "300s", f"cr/{system}/{REPOSITORY}")
    for project in range(PROJECTS):
        names = [f"p{project}/e{number}" for number in range(ENVIRONMENTS)]
        hades.ctl("wait", "--timeout", "300s", *names)


def _push(hades, checkout, tap, n):
    """Seconds from the delivery until a change on the engine and until the sync."""
    project, number = n % PROJECTS, n // PROJECTS % ENVIRONMENTS
    hades.quiet()
    commit = checkout.change(project, number, f"round {n}")
    tap.forget()
    began = time.perf_counter()
    hades.deliver("hades-system", REPOSITORY, TOKEN, {"ref": "refs/heads/main"})
    called = tap.first_change(LIMIT_SECONDS) - began
    hades.ctl("wait", f"p{project}/e{number}")
    synced = hades.synced("hades-system", REPOSITORY)
    if synced != commit:
        raise RuntimeError(f"{commit} is not synced, but {synced}")
    return called, time.perf_counter() - began


class Checkout:
    """A repository with a working tree."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hades-bench-git."))
        self._git("init", "--quiet", "--initial-branch=main")
        self._git("config", "user.name", "bench")
        self._git("config", "user.email", "bench@example.com")
        for project in range(PROJECTS):
            below = self.folder / f"p{project}"
            below.mkdir()
            name = f"p{project}"
            self._write(below / "project.yaml", "HadesProject", {"name": name}, spec={})
            for number in range(ENVIRONMENTS):
                self._environment(project, number, "first")
            for number in range(OTHERS):
                metadata = {"name": f"c{number}", "namespace": name}
                file = below / f"c{number}.yaml"
                self._write(file, "ConfigMap", metadata, version="v1", data={"a": "b"})
        self.commit()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        shutil.rmtree(self.folder)

    def change(self, project, number, message):
        """Commits another value of a variable; the id of the commit."""
        self._environment(project, number, message)
        return self.commit()

    def commit(self):
        """Commits what there is."""
        self._git("add", "--all")
        self._git("commit", "--quiet", "--message", "change")
        return self._git("rev-parse", "HEAD").strip()

    def _environment(self, project, number, message):
        metadata = {"name": f"e{number}", "namespace": f"p{project}"}
        service = {"image": IMAGE, "env": {"MESSAGE": message}}
        spec = {"defaults": {"host": "local"}, "services": {"web": service}}
        file = self.folder / f"p{project}" / f"e{number}.yaml"
        self._write(file, "Environment", metadata, spec=spec)

    @staticmethod
    def _write(file, kind, metadata, version="hades.dev/v1alpha1", **rest):
        manifest = {"apiVersion": version, "kind": kind, "metadata": metadata} | rest
        file.write_text(documents([manifest]))

    def _git(self, *arguments):
        command = ["git", "-C", str(self.folder), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


class Tap:
    """A socket in front of the engine's that notes when changes are asked for."""

    def __init__(self, engine):
        self._engine = engine
        self._folder = tempfile.mkdtemp(prefix="hades-bench-tap.")
        self.path = os.path.join(self._folder, "docker.sock")
        self._changes = queue.SimpleQueue()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(self.path)
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.close()
        shutil.rmtree(self._folder)

    def forget(self):
        """Forgets what was noted so far."""
        while not self._changes.empty():
            self._changes.get_nowait()

    def first_change(self, seconds):
        """When the first one since then was asked for."""
        return self._changes.get(timeout=seconds)

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            engine = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            engine.connect(self._engine)
            for one, other, noted in [(client, engine, True), (engine, client, False)]:
                threading.Thread(target=self._copy, args=(one, other, noted), daemon=True).start()

    def _copy(self, source, target, noted):
        try:
            while data := source.recv(1 << 16):
                # A request begins where a part begins: the client waits for answers.
                if noted and data.startswith((b"POST ", b"DELETE ")):
                    self._changes.put(time.perf_counter())
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
        except OSError:
            source.close()
            target.close()
