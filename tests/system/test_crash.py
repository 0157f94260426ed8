"""Invariants 1 and 2 under fire: roles and the whole tree are killed at random while mail comes in and goes out.

BH_KILLS says how often (8; ./test --all: 50), BH_CRASH_SEED which (printed), BH_CRASH_ROLES limits whom. The ledger that is
printed: what was accepted, lost, came twice, and what the bound allows: per kill of a sender its open sessions; per kill of queued
or smtpd the submitters' open sessions, since a message may be committed and its 250 never said, and the submitter repeats it; per
kill of the tree both, and the results that may wait for a commit. For any other role, none."""
import os
import random
import time

import pytest
from processes import wait_until
from test_kill import OPEN_SESSIONS, SESSIONS, UNACKNOWLEDGED, Load, Sink, kill_role

KILLS = int(os.environ.get("BH_KILLS", "8"))
SEED = int(os.environ.get("BH_CRASH_SEED", str(int(time.time()) % 100000)))
ROLES = os.environ.get("BH_CRASH_ROLES", "controld keyd smtpd queued sender sender dnsd steward master master").split()
PER_KILL = 700          # messages: so that the load outlives the kills
BOUNDS = {"sender": OPEN_SESSIONS, "queued": SESSIONS, "smtpd": SESSIONS, "master": OPEN_SESSIONS + UNACKNOWLEDGED + SESSIONS}


@pytest.fixture(scope="module")
def sink(world):
    made = Sink(world)
    yield made
    made.process.stop()


def test_kills_at_random(world, behalf, sink):
    rng = random.Random(SEED)
    all_roles = set(behalf.roles())
    load = Load(world, "crash%d" % SEED, messages=PER_KILL * KILLS, rate=PER_KILL)
    ledger = []
    try:
        wait_until(lambda: len(sink.arrived(load.name)) > 100, 60, "mail arrives")
        for _ in range(KILLS):
            time.sleep(rng.uniform(0.2, 1.5))
            role = rng.choice(ROLES)
            wait_until(lambda: role in behalf.roles(), 30, "%s is there" % role)
            kill_role(behalf, role)
            ledger.append(role)
        answers = load.finish()
        accepted = answers["accepted"]
        wait_until(lambda: not accepted - set(sink.arrived(load.name)), 180, "all that was accepted arrives")
        behalf.wait_until_empty(120)
    finally:
        load.process.stop()
        counts = sink.arrived(load.name)
    lost = accepted - set(counts)
    twice = sum(n - 1 for n in counts.values())
    repeated = sum(n - 1 for ident, n in counts.items() if ident in answers["deferred"])
    bound = sum(BOUNDS.get(role, 0) for role in ledger)
    print("seed %d, %d kills: %s" % (SEED, len(ledger), ", ".join("%s %d" % (r, ledger.count(r)) for r in sorted(set(ledger)))))
    print("accepted %d, arrived %d, lost %d, twice %d (bound %d; repeated by the submitter after a 4xx: %d); without an answer %d, of these arrived %d" % (
        len(accepted), len(counts), len(lost), twice, bound, repeated, len(answers["unknown"]), len(answers["unknown"] & set(counts))))
    assert not lost
    assert twice <= bound
    assert set(counts) <= accepted | answers["unknown"], "a message that was refused arrived"
    wait_until(lambda: set(behalf.roles()) >= all_roles, 15, "every role is there again")
