"""How long the API server takes to find out whether somebody may do what he
asks for, with as many users, projects and bindings as a large studio has.

The server measures itself (`hades_apiserver_authorization_seconds`), so that
neither the network nor the store count. Each request is judged twice: whether
the administrator may ask in somebody's name, which is quick, and whether that one
may. So the slower half is what counts, and its median is the upper quartile.

Then what rights add to a list and to a watch of many objects: those of somebody
who is bound among all the others, beside those of system:masters, for whom no
rule is looked up."""

import concurrent.futures
import itertools
import json
import re
import threading
import time

from hades import Hades
from result import Result, microseconds, milliseconds

USERS, PROJECTS, BINDINGS = 1000, 200, 5000
REQUESTS = 4000
TARGET = 20e-6
RBAC = "/apis/rbac.authorization.k8s.io/v1"
CONNECTIONS = 16
OBJECTS = 10_000
READER = "/api/v1/namespaces/p0/serviceaccounts"
LIST = "/api/v1/namespaces/p0/configmaps"
WATCH = (
    f"{LIST}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    "&allowWatchBookmarks=true"
)


class Client:
    """Requests of several threads, each with a connection of its own."""

    def __init__(self, hades):
        self._hades, self._own = hades, threading.local()

    def ask(self, method, path, body=None, **headers):
        """Status of the answer."""
        if not hasattr(self._own, "connection"):
            self._own.connection = self._hades.connect()
        connection, given = self._own.connection, self._hades.headers
        headers = {**given, **{k.replace("_", "-"): v for k, v in headers.items()}}
        if body is not None:
            headers["Content-Type"], body = "application/json", json.dumps(body)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        response.read()
        return response.status

    def all(self, requests):
        """Statuses of many requests, some at a time."""
        with concurrent.futures.ThreadPoolExecutor(CONNECTIONS) as pool:
            return list(pool.map(lambda request: self.ask(*request), requests))


def measure(context):
    """Results of this benchmark."""
    with Hades(context.bin) as hades:
        client = Client(hades)
        context.say(f"rights: {USERS} users, {PROJECTS} projects, {BINDINGS} bindings")
        _fill(client)
        medians = [_judged(hades, client, n) for n in range(context.rounds(5))]
        name = f"a right, {USERS} users, {BINDINGS} bindings"
        results = [Result(name, microseconds(medians)).under(TARGET)]
        return results + _many(context, hades, client)


def _made(statuses):
    if any(status != 201 for status in statuses):
        raise RuntimeError(f"not everything was made: {sorted(set(statuses))}")


def _fill(client):
    rules = [{"verbs": ["get", "list"], "apiGroups": [""], "resources": [f"r{n}", "configmaps"]}
             for n in range(12)]
    roles = [{"metadata": {"name": f"bench:{role}"}, "rules": rules} for role in range(3)]
    namespaces = [{"metadata": {"name": f"p{n}"}} for n in range(PROJECTS)]
    _made(client.all(("POST", f"{RBAC}/clusterroles", role) for role in roles))
    _made(client.all(("POST", "/api/v1/namespaces", one) for one in namespaces))
    _made(client.all(_bindings()))


def _bindings():
    for n in range(BINDINGS):
        group = {"apiGroup": "rbac.authorization.k8s.io"}
        yield "POST", f"{RBAC}/namespaces/p{_project(n)}/rolebindings", {
            "metadata": {"name": f"b{n}"},
            "roleRef": {**group, "kind": "ClusterRole", "name": f"bench:{n % 3}"},
            "subjects": [{**group, "kind": "User", "name": f"user{n % USERS}"}],
        }


def _project(binding):
    """Each user is bound in several projects."""
    return (binding % USERS + 37 * (binding // USERS)) % PROJECTS


def _judged(hades, client, round_number):
    """Seconds that the judgements of a round took, those of people."""
    before = _histogram(hades)
    requests = itertools.islice(_requests(round_number), REQUESTS)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        statuses = list(pool.map(lambda one: client.ask("GET", one[0], Impersonate_User=one[1]),
                                 requests))
    if set(statuses) != {200, 403}:
        raise RuntimeError(f"some may and some may not: {sorted(set(statuses))}")
    after = _histogram(hades)
    return _upper_quartile([(bound, after[bound] - before[bound]) for bound in after])


def _requests(start):
    for n in itertools.count(start * REQUESTS):
        allowed = n % 2 == 0
        project = _project(n % BINDINGS) if allowed else (_project(n % BINDINGS) + 1) % PROJECTS
        yield f"/api/v1/namespaces/p{project}/configmaps", f"user{n % USERS}"


def _many(context, hades, client):
    """Lists and watches of everybody's and of somebody's."""
    context.say(f"rights: lists and watches of {OBJECTS}")
    _made(client.all(
        ("POST", LIST, {"metadata": {"name": f"o{n}"}, "data": {"text": "x" * 300}})
        for n in range(OBJECTS)
    ))
    headers = {"without": hades.headers, "with": {"Authorization": f"Bearer {_reader(hades)}"}}
    results = []
    for name, path, lines in [("list", LIST, None), ("watch", WATCH, OBJECTS + 1)]:
        taken = {"without": [], "with": []}
        for _ in range(context.rounds(41)):
            for who, samples in taken.items():
                samples.append(_time(hades, path, headers[who], lines))
        without = milliseconds(taken["without"])
        results += [
            Result(f"{name} of {OBJECTS}, no rights looked up", without),
            Result(f"{name} of {OBJECTS}", milliseconds(taken["with"]))
            .times_of(without.values, target=1.05),
        ]
    return results


def _reader(hades):
    """A token of somebody who may read the objects by a binding like all others."""
    group = {"apiGroup": "rbac.authorization.k8s.io"}
    hades.request("POST", READER, {"metadata": {"name": "reader"}})
    role = {"verbs": ["list", "watch"], "apiGroups": [""], "resources": ["configmaps"]}
    hades.request("POST", f"{RBAC}/namespaces/p0/roles",
                  {"metadata": {"name": "reader"}, "rules": [role]})
    hades.request("POST", f"{RBAC}/namespaces/p0/rolebindings", {
        "metadata": {"name": "reader"},
        "roleRef": {**group, "kind": "Role", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": "p0"}],
    })
    answer = hades.request("POST", f"{READER}/reader/token", {"spec": {}})
    return json.loads(answer)["status"]["token"]


def _time(hades, path, headers, lines):
    """Seconds until an answer is read whole, or as many lines of it."""
    connection = hades.connect()
    connection.connect()
    start = time.perf_counter()
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    if response.status != 200:
        raise RuntimeError(f"GET {path}: {response.status}")
    found = 0
    while (lines is None or found < lines) and (part := response.read1(1 << 20)):
        found += part.count(b"\n")
    taken = time.perf_counter() - start
    connection.close()
    return taken


def _histogram(hades):
    """Counts below each bound, in seconds."""
    found = re.findall(
        r'^hades_apiserver_authorization_seconds_bucket\{le="([^"]+)"\} (\d+)',
        hades.metrics(), re.MULTILINE,
    )
    return {float(bound): int(count) for bound, count in found}


def _upper_quartile(buckets):
    """What three quarters of the counts are below; between two bounds as if they
    were spread evenly."""
    wanted, low, below = buckets[-1][1] * 0.75, 0.0, 0
    for bound, count in buckets:
        if count >= wanted:
            return low + (bound - low) * (wanted - below) / max(count - below, 1)
        low, below = bound, count
    return low
