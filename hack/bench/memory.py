"""Resident memory of an idle `hades serve`."""

import time

from hades import Hades, environment
from result import Result, mebibytes

QUIET_SECONDS = 20
LIMIT = 40 * 1024 * 1024


def measure(context):
    """Results of this benchmark."""
    results = []
    for size in (3, 100):
        context.say(f"memory: {size} containers, {QUIET_SECONDS} s of quiet")
        with Hades(context.bin, context.engine) as hades:
            hades.apply(environment("idle", size))
            hades.wait_ready("idle")
            hades.quiet()
            time.sleep(QUIET_SECONDS)
            memory = hades.memory()
        resident = Result(f"hades serve, {size} containers", mebibytes([memory["VmRSS"]]))
        results += [
            resident.under(LIMIT if size == 3 else None),
            Result("  of that not backed by files", mebibytes([memory["RssAnon"]])),
            Result("  at most since its start", mebibytes([memory["VmHWM"]])),
        ]
    return results
