"""Drives a command at a real terminal.

Reads a JSON list of steps: {"expect": REGEX}, {"send": TEXT}, {"size": [ROWS, COLUMNS]}.
Ends with the command's exit status; 97 when it left the terminal other than it found
it, 98 when an expectation wasn't met in time, 99 when the command didn't end.
"""

import fcntl
import json
import os
import pty
import re
import select
import struct
import sys
import termios
import time

PATIENCE = 60


def set_size(terminal, rows, columns):
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


def main():
    steps, command = json.loads(sys.argv[1]), sys.argv[2:]
    ours, theirs = pty.openpty()
    set_size(theirs, 30, 100)
    before = termios.tcgetattr(theirs)
    child = os.fork()
    if child == 0:
        os.close(ours)
        os.login_tty(theirs) if hasattr(os, "login_tty") else attach(theirs)
        os.execv(command[0], command)
    output = b""

    def read(until):
        nonlocal output
        while not until():
            ready, _, _ = select.select([ours], [], [], 0.2)
            if ready:
                try:
                    output += os.read(ours, 65536)
                except OSError:
                    return
            if time.monotonic() > deadline:
                sys.stderr.write(f"gave up at {step}: {output!r}\n")
                os.kill(child, 9)
                sys.exit(98)

    for step in steps:
        deadline = time.monotonic() + PATIENCE
        if "expect" in step:
            pattern = re.compile(step["expect"].encode(), re.S)
            read(lambda: pattern.search(output))
            found = pattern.search(output)
            output = output[found.end():] if found else output
        elif "size" in step:
            set_size(theirs, *step["size"])
        else:
            os.write(ours, step["send"].encode())
    deadline = time.monotonic() + PATIENCE
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            break
        ready, _, _ = select.select([ours], [], [], 0.1)
        if ready:
            os.read(ours, 65536)
        if time.monotonic() > deadline:
            os.kill(child, 9)
            sys.exit(99)
    if termios.tcgetattr(theirs) != before:
        sys.exit(97)
    sys.exit(os.waitstatus_to_exitcode(status))


def attach(terminal):
    os.setsid()
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(terminal, number)


main()
