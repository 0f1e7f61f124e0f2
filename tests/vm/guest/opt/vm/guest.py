"""What the checks do in the machine: run the service, look at processes, move the clock."""

import contextlib
import fcntl
import json
import os
import pathlib
import pwd
import socket
import struct
import subprocess
import threading
import time
from datetime import datetime, timezone

SERVICE = "opencode-backup.service"
TIMER = "opencode-backup.timer"
POD = "opencode-memory-pod.service"
SERVERS = [("falkordb", 6379, "redis"), ("valkey", 6380, "valkey")]
BUCKET = pathlib.Path("/srv/bucket/opencode-memory-backups")
CONFIG = pathlib.Path("/etc/opencode-backup/config.toml")
SLOW_CONFIG = pathlib.Path("/run/slow.toml")
ENV_FILE = pathlib.Path("/run/secrets/opencode.env")
TOLD = pathlib.Path("/run/told")
REMEMBERED = pathlib.Path("/var/lib/remembered.json")
AS_USER = ["setpriv", "--reuid", "opencode", "--regid", "opencode", "--clear-groups", "--"]
KEYS = 1004


def run(*words, code=0):
    """What a command printed on both streams; it has to end with `code`, or with any where that is None."""
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, errors="replace", timeout=400)
    assert code in (None, done.returncode), \
        f"{' '.join(words)}: exit code {done.returncode}, expected {code}: {done.stdout[-900:]}"
    return done.stdout


def fails(*words):
    return run(*words, code=None)


def show(unit, key, *words):
    return run("systemctl", "show", "--value", "-p", key, *words, unit).strip()


def journal(*words):
    run("journalctl", "--sync")
    return run("journalctl", "-q", "-o", "cat", *words)


def wait_for(seconds, happens):
    """What happens within that time, or nothing."""
    until = time.monotonic() + seconds
    while not (value := happens()) and time.monotonic() < until:
        time.sleep(0.1)
    return value


def wait_until(what, happens, seconds=240):
    value = wait_for(seconds, happens)
    assert value, f"in {seconds} s it did not happen that {what}"
    return value


# The service.


def start():
    """Starts the service and waits for it: its exit code, and what this run said."""
    fails("systemctl", "reset-failed", SERVICE)
    fails("systemctl", "start", SERVICE)
    return int(show(SERVICE, "ExecMainStatus")), said()


def said():
    """What the newest run said."""
    return journal("-u", SERVICE, f"_SYSTEMD_INVOCATION_ID={show(SERVICE, 'InvocationID')}")


def backup():
    """One run of the service that has to succeed: what it said."""
    code, words = start()
    assert code == 0 and show(SERVICE, "Result") == "success", f"exit code {code}: {words[-1200:]}"
    return words


def idle():
    return show(SERVICE, "ActiveState") in ("inactive", "failed")


def timed(action):
    begun = time.monotonic()
    action()
    return time.monotonic() - begun


class DropIn:
    """A unit with something more in it, for a while."""

    def __init__(self, unit, text):
        self.file = pathlib.Path(f"/run/systemd/system/{unit}.d/more.conf")
        self.text = text

    def __enter__(self):
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(self.text + "\n")
        run("systemctl", "daemon-reload")

    def __exit__(self, *_):
        self.file.unlink()
        run("systemctl", "daemon-reload")


class NoSnapshotMount:
    """Nothing is mounted at /.snapshots, nor meant to be, for a while."""

    unit = "\\x2esnapshots.mount"
    # Of all the folders that hold units, the one that wins.
    mask = pathlib.Path("/run/systemd/system.control") / unit

    def __enter__(self):
        run("systemctl", "stop", self.unit)
        self.mask.parent.mkdir(exist_ok=True)
        self.mask.symlink_to("/dev/null")
        run("systemctl", "daemon-reload")

    def __exit__(self, *_):
        self.mask.unlink()
        run("systemctl", "daemon-reload")
        run("systemctl", "start", self.unit)


@contextlib.contextmanager
def slow_upload():
    """A run in the middle of an upload that takes a while; the next one is quick again."""
    for _, port, _ in SERVERS:
        ask(port, "SET", "changed", str(time.time()))
        ask(port, "SAVE")
    quick, slow = CONFIG.read_text(), '[remote]\nbandwidth = "50k"\n'
    SLOW_CONFIG.write_text(quick.replace("[remote]\n", slow))
    with DropIn(SERVICE, f"[Service]\nEnvironment=OPENCODE_BACKUP_CONFIG={SLOW_CONFIG}"):
        run("systemctl", "start", "--no-block", SERVICE)
        wait_until("rclone uploads", lambda: any("sync" in line for line in command_lines("rclone")))
        wait_until("systemd shows its status", lambda: "upload" in show(SERVICE, "StatusText"))
        time.sleep(3)
    os.sync()
    assert not idle(), said()
    yield


# Processes.


def ours():
    """The processes that belong to the service's user."""
    user = pwd.getpwnam("opencode").pw_uid
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if folder.stat().st_uid == user:
                yield folder


def program(folder):
    """What runs there, by its plain name: Nix wraps programs, and a Python has its version in its name."""
    name = os.path.basename(os.readlink(folder / "exe")).removeprefix(".").removesuffix("-wrapped")
    return "python3" if name.startswith("python3") else name


def processes():
    """The names of all that run as the service's user."""
    names = []
    for folder in ours():
        with contextlib.suppress(OSError):
            names.append(program(folder))
    return sorted(names)


def command_lines(name):
    lines = []
    for folder in ours():
        with contextlib.suppress(OSError):
            if program(folder) == name:
                lines.append((folder / "cmdline").read_text())
    return lines


class Watch(threading.Thread):
    """Which programs ran as the service's user meanwhile, each with the states that /proc showed."""

    # Who is on the way to become somebody else; bash: Nix's wrappers.
    PASSING = {"systemd", "systemd-executor", "setpriv", "bash"}

    def __init__(self):
        super().__init__(daemon=True)
        self.seen, self.over = {}, threading.Event()

    def __enter__(self):
        self.start()
        return self.seen

    def __exit__(self, *_):
        self.over.set()
        self.join()

    def run(self):
        while not self.over.wait(0.02):
            for folder in ours():
                with contextlib.suppress(OSError):
                    self.look(folder)

    def look(self, folder):
        name = program(folder)
        lines = (folder / "status").read_text().splitlines()
        if name in self.PASSING or name != program(folder):
            return
        state = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        users = {pwd.getpwuid(int(uid)).pw_name for uid in state["Uid"].split()}
        # What it can do, and what it could do or hand on.
        sets = [int(state[key], 16) for key in ("CapEff", "CapPrm", "CapInh", "CapAmb")]
        confined = int(state["CapBnd"], 16), int(state["NoNewPrivs"]), int(state["Seccomp"])
        self.seen.setdefault(name, set()).add((",".join(sorted(users)), *sets, *confined))


# Data.


def ask(port, *words):
    """One command to a server of the Redis kind: its reply."""
    with socket.create_connection(("127.0.0.1", port), 60) as server, server.makefile("rwb") as stream:
        stream.write(b"*%d\r\n" % len(words))
        for word in words:
            stream.write(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()))
        stream.flush()
        return reply(stream)


def reply(stream):
    line = stream.readline().rstrip(b"\r\n")
    kind, rest = line[:1], line[1:]
    assert kind != b"-", rest.decode()
    if kind == b"*":
        return [reply(stream) for _ in range(int(rest))]
    if kind == b"$" and rest == b"-1":
        return None
    if kind == b"$":
        return stream.read(int(rest) + 2)[:-2]
    return int(rest) if kind == b":" else rest


def fill(port):
    """A thousand small values and three of a megabyte, saved."""
    small = "for i = 1, 1000 do redis.call('SET', 'fact:' .. i, 'what is known of ' .. i) end"
    large = "for i = 1, 3 do redis.call('SET', 'graph:' .. i, string.rep(i, 1000000)) end"
    ask(port, "EVAL", small, "0")
    ask(port, "EVAL", large, "0")
    ask(port, "SET", "changed", "not yet")
    ask(port, "SAVE")


def start_server(user, port, folder):
    """A fresh one on the data in that folder."""
    run("/opt/vm/serve", user, f"{user}-server", str(port), folder)
    run("/opt/vm/await", str(port))


def keys(port):
    """All keys and values."""
    names = ask(port, "KEYS", "*")
    return dict(zip(names, ask(port, "MGET", *(name.decode() for name in names))))


def bucket():
    """The names in the bucket."""
    return sorted(str(path.relative_to(BUCKET)) for path in BUCKET.rglob("*") if path.is_file())


def manifests():
    """The timestamps of the committed backups."""
    return sorted(path.stem for path in BUCKET.glob("manifests/*Z.json"))


def states():
    """What `list` calls each timestamp."""
    return {row["timestamp"]: row["state"] for row in json.loads(run("opencode-backup", "list", "--json"))}


def snapshots():
    return sorted(path.name for path in pathlib.Path("/.snapshots").iterdir())


# The clock.


def midnight():
    """The first day's, the one at which the machine begins."""
    return int(datetime(2031, 3, 1, tzinfo=timezone.utc).timestamp())


def date(seconds):
    """So long after it."""
    return datetime.fromtimestamp(midnight() + seconds, timezone.utc)


def seconds_of(text, form="%Y-%m-%dT%H-%M-%SZ"):
    """A timestamp's, or those of another form of time, which is UTC as well."""
    return int(datetime.strptime(text, form).replace(tzinfo=timezone.utc).timestamp())


def set_clock(seconds):
    """To so long after the first midnight."""
    time.clock_settime(time.CLOCK_REALTIME, midnight() + seconds)


def set_hardware_clock(seconds):
    """So far ahead of the system's, which only the next boot will see."""
    when = time.gmtime(time.time() + seconds)
    fields = (when.tm_sec, when.tm_min, when.tm_hour, when.tm_mday, when.tm_mon - 1, when.tm_year - 1900, 0, 0, 0)
    with open("/dev/rtc0", "rb") as clock:
        fcntl.ioctl(clock, 0x4024700A, struct.pack("9i", *fields))  # RTC_SET_TIME
