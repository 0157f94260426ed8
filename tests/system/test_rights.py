"""Rights, from inside each running role: root makes the role's own process do the system calls that somebody would do who
took it over through a memory error. Nothing of it may work; what the role needs must go on working."""
import errno
import os
import pathlib
import platform
import signal
import socket
import stat
import struct
import subprocess
import sys

import pytest
from injector import Injector, spoken, thread_ids
from processes import wait_until
from world import BUILD

ROLES = ["controld", "keyd", "smtpd", "queued", "sender", "dnsd", "steward", "reader"]
OPENS_FILES = {"controld": "control", "queued": "spool", "sender": None, "steward": "reports"}
NETWORK = {"sender", "steward"}             # may make sockets
INTERNET = NETWORK | {"smtpd", "dnsd"}      # may hold sockets of the Internet
INJECT = BUILD / "tests/system/inject"
AT_FDCWD, SCRATCH = -100, b"\0" * 256
REFUSED = {-errno.EPERM, -errno.EACCES}

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="inject knows x86-64 only")


@pytest.fixture(scope="module")
def pids(behalf):
    roles = {role: found[0] for role, found in behalf.roles().items()}
    assert set(ROLES) <= set(roles)
    return roles


@pytest.fixture(scope="module")
def state(behalf):
    return behalf.folder / "state"


@pytest.fixture(params=ROLES)
def role(request):
    return request.param


def status_of(pid, tid):
    lines = pathlib.Path("/proc/%d/task/%d/status" % (pid, tid)).read_text().splitlines()
    return dict((line.split(":", 1)[0], line.split(":", 1)[1].split()) for line in lines)


def uid_of(pid):
    return int(status_of(pid, pid)["Uid"][0])


def try_all(target, attempts, allowed=REFUSED):
    """Each attempt (name, arguments…) from inside; fails with the list of those that were not refused."""
    with Injector(INJECT, target) as inside:
        assert inside.call("getpid") > 0, "injecting does not work"
        results = [(attempt, inside.call(*attempt)) for attempt in attempts]
    worked = ["%s%r: %s" % (attempt[0], attempt[1:], spoken(result)) for attempt, result in results if result not in allowed]
    assert not worked


# ---- what the kernel says of the process ----

def test_identity(pids, role):
    """A uid and gid of its own, no groups, no capabilities, no way to new ones, filtered: every thread."""
    pid = pids[role]
    others = {uid_of(other) for name, other in pids.items() if name != role}
    for tid in thread_ids(pid):
        status = status_of(pid, tid)
        uids, gids = set(status["Uid"]), set(status["Gid"])
        assert len(uids) == len(gids) == 1 and "0" not in uids | gids
        assert int(status["Uid"][0]) not in others
        assert status["Groups"] == []
        assert {int(status[name][0], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
        assert status["NoNewPrivs"] == ["1"] and status["Seccomp"] == ["2"]


def test_not_dumpable(pids, role):
    """/proc/PID of a process that is not dumpable belongs to root: no core file, no ptrace by the same uid."""
    assert os.stat("/proc/%d/mem" % pids[role]).st_uid == 0


def inodes_listening():
    """{inode} of listening sockets of the Internet and bound UDP, {inode} of the listening control sockets."""
    internet, unix = set(), set()
    for name in ("tcp", "tcp6", "udp", "udp6"):
        for line in pathlib.Path("/proc/net/" + name).read_text().splitlines()[1:]:
            fields = line.split()
            if name.startswith("udp") or fields[3] == "0A":
                internet.add(fields[9])
    for line in pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]:
        fields = line.split()
        if len(fields) > 7 and fields[3] == "00010000":
            unix.add(fields[6])
    return internet, unix


def all_internet_inodes():
    return {line.split()[9] for name in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6")
            for line in pathlib.Path("/proc/net/" + name).read_text().splitlines()[1:]}


def test_descriptors(pids, state, role):
    """It holds what master gave it and what it made itself: no listener of another, no file outside its directory."""
    listening, control = inodes_listening()
    internet = all_internet_inodes()
    own = str(state / OPENS_FILES[role]) if OPENS_FILES.get(role) else None
    for entry in pathlib.Path("/proc/%d/fd" % pids[role]).iterdir():
        try:
            to, number = os.readlink(entry), int(entry.name)
        except FileNotFoundError:
            continue
        if number <= 2:
            assert to == "/dev/null" if number == 0 else to.endswith("behalf.log")
        elif to.startswith("socket:["):
            inode = to[8:-1]
            assert role in INTERNET or inode not in internet, "a socket of the Internet"
            assert role in {"smtpd", "dnsd", "steward", "sender"} or inode not in listening
            assert role == "controld" or inode not in control, "the control socket"
        elif not to.startswith("anon_inode:") and not to.startswith("pipe:"):
            spool = role in ("smtpd", "sender") and to.startswith(str(state / "spool"))  # a message's body, handed over
            assert spool or (own and to.startswith(own)), to


# ---- files ----

def others_files(state, role):
    own = OPENS_FILES.get(role)
    found = [path for path in sorted(state.rglob("*")) if not own or state / own not in [path, *path.parents]]
    assert any(path.name == "master.secret" for path in found)
    assert role == "queued" or any(path.name == "spool.db" for path in found)
    return found


def test_files_of_others(pids, behalf, world, state, role):
    """Neither state of another role, nor secrets, nor the machine's files; not by another call, not to write, not by name."""
    paths = [str(p) for p in others_files(state, role)] + [str(state), str(behalf.config), str(world.folder / "tls.key"),
             str(behalf.folder / "run"), "/etc/passwd", "/etc/shadow", "/proc/1/environ", "/proc/self/mem", "/proc/self/maps",
             "/dev/null", "/"]
    attempts = [("openat", AT_FDCWD, path, os.O_RDONLY) for path in paths]
    attempts += [("open", path, os.O_RDWR) for path in paths]
    attempts += [("openat2", AT_FDCWD, path, struct.pack("QQQ", os.O_RDONLY, 0, 0), 24) for path in paths]
    attempts += [("openat", AT_FDCWD, str(folder / "planted"), os.O_WRONLY | os.O_CREAT, 0o644)
                 for folder in (state, state / "keys", state / "spool", state / "control", behalf.folder, pathlib.Path("/tmp"))
                 if folder.name != OPENS_FILES.get(role)]
    attempts += [("unlink", str(state / "keys/master.secret")), ("truncate", str(state / "keys/master.secret"), 0),
                 ("chmod", str(state / "keys/master.secret"), 0o777)]
    try_all(pids[role], attempts, REFUSED | {-errno.EISDIR})
    assert (state / "keys/master.secret").stat().st_size == 65


def test_own_directory_works(pids, state):
    """The positive control: the same call, on a file of its own, is not refused."""
    for role, directory in (("controld", "control/control.db"), ("queued", "spool/spool.db")):
        with Injector(INJECT, pids[role]) as inside:
            fd = inside.call("openat", AT_FDCWD, str(state / directory), os.O_RDONLY)
            assert fd >= 0, spoken(fd)
            assert inside.call("close", fd) == 0


READ_AS = """
import os, socket, sys
for path in sys.argv[2:]:
    try:
        os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(1)
        print("read", path)
    except OSError:
        pass
try:
    socket.socket(socket.AF_UNIX).connect(sys.argv[1])
    print("connected to the control socket")
except OSError:
    pass
"""


def test_uid_alone_protects(pids, behalf, state, role):
    """Without seccomp and landlock, as on an old kernel: its uid reads no file of another role, nor opens the control
    socket."""
    uid = uid_of(pids[role])
    paths = [str(p) for p in others_files(state, role) if p.parent != state or p.is_file()]
    result = subprocess.run([sys.executable, "-c", READ_AS, str(behalf.folder / "run/control.sock"), *paths], user=uid,
                            group=uid, extra_groups=[], capture_output=True, text=True, timeout=30, check=True)
    assert result.stdout == ""


def test_directories_are_closed(state):
    for path in state.iterdir():
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode & 0o077 == 0, "%s has mode %o" % (path, mode)


# ---- sockets ----

def address(ip, port):
    return struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(ip) + bytes(8)


def test_sockets(pids, behalf, role):
    """Who has no network makes no socket of any kind; who has it makes TCP and UDP, but listens nowhere, and never finds the
    control socket."""
    unix = struct.pack("=H", socket.AF_UNIX) + str(behalf.folder / "run/control.sock").encode() + b"\0"
    attempts = [("socket", family, kind, 0) for family in (socket.AF_UNIX, socket.AF_NETLINK, socket.AF_PACKET, socket.AF_VSOCK)
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW)]
    attempts += [("socket", socket.AF_INET, socket.SOCK_RAW, 1), ("socketpair", socket.AF_UNIX, socket.SOCK_STREAM, 0, SCRATCH)]
    attempts += [("listen", fd, 5) for fd in range(3, 12)]
    if role not in NETWORK:
        attempts += [("socket", family, kind, 0) for family in (socket.AF_INET, socket.AF_INET6)
                     for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)]
        attempts += [(call, fd, there, len(there)) for call in ("connect", "bind") for fd in range(3, 12)
                     for there in (unix, address("127.0.0.1", 25))]
    try_all(pids[role], attempts)


@pytest.mark.parametrize("role", sorted(NETWORK))
def test_network_roles_hold_no_port(pids, role):
    """Their TCP sockets connect, from any free port; they take no port that others could be led to."""
    with Injector(INJECT, pids[role]) as inside:
        fd = inside.call("socket", socket.AF_INET, socket.SOCK_STREAM, 0)
        assert fd >= 0, spoken(fd)
        chosen = inside.call("bind", fd, address("127.0.0.1", 9), 16)
        high = inside.call("bind", fd, address("127.0.0.1", 40025), 16)
        listening = inside.call("listen", fd, 5)
        free = inside.call("bind", fd, address("127.0.0.1", 0), 16)
        assert inside.call("close", fd) == 0
    assert {chosen, listening} <= REFUSED and free == 0
    assert high in REFUSED or landlock_version() < 4, spoken(high)


def landlock_version():
    """Of this kernel: landlock_create_ruleset(NULL, 0, LANDLOCK_CREATE_RULESET_VERSION)."""
    import ctypes
    return ctypes.CDLL(None).syscall(444, 0, 0, 1)


# ---- memory, programs, identity: in every thread ----

def reach_others(pid, victims):
    """Attempts on the memory, descriptors and life of each victim."""
    attempts = []
    for other in victims:
        vector = struct.pack("QQ", 0x1000, 16)
        attempts += [("ptrace", 16, other, 0, 0), ("ptrace", 0x4206, other, 0, 0),
                     ("process_vm_readv", other, vector, 1, vector, 1, 0), ("process_vm_writev", other, vector, 1, vector, 1, 0),
                     ("pidfd_open", other, 0), ("pidfd_getfd", 3, 3, 0), ("kill", other, 0), ("kill", other, signal.SIGKILL),
                     ("tkill", other, signal.SIGKILL), ("tgkill", other, other, signal.SIGKILL),
                     ("rt_sigqueueinfo", other, signal.SIGKILL, SCRATCH), ("kcmp", pid, other, 0, 3, 3),
                     ("move_pages", other, 0, 0, 0, 0, 0), ("process_madvise", 3, vector, 1, 4, 0),
                     ("prlimit64", other, 7, SCRATCH[:16], SCRATCH[:16]), ("prlimit64", other, 7, 0, SCRATCH[:16])]
    return attempts


BECOME = [
    ("execve", "/bin/true", 0, 0), ("execveat", AT_FDCWD, "/bin/true", 0, 0, 0), ("fork",), ("vfork",),
    ("clone", signal.SIGCHLD, 0, 0, 0, 0), ("clone", 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0), ("setuid", 0), ("setgid", 0),
    ("setresuid", 0, 0, 0), ("setgroups", 0, 0), ("capset", SCRATCH[:8], SCRATCH[:24]), ("unshare", 0x10000000), ("setns", 3, 0),
    ("mount", "none", "/tmp", "tmpfs", 0, 0), ("chroot", "/tmp"), ("pivot_root", "/tmp", "/tmp"), ("personality", 0x0040000),
    ("prctl", 4, 1, 0, 0, 0), ("prctl", 0x59616d61, -1, 0, 0, 0), ("prctl", 38, 1, 0, 0, 0),
    ("seccomp", 1, 0, SCRATCH[:16]), ("ptrace", 0, 0, 0, 0), ("prlimit64", 0, 4, struct.pack("QQ", 1 << 20, 1 << 20), 0),
    ("mmap", 0, 4096, 7, 0x22, -1, 0), ("mmap", 0, 4096, 5, 0x22, -1, 0), ("memfd_create", "x", 0),
    ("bpf", 0, SCRATCH[:72], 72), ("io_uring_setup", 8, SCRATCH[:120]), ("userfaultfd", 1),
    ("perf_event_open", SCRATCH[:112], 0, -1, -1, 0), ("add_key", "user", "x", "y", 1, -3), ("keyctl", 0, -3, 1),
    ("init_module", SCRATCH[:64], 64, "x"), ("open_by_handle_at", 3, SCRATCH[:32], 0), ("name_to_handle_at", 3, "x", SCRATCH, SCRATCH, 0),
    ("shmget", 0, 4096, 0o1600), ("msgget", 0, 0o1600), ("mq_open", "x", 0o102, 0o600, 0), ("reboot", 0, 0, 0),
    ("ioctl", 0, 0x5412, "x"), ("ioctl", 2, 0x5412, "x"), ("ioctl", 2, 0x541c, SCRATCH), ("fcntl", 3, 8, 1), ("fcntl", 3, 1024, 0)]


def victims_of(pids, role):
    return [pid for name, pid in pids.items() if name != role] + [1, os.getpid()]


def test_others_memory_and_life(pids, role):
    for thread in thread_ids(pids[role]):
        try_all(thread, reach_others(pids[role], victims_of(pids, role)), {-errno.EPERM})


def test_no_program_no_rights(pids, role):
    """No other program, no child, no uid, no capability, no name space, no new executable memory, no wide interface."""
    for thread in thread_ids(pids[role]):
        try_all(thread, BECOME, {-errno.EPERM})
        try_all(thread, [("clone3", struct.pack("QQQQQQQQ", 0, 0, 0, 0, signal.SIGCHLD, 0, 0, 0), 64)],
                {-errno.EPERM, -errno.ENOSYS})


def test_code_cannot_be_changed(pids, role):
    """The mapped program stays as it is, and a stack stays data."""
    maps = pathlib.Path("/proc/%d/maps" % pids[role]).read_text().splitlines()
    writable_code = [line for line in maps if line.split()[1].startswith("rwx")]
    assert not writable_code
    stack = next(line for line in maps if line.endswith("[stack]")).split("-")[0]
    try_all(pids[role], [("mprotect", int(stack, 16), 4096, 7)])


# ---- and the roles still do their work ----

def test_they_live_on(pids, behalf):
    """A refused call harms nobody: the same processes run, and the control socket answers."""
    now = behalf.roles()
    assert {role: pid for role, pid in pids.items() if pid not in now.get(role, [])} == {}
    assert behalf.json("domain", "list")


@pytest.mark.parametrize("role", ROLES)
def test_ends_on_sigterm_and_comes_back(behalf, role):
    """The tight list holds the calls of an orderly end and of a start while the others run."""
    before = behalf.roles()[role]
    for pid in before:
        os.kill(pid, signal.SIGTERM)

    def started_again():
        now = behalf.roles().get(role, [])
        return now if len(now) == len(before) and not set(before) & set(now) else None
    new = wait_until(started_again, 20, "%s is started again" % role)
    wait_until(lambda: all(status_of(pid, pid)["Seccomp"] == ["2"] for pid in new), 10, "it is locked in")
