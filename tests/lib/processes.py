"""Programs that a test starts: each has a log, and is ended by its pid."""
import os
import pathlib
import signal
import socket
import subprocess
import time


class TestWorldError(Exception):
    """The world around behalf does not work; not a verdict about behalf."""


def wait_until(condition, seconds, what):
    """Polls until `condition()` is true and returns its value; TestWorldError names `what` did not happen."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise TestWorldError("%s: not within %g s" % (what, seconds))
        time.sleep(0.02)


def run(*command, check=True, timeout=60, **options):
    """subprocess.run with its output captured as text, and shown when it fails."""
    result = subprocess.run([str(c) for c in command], capture_output=True, timeout=timeout, check=False,
                            **{"text": True, "errors": "replace", **options})
    if check and result.returncode != 0:
        raise TestWorldError("%s: exit %d\n%s%s" % (" ".join(map(str, command)), result.returncode, result.stdout,
                                                    result.stderr))
    return result


def port_answers(address, port):
    """True when somebody accepts connections there."""
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as sock:
        sock.settimeout(1)
        return sock.connect_ex((address, port)) == 0


class Process:
    """A program in the foreground, in its own session; output goes to `log`."""

    def __init__(self, name, command, log, env=None, cwd=None):
        self.name, self.command, self.log = name, [str(c) for c in command], pathlib.Path(log)
        with open(self.log, "ab") as out:
            self.popen = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=cwd,
                                          start_new_session=True, env={**os.environ, **(env or {})})

    @property
    def pid(self):
        return self.popen.pid

    def running(self):
        return self.popen.poll() is None

    def tail(self, lines=30):
        return "\n".join(self.log.read_text(errors="replace").split("\n")[-lines:])

    def check(self):
        if not self.running():
            raise TestWorldError("%s ended with %s:\n%s" % (self.name, self.popen.returncode, self.tail()))
        return True

    def wait_for(self, condition, seconds=15):
        """Waits for `condition()` as long as the program runs."""
        return wait_until(lambda: self.check() and condition(), seconds, "%s ready" % self.name)

    def stop(self, seconds=10):
        """SIGTERM, and SIGKILL to its session when it does not listen. Returns the exit code."""
        if self.running():
            self.popen.send_signal(signal.SIGTERM)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            os.killpg(self.popen.pid, signal.SIGKILL)
            return self.popen.wait(5)
