"""How the checks are told: `ok NAME` or `not ok NAME: why`, a line each, on the second serial line or where
TOLD_TO says, for the host to count. The whole story goes to the first one."""

import os
import pathlib
import time
import traceback

CHECKS = []
HOST = os.environ.get("TOLD_TO", "/dev/ttyS1")
TOLD_SO_FAR = pathlib.Path("/var/lib/told-checks")


def check(function):
    """Makes a check of a function, whose name is the promise."""
    CHECKS.append((function, True))
    return function


def step(function):
    """The same for one that does not come back: the check after it goes on."""
    CHECKS.append((function, False))
    return function


def say(line):
    with open(HOST, "a") as host:
        print(line, file=host, flush=True)
    print("vm:", line, flush=True)


def note(line):
    say(f"   {line}")


def tell():
    """All checks; after a reboot, those that are not yet told."""
    done = int(TOLD_SO_FAR.read_text()) if TOLD_SO_FAR.exists() else 0
    if done == 0:
        say(f"checks {sum(counted for _, counted in CHECKS)}")
    for number, (function, counted) in enumerate(CHECKS):
        if number < done:
            continue
        TOLD_SO_FAR.write_text(str(number + 1))
        os.sync()
        name, begun = function.__name__.replace("_", " "), time.monotonic()
        try:
            function()
            if counted:
                say(f"ok {name} ({time.monotonic() - begun:.0f} s)")
        except Exception as error:
            why = " ".join(str(error).split()) or traceback.format_exc().splitlines()[-2].strip()
            say(f"not ok {name}: {why[:1500]}")
            traceback.print_exc()
    say("end")
