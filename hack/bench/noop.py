"""A pass that finds nothing to do, over 100 running containers, against
`docker-compose up -d` that finds nothing to do."""

import time

from compose import Compose
from hades import GROUP, IMAGE, PROJECT, Hades, environment
from result import Result, milliseconds, seconds

CONTAINERS = 100
SPLIT = 10


def measure(context):
    """Results of this benchmark."""
    rounds = context.rounds(30)
    with Hades(context.bin, context.engine) as hades:
        context.say(f"noop: one environment of {CONTAINERS}")
        hades.apply(environment("whole", CONTAINERS))
        hades.wait_ready("whole")
        woken = _woken(hades, rounds)
        asked = _asked(hades, ["whole"], rounds)
        command = [_command(hades) for _ in range(context.rounds(10))]
        listing = context.engine.time_of_list(rounds)
    with Hades(context.bin, context.engine) as hades:
        context.say(f"noop: {SPLIT} environments of {CONTAINERS // SPLIT}")
        names = [f"part{n}" for n in range(SPLIT)]
        hades.apply(*(environment(name, CONTAINERS // SPLIT) for name in names))
        hades.wait_ready(*names)
        split = _asked(hades, names, rounds)
    context.say(f"noop: docker-compose with {CONTAINERS} services")
    with Compose(context.engine, IMAGE, CONTAINERS) as compose:
        compose.up()
        peer = [compose.up() for _ in range(context.rounds(5))]
        peer_listing = context.engine.time_of_list(rounds)
    return [
        Result("docker-compose up -d, nothing to do", seconds(peer)),
        Result("the engine's list of all containers (compose's)", milliseconds(peer_listing)),
        Result("the engine's list of all containers (Hades's)", milliseconds(listing)),
        Result("a pass, woken", milliseconds(woken)).faster_than(peer, target=50),
        Result("asked for, until the status says so", milliseconds(asked)).faster_than(peer),
        Result("the same, 10 environments of 10", milliseconds(split)).faster_than(peer),
        Result("hadesctl sync --wait, the whole command", milliseconds(command)).faster_than(peer),
    ]


def _woken(hades, rounds):
    """Seconds of passes that a changed Secret of the project woke."""
    secrets = f"/api/v1/namespaces/{PROJECT}/secrets"
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "wake"}}
    hades.request("POST", secrets, secret)
    samples = []
    for n in range(rounds):
        count, total = hades.quiet()
        hades.merge(f"{secrets}/wake", {"metadata": {"annotations": {"round": str(n)}}})
        while hades.passes()[0] == count:
            time.sleep(0.01)
        now, later = hades.quiet()
        samples.append((later - total) / (now - count))
    return samples


def _asked(hades, names, rounds):
    """Seconds from asking for a pass over each environment until the status of
    each says that it was made."""
    path = f"{GROUP}/namespaces/{PROJECT}/environments"
    samples = []
    for n in range(rounds):
        hades.quiet(seconds=0.1)
        request = f"{n}-{time.time_ns()}"
        patch = {"metadata": {"annotations": {"hades.dev/reconcile-requested-at": request}}}
        with hades.watch(path) as changes:
            started = time.perf_counter()
            for name in names:
                hades.merge(f"{path}/{name}", patch)
            missing = set(names)
            for changed in changes:
                if changed.get("status", {}).get("lastHandledReconcileAt") == request:
                    missing.discard(changed["metadata"]["name"])
                if not missing:
                    break
            samples.append(time.perf_counter() - started)
    return samples


def _command(hades):
    started = time.perf_counter()
    hades.ctl("sync", f"{PROJECT}/whole", "--wait")
    return time.perf_counter() - started
