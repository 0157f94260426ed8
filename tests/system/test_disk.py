"""The disk: each 250 comes after a sync, and a full file system costs nobody his mail."""
import re
import shutil
import smtplib
import time

import pytest
from installation import DELEGATED, TRUSTED
from processes import Process, run, wait_until
from test_kill import Load, Sink

MESSAGES = 20


@pytest.fixture(scope="module")
def sink(world):
    made = Sink(world)
    yield made
    made.process.stop()


def submit(smtp, ident, size=2000):
    """(when the text began to leave, when the answer was there, its code)"""
    text = "From: %s\r\nTo: load@sink.example\r\nX-Ledger: %s\r\n\r\n%s" % (DELEGATED.address, ident, "some words\r\n" * (size // 12))
    smtp.mail(DELEGATED.address)
    smtp.rcpt("load@sink.example")
    start = time.time()
    code, _ = smtp.data(text)
    return start, time.time(), code


def syncs(trace):
    """[(begin, end, role's pid, file), …] of the syncs that succeeded."""
    found, begun = [], {}
    for line in trace.read_text(errors="replace").split("\n"):
        match = re.match(r"(\d+) +(\d+\.\d+) (?:(?:fsync|fdatasync)\(\d+<([^>]*)>|<\.\.\. f(?:data)?sync resumed>)", line)
        if not match:
            continue
        pid, at, name = match.groups()
        if name is not None:
            begun[pid] = (float(at), name)
        took = re.search(r" = 0 <([\d.]+)>", line)
        if took:
            begin, name = begun[pid]
            found.append((begin, begin + float(took.group(1)), int(pid), name))
    return found


def test_sync_before_each_250(world, behalf, sink):
    if not shutil.which("strace"):
        pytest.skip("no strace")
    roles, trace = behalf.roles(), world.folder / "sync.trace"
    pids = [str(pid) for role in ("queued", "smtpd") for pid in roles[role]]
    strace = Process("strace", ["strace", "-f", "-ttt", "-T", "-y", "-e", "trace=fsync,fdatasync", "-o", trace,
                                *(word for pid in pids for word in ("-p", pid))], world.folder / "strace.log")
    try:
        strace.wait_for(lambda: strace.log.read_text().count("attached") >= len(pids))
        with smtplib.SMTP(*TRUSTED, timeout=30) as smtp:
            smtp.ehlo()
            answers = [(size,) + submit(smtp, "sync-%d-%d" % (i, size), size) for i in range(MESSAGES) for size in (2000, 300000)]
    finally:
        strace.stop()
    made = syncs(trace)
    behalf.wait_until_empty(30)
    for size, start, end, code in answers:
        assert code == 250
        inside = [name for begin, done, _, name in made if start <= begin and done <= end]
        assert any(name.endswith("spool.db-wal") for name in inside), "a 250 without a sync of the log: %r" % inside
        if size > 128 * 1024:
            assert any("/spool/body/" in name or name.endswith("/spool/body") for name in inside), "a body was not synced: %r" % inside
    print("%d answers of 250, %d syncs seen, at least one of spool.db-wal within each" % (len(answers), len(made)))


class SmallDisk:
    """The spool on a file system of 160 MiB of its own (the log alone grows to 32), of which 4 must stay free."""

    def __init__(self, world, behalf):
        self.behalf, self.spool, self.aside = behalf, world.folder / "behalf/state/spool", world.folder / "spool.aside"
        self.config = behalf.config.read_text()

    def __enter__(self):
        owner = self.spool.stat()
        self.behalf.stop()
        shutil.copytree(self.spool, self.aside)
        run("mount", "-t", "tmpfs", "-o", "size=160m,mode=%o,uid=%d,gid=%d" % (owner.st_mode & 0o7777, owner.st_uid, owner.st_gid), "none",
            self.spool)
        run("cp", "-a", *[p for p in self.aside.iterdir()], self.spool)
        run("chown", "-R", "%d:%d" % (owner.st_uid, owner.st_gid), self.spool)
        self.behalf.config.write_text(re.sub(r"(?m)^(\s*)retry-first\b", r'\1min-free = "4M"\n\1retry-first', self.config))
        self.behalf.start()
        return self

    def fill(self):
        """To the last byte, as another program would."""
        with open(self.spool / "ballast", "wb", buffering=0) as file:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        file.write(bytes(size))
                except OSError:
                    pass

    def empty(self):
        (self.spool / "ballast").unlink()

    def __exit__(self, *_):
        self.behalf.stop()
        shutil.rmtree(self.aside)
        run("cp", "-a", str(self.spool) + "/.", self.aside)
        run("umount", self.spool)
        for path in self.spool.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        (self.aside / "ballast").unlink(missing_ok=True)
        run("cp", "-a", str(self.aside) + "/.", self.spool)
        self.behalf.config.write_text(self.config)
        self.behalf.start()


def try_once(ident):
    """The answer to one message: 250, or the code of the refusal."""
    try:
        with smtplib.SMTP(*TRUSTED, timeout=30) as smtp:
            smtp.ehlo()
            for code, _ in (smtp.mail(DELEGATED.address), smtp.rcpt("load@sink.example")):
                if code != 250:
                    return code
            return smtp.data("From: %s\r\nX-Ledger: %s\r\n\r\nx\r\n" % (DELEGATED.address, ident))[0]
    except smtplib.SMTPResponseException as error:
        return error.smtp_code
    except smtplib.SMTPException:
        return None


def test_full_disk(world, behalf, sink):
    before = behalf.log.stat().st_size if behalf.log.exists() else 0
    with SmallDisk(world, behalf) as disk:
        load = Load(world, "full", messages=2000, rate=300)
        try:
            wait_until(lambda: len(sink.arrived("full")) > 100, 30, "mail arrives")
            disk.fill()
            wait_until(lambda: try_once("probe-closed") in (421, 451, 452), 20, "intake closes")
            codes = {try_once("probe-closed") for _ in range(5)}
            time.sleep(2)
            assert behalf.json("queue", "show")["recipients"] >= 0, "queued lives"
            disk.empty()
            wait_until(lambda: try_once("probe-open") == 250, 20, "intake opens by itself")
            answers = load.finish()
            accepted = answers["accepted"]
            wait_until(lambda: not accepted - set(sink.arrived("full")), 60, "all that was accepted arrives")
            behalf.wait_until_empty(30)
            alarms = [behalf.json("event", "list", "--event", kind)["events"] for kind in ("alarm.raised", "alarm.cleared")]
        finally:
            load.process.stop()
        counts = sink.arrived("full")
        log = behalf.log.read_text(errors="replace")[before:]
        told = [line for line in log.split("\n") if "intake is" in line or "cannot commit" in line or "written again" in line]
        print("\n".join(told[:6]))
        print("accepted %d, deferred %d, arrived %d, lost %d, twice %d; answered %s while full" % (
            len(accepted), len(answers["deferred"]), len(counts), len(accepted - set(counts)), sum(n - 1 for n in counts.values()), sorted(codes)))
    assert codes <= {421, 451, 452}
    assert not accepted - set(counts)
    assert max(counts.values()) == 1
    assert any("intake is closed" in line or "cannot commit" in line for line in told)
    assert any("intake is open again" in line or "written again" in line for line in told)
    assert all(alarms), "the event log tells of it"
