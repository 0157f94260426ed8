"""System calls made inside a running process: tests/system/inject.c, line by line."""
import errno
import os
import subprocess

# x86-64; the numbers never change.
CALLS = {name: number for number, name in {
    0: "read", 2: "open", 4: "stat", 9: "mmap", 10: "mprotect", 16: "ioctl", 29: "shmget", 39: "getpid", 41: "socket",
    42: "connect", 49: "bind", 50: "listen", 53: "socketpair", 56: "clone", 57: "fork", 58: "vfork", 59: "execve", 62: "kill",
    68: "msgget", 72: "fcntl", 76: "truncate", 87: "unlink", 90: "chmod", 101: "ptrace", 105: "setuid", 106: "setgid",
    116: "setgroups", 117: "setresuid", 126: "capset", 129: "rt_sigqueueinfo", 135: "personality", 155: "pivot_root",
    157: "prctl", 161: "chroot", 165: "mount", 169: "reboot", 175: "init_module", 200: "tkill", 234: "tgkill", 240: "mq_open",
    248: "add_key", 250: "keyctl", 257: "openat", 272: "unshare", 279: "move_pages", 298: "perf_event_open", 302: "prlimit64",
    303: "name_to_handle_at", 304: "open_by_handle_at", 308: "setns", 310: "process_vm_readv", 311: "process_vm_writev",
    312: "kcmp", 317: "seccomp", 319: "memfd_create", 321: "bpf", 322: "execveat", 323: "userfaultfd", 425: "io_uring_setup",
    434: "pidfd_open", 435: "clone3", 437: "openat2", 438: "pidfd_getfd", 440: "process_madvise", 3: "close"}.items()}


class Injector:
    """`with Injector(program, pid) as inside: inside.call("openat", -100, "/etc/passwd", 0)`. A str argument is passed as its
    address, bytes too; a negative result is an error number."""

    def __init__(self, program, pid):
        self.pid = pid
        self.child = subprocess.Popen([str(program), str(pid)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=subprocess.PIPE, text=True)
        first = self.child.stdout.readline()
        assert first == "attached\n", first + self.child.stderr.read()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.stdin.close()
        status = self.child.wait(10)
        error = self.child.stderr.read()
        self.child.stdout.close()
        self.child.stderr.close()
        assert status == 0, error

    @staticmethod
    def _argument(value):
        if isinstance(value, str):
            return "=" + value
        return "<%s>" % value.hex() if isinstance(value, bytes) else str(value)

    def call(self, name, *arguments):
        self.child.stdin.write(" ".join([str(CALLS[name]), *map(self._argument, arguments)]) + "\n")
        self.child.stdin.flush()
        answer = self.child.stdout.readline()
        assert answer.strip(), "the process ended in %s%r: %s" % (name, arguments, self.child.stderr.read())
        return int(answer)


def spoken(result):
    """EPERM, or the number."""
    return errno.errorcode.get(-result, str(result)) if result < 0 else str(result)


def thread_ids(pid):
    return sorted(map(int, os.listdir("/proc/%d/task" % pid)))
