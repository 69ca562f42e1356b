"""The Docker engine, over its socket: calls without the cost of a client
program, and its events with the engine's own timestamps."""

import http.client
import json
import queue
import socket
import sys
import threading
import time
import urllib.parse

API = "/v1.41"


class _Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Refused(Exception):
    """The engine answered with an error."""


class Engine:
    """One connection; not for use by several threads at once."""

    def __init__(self, path):
        self.path = path
        self._connection = _Connection(path, timeout=120)

    def call(self, method, path, body=None, **query):
        """The answer to a request, from JSON. Raises Refused."""
        url = API + path
        if query:
            url += "?" + urllib.parse.urlencode(query)
        data = None if body is None else json.dumps(body)
        headers = {} if data is None else {"Content-Type": "application/json"}
        self._connection.request(method, url, data, headers)
        response = self._connection.getresponse()
        text = response.read()
        if response.status >= 400:
            raise Refused(f"{method} {url}: {response.status} {text.decode()[:300]}")
        return json.loads(text) if text.strip() else None

    def containers(self, *labels):
        """All containers, stopped ones too, that carry all of `labels`."""
        filters = json.dumps({"label": list(labels)}) if labels else "{}"
        return self.call("GET", "/containers/json", all=1, filters=filters)

    def remove(self, container):
        """As `docker rm -f`."""
        self.call("DELETE", f"/containers/{container}", force=1)

    def remove_all(self, label):
        """Containers and networks that carry a label, as far as the engine lets go
        of them: the rest goes with the engine."""
        filters = json.dumps({"label": [label]})
        paths = [f"/containers/{one['Id']}?force=1" for one in self.containers(label)]
        networks = self.call("GET", "/networks", filters=filters)
        for path in paths + [f"/networks/{network['Id']}" for network in networks]:
            try:
                self.call("DELETE", path)
            except Refused as error:
                print(f"left behind: {error}", file=sys.stderr)

    def time_of_list(self, rounds):
        """Seconds that the engine needs to list all containers, each round."""
        samples = []
        for _ in range(rounds):
            started = time.perf_counter()
            self.containers()
            samples.append(time.perf_counter() - started)
        return samples


class Events:
    """Events of containers, collected from when it is made until it is closed."""

    def __init__(self, path):
        self._connection = _Connection(path, timeout=None)
        filters = json.dumps({"type": ["container"], "event": ["create", "start", "destroy"]})
        self._connection.request("GET", f"{API}/events?filters={urllib.parse.quote(filters)}")
        self._response = self._connection.getresponse()
        self._socket = self._connection.sock
        self._queue = queue.SimpleQueue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        try:
            for line in self._response:
                event = json.loads(line)
                self._queue.put((event["timeNano"], event["Action"], event["Actor"]))
        except (OSError, ValueError, http.client.HTTPException, AttributeError):
            pass  # closed

    def wait(self, action, wanted, seconds):
        """Time in nanoseconds of the next event that is wanted."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                at, seen, actor = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                raise TimeoutError(f"no {action} event within {seconds} s") from None
            if seen == action and wanted(actor):
                return at

    def drain(self):
        """Forgets what has come so far."""
        while not self._queue.empty():
            self._queue.get_nowait()

    def close(self):
        """Ends the collection."""
        # Closing it would wait for the reader, which waits for the engine.
        self._socket.shutdown(socket.SHUT_RDWR)
