"""A stream of 64 MiB of log lines, without known values of Secrets and with 1,000.

The engine is a stand-in (standin.py) that sends the same lines each time, as fast
as they are taken. What is compared is the processor time of the server: the rate
depends on whoever reads besides."""

import random
import string
import time

from fleet import fleet
from hades import PROJECT
from result import Result, seconds

ENVIRONMENT = "logs"
LOGS = f"/apis/operations.hades.dev/v1alpha1/namespaces/{PROJECT}/environments/{ENVIRONMENT}/logs"
SECRETS = 100
VALUES = 10  # in each Secret
PIECE = 1 << 20


def measure(context):
    """Results of this benchmark."""
    rounds = context.rounds(10)
    with fleet(context, [ENVIRONMENT], 1) as (hades, _):
        context.say("redact: no values")
        before = [_read(hades) for _ in range(rounds)]
        context.say(f"redact: {SECRETS * VALUES} values")
        _make(hades)
        _read(hades)  # the first one prepares the search
        after = [_read(hades) for _ in range(rounds)]
    plain, plain_took = zip(*before)
    hidden, hidden_took = zip(*after)
    return [
        Result("64 MiB of log without values: processor time", seconds(plain)),
        Result("the same with 1,000 values", seconds(hidden)).times_of(plain, target=1.15),
        Result("64 MiB of log without values: until all is read", seconds(plain_took)),
        Result("the same with 1,000 values", seconds(hidden_took)).times_of(plain_took),
    ]


def _make(hades):
    """Passwords and tokens of the usual lengths."""
    choice = random.Random(2)
    characters = string.ascii_letters + string.digits + "!@/+=-_"
    value = lambda: "".join(choice.choices(characters, k=choice.randrange(8, 48)))
    for number in range(SECRETS):
        data = {f"key{key}": value() for key in range(VALUES)}
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"s{number:03}"}}
        path = f"/api/v1/namespaces/{PROJECT}/secrets"
        hades.request("POST", path, secret | {"stringData": data})


def _read(hades):
    """Processor time and time of reading all of it once. The chunks aren't taken
    apart: that would take longer than all the rest."""
    hades.quiet(seconds=1)
    connection = hades.connect()
    used, started = hades.processor(), time.perf_counter()
    connection.request("GET", LOGS, headers=hades.headers)
    response = connection.getresponse()
    end, size = b"", 0
    while not end.endswith(b"\r\n0\r\n\r\n"):
        piece = response.fp.read1(PIECE)
        if not piece:
            raise OSError("the log broke off")
        end, size = (end + piece)[-16:], size + len(piece)
    took = time.perf_counter() - started
    spent = hades.processor_seconds(used)
    connection.close()
    if size < 64 << 20:
        raise OSError(f"only {size} bytes of log")
    return spent, took
