"""A Hades server of our own, and what is asked of it."""

import base64
import contextlib
import hashlib
import hmac
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time

GROUP = "/apis/hades.dev/v1alpha1"
PROJECT = "bench"
READY_SECONDS = 30
STOP_SECONDS = 15
# The server closes connections that are idle for long.
IDLE_SECONDS = 5


class Hades:
    """Runs `hades serve` in a temporary folder; a context manager that removes
    all that the installation made. Without an engine it serves the API alone."""

    def __init__(self, bin_dir, engine=None):
        self._bin = pathlib.Path(bin_dir)
        self._engine = engine
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="hades-bench."))
        self._data = self._folder / "data"
        self._process = None
        self.kubeconfig = self._data / "admin.kubeconfig"

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.terminate()
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            installation = self._data / "installation-id"
            if installation.exists() and self._engine is not None:
                owner = installation.read_text().strip()
                self._engine.remove_all(f"hades.dev/installation={owner}")
        shutil.rmtree(self._folder)

    def _start(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        log = open(self._folder / "log", "wb")
        engine = self._engine.path if self._engine else self._folder / "no-engine.sock"
        self._process = subprocess.Popen(
            [self._bin / "hades", "serve", "--data-dir", self._data]
            + ["--listen", f"127.0.0.1:{port}", "--docker-socket", engine],
            stdout=log, stderr=log,
        )
        deadline = time.monotonic() + READY_SECONDS
        while True:
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("hades didn't start:\n" + (self._folder / "log").read_text())
            try:
                self._connect(port, json.loads(self.kubeconfig.read_text()))
                self._get("/readyz")
                break
            except (OSError, ValueError, http.client.HTTPException):
                time.sleep(0.05)
        if self._engine is None:
            return
        self.apply({"kind": "HadesProject", "metadata": {"name": PROJECT}, "spec": {}})
        self.ctl("wait", f"hadesproject/{PROJECT}")

    def _connect(self, port, kubeconfig):
        authority = kubeconfig["clusters"][0]["cluster"]["certificate-authority-data"]
        trust = ssl.create_default_context(cadata=base64.b64decode(authority).decode())
        token = kubeconfig["users"][0]["user"]["token"]
        self._headers = {"Authorization": f"Bearer {token}"}
        self._open = lambda: http.client.HTTPSConnection(
            "127.0.0.1", port, context=trust, timeout=60
        )
        self._connection, self._used = self._open(), time.monotonic()

    def connect(self):
        """A further connection, and `headers` for its requests."""
        return self._open()

    @property
    def headers(self):
        """By which the administrator is known."""
        return dict(self._headers)

    def metrics(self):
        """All metrics, as text."""
        return self._get("/metrics").decode()

    def _get(self, path):
        return self.request("GET", path)

    def request(self, method, path, body=None, kind="application/json"):
        """The answer of the server, as bytes."""
        headers = dict(self._headers)
        if body is not None:
            headers["Content-Type"] = kind
            body = json.dumps(body)
        if time.monotonic() - self._used > IDLE_SECONDS:
            self._connection.close()  # the next call opens it again
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
        except (http.client.RemoteDisconnected, BrokenPipeError):
            # A connection on which only open paths are asked for is a stranger's,
            # and is closed after a while.
            if method != "GET":
                raise
            self._connection.close()
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
        text = response.read()
        self._used = time.monotonic()
        if response.status >= 400:
            raise OSError(f"{method} {path}: {response.status} {text.decode()[:300]}")
        return text

    def merge(self, path, patch):
        """A merge patch."""
        self.request("PATCH", path, patch, kind="application/merge-patch+json")

    def deliver(self, namespace, name, token, payload):
        """Sends a webhook as GitHub does."""
        body = json.dumps(payload).encode()
        signature = hmac.new(token.encode(), body, hashlib.sha256).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-GitHub-Event": "push",
            "X-Hub-Signature-256": f"sha256={signature}",
        }
        if time.monotonic() - self._used > IDLE_SECONDS:
            self._connection.close()
        self._connection.request("POST", f"/hooks/config/{namespace}/{name}", body, headers)
        response = self._connection.getresponse()
        text = response.read()
        self._used = time.monotonic()
        if response.status != 202:
            raise OSError(f"webhook: {response.status} {text.decode()[:300]}")

    def synced(self, namespace, name):
        """The commit that a ConfigRepository has applied."""
        text = self._get(f"{GROUP}/namespaces/{namespace}/configrepositories/{name}")
        return json.loads(text).get("status", {}).get("syncedCommit")

    @contextlib.contextmanager
    def watch(self, path):
        """Events of a watch, as an iterator of objects."""
        version = json.loads(self._get(path))["metadata"]["resourceVersion"]
        connection = self._open()
        try:
            url = f"{path}?watch=1&resourceVersion={version}"
            connection.request("GET", url, headers=self._headers)
            yield (json.loads(line)["object"] for line in connection.getresponse())
        finally:
            connection.close()

    def run(self, *arguments):
        """Runs a command of the server's own program on its data; its output."""
        command = [self._bin / "hades", *arguments, "--data-dir", self._data]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if done.returncode != 0:
            raise RuntimeError(f"hades {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done.stdout

    def ctl(self, *arguments, text=None):
        """Runs hadesctl to its end; its output."""
        command = [self._bin / "hadesctl", "--kubeconfig", self.kubeconfig]
        done = subprocess.run(
            command + list(arguments), input=text, capture_output=True, text=True, timeout=300
        )
        if done.returncode != 0:
            raise RuntimeError(f"hadesctl {' '.join(arguments)}: {done.stderr or done.stdout}")
        return done.stdout

    def apply(self, *objects):
        """`hadesctl apply`."""
        for manifest in objects:
            manifest["apiVersion"] = "hades.dev/v1alpha1"
        self.ctl("apply", "-f", "-", text=documents(objects))

    def wait_ready(self, *environments):
        """Until environments are as described."""
        names = [f"{PROJECT}/{name}" for name in environments]
        self.ctl("wait", "--timeout", "180s", *names)

    def passes(self):
        """Passes over environments since the start: how many, and seconds in sum."""
        text = self._get("/metrics").decode()
        values = []
        for part in ("count", "sum"):
            name = rf'^hades_reconcile_pass_seconds_{part}{{kind="Environment"}} (\S+)$'
            found = re.search(name, text, re.MULTILINE)
            values.append(float(found[1]) if found else 0.0)
        return int(values[0]), values[1]

    def quiet(self, seconds=0.4, limit=60):
        """Until no pass has ended for so long; what passes() says then."""
        deadline = time.monotonic() + limit
        last, since = self.passes(), time.monotonic()
        while time.monotonic() - since < seconds:
            if time.monotonic() > deadline:
                raise TimeoutError("passes don't end: is something failing again and again?")
            time.sleep(0.02)
            now = self.passes()
            if now != last:
                last, since = now, time.monotonic()
        return last

    @contextlib.contextmanager
    def paused(self):
        """Stops the process, so that it doesn't look at what its peer does."""
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def processor(self):
        """Nanoseconds of processor time that each thread has had."""
        threads = {}
        for task in pathlib.Path(f"/proc/{self._process.pid}/task").iterdir():
            with contextlib.suppress(OSError):  # it has just ended
                threads[task.name] = int((task / "schedstat").read_text().split()[0])
        return threads

    def processor_seconds(self, before):
        """Seconds of processor time since `before`, a value of processor()."""
        now = self.processor()
        return sum(spent - before.get(thread, 0) for thread, spent in now.items()) / 1e9

    def memory(self):
        """Resident memory, bytes: now (all, and of that what no file backs) and at most."""
        text = pathlib.Path(f"/proc/{self._process.pid}/status").read_text()
        sizes = dict(re.findall(r"^(VmRSS|RssAnon|VmHWM):\s+(\d+) kB$", text, re.MULTILINE))
        return {name: int(size) * 1024 for name, size in sizes.items()}

    def forget_peak(self):
        """Lets the peak of memory() begin at what is used now. Takes root: the server
        forbids core dumps, and with them gives its files under /proc away."""
        pathlib.Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")


def documents(objects):
    """Manifests as one stream: JSON is YAML."""
    return "\n---\n".join(json.dumps(manifest) for manifest in objects)


def environment(name, services):
    """An Environment of so many services of one container each."""
    return {
        "kind": "Environment",
        "metadata": {"name": name, "namespace": PROJECT},
        "spec": {
            "defaults": {"host": "local"},
            "services": {f"s{n:03}": {"image": IMAGE} for n in range(services)},
        },
    }


IMAGE = "hades-sample:1"
