"""The API server under load over HTTPS, against published figures of a
kube-apiserver with etcd: how many requests a second it answers, how long lists
and watch events take, and what it costs in memory."""

import json
import subprocess
import time

from hades import Hades
from result import Result, mebibytes, milliseconds, rates

# Of a kube-apiserver 1.36 with etcd under the same load on a machine of this
# kind. Published figures, not run side by side: it can't be installed here.
PUBLISHED = "kube-apiserver 1.36 with etcd, published"
CREATE, GET, PATCH = 626, 1175, 399
LIST = 0.819
DELIVERY_P50, DELIVERY_P99 = 0.0045, 0.011
IDLE_MEMORY, FULL_MEMORY = 305 * 1024 * 1024, 647 * 1024 * 1024

CONNECTIONS = 8
OBJECTS = 10_000
WATCHERS = 50
MIB = 1024 * 1024
KINDS = {"configmap": "ConfigMap", "environmenttemplate": "EnvironmentTemplate"}
QUIET_SECONDS = 20
RETURN_SECONDS = 60


class Load:
    """Runs the load generator against one server."""

    def __init__(self, context, hades, kind):
        self._command = [
            context.bin + "/hades-bench-load",
            "--kubeconfig", str(hades.kubeconfig),
            "--connections", str(CONNECTIONS),
            "--kind", kind,
        ]

    def ask(self, *arguments, namespace="bench"):
        """One measurement; what the generator says of it."""
        done = subprocess.run(
            self._command + ["--namespace", namespace] + [str(one) for one in arguments],
            capture_output=True, text=True, timeout=600,
        )
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return json.loads(done.stdout)

    def watches(self, count):
        """Opens watches of everything and answers the process that holds them."""
        process = subprocess.Popen(
            self._command + ["hold", "--watchers", str(count)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        line = process.stdout.readline()
        if line.strip() != "ready":
            process.kill()
            raise RuntimeError(f"the watches were not opened: {line}")
        return process


def measure(context):
    """Results of this benchmark."""
    results = []
    for kind in KINDS:
        with Hades(context.bin) as hades:
            load = Load(context, hades, kind)
            if kind != "configmap":
                results += _requests(context, load, kind)
                continue
            context.say(f"apiserver: {QUIET_SECONDS} s of quiet")
            time.sleep(QUIET_SECONDS)
            idle = hades.memory()["VmRSS"]
            results += _requests(context, load, kind)
            results += _lists(context, load)
            results += _delivery(context, load)
            results += _memory(context, hades, load, idle)
    return results


def _requests(context, load, kind):
    """Create, get and merge patch in closed loops."""
    name = KINDS[kind]
    rounds = context.rounds(5)
    context.say(f"apiserver: {name}s, {CONNECTIONS} connections")
    count = OBJECTS // rounds
    created = [load.ask("create", "--first", n * count, "--count", count) for n in range(rounds)]
    # What the rounds left over.
    load.ask("create", "--first", rounds * count, "--count", OBJECTS - rounds * count)
    loop = ("--count", OBJECTS, "--seconds", 2 if rounds > 3 else 1)
    read = [load.ask("get", *loop) for _ in range(rounds)]
    patched = [load.ask("patch", *loop) for _ in range(rounds)]
    results = []
    for verb, answers, peer, target in [
        ("create", created, CREATE, 5),
        ("get", read, GET, 10),
        ("merge patch", patched, PATCH, 5),
    ]:
        samples = rates([answer["perSecond"] for answer in answers])
        if kind == "configmap":
            results.append(Result(f"{PUBLISHED}: {verb}", rates([peer])))
        # The published figures don't say of which kind the objects were.
        target = target if kind == "configmap" else None
        results.append(Result(f"{verb}, {name}", samples).times_as_often([peer], target))
        p99 = milliseconds([answer["latency"]["p99"] for answer in answers])
        results.append(Result("  99 of 100 within", p99))
    return results


def _lists(context, load):
    """All objects, in the forms that clients ask for."""
    context.say(f"apiserver: lists of {OBJECTS}")
    rounds = context.rounds(9)
    results = [Result(f"{PUBLISHED}: list of {OBJECTS}", milliseconds([LIST]))]
    for form, name, peer in [
        ("json", "list, JSON", True),
        ("table", "list, Table", False),
        ("selector", "list, a tenth by its label", False),
        ("pages", "list, JSON in pages of 500", False),
    ]:
        found = load.ask("list", "--form", form, "--rounds", rounds)
        result = Result(name, milliseconds(found["seconds"]))
        results.append(result.times_of([LIST], target=0.25) if peer else result)
    return results


def _delivery(context, load):
    """From a write to the event of a watch."""
    rounds = context.rounds(5)
    results = [
        Result(f"{PUBLISHED}: write to event, median", milliseconds([DELIVERY_P50])),
        Result(f"{PUBLISHED}: write to event, 99 of 100", milliseconds([DELIVERY_P99])),
    ]
    for watchers in (1, WATCHERS):
        context.say(f"apiserver: {watchers} watches")
        answers = [
            load.ask("deliver", "--watchers", watchers, "--writes", 500, namespace="watched")
            ["delivery"]
            for _ in range(rounds)
        ]
        target = 0.5 if watchers == 1 else None
        name = "one watch" if watchers == 1 else f"{watchers} watches"
        results += [
            Result(f"write to event, median, {name}", milliseconds([a["p50"] for a in answers]))
            .times_of([DELIVERY_P50], target),
            Result(f"write to event, 99 of 100, {name}", milliseconds([a["p99"] for a in answers]))
            .times_of([DELIVERY_P99], target),
        ]
    return results


def _memory(context, hades, load, idle):
    """Resident memory, from idle to full and back."""
    context.say(f"apiserver: memory, {WATCHERS} watches of everything")
    full = hades.memory()["VmRSS"]
    hades.forget_peak()
    for form in ("json", "table", "selector"):
        load.ask("list", "--form", form, "--rounds", 3)
    listed = hades.memory()
    watches = load.watches(WATCHERS)
    watched = hades.memory()
    watches.communicate("", timeout=60)
    peak = hades.memory()["VmHWM"]
    context.say(f"apiserver: {RETURN_SECONDS} s of quiet")
    time.sleep(RETURN_SECONDS)
    after = hades.memory()["VmRSS"]
    limits = [
        (f"{PUBLISHED}: memory, idle", IDLE_MEMORY, None),
        ("memory, idle", idle, 40 * MIB),
        (f"{PUBLISHED}: memory, {OBJECTS} objects", FULL_MEMORY, None),
        (f"memory, {OBJECTS} objects, after the load above", full, None),
        ("  after lists and tables", listed["VmRSS"], None),
        (f"  with {WATCHERS} watches that were sent everything", watched["VmRSS"], 150 * MIB),
        ("  at most meanwhile", peak, None),
        (f"  {RETURN_SECONDS} s later", after, None),
    ]
    return [Result(name, mebibytes([size])).under(limit) for name, size, limit in limits]
