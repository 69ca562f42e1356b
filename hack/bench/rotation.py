"""How long it takes to seal 10,000 Secrets for a new identity while the server runs,
and what those who read and write meanwhile notice of it: the longest answer to each,
beside the longest of a time of the same length in which nothing is rotated."""

import base64
import threading
import time

from hades import Hades
from result import Result, milliseconds, seconds
from rights import Client

SECRETS = 10_000
# What a Secret usually holds: a few lines.
BYTES = 400
TARGET = 5.0
NAMESPACE = "/api/v1/namespaces/default"
PAUSE = 0.002


def measure(context):
    """Results of this benchmark."""
    with Hades(context.bin) as hades:
        context.say(f"rotation: {SECRETS} Secrets")
        _fill(Client(hades))
        taken, calm, reads, writes = [], {"read": [], "write": []}, [], []
        for _ in range(context.rounds(5)):
            with _Askers(hades) as askers:
                began = time.monotonic()
                hades.run("identity", "rotate")
                taken.append(time.monotonic() - began)
            reads.append(askers.longest["read"])
            writes.append(askers.longest["write"])
            with _Askers(hades) as askers:
                time.sleep(taken[-1])
            for what, longest in askers.longest.items():
                calm[what].append(longest)
    return [
        Result(f"hades identity rotate, {SECRETS} Secrets", seconds(taken)).under(TARGET),
        Result("the longest read, nothing is rotated", milliseconds(calm["read"])),
        Result("the longest read meanwhile", milliseconds(reads)).times_of(calm["read"]),
        Result("the longest write, nothing is rotated", milliseconds(calm["write"])),
        Result("the longest write meanwhile", milliseconds(writes)).times_of(calm["write"]),
    ]


def _fill(client):
    value = base64.b64encode(bytes(range(200)) * (BYTES // 200)).decode()
    statuses = client.all(
        ("POST", f"{NAMESPACE}/secrets", {"metadata": {"name": f"s{n}"}, "data": {"v": value}})
        for n in range(SECRETS)
    )
    if any(status != 201 for status in statuses):
        raise RuntimeError(f"not everything was made: {sorted(set(statuses))}")


class _Askers:
    """Reads Secrets and writes ConfigMaps until the end; `longest` is of each."""

    def __init__(self, hades):
        self._hades, self._over = hades, threading.Event()
        self.longest, self._failed = {"read": 0.0, "write": 0.0}, []

    def __enter__(self):
        self._threads = [
            threading.Thread(target=self._ask, args=("read", self._read)),
            threading.Thread(target=self._ask, args=("write", self._write)),
        ]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind, *_):
        self._over.set()
        for thread in self._threads:
            thread.join()
        if kind is None and self._failed:
            raise RuntimeError(f"somebody was refused: {self._failed[:3]}")

    def _ask(self, what, request):
        client, number = Client(self._hades), 0
        while not self._over.is_set():
            began = time.monotonic()
            status = request(client, number)
            self.longest[what] = max(self.longest[what], time.monotonic() - began)
            if status not in (200, 201):
                self._failed.append(f"{what}: {status}")
            number += 1
            time.sleep(PAUSE)

    @staticmethod
    def _read(client, number):
        return client.ask("GET", f"{NAMESPACE}/secrets/s{number * 7919 % SECRETS}")

    def _write(self, client, number):
        name = f"m{time.monotonic_ns()}"
        return client.ask("POST", f"{NAMESPACE}/configmaps", {"metadata": {"name": name}})
