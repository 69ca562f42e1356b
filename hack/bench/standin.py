"""An engine in memory that speaks as much of Docker's API as Hades uses.

For what is measured of Hades alone among more containers than a machine should
run for it: nothing runs, and lists are as long as a real engine's.

    standin.py SOCKET

What it counts is at GET /bench; POST /bench/event tells the events of a
container that Hades didn't make, which has Hades look at everything.
"""

import collections
import http.server
import itertools
import json
import os
import queue
import random
import re
import socketserver
import struct
import sys
import threading
import time
import urllib.parse

VERSION = {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12", "Os": "linux"}
IMAGE = "sha256:" + "5a" * 32


class State:
    """All that the engine knows."""

    def __init__(self):
        self.lock = threading.RLock()
        self.containers, self.networks, self.volumes = {}, {}, {}
        self.listeners, self.calls = set(), collections.Counter()
        self.ids = itertools.count(1)
        self.listed = None  # the last list of containers, as bytes

    def id(self):
        """As engines give them."""
        return f"{next(self.ids):064x}"

    def changed(self, kind, action, id_, attributes):
        """Tells an event."""
        self.listed = None
        now = time.time_ns()
        actor = {"ID": id_, "Attributes": attributes}
        event = {"Type": kind, "Action": action, "Actor": actor, "scope": "local"}
        event |= {"time": now // 10**9, "timeNano": now}
        line = json.dumps(event).encode() + b"\n"
        for listener in list(self.listeners):
            listener.put(line)

    def attributes(self, container):
        """Of the events of a container."""
        named = {"name": container["Names"][0][1:], "image": container["Image"]}
        return container["Labels"] | named

    def find(self, key):
        """A container by id or name."""
        with self.lock:
            if key in self.containers:
                return self.containers[key]
            named = (c for c in self.containers.values() if c["Names"] == ["/" + key])
            return next(named, None)

    def create(self, name, body):
        """A container that isn't started."""
        with self.lock:
            network = body.get("HostConfig", {}).get("NetworkMode", "bridge")
            found = next((n for n in self.networks.values() if n["Name"] == network), {})
            id_ = self.id()
            self.containers[id_] = {
                "Id": id_, "Names": ["/" + name], "Image": body["Image"], "ImageID": IMAGE,
                "Command": "/sample-app", "Created": int(time.time()), "Ports": [],
                "Labels": body.get("Labels") or {}, "State": "created", "Status": "Created",
                "HostConfig": {"NetworkMode": network},
                "NetworkSettings": {"Networks": {network: {
                    "IPAMConfig": None, "Links": None, "Aliases": None,
                    "NetworkID": found.get("Id", ""), "EndpointID": self.id(),
                    "Gateway": "10.213.0.1", "IPAddress": "10.213.0.2", "IPPrefixLen": 24,
                    "IPv6Gateway": "", "GlobalIPv6Address": "", "GlobalIPv6PrefixLen": 0,
                    "MacAddress": "02:42:0a:d5:00:02", "DriverOpts": None,
                }}},
                "Mounts": [],
            }
            self.changed("container", "create", id_, self.attributes(self.containers[id_]))
            return id_

    def list(self):
        """Of all containers."""
        with self.lock:
            if self.listed is None:
                self.listed = json.dumps(list(self.containers.values())).encode()
            return self.listed


STATE = State()


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1

    def address_string(self):
        return "socket"

    def log_message(self, *_):
        pass

    def answer(self, body=None, status=200):
        """A value as JSON, bytes as they are, or nothing."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        self.send_response(204 if body is None else status)
        self.send_header("Api-Version", VERSION["ApiVersion"])
        self.send_header("Content-Type", "application/json")
        if body is not None:
            self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
        self.wfile.flush()

    def absent(self, what):
        """As engines say it."""
        self.answer({"message": f"No such {what}"}, 404)

    def handle_one(self):
        """Any request."""
        url = urllib.parse.urlsplit(self.path)
        path = re.sub(r"^/v1\.\d+", "", url.path)
        self.query = dict(urllib.parse.parse_qsl(url.query))
        size = int(self.headers.get("Content-Length") or 0)
        self.body = json.loads(self.rfile.read(size) or b"{}") if size else {}
        STATE.calls[re.sub(r"/[0-9a-f]{64}", "/ID", f"{self.command} {path}")] += 1
        for method, pattern, handler in ROUTES:
            match = re.fullmatch(pattern, path)
            if method == self.command and match:
                handler(self, *match.groups())
                return
        self.absent(f"call: {self.command} {path}")

    do_GET = do_POST = do_DELETE = do_HEAD = handle_one

    def events(self):
        """Until the caller goes away."""
        mine = queue.SimpleQueue()
        STATE.listeners.add(mine)
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        try:
            while True:
                line = mine.get()
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
                self.wfile.flush()
        except OSError:
            self.close_connection = True
        finally:
            STATE.listeners.discard(mine)

    def create_container(self):
        self.answer({"Id": STATE.create(self.query["name"], self.body), "Warnings": []}, 201)

    def container(self, key):
        """As far as an inspection is looked at."""
        found = STATE.find(key)
        if found is None:
            return self.absent("container")
        state = {"Status": found["State"], "Running": found["State"] == "running"}
        self.answer({
            "Id": found["Id"], "Name": found["Names"][0], "Image": IMAGE, "State": state,
            "Config": {"Labels": found["Labels"], "Image": found["Image"]}, "HostConfig": {},
        })

    def change(self, key, action):
        """Starts or stops one."""
        found = STATE.find(key)
        if found is None:
            return self.absent("container")
        with STATE.lock:
            runs = action == "start"
            found["State"] = "running" if runs else "exited"
            found["Status"] = "Up 2 hours" if runs else "Exited (0) 1 second ago"
            event = "start" if runs else "die"
            STATE.changed("container", event, found["Id"], STATE.attributes(found))
        self.answer()

    def logs(self, _):
        """The same lines again and again, each in a frame of its own."""
        self.send_response(200)
        self.send_header("Content-Type", "application/vnd.docker.multiplexed-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for _ in range(LOG_BLOCKS):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(LOG_BLOCK), LOG_BLOCK))
        self.wfile.write(b"0\r\n\r\n")
        self.wfile.flush()

    def remove_container(self, key):
        found = STATE.find(key)
        if found is None:
            return self.absent("container")
        with STATE.lock:
            del STATE.containers[found["Id"]]
            STATE.changed("container", "destroy", found["Id"], STATE.attributes(found))
        self.answer()

    def list_networks(self):
        wanted = json.loads(self.query.get("filters", "{}"))
        names, ids = (list(wanted.get(key, [])) for key in ("name", "id"))
        fits = lambda n: (not names or n["Name"] in names) and (not ids or n["Id"] in ids)
        with STATE.lock:
            self.answer([network for network in STATE.networks.values() if fits(network)])

    def create_network(self):
        with STATE.lock:
            id_ = STATE.id()
            config = self.body.get("IPAM", {}).get("Config") or []
            network = {
                "Id": id_, "Name": self.body["Name"], "Driver": "bridge", "Scope": "local",
                "Labels": self.body.get("Labels") or {}, "Containers": {}, "Options": {},
                "IPAM": {"Driver": "default", "Config": config}, "Internal": False,
            }
            STATE.networks[id_] = network
            STATE.changed("network", "create", id_, {"name": network["Name"]})
        self.answer({"Id": id_, "Warning": ""}, 201)

    def remove_network(self, id_):
        with STATE.lock:
            network = STATE.networks.pop(id_, None)
            if network is None:
                return self.absent("network")
            STATE.changed("network", "destroy", id_, {"name": network["Name"]})
        self.answer()

    def event(self):
        STATE.changed("container", "start", STATE.id(), {"name": "somebody-elses"})
        self.answer()

    def information(self):
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime())
        self.answer({"NCPU": 2, "MemTotal": 4 << 30, "SystemTime": now, "DockerRootDir": "/"})


def log_block():
    """Lines as a web server writes them, a megabyte of them."""
    numbers, frames, size = random.Random(1), [], 0
    while size < 1 << 20:
        line = (
            f"2026-11-23T07:{numbers.randrange(60):02}:{numbers.randrange(60):02}Z INFO request "
            f"id={numbers.getrandbits(64):016x} method=GET path=/orders/{numbers.randrange(10**5)} "
            f"status=200 duration={numbers.randrange(1000)}ms user=anna@example.com\n"
        ).encode()
        frames.append(struct.pack(">BxxxI", 1, len(line)) + line)
        size += len(line)
    return b"".join(frames)


LOG_BLOCK, LOG_BLOCKS = log_block(), 64
IMAGES = [{
    "Id": IMAGE, "RepoTags": ["hades-sample:1"], "RepoDigests": [], "Labels": {}, "ParentId": "",
    "Created": 1, "Size": 1, "SharedSize": -1, "Containers": -1,
}]
ROUTES = [
    ("GET", "/_ping", lambda h: h.answer(b"OK")),
    ("HEAD", "/_ping", lambda h: h.answer(b"")),
    ("GET", "/version", lambda h: h.answer(VERSION)),
    ("GET", "/info", Handler.information),
    ("GET", "/events", Handler.events),
    ("GET", "/images/json", lambda h: h.answer(IMAGES)),
    ("GET", "/images/(.+)/json", lambda h, _: h.answer(IMAGES[0] | {"Config": {}})),
    ("GET", "/volumes", lambda h: h.answer({"Volumes": [], "Warnings": None})),
    ("GET", "/containers/json", lambda h: h.answer(STATE.list())),
    ("POST", "/containers/create", Handler.create_container),
    ("GET", "/containers/([^/]+)/json", Handler.container),
    ("POST", "/containers/([^/]+)/(start|stop)", Handler.change),
    ("GET", "/containers/([^/]+)/logs", Handler.logs),
    ("DELETE", "/containers/([^/]+)", Handler.remove_container),
    ("GET", "/networks", Handler.list_networks),
    ("POST", "/networks/create", Handler.create_network),
    ("DELETE", "/networks/([^/]+)", Handler.remove_network),
    ("GET", "/bench", lambda h: h.answer({"calls": STATE.calls})),
    ("POST", "/bench/event", Handler.event),
]


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """A thread a connection."""

    daemon_threads = True
    request_queue_size = 128


if __name__ == "__main__":
    if os.path.exists(sys.argv[1]):
        os.unlink(sys.argv[1])
    Server(sys.argv[1], Handler).serve_forever()
