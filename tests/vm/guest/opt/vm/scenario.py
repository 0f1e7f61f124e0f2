#!/usr/bin/env python3
"""The checks, in the order of the story that they tell. check.py says how they are told."""

import json
import os
import pathlib
import re
import subprocess

from check import check, note, step, tell
from guest import *

VERDICT = "MESSAGE_ID=b89e402814f24b4ba1964a1251f496c9"
SECRETS = ["vm-application-key-secret", "wrong-application-key-secret", "sk-vm-openai-secret"]
DAC_READ_SEARCH, FOWNER, SYS_ADMIN = 1 << 2, 1 << 3, 1 << 21
ALL_THREE = DAC_READ_SEARCH | FOWNER | SYS_ADMIN
MAY = {"opencode-backup": ALL_THREE, "btrfs": ALL_THREE, "rclone": DAC_READ_SEARCH, "python3": 0}
SCRIPT = "/root/.opencode/graphiti/memory_manager.py"


# The units as files.


@check
def systemd_finds_no_fault_with_the_units():
    faults = run("systemd-analyze", "verify", "--man=no", SERVICE, TIMER)
    assert not faults, faults


@check
def the_exposure_is_below_the_bar():
    last = run("systemd-analyze", "security", "--no-pager", SERVICE).strip().splitlines()[-1]
    score = float(re.search(r": ([0-9.]+) ", last)[1])
    note(f"systemd-analyze security: {score}")
    assert score <= 2.2, f"{last}, and 2.2 is the bar"


# One good run.


@check
def the_servers_write_as_their_own_users():
    for name, port, user in SERVERS:
        fill(port)
        file = pathlib.Path(f"/persist/containers/{name}/dump.rdb")
        owner, mode = file.owner(), file.stat().st_mode & 0o777
        assert (owner, mode) == (user, 0o600), f"{file}: {owner} {mode:o}"


@check
def a_run_succeeds_with_the_three_capabilities_and_gives_its_children_fewer():
    assert pathlib.Path("/root").stat().st_mode & 0o777 == 0o700
    assert "Permission denied" in fails(*AS_USER, "cat", SCRIPT), "the export's script is open to all"
    with Watch() as seen:
        backup()
    assert set(seen) == set(MAY), f"seen were {sorted(seen)}"
    for name, states in seen.items():
        sets, no_new_privileges, seccomp_filter = [MAY[name]] * 4, 1, 2
        expected = {("opencode", *sets, ALL_THREE, no_new_privileges, seccomp_filter)}
        assert states == expected, \
            f"{name} ran as (user, effective, permitted, inheritable, ambient, bounding, …) {states}, not {expected}"


@check
def the_bucket_holds_both_datasets_the_export_and_the_manifest():
    [timestamp] = manifests()
    names = bucket()
    for name in [f"falkordb-{timestamp}/dump.rdb", f"valkey-{timestamp}/dump.rdb", f"manifests/{timestamp}.files.json", f"manifests/{timestamp}.json"]:
        assert name in names, names
    [export] = [name for name in names if name.startswith("graphiti_export_")]
    exported = json.loads((BUCKET / export).read_text())
    assert exported["falkordb"]["size"] == exported["valkey"]["size"] == KEYS, exported
    assert len(names) == 5, names


@check
def a_fresh_server_loads_what_is_restored_with_every_key():
    # A directory that restore makes is root's alone; one that stands keeps its mode, and the servers are not root.
    run("install", "--directory", "--mode=755", "/tmp/restored")
    run("opencode-backup", "restore", "--to", "/tmp/restored")
    for name, port, user in SERVERS:
        dump = pathlib.Path(f"/tmp/restored/{name}/dump.rdb")
        assert (dump.owner(), dump.stat().st_mode & 0o777) == (user, 0o600), dump.stat()
        start_server(user, 7000, str(dump.parent))
        live, fresh = keys(port), keys(7000)
        run("redis-cli", "-p", "7000", "shutdown", "nosave")
        assert len(fresh) == KEYS and fresh == live, f"{name}: {len(fresh)} keys, {len(live)} live ones"


@check
def the_state_file_and_the_journals_fields_tell_it():
    state = json.loads(pathlib.Path("/var/lib/opencode-backup/last-run.json").read_text())
    assert state["exit_code"] == 0, state
    of_this_run = f"OPENCODE_BACKUP_TIMESTAMP={state['timestamp']}"
    [verdict] = [json.loads(line) for line in journal(VERDICT, "-o", "json").splitlines()]
    assert verdict["EXIT_CODE"] == "0" and of_this_run.endswith(verdict["OPENCODE_BACKUP_TIMESTAMP"]), verdict
    assert verdict["_SYSTEMD_UNIT"] == SERVICE and verdict["MESSAGE"] == state["verdict"], verdict
    # NixOS starts a wrapper, under another file name.
    assert verdict["SYSLOG_IDENTIFIER"] == "opencode-backup", verdict
    assert state["verdict"] in journal(of_this_run)
    for name, _, _ in SERVERS:
        assert f"{name} is stored" in journal(of_this_run, f"DATASET={name}", "STEP=verify")
    assert not journal(of_this_run, "STEP=nothing")


@check
def a_person_lists_and_checks_as_root_and_as_the_user():
    [timestamp] = manifests()
    for words in [[], AS_USER]:
        [row] = [line for line in run(*words, "opencode-backup", "list").splitlines() if timestamp in line]
        assert "complete" in row, row
    run("opencode-backup", "check")
    run("opencode-backup", "check", "--remote")
    # All is met but what only the unit gives.
    told = run(*AS_USER, "opencode-backup", "check", code=3)
    assert told.count("UNMET") == 1 and "AmbientCapabilities=" in told, told


# The timer.


@check
def the_timer_fires_at_each_of_its_hours():
    run("systemctl", "is-active", TIMER)
    for hour in [6, 12, 18, 24]:
        before = manifests()
        set_clock(hour * 3600 - 10)
        next_one = show(TIMER, "NextElapseUSecRealtime")
        assert next_one == f"{date(hour * 3600):%a %Y-%m-%d %H:%M:%S} UTC", next_one
        assert idle() and manifests() == before, "it ran before its time"
        set_clock(hour * 3600 + 70)  # past AccuracySec=
        wait_until("the timer's run ends", lambda: manifests() != before and idle())
        assert len(manifests()) == len(before) + 1, manifests()
        assert show(SERVICE, "Result") == "success", said()
        begun = seconds_of(manifests()[-1])
        assert 0 <= begun - (midnight() + hour * 3600) < 300, manifests()


# The pod.


@check
def the_run_waits_for_the_pod():
    run("systemctl", "stop", POD)
    with DropIn(POD, "[Service]\nExecStartPost=/bin/sh -c 'sleep 3'"):
        run("systemctl", "start", POD, SERVICE)
        pod, ours = (int(show(unit, key)) for unit, key in [
            (POD, "ActiveEnterTimestampMonotonic"), (SERVICE, "ExecMainStartTimestampMonotonic")])
        assert pod <= ours, f"the pod was up at {pod}, the run began at {ours}"


@check
def a_pod_that_fails_to_start_stops_no_backup():
    run("systemctl", "stop", POD)
    try:
        with DropIn(POD, "[Service]\nExecStartPre=/bin/sh -c 'exit 1'"):
            before = manifests()
            fails("systemctl", "start", POD, SERVICE)
            assert show(POD, "ActiveState") == "failed"
            assert show(SERVICE, "Result") == "success", said()
            assert len(manifests()) == len(before) + 1, said()
    finally:
        fails("systemctl", "reset-failed", POD)
        run("systemctl", "start", POD)


@check
def two_starts_at_once_are_one_run_and_a_person_is_told_of_it():
    before = manifests()
    two = [subprocess.Popen(["systemctl", "start", SERVICE]) for _ in "12"]
    wait_until("the run holds the lock", lambda: "rclone" in processes())
    told = run("opencode-backup", "run", code=75)
    assert "another run" in told, told
    assert [one.wait(300) for one in two] == [0, 0]
    assert len(manifests()) == len(before) + 1, manifests()


# What goes wrong is said.


def refused(code, *words):
    """A run that has to fail with this code and say these words, in the journal and in the status."""
    before = bucket()
    TOLD.unlink(missing_ok=True)
    got, words_said = start()
    assert got == code, f"exit code {got}, expected {code}: {words_said[-900:]}"
    assert show(SERVICE, "Result") == "exit-code"
    for place, text in [("the journal", words_said), ("systemctl status", fails("systemctl", "status", "-l", SERVICE))]:
        for word in words:
            assert word in text, f"{place} does not say {word!r}: {text[-1200:]}"
    wait_until("the OnFailure= unit has run", TOLD.exists)
    assert bucket() == before, "it touched the bucket"


@check
def no_snapshot_directory():
    with NoSnapshotMount():
        pathlib.Path("/.snapshots").rmdir()
        remedy = "install -d -m 0750 -o opencode /.snapshots"
        try:
            refused(3, "/.snapshots does not exist", remedy)
        finally:
            run(*remedy.split())


@check
def a_snapshot_directory_on_another_file_system():
    with NoSnapshotMount():
        refused(3, "/.snapshots is not on Btrfs", "on its subvolume's file system: create the directory there")


@check
def no_environment_file():
    ENV_FILE.rename("/run/secrets/away")
    try:
        refused(3, "/run/secrets/opencode.env", "set B2_KEY_ID and B2_APP_KEY")
    finally:
        pathlib.Path("/run/secrets/away").rename(ENV_FILE)


@check
def a_wrong_key():
    right = ENV_FILE.read_text()
    ENV_FILE.write_text(right.replace("B2_APP_KEY=vm-", "B2_APP_KEY=wrong-"))
    try:
        refused(5, "the key is refused: compare B2_KEY_ID and B2_APP_KEY", "403", "SignatureDoesNotMatch")
    finally:
        ENV_FILE.write_text(right)


@check
def the_next_run_is_fine_again():
    TOLD.unlink(missing_ok=True)
    backup()
    assert not TOLD.exists()


# Interruptions.


@check
def a_stop_during_the_upload_leaves_a_snapshot_and_nothing_else():
    before, kept = manifests(), snapshots()
    TOLD.unlink(missing_ok=True)
    with slow_upload():
        seconds = timed(lambda: run("systemctl", "stop", SERVICE))
    note(f"systemctl stop took {seconds:.1f} s")
    assert seconds < 15
    assert not processes(), processes()
    assert (show(SERVICE, "ActiveState"), show(SERVICE, "ExecMainStatus")) == ("inactive", "143"), said()
    assert not TOLD.exists(), "a stop is no failure"
    [taken] = [name for name in snapshots() if name not in kept]
    assert manifests() == before
    assert states()[taken.removeprefix("persist-")] == "incomplete", states()
    backup()


@step
def cut_the_power_during_an_upload():
    with slow_upload():
        remembered = {"manifests": manifests(), "cut": snapshots()[-1], "at": time.time()}
        REMEMBERED.write_text(json.dumps(remembered))
        os.sync()
        set_hardware_clock(19 * 3600)
        pathlib.Path("/proc/sysrq-trigger").write_text("b")
        wait_until("the machine is off", lambda: False)


@check
def off_over_three_of_its_hours_the_timer_makes_up_for_them_once():
    remembered = json.loads(REMEMBERED.read_text())
    before = remembered["manifests"]
    wait_until("the run after the boot ends", lambda: manifests() != before and idle())
    assert not wait_for(20, lambda: not idle()), "a second run"
    [made] = [timestamp for timestamp in manifests() if timestamp not in before]
    missed = seconds_of(made) // (6 * 3600) - int(remembered["at"]) // (6 * 3600)
    assert missed == 3, f"from {remembered} to {made} its hour came {missed} times"
    assert show(SERVICE, "Result") == "success", said()
    triggered = seconds_of(show(TIMER, "LastTriggerUSec"), "%a %Y-%m-%d %H:%M:%S UTC")
    assert 0 <= seconds_of(made) - triggered < 120, f"the timer fired at {triggered}, the run is {made}"


@check
def the_interrupted_run_kept_its_snapshot_and_is_nowhere_called_complete():
    cut = json.loads(REMEMBERED.read_text())["cut"]
    assert cut in snapshots()
    timestamp = cut.removeprefix("persist-")
    assert timestamp not in manifests() and states()[timestamp] == "incomplete", states()


@check
def after_31_days_the_old_snapshots_go_and_the_newest_stay():
    old, stored = snapshots(), manifests()
    assert len(old) > 4, "nothing to delete"
    set_clock(time.time() - midnight() + 31 * 86400)
    wait_until("the timer's run, if any, ends", idle)
    wait_for(5, lambda: not idle())
    wait_until("the timer's run, if any, ends", idle)
    backup()
    left = snapshots()
    new = [name for name in left if name not in old]
    assert new and set(left) == set((old + new)[-4:]), f"of {old} and {new} there are {left}"
    assert set(stored) < set(manifests()), "the bucket's retention is off"


@check
def no_secret_is_in_the_journal():
    text = journal("-o", "export")
    assert VERDICT in text and not [secret for secret in SECRETS if secret in text]


if __name__ == "__main__":
    tell()
