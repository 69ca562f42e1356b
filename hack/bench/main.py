"""Runs the benchmarks; run.sh prepares what they need and starts this."""

import argparse
import datetime
import json
import os
import pathlib
import re
import signal
import subprocess
import sys

import apiserver
import change
import fleet
import heal
import hook
import memory
import noop
import redact
import rights
import rollout
import rotation
import scale
from engine import Engine
from result import table

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCHMARKS = {
    "noop": noop,
    "scale": scale,
    "rollout": rollout,
    "heal": heal,
    "change": change,
    "hook": hook,
    "memory": memory,
    "fleet": fleet,
    "apiserver": apiserver,
    "rights": rights,
    "redact": redact,
    "rotation": rotation,
}


class Context:
    """What every benchmark gets."""

    def __init__(self, arguments):
        self.bin = arguments.bin
        endpoint = os.environ.get("DOCKER_HOST")
        self.engine = Engine(endpoint.removeprefix("unix://")) if endpoint else None
        self._quick = arguments.quick
        self.changes_at_once = _changes_at_once()

    def rounds(self, usual):
        """How often to measure."""
        return min(3, usual) if self._quick else usual

    @staticmethod
    def say(text):
        """Progress."""
        print(f"▶ {text}", file=sys.stderr, flush=True)


def _changes_at_once():
    """The provider's own limit, so that the peer gets the same."""
    source = (ROOT / "operator/providers/docker/src/client.rs").read_text()
    return int(re.search(r"CHANGES_AT_ONCE: usize = (\d+)", source)[1])


def _output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def machine(context):
    """What the numbers depend on."""
    cpuinfo = pathlib.Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", cpuinfo, re.MULTILINE)
    total = re.search(r"MemTotal:\s+(\d+)", pathlib.Path("/proc/meminfo").read_text())
    about = {
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "cpu": model[1] if model else os.uname().machine,
        "cpus": os.cpu_count(),
        "memoryMiB": int(total[1]) // 1024,
        "kernel": os.uname().release,
        "loadAtStart": os.getloadavg()[0],
        "hades": _output(f"{context.bin}/hades", "version"),
        "commit": _output("git", "-C", str(ROOT), "describe", "--always", "--dirty"),
    }
    if context.engine is not None:
        about |= {
            "docker": context.engine.call("GET", "/version")["Version"],
            "dockerClient": _output("docker", "--version"),
            "dockerCompose": _output("docker-compose", "version", "--short"),
        }
    return about


def main():
    """Exit status 1: a target was missed and --check given."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True, help="folder of hades and hadesctl")
    parser.add_argument("--json", required=True, help="file that all samples go to")
    parser.add_argument("--only", default=",".join(BENCHMARKS), help="names, by commas")
    parser.add_argument("--quick", action="store_true", help="three rounds of each")
    parser.add_argument("--check", action="store_true", help="fail when a target is missed")
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    for name in names:
        if name not in BENCHMARKS:
            parser.error(f"there is no benchmark {name!r}: {', '.join(BENCHMARKS)}")
    # So that what was started is stopped and removed then too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    context = Context(arguments)
    about = machine(context)
    results = {}
    for name in names:
        results[name] = BENCHMARKS[name].measure(context)
        # At once, so that a benchmark that fails doesn't take the others along.
        print(f"\n### {name}\n\n{table(results[name])}", flush=True)
    about["loadAtEnd"] = os.getloadavg()[0]
    print()
    for key, value in about.items():
        print(f"{key}: {value}")
    data = {name: [result.data() for result in found] for name, found in results.items()}
    pathlib.Path(arguments.json).write_text(
        json.dumps({"machine": about, "results": data}, indent=2) + "\n"
    )
    print(f"\nAll samples are in {arguments.json}")
    missed = [r.name for found in results.values() for r in found if r.met is False]
    for name in missed:
        print(f"missed: {name}", file=sys.stderr)
    return 1 if missed and arguments.check else 0


if __name__ == "__main__":
    sys.exit(main())
