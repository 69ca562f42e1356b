"""From nothing to 50 running containers, against `docker run -d` of the same at
the same parallelism."""

import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

from engine import Engine, Events
from hades import PROJECT, Hades, environment
from result import Result, seconds

CONTAINERS = 50
NETWORK = "raw-bench"
OWNER = "hades.dev/installation"
# What stands in the place of the installation's id: the same labels, and yet
# nothing that Hades would take for its own.
RAW = "raw"


def measure(context):
    """Results of this benchmark."""
    at_once = context.changes_at_once
    samples = {"started": [], "ready": [], "run": [], "api": []}
    for n in range(context.rounds(5)):
        context.say(f"scale: round {n + 1}, Hades")
        with Hades(context.bin, context.engine) as hades:
            started, ready, bodies = _hades(context, hades)
        samples["started"].append(started)
        samples["ready"].append(ready)
        context.say(f"scale: round {n + 1}, docker run")
        samples["run"].append(_raw(context, bodies, at_once, _docker_run))
        context.say(f"scale: round {n + 1}, the engine's API")
        samples["api"].append(_raw(context, bodies, at_once, _create_and_start))
    run, api = samples["run"], samples["api"]
    return [
        Result(f"docker run -d, {at_once} at a time", seconds(run)),
        Result(f"create and start by API, {at_once} at a time", seconds(api)),
        Result("hadesctl apply, until all run", seconds(samples["started"]))
        .times_of(run, target=1.2),
        Result("  against create and start by API", seconds(samples["started"])).times_of(api),
        Result("hadesctl apply, until Ready", seconds(samples["ready"])).times_of(run),
    ]


def _hades(context, hades):
    """Seconds until all run and until the environment is ready; and what to
    create the same containers with."""
    events = Events(context.engine.path)
    began, started = time.time_ns(), time.perf_counter()
    hades.apply(environment("fifty", CONTAINERS))
    for _ in range(CONTAINERS):
        last = events.wait("start", _is_ours, seconds=180)
    hades.wait_ready("fifty")
    ready = time.perf_counter() - started
    events.close()
    found = context.engine.containers(f"hades.dev/project={PROJECT}")
    assert len(found) == CONTAINERS, f"{len(found)} containers instead of {CONTAINERS}"
    details = [context.engine.call("GET", f"/containers/{one['Id']}/json") for one in found]
    return (last - began) / 1e9, ready, [body(detail, NETWORK) for detail in details]


def _is_ours(actor):
    return actor["Attributes"].get("hades.dev/project") == PROJECT


def body(detail, network):
    """The request that makes a container like an inspected one."""
    labels = dict(detail["Config"]["Labels"]) | {OWNER: RAW}
    (endpoint,) = detail["NetworkSettings"]["Networks"].values()
    service = labels["hades.dev/service"]
    aliases = [alias for alias in endpoint["Aliases"] or [] if alias == service]
    return {
        "Image": detail["Image"],
        "Env": detail["Config"]["Env"],
        "Labels": labels,
        "HostConfig": {
            "NetworkMode": network,
            "RestartPolicy": detail["HostConfig"]["RestartPolicy"],
        },
        "NetworkingConfig": {"EndpointsConfig": {network: {"Aliases": aliases}}},
    }


def _raw(context, bodies, at_once, make):
    """Seconds to make a network and all containers on it; removes them again."""
    label = {OWNER: RAW}
    started = time.perf_counter()
    network = {"Name": NETWORK, "Driver": "bridge", "Labels": label}
    context.engine.call("POST", "/networks/create", network)
    with ThreadPoolExecutor(at_once) as pool:
        jobs = [pool.submit(make, context, n, body) for n, body in enumerate(bodies)]
    took = time.perf_counter() - started
    for job in jobs:
        job.result()
    context.engine.remove_all(f"{OWNER}={RAW}")
    return took


def _docker_run(context, n, body):
    labels = [f"--label={key}={value}" for key, value in body["Labels"].items()]
    env = [f"--env={line}" for line in body["Env"] or []]
    (endpoint,) = body["NetworkingConfig"]["EndpointsConfig"].values()
    aliases = [f"--network-alias={alias}" for alias in endpoint["Aliases"]]
    restart = body["HostConfig"]["RestartPolicy"]["Name"]
    command = ["docker", "run", "--detach", f"--name=raw-{n}", f"--network={NETWORK}"]
    command += [f"--restart={restart}", *labels, *env, *aliases, body["Image"]]
    subprocess.run(command, check=True, capture_output=True, timeout=180)


def _create_and_start(context, n, body):
    engine = Engine(context.engine.path)
    made = engine.call("POST", "/containers/create", body, name=f"raw-{n}")
    engine.call("POST", f"/containers/{made['Id']}/start")
