"""Invariants 1 and 2: kill -9 of each role in turn under load. What was answered with 250 arrives; duplicates are bounded."""
import collections
import os
import queue
import signal
import socket
import threading
import time

import pytest
from installation import DELEGATED, SINK, TRUSTED
from processes import Process, wait_until
from world import BUILD

MESSAGES, CLIENTS = 2000, 10
OPEN_SESSIONS = 20      # limits { connections-per-site }, its default
UNACKNOWLEDGED = 64     # queue { unacknowledged }, its default
ROLES = ["controld", "keyd", "smtpd", "queued", "sender", "dnsd", "steward", "master"]


class Load:
    """Clients that each submit messages with an id of their own until MESSAGES of them were answered with 250."""

    def __init__(self, name):
        self.name, self.accepted, self.unanswered = name, set(), set()
        self.lock, self.counter, self.stop = threading.Lock(), 0, False
        self.threads = [threading.Thread(target=self.client, daemon=True) for _ in range(CLIENTS)]
        self.errors = queue.Queue()

    def next_id(self):
        with self.lock:
            if len(self.accepted) >= MESSAGES or self.stop:
                return None
            self.counter += 1
            return "%s-%d" % (self.name, self.counter)

    def client(self):
        sock = file = None
        while ident := self.next_id():
            try:
                if not sock:
                    sock = socket.create_connection(TRUSTED, timeout=20)
                    file = sock.makefile("rb")
                    self.expect(file, b"220")
                    self.command(sock, file, b"EHLO load.example", b"250")
                self.submit(sock, file, ident)
            except (OSError, ConnectionError):
                if sock:
                    sock.close()
                sock = None
                time.sleep(0.02)

    def submit(self, sock, file, ident):
        """One message. 250 after the dot: accepted; a reply that says no: not; no reply: nobody knows."""
        self.command(sock, file, b"MAIL FROM:<%s>" % DELEGATED.address.encode(), b"250")
        self.command(sock, file, b"RCPT TO:<load@sink.example>", b"250")
        self.command(sock, file, b"DATA", b"354")
        text = "From: %s\r\nSubject: %s\r\nX-Load: %s\r\n\r\n%s\r\n.\r\n" % (DELEGATED.address, ident, ident, "load " * 200)
        with self.lock:
            self.unanswered.add(ident)
        sock.sendall(text.encode())
        reply = self.reply(file)
        with self.lock:
            self.unanswered.discard(ident)
            if reply.startswith(b"250"):
                self.accepted.add(ident)
        if not reply.startswith(b"250"):
            raise ConnectionError(reply)

    def command(self, sock, file, line, code):
        sock.sendall(line + b"\r\n")
        self.expect(file, code)

    def expect(self, file, code):
        reply = self.reply(file)
        if not reply.startswith(code):
            raise ConnectionError(reply)

    @staticmethod
    def reply(file):
        while True:
            line = file.readline()
            if not line.endswith(b"\n"):
                raise ConnectionError("closed")
            if line[3:4] != b"-":
                return line

    def run(self, at_half):
        for thread in self.threads:
            thread.start()
        wait_until(lambda: len(self.accepted) >= MESSAGES // 3, 120, "a third of the load is accepted")
        at_half()
        for thread in self.threads:
            thread.join(180)
        assert len(self.accepted) >= MESSAGES, "%d of %d accepted" % (len(self.accepted), MESSAGES)


@pytest.fixture(scope="module")
def sink(world):
    folder = world.folder / "sink"
    folder.mkdir()
    process = Process("sink", [BUILD / "tests/world/sink", *map(str, SINK), folder], world.folder / "sink.log")
    process.wait_for(lambda: "ready" in process.tail())
    yield folder
    process.stop()


def arrived(folder, name, known):
    """How often each id of this load arrived; `known` keeps what was read before."""
    for path in folder.glob("*.envelope"):
        if path.name not in known:
            header = path.with_suffix(".eml").read_bytes().split(b"\r\n\r\n", 1)[0]
            known[path.name] = next(line[8:].decode() for line in header.split(b"\r\n") if line.startswith(b"X-Load: "))
    return collections.Counter(ident for ident in known.values() if ident.startswith(name + "-"))


def kill_role(behalf, role):
    """SIGKILL; for master also: every role ends by itself, and serve is started again."""
    roles = behalf.roles()
    pids = roles[role]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    if role != "master":
        return
    behalf.process.popen.wait()
    orphans = [pid for name, group in roles.items() if name != "master" for pid in group]
    wait_until(lambda: not any(os.path.exists("/proc/%d" % pid) for pid in orphans), 10, "roles end without master")
    behalf.start()


@pytest.mark.parametrize("role", ROLES)
def test_kill_under_load(world, behalf, sink, role):
    load, known = Load(role), {}
    before = {name: list(pids) for name, pids in behalf.roles().items()}
    assert role in before, "no %s among %s" % (role, sorted(before))
    load.run(lambda: kill_role(behalf, role))
    try:
        wait_until(lambda: not load.accepted - set(arrived(sink, role, known)), 120, "all that was accepted arrives")
    finally:
        behalf.wait_until_empty(60)
        counts = arrived(sink, role, known)
        lost = load.accepted - set(counts)
        duplicates = sum(n - 1 for n in counts.values())
        bound = OPEN_SESSIONS + (UNACKNOWLEDGED if role == "master" else 0)
        print("%-8s accepted %d, arrived %d, lost %d, duplicates %d (bound %d), unanswered %d, of these arrived %d" % (
            role, len(load.accepted), len(counts), len(lost), duplicates, bound, len(load.unanswered),
            len(load.unanswered & set(counts))))
    assert not lost
    assert duplicates <= bound
    assert set(counts) <= load.accepted | load.unanswered, "a message that was refused arrived"
    wait_until(lambda: set(behalf.roles()) >= set(before), 15, "every role is there again")
