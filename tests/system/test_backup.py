"""Losing everything: the master secret is exchanged and the state restored under load; nothing is lost, the same keys sign."""
import os
import shutil
import signal
import subprocess
import time

import pytest
from daemon import CommandFailed
from installation import DELEGATED
from processes import wait_until
from test_delivery import OWN, deliver_and_judge
from test_kill import Load, has_ended, sink  # noqa: F401  (a fixture)


def keys_of(behalf):
    return sorted((key["id"], key["selector"], key["state"]) for domain in behalf.json("key", "list")
                  for key in domain["keys"])


def state_dir(world):
    return world.folder / "behalf/state"


def accepted_now(load):
    load.ledger.touch()
    return {line.split(" ")[1] for line in load.ledger.read_text().split("\n")[:-1] if line.startswith("accepted ")}


def kill_everything(behalf):
    roles = behalf.roles()
    pids = [pid for group in roles.values() for pid in group]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    behalf.process.popen.wait()
    wait_until(lambda: not [pid for pid in pids if not has_ended(pid)], 10, "every role is gone")


def refused(behalf, words, *arguments):
    with pytest.raises(CommandFailed) as failure:
        behalf.call(*arguments)
    assert words in str(failure.value)
    print("  refused:", str(failure.value).strip().split("\n")[-1])


def test_secret_exchanged_under_load_and_kills(world, behalf, sink):  # noqa: F811
    before = keys_of(behalf)
    old = (state_dir(world) / "keys/master.secret").read_text().split("\n")[0]
    load = Load(world, "exchange", 1200, rate=150)
    command = subprocess.Popen(behalf.command("secret", "rotate"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    for role in ("keyd", "controld", "keyd"):
        time.sleep(1.2)
        for pid in behalf.roles().get(role, []):
            os.kill(pid, signal.SIGKILL)
    said, _ = command.communicate(timeout=60)
    if command.returncode:  # the daemon was away just then: it goes on where it was
        said += behalf.call("secret", "rotate", timeout=60)
    print(said)
    answers = load.finish()
    wait_until(lambda: not answers["accepted"] - set(sink.arrived("exchange")), 60, "all that was accepted arrives")
    text = (state_dir(world) / "keys/master.secret").read_text()
    assert old not in text and "old" not in text and "bounce" in text
    assert behalf.json("secret", "status")["complete"]
    assert keys_of(behalf) == before
    print("accepted %d, lost 0, %d keys the same" % (len(answers["accepted"]), len(before)))
    deliver_and_judge(world, DELEGATED, "smtplib", OWN[:2])


def test_backup_and_restore(world, behalf, sink):  # noqa: F811
    folder, before = world.folder / "backup", keys_of(behalf)
    behalf.call("queue", "hold", "--domain", "sink.example")
    large = Load(world, "large", 20, size=200000)
    large.finish()
    load = Load(world, "restore", 1500, rate=300)
    wait_until(lambda: len(accepted_now(load)) >= 400, 30, "some of the load is accepted")
    must = accepted_now(load) | accepted_now(large)
    began = time.monotonic()
    print(behalf.call("backup", folder, "--with-secret", timeout=60))
    took = time.monotonic() - began
    bare = world.folder / "backup-bare"
    assert "NOT in it" in behalf.call("backup", bare)
    refused(behalf, "not empty", "backup", folder)
    accepted = load.finish()["accepted"] | must
    refused(behalf, "behalf runs on", "restore", folder)
    behalf.call("queue", "release", "--all")
    wait_until(lambda: not accepted - set(sink.arrived("restore")) - set(sink.arrived("large")), 60, "all of it arrives")
    behalf.wait_until_empty(60)
    first = sink.arrived("restore") + sink.arrived("large")

    kill_everything(behalf)
    refused(behalf, "has a state already", "restore", folder)
    shutil.rmtree(state_dir(world))
    refused(behalf, "is not in this backup", "restore", bare)
    for name, words in (("control.db", "is not what was written"), ("spool.db", "is not as long"),
                        ("transport.db", "is missing"), ("MANIFEST", "no MANIFEST")):
        damaged = world.folder / ("damaged-" + name)
        shutil.copytree(folder, damaged)
        data = bytearray((damaged / name).read_bytes())
        data[len(data) // 2] ^= 1
        (damaged / name).write_bytes(data if name == "control.db" else data[:-1])
        if name in ("transport.db", "MANIFEST"):
            (damaged / name).unlink()
        refused(behalf, words, "restore", damaged)
    print(behalf.call("restore", folder))
    behalf.start()
    assert keys_of(behalf) == before
    behalf.call("queue", "release", "--all")
    behalf.wait_until_empty(60)
    again = sink.arrived("restore") + sink.arrived("large") - first
    print("backup under load in %.1f s; accepted before it %d, delivered after the restore %d, lost %d, twice %d" % (
        took, len(must), len(again), len(must - set(again)), len(set(again) & set(first))))
    assert not must - set(again)
    assert set(again) <= accepted
    deliver_and_judge(world, DELEGATED, "smtplib", OWN[:2])
