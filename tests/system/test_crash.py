"""Invariants 1 and 2 under fire: roles and the whole tree are killed at random while mail comes in and goes out.

BH_KILLS says how often (8; ./test --all: 50), BH_CRASH_SEED which (printed), BH_CRASH_ROLES limits whom. The ledger that is
printed: what was accepted, lost, and came twice. A second arrival is ours if it is the same message of behalf's (its bounce
address says so), and then belongs to a kill between the two; or the submitter's, who repeats what was committed while the 250
was lost, and then belongs to a kill shortly before. Each kill may have so many: of a sender or queued their open sessions; of
the tree also the results that may wait for a commit; and the submitters' open sessions where smtpd, queued or the tree died.
A second arrival that no kill has room for fails the test; so does any with a kill of another role."""
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
OURS = {"sender": OPEN_SESSIONS, "queued": OPEN_SESSIONS, "master": OPEN_SESSIONS + UNACKNOWLEDGED}
SUBMITTERS = {role: SESSIONS for role in ("smtpd", "queued", "master")}
EARLY, LATE = 0.5, 20   # seconds: the sink's answer may be read after its time was taken; a repetition may wait for a retry


class Kill:
    def __init__(self, role):
        self.role, self.at, self.ours, self.submitters = role, time.time(), 0, 0


def attribute(kills, arrivals):
    """Gives each second arrival to a kill that has room for it; returns what is left over."""
    left_over = []
    for ident, times in sorted(arrivals.items(), key=lambda item: item[1][-1][1]):
        seen = {}
        for mail_from, at in times:
            ours = mail_from in seen
            if ours:
                near = [k for k in kills if seen[mail_from] - EARLY <= k.at <= at and k.ours < OURS.get(k.role, 0)]
            elif seen:
                near = [k for k in reversed(kills) if at - LATE <= k.at <= at and k.submitters < SUBMITTERS.get(k.role, 0)]
            else:
                near = None
            seen[mail_from] = at
            if near is None:
                continue
            if not near:
                left_over.append((ident, "ours" if ours else "submitter's", times))
            elif ours:
                near[0].ours += 1
            else:
                near[0].submitters += 1
    return left_over


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
            ledger.append(Kill(role))
            kill_role(behalf, role)
        answers = load.finish()
        accepted = answers["accepted"]
        wait_until(lambda: not accepted - set(sink.arrived(load.name)), 180, "all that was accepted arrives")
        behalf.wait_until_empty(120)
    finally:
        load.process.stop()
        counts = sink.arrived(load.name)
    lost = accepted - set(counts)
    twice = sum(n - 1 for n in counts.values())
    left_over = attribute(ledger, sink.arrivals(load.name))
    print("seed %d, %d kills" % (SEED, len(ledger)))
    for role in sorted({k.role for k in ledger}):
        kills = [k for k in ledger if k.role == role]
        print("%-9s %2d kills; twice by us %s (at most %d each), by submitters %s (at most %d each)" % (
            role, len(kills), " ".join(str(k.ours) for k in kills), OURS.get(role, 0), " ".join(str(k.submitters) for k in kills),
            SUBMITTERS.get(role, 0)))
    print("accepted %d, arrived %d, lost %d, twice %d (by us %d, by submitters %d, of no kill %d); without an answer %d, of these arrived %d" % (
        len(accepted), len(counts), len(lost), twice, sum(k.ours for k in ledger), sum(k.submitters for k in ledger), len(left_over),
        len(answers["unknown"]), len(answers["unknown"] & set(counts))))
    assert not lost
    assert not left_over, left_over[:5]
    assert set(counts) <= accepted | answers["unknown"], "a message that was refused arrived"
    wait_until(lambda: set(behalf.roles()) >= all_roles, 15, "every role is there again")
