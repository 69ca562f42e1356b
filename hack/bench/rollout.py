"""A new version of 20 services at once, against the same calls made by hand at the
same parallelism: start the new container, then stop and remove the old one."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from engine import Engine, Events
from hades import PROJECT, Hades, environment
from result import Result, seconds
from scale import NETWORK, OWNER, RAW, body

SERVICES = 20


def measure(context):
    """Results of this benchmark."""
    at_once = context.changes_at_once
    samples = {"done": [], "ready": [], "run": [], "api": []}
    for n in range(context.rounds(5)):
        context.say(f"rollout: round {n + 1}, Hades")
        with Hades(context.bin, context.engine) as hades:
            done, ready, bodies = _hades(context, hades)
        samples["done"].append(done)
        samples["ready"].append(ready)
        context.say(f"rollout: round {n + 1}, docker run, stop and rm")
        samples["run"].append(_raw(context, bodies, _by_client))
        context.say(f"rollout: round {n + 1}, the engine's API")
        samples["api"].append(_raw(context, bodies, _by_api))
    run, api = samples["run"], samples["api"]
    return [
        Result(f"docker run, stop and rm of {SERVICES}, {at_once} at a time", seconds(run)),
        Result(f"the same calls by API, {at_once} at a time", seconds(api)),
        Result("hadesctl apply of a change, until the last old one is gone", seconds(samples["done"]))
        .times_of(run, target=1.2),
        Result("  against the calls by API", seconds(samples["done"])).times_of(api),
        Result("hadesctl apply of a change, until Ready", seconds(samples["ready"])).times_of(run),
    ]


def _hades(context, hades):
    """Seconds until every old container is gone and until the environment is ready;
    and what to create the same containers with."""
    manifest = environment("rolls", SERVICES)
    hades.apply(manifest)
    hades.wait_ready("rolls")
    old = context.engine.containers(f"hades.dev/project={PROJECT}")
    bodies = [
        body(context.engine.call("GET", f"/containers/{one['Id']}/json"), NETWORK) for one in old
    ]
    left = {one["Id"] for one in old}
    for service in manifest["spec"]["services"].values():
        service["env"] = {"VERSION": 2}
    events = Events(context.engine.path)
    began, started = time.time_ns(), time.perf_counter()
    hades.apply(manifest)
    while left:
        last = events.wait("destroy", lambda actor: _takes(left, actor["ID"]), seconds=180)
    hades.wait_ready("rolls")
    ready = time.perf_counter() - started
    events.close()
    found = context.engine.containers(f"hades.dev/project={PROJECT}")
    assert len(found) == SERVICES, f"{len(found)} containers instead of {SERVICES}"
    return (last - began) / 1e9, ready, bodies


def _takes(left, id_):
    """Whether it was among those that are left; it no longer is."""
    was = id_ in left
    left.discard(id_)
    return was


def _raw(context, bodies, replace):
    """Seconds to replace all containers by hand; removes them again."""
    label = {OWNER: RAW}
    network = {"Name": NETWORK, "Driver": "bridge", "Labels": label}
    context.engine.call("POST", "/networks/create", network)
    for n, request in enumerate(bodies):
        _create_and_start(context.engine, f"raw-{n}-old", request)
    started = time.perf_counter()
    with ThreadPoolExecutor(context.changes_at_once) as pool:
        jobs = [pool.submit(replace, context, n, request) for n, request in enumerate(bodies)]
    took = time.perf_counter() - started
    for job in jobs:
        job.result()
    context.engine.remove_all(f"{OWNER}={RAW}")
    return took


def _create_and_start(engine, name, request):
    made = engine.call("POST", "/containers/create", request, name=name)
    engine.call("POST", f"/containers/{made['Id']}/start")


def _by_api(context, n, request):
    engine = Engine(context.engine.path)
    _create_and_start(engine, f"raw-{n}-new", request)
    engine.call("POST", f"/containers/raw-{n}-old/stop", t=10)
    engine.call("DELETE", f"/containers/raw-{n}-old", force=1, v=1)


def _by_client(context, n, request):
    labels = [f"--label={key}={value}" for key, value in request["Labels"].items()]
    env = [f"--env={line}" for line in request["Env"] or []]
    (endpoint,) = request["NetworkingConfig"]["EndpointsConfig"].values()
    aliases = [f"--network-alias={alias}" for alias in endpoint["Aliases"]]
    restart = request["HostConfig"]["RestartPolicy"]["Name"]
    run = ["run", "--detach", f"--name=raw-{n}-new", f"--network={NETWORK}"]
    run += [f"--restart={restart}", *labels, *env, *aliases, request["Image"]]
    old = f"raw-{n}-old"
    for command in (run, ["stop", old], ["rm", "--volumes", old]):
        subprocess.run(["docker", *command], check=True, capture_output=True, timeout=180)
