"""`docker rm -f` of a managed container until its replacement runs: how much of
that is Hades's own share."""

import statistics
import time

from engine import Events
from hades import PROJECT, Hades, environment
from result import Result, milliseconds
from scale import body

SIZES = (3, 100)


def measure(context):
    """Results of this benchmark."""
    results = []
    for size in SIZES:
        context.say(f"heal: among {size} containers")
        raw, healed = _heals(context, size)
        usual = statistics.median(raw)
        own = [one - usual for one in healed]
        results += [
            Result(f"create and start by API, among {size}", milliseconds(raw)),
            Result(f"destroyed until started, among {size}", milliseconds(healed)),
            Result(f"Hades's own share of it, among {size}", milliseconds(own))
            .under(0.050 if size == SIZES[0] else None),
        ]
    return results


def _heals(context, size):
    """Seconds of raw create and start, and of heals, taken by turns."""
    raw, healed = [], []
    with Hades(context.bin, context.engine) as hades:
        hades.apply(environment("heal", size))
        hades.wait_ready("heal")
        events = Events(context.engine.path)
        for n in range(context.rounds(25)):
            service = f"s{n % size:03}"
            label = f"hades.dev/service={service}"
            (victim,) = context.engine.containers(label, f"hades.dev/project={PROJECT}")
            hades.quiet()
            with hades.paused():
                raw.append(_raw(context, events, victim["Id"]))
            hades.quiet()
            events.drain()
            context.engine.remove(victim["Id"])
            gone = events.wait("destroy", lambda actor: actor["ID"] == victim["Id"], seconds=10)
            back = events.wait(
                "start",
                lambda actor: actor["Attributes"].get("hades.dev/service") == service,
                seconds=60,
            )
            healed.append((back - gone) / 1e9)
        events.close()
    return raw, healed


def _raw(context, events, victim):
    """Seconds from a request to create a container like the victim, on the same
    network, until the engine says that it started."""
    detail = context.engine.call("GET", f"/containers/{victim}/json")
    (network,) = detail["NetworkSettings"]["Networks"]
    request = body(detail, network)
    events.drain()
    began = time.time_ns()
    made = context.engine.call("POST", "/containers/create", request, name="raw-heal")
    try:
        context.engine.call("POST", f"/containers/{made['Id']}/start")
        started = events.wait("start", lambda actor: actor["ID"] == made["Id"], seconds=60)
    finally:
        context.engine.remove(made["Id"])
    return (started - began) / 1e9
