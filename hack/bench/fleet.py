"""Many environments at rest on two engines: what a look at everything costs, and
what it costs to do nothing.

The engines are stand-ins in memory (standin.py): a thousand real containers would
cost the machine more than what is measured."""

import contextlib
import pathlib
import subprocess
import sys
import tempfile
import time

from engine import Engine
from hades import PROJECT, Hades
from result import Result, counts, milliseconds, percent

CONTAINERS = 1000
ENVIRONMENTS = 100
IDLE_ENVIRONMENTS = 200
IDLE_SECONDS = 60
STARTING_SECONDS = 10
# A pass over everything takes a part of it.
WINDOW_SECONDS = 3
HOSTS = ("one", "two")


def measure(context):
    """Results of this benchmark."""
    results = []
    with fleet(context, ["whole"], CONTAINERS) as (hades, engines):
        context.say(f"fleet: passes of one environment over {CONTAINERS} containers")
        costs, lists = _passes(context, hades, engines)
        results += [
            Result("one environment: processor time of a pass", milliseconds(costs))
            .under(0.100),
            Result("  its lists of each engine's containers", counts(lists)).at_most(1),
        ]
    names = [f"part{n:03}" for n in range(ENVIRONMENTS)]
    with fleet(context, names, CONTAINERS // ENVIRONMENTS) as (hades, engines):
        context.say(f"fleet: passes of {ENVIRONMENTS} environments over {CONTAINERS} containers")
        costs, lists = _passes(context, hades, engines)
        results += [
            Result(f"{ENVIRONMENTS} environments: processor time of a pass of each", milliseconds(costs)),
            Result("  their lists of each engine's containers", counts(lists)),
        ]
    names = [f"idle{n:03}" for n in range(IDLE_ENVIRONMENTS)]
    with fleet(context, names, CONTAINERS // IDLE_ENVIRONMENTS) as (hades, engines):
        seconds = max(20, context.rounds(IDLE_SECONDS))
        context.say(f"fleet: {IDLE_ENVIRONMENTS} environments idle, {seconds} s")
        hades.quiet(seconds=2)
        before, began = hades.processor(), time.monotonic()
        time.sleep(seconds)
        share = hades.processor_seconds(before) / (time.monotonic() - began)
        memory = hades.memory()["VmRSS"] / (1 << 20)
        context.say(f"fleet: resident {memory:.1f} MiB")
        results.append(
            Result(f"{IDLE_ENVIRONMENTS} environments idle: share of a core", percent([share]))
            .under(0.01)
        )
    return results


def _passes(context, hades, engines):
    """Seconds of processor time of each round of passes, and lists of each engine
    in it. Nobody asks Hades anything meanwhile, as answers cost time, too."""
    costs, lists = [], []
    for _ in range(context.rounds(10)):
        passes, _ = hades.quiet()
        usual = _spent(hades)
        listed = [_lists(engine) for engine in engines]
        spent = _spent(hades, engines[0])
        lists += [_lists(engine) - count for engine, count in zip(engines, listed)]
        costs.append(max(0.0, spent - usual))
        assert hades.passes()[0] > passes, "there was no pass"
    return costs, lists


def _spent(hades, engine=None):
    """Seconds of processor time within a window; with a pass over everything, as
    somebody started a container on that engine, or without."""
    before = hades.processor()
    if engine:
        engine.call("POST", "/bench/event")
    time.sleep(WINDOW_SECONDS)
    return hades.processor_seconds(before)


def _lists(engine):
    return engine.call("GET", "/bench")["calls"].get("GET /containers/json", 0)


@contextlib.contextmanager
def fleet(context, names, containers):
    """A server whose environments have so many containers each, half of them on
    each of two stand-ins."""
    with contextlib.ExitStack() as stack:
        folder = pathlib.Path(stack.enter_context(tempfile.TemporaryDirectory()))
        sockets = [folder / f"{host}.sock" for host in HOSTS]
        engines = [stack.enter_context(_standin(socket)) for socket in sockets]
        hades = stack.enter_context(Hades(context.bin))
        hades.apply(*(
            {"kind": "DockerHost", "metadata": {"name": host}, "spec": {"endpoint": f"unix://{socket}"}}
            for host, socket in zip(HOSTS, sockets)
        ))
        hades.apply({"kind": "HadesProject", "metadata": {"name": PROJECT}, "spec": {}})
        hades.ctl("wait", f"hadesproject/{PROJECT}")
        hades.apply(*(_environment(name, containers) for name in names))
        hades.wait_ready(*names)
        yield hades, engines


def _environment(name, containers):
    services = {
        f"s{n:03}": {"image": "hades-sample:1", "host": HOSTS[n % 2], "env": {"NUMBER": n}}
        for n in range(containers)
    }
    return {
        "kind": "Environment",
        "metadata": {"name": name, "namespace": PROJECT},
        "spec": {"services": services},
    }


@contextlib.contextmanager
def _standin(path):
    script = pathlib.Path(__file__).with_name("standin.py")
    process = subprocess.Popen([sys.executable, script, path])
    try:
        deadline = time.monotonic() + STARTING_SECONDS
        while not path.exists():
            if time.monotonic() > deadline:
                raise RuntimeError("the stand-in didn't start")
            time.sleep(0.02)
        yield Engine(str(path))
    finally:
        process.terminate()
        process.wait()
