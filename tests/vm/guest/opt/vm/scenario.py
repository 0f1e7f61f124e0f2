"""The checks, in the order of the story that they tell. check.py says how they are told."""

import json
import os
import pathlib
import re
import subprocess

from check import check, note, step, tell
from guest import *

VERDICT = "MESSAGE_ID=b89e402814f24b4ba1964a1251f496c9"
SECRETS = ["vm-application-key-secret", "sk-vm-openai-secret"]
CAPABILITIES = {"opencode-backup": 0x20000C, "btrfs": 0x20000C, "rclone": 0x4, "python3": 0}


# The units as files.


@check
def systemd_finds_no_fault_with_the_units():
    said = run("systemd-analyze", "verify", "--man=no", SERVICE, TIMER)
    faults = [line for line in said.splitlines() if "opencode-backup" in line]
    assert not faults, faults


@check
def the_exposure_is_below_the_bar():
    last = run("systemd-analyze", "security", "--no-pager", SERVICE).strip().splitlines()[-1]
    score = float(re.search(r": ([0-9.]+) ", last)[1])
    note(f"systemd-analyze security: {score}")
    assert score <= 2.5, f"{last}, and 2.5 is the bar"


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
    with Watch() as seen:
        backup()
    assert set(CAPABILITIES) <= set(seen), f"seen were only {sorted(seen)}"
    for name, states in seen.items():
        expected = {("opencode", CAPABILITIES[name], CAPABILITIES[name])}
        assert states == expected, f"{name} ran as (user, effective, permitted) {states}, expected {expected}"


@check
def the_bucket_holds_both_datasets_the_export_and_the_manifest():
    [timestamp] = manifests()
    names = bucket()
    for name in [f"falkordb-{timestamp}/dump.rdb", f"valkey-{timestamp}/dump.rdb", f"manifests/{timestamp}.json"]:
        assert name in names, names
    [export] = [name for name in names if name.startswith("graphiti_export_")]
    exported = json.loads((BUCKET / export).read_text())
    assert exported["falkordb"]["size"] == exported["valkey"]["size"] == KEYS, exported
    assert len(names) == 4, names


@check
def a_fresh_server_loads_what_is_stored_with_every_key():
    [timestamp] = manifests()
    for name, port, user in SERVERS:
        folder = f"/tmp/fresh-{name}"
        run("cp", "-r", str(BUCKET / f"{name}-{timestamp}"), folder)
        run("chown", "-R", f"{user}:{user}", folder)
        run("/opt/vm/serve", user, f"{user}-server", "7000", folder)
        run("/opt/vm/await", "7000")
        live, fresh = keys(port), keys(7000)
        run("redis-cli", "-p", "7000", "shutdown", "nosave")
        assert len(fresh) == KEYS and fresh == live, f"{name}: {len(fresh)} keys, {len(live)} live ones"


@check
def the_state_file_and_the_journals_fields_tell_it():
    state = json.loads(pathlib.Path("/var/lib/opencode-backup/last-run.json").read_text())
    assert state["exit_code"] == 0, state
    verdict = json.loads(journal(VERDICT, "-o", "json").splitlines()[-1])
    assert verdict["EXIT_CODE"] == "0" and verdict["OPENCODE_BACKUP_TIMESTAMP"] == state["timestamp"], verdict
    assert verdict["_SYSTEMD_UNIT"] == SERVICE, verdict


@check
def a_person_lists_and_checks_as_root_and_as_the_user():
    [timestamp] = manifests()
    for words in [[], AS_USER]:
        assert timestamp in run(*words, "opencode-backup", "list"), words
    run("opencode-backup", "check")
    unmet = run(*AS_USER, "opencode-backup", "check", code=3)
    assert "AmbientCapabilities=" in unmet, unmet


# The timer.


@check
def the_timer_fires_at_each_of_its_hours():
    run("systemctl", "enable", "--now", TIMER)
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
        begun = timestamp_of(manifests()[-1])
        assert 0 <= begun - (midnight() + hour * 3600) < 300, manifests()


# The pod.


@check
def the_run_waits_for_the_pod():
    run("systemctl", "stop", POD)
    with DropIn(POD, "[Service]\nExecStartPost=/bin/sleep 3"):
        run("systemctl", "start", POD, SERVICE)
        pod, ours = (int(show(unit, key)) for unit, key in [
            (POD, "ActiveEnterTimestampMonotonic"), (SERVICE, "ExecMainStartTimestampMonotonic")])
        assert pod <= ours, f"the pod was up at {pod}, the run began at {ours}"


@check
def a_pod_that_fails_to_start_stops_no_backup():
    run("systemctl", "stop", POD)
    try:
        with DropIn(POD, "[Service]\nExecStartPre=/bin/false"):
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
        try:
            refused(3, "/.snapshots does not exist", "create it")
        finally:
            pathlib.Path("/.snapshots").mkdir()


@check
def a_snapshot_directory_on_another_file_system():
    with NoSnapshotMount():
        run("chown", "opencode:opencode", "/.snapshots")
        refused(3, "/.snapshots is not on Btrfs", "file system")


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
        refused(5, "403", "SignatureDoesNotMatch")
    finally:
        ENV_FILE.write_text(right)
    assert "wrong-application-key-secret" not in journal("-u", SERVICE, "-o", "export")


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
    assert show(SERVICE, "ActiveState") == "inactive" and not TOLD.exists(), "a stop is no failure"
    assert manifests() == before and len(snapshots()) == len(kept) + 1, (manifests(), snapshots())
    backup()


@check
def no_secret_is_in_the_journal():
    text = journal("-u", SERVICE, "-o", "export") + journal("-t", "opencode-backup", "-o", "export")
    assert len(text) > 10_000 and not [secret for secret in SECRETS if secret in text]


@step
def cut_the_power_during_an_upload():
    with slow_upload():
        REMEMBERED.write_text(json.dumps({"manifests": manifests(), "cut": snapshots()[-1]}))
        with REMEMBERED.open() as file:
            os.fsync(file.fileno())
        set_hardware_clock(19 * 3600)
        pathlib.Path("/proc/sysrq-trigger").write_text("b")
        wait_until("the machine is off", lambda: False)


@check
def off_over_three_of_its_hours_the_timer_makes_up_for_them_once():
    before = json.loads(REMEMBERED.read_text())["manifests"]
    wait_until("the run after the boot ends", lambda: manifests() != before and idle())
    assert not wait_for(20, lambda: not idle()), "a second run"
    assert len(manifests()) == len(before) + 1, (before, manifests())
    assert show(SERVICE, "Result") == "success", said()
    assert show(TIMER, "LastTriggerUSec") != "", "it was not the timer"


@check
def the_interrupted_run_is_nowhere_called_complete():
    cut = json.loads(REMEMBERED.read_text())["cut"].removeprefix("persist-")
    assert cut not in manifests()
    rows = json.loads(run("opencode-backup", "list", "--json"))
    [row] = [row for row in rows if row["timestamp"] == cut]
    assert row["state"] == "incomplete", row


@check
def after_31_days_the_old_snapshots_go_and_the_newest_stay():
    old = snapshots()
    set_clock(31 * 86400 + 3600)
    wait_until("the timer's run, if any, ends", idle)
    wait_for(5, lambda: not idle())
    wait_until("the timer's run, if any, ends", idle)
    backup()
    left = snapshots()
    new = [name for name in left if name not in old]
    assert new and set(left) == set((old + new)[-4:]), f"of {old} and {new} there are {left}"


tell()
