"""Invariants 1 and 2: kill -9 of each role in turn under load. What was answered with 250 arrives; duplicates are bounded."""
import collections
import os
import signal

import pytest
from installation import DELEGATED, SINK, TRUSTED
from processes import Process, wait_until
from world import BUILD

MESSAGES, SESSIONS = 2000, 10
OPEN_SESSIONS = 20      # limits { connections-per-site }, its default
UNACKNOWLEDGED = 64     # queue { unacknowledged }, its default
ROLES = ["controld", "keyd", "smtpd", "queued", "sender", "dnsd", "steward", "reader", "master"]


class Sink:
    """The receiver of the load; its ledger has a line for each message that it answered with 250."""

    def __init__(self, world):
        self.ledger = world.folder / "sink.ledger"
        self.ledger.touch()
        self.process = Process("smtp_sink", [BUILD / "tests/bench/smtp_sink", "--host", SINK[0], "--port", SINK[1], "--quiet",
                                             "--ledger", self.ledger, "--ledger-more"], world.folder / "sink.log")

    def arrived(self, run):
        """How often each message of this run arrived."""
        return collections.Counter(line.split(" ")[0] for line in self._lines(run))

    def arrivals(self, run):
        """{id: [(MAIL FROM, when), …]}: behalf's bounce address says which of its messages it was."""
        found = collections.defaultdict(list)
        for line in self._lines(run):
            ident, mail_from, at = line.split(" ")
            found[ident].append((mail_from, float(at)))
        return found

    def _lines(self, run):
        return [line for line in self.ledger.read_text().split("\n")[:-1] if line.startswith(run + "-")]


@pytest.fixture(scope="module")
def sink(world):
    made = Sink(world)
    yield made
    made.process.stop()


class Load:
    """smtp_source submitting MESSAGES; it connects again when the server is gone, and keeps a ledger of its own."""

    def __init__(self, world, name, messages=MESSAGES, rate=0, size=2048):
        self.name, self.ledger = name, world.folder / ("source.%s.ledger" % name)
        self.process = Process("smtp_source", [
            BUILD / "tests/bench/smtp_source", "--host", TRUSTED[0], "--port", TRUSTED[1], "--sessions", SESSIONS, "--messages",
            messages, *(("--rate", rate) if rate else ()), "--from", DELEGATED.address, "--to", "load@sink.example", "--size", size, "--run", name, "--persist", 60,
            "--ledger", self.ledger], world.folder / ("source.%s.log" % name))

    def finish(self):
        """{"accepted": {id, …}, "unknown": …, "deferred": …, "refused": …}: how each message was answered last."""
        self.process.popen.wait(180)
        answers = collections.defaultdict(set)
        for line in self.ledger.read_text().split("\n"):
            if line:
                what, ident = line.split(" ")
                answers[what].add(ident)
        return answers


def has_ended(pid):
    """Gone, or ours to bury: in the namespace we are process 1, which inherits the orphans."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return not os.path.exists("/proc/%d" % pid)


def kill_role(behalf, role):
    """SIGKILL; for master also: every role ends by itself, and serve is started again."""
    roles = behalf.roles()
    for pid in roles[role]:
        os.kill(pid, signal.SIGKILL)
    if role != "master":
        return
    behalf.process.popen.wait()
    orphans = [pid for name, group in roles.items() if name != "master" for pid in group]
    wait_until(lambda: not [pid for pid in orphans if not has_ended(pid)], 10, "roles end without master")
    behalf.start()


@pytest.mark.parametrize("role", ROLES)
def test_kill_under_load(world, behalf, sink, role):
    before = behalf.roles()
    assert role in before, "no %s among %s" % (role, sorted(before))
    load = Load(world, role)
    wait_until(lambda: len(sink.arrived(role)) >= MESSAGES // 4, 60, "a quarter of the load has arrived")
    kill_role(behalf, role)
    answers = load.finish()
    accepted = answers["accepted"]
    try:
        wait_until(lambda: not accepted - set(sink.arrived(role)), 120, "all that was accepted arrives")
        behalf.wait_until_empty(60)
    finally:
        counts = sink.arrived(role)
        lost = accepted - set(counts)
        duplicates = sum(n - 1 for n in counts.values())
        bound = OPEN_SESSIONS + (UNACKNOWLEDGED if role == "master" else 0)
        print("%-8s accepted %d, arrived %d, lost %d, duplicates %d (bound %d); without an answer %d, of these arrived %d" % (
            role, len(accepted), len(counts), len(lost), duplicates, bound, len(answers["unknown"]),
            len(answers["unknown"] & set(counts))))
    assert len(accepted) + len(answers["unknown"]) >= MESSAGES, load.process.tail(3)
    assert not lost
    assert duplicates <= bound
    assert set(counts) <= accepted | answers["unknown"], "a message that was refused arrived"
    wait_until(lambda: set(behalf.roles()) >= set(before), 15, "every role is there again")
