"""behalf as a test or the demo runs it: its configuration, its life, its commands, and putting a customer on board."""
import json
import os
import pathlib
import secrets
import socket
import subprocess
import time

from processes import Process, TestWorldError, wait_until


class CommandFailed(Exception):
    """A subcommand of behalf that did not exit 0; `status` and `text` say how."""

    def __init__(self, arguments, status, text):
        super().__init__("behalf %s: exit %d: %s" % (" ".join(arguments), status, text.strip()))
        self.status, self.text = status, text


def quoted(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (list, tuple)):
        return "{%s}" % ", ".join(map(quoted, value))
    return str(value) if isinstance(value, int) else '"%s"' % str(value).replace("\\", "\\\\").replace('"', '\\"')


def own_uids():
    """The option that gives each role a uid of its own when a test starts behalf as root, where no such users exist."""
    return {"uid-base": 61000} if os.geteuid() == 0 else {}


def section(kind, settings, title=None, indent=""):
    """One section of behalf.conf; a dict in a dict is a section in it, keyed "kind" or "kind title"."""
    lines = ["%s%s%s {" % (indent, kind, ' "%s"' % title if title else "")]
    for name, value in settings.items():
        if isinstance(value, dict):
            inner, _, inner_title = name.partition(" ")
            lines.append(section(inner, value, inner_title or None, indent + "  "))
        else:
            lines.append("%s  %s = %s" % (indent, name, quoted(value)))
    return "\n".join(lines + [indent + "}"])


def make_config(options, listeners=(), **sections):
    """The text of behalf.conf: global `options`, listeners as dicts, and sections by name ("route x" with a title)."""
    lines = ["%s = %s" % (name, quoted(value)) for name, value in options.items()]
    lines += [section("listener", listener) for listener in listeners]
    for name, settings in sections.items():
        kind, _, title = name.partition(" ")
        lines.append(section(kind, settings, title or None))
    return "\n".join(lines) + "\n"


class Behalf:
    """One installation: `folder`/behalf.conf and the state in it. `binary` is the build tree's behalf."""

    def __init__(self, binary, folder, config):
        self.binary, self.folder = pathlib.Path(binary), pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.config = self.folder / "behalf.conf"
        self.config.write_text(config)
        self.process = None
        self.log = self.folder / "behalf.log"

    def command(self, *arguments):
        return [str(self.binary), "--config", str(self.config), *map(str, arguments)]

    def call(self, *arguments, stdin=None, timeout=30, check=True):
        """A subcommand's output as text."""
        result = subprocess.run(self.command(*arguments), input=stdin, capture_output=True, timeout=timeout, check=False)
        if check and result.returncode != 0:
            raise CommandFailed(list(map(str, arguments)), result.returncode,
                                (result.stderr + result.stdout).decode("utf-8", "replace"))
        return result.stdout.decode("utf-8", "replace")

    def json(self, *arguments, **options):
        """A subcommand's --json output, read."""
        text = self.call(*arguments, "--json", **options)
        return json.loads(text) if text.strip() else None

    def start(self, seconds=20):
        """`behalf serve`; returns when it says READY=1 to the service manager, which is us."""
        path = "\0behalf-notify-%s" % secrets.token_hex(8)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.bind(path)
            notify.settimeout(0.05)
            self.process = Process("behalf", self.command("serve"), self.log, env={"NOTIFY_SOCKET": "@" + path[1:]})
            end = time.monotonic() + seconds
            while True:
                self.process.check()
                try:
                    if b"READY=1" in notify.recv(4096):
                        return self
                except socket.timeout:
                    if time.monotonic() > end:
                        raise TestWorldError("behalf serve is not ready after %g s:\n%s" % (seconds, self.process.tail())) \
                            from None

    def stop(self, seconds=15):
        status = self.process.stop(seconds) if self.process else 0
        self.process = None
        return status

    def roles(self):
        """{name: [pid, …]} of the running roles, found as the children of master."""
        found = {}
        if not self.process or not self.process.running():
            return found
        found["master"] = [self.process.pid]
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                fields = (entry / "stat").read_text().rsplit(") ", 1)
                if int(fields[1].split()[1]) == self.process.pid:
                    found.setdefault(fields[0].split(" (", 1)[1], []).append(int(entry.name))
            except (OSError, IndexError):
                continue  # it ended meanwhile
        return found

    def cpu_seconds(self):
        """{role: CPU seconds so far}, from /proc/PID/stat, with what ended children of the role took."""
        tick = os.sysconf("SC_CLK_TCK")
        used = {}
        for name, pids in self.roles().items():
            for pid in pids:
                fields = pathlib.Path("/proc/%d/stat" % pid).read_text().rsplit(") ", 1)[1].split()
                used[name] = used.get(name, 0) + (int(fields[11]) + int(fields[12])) / tick
        return used

    def queue_length(self):
        """Recipients that wait or are being delivered."""
        return self.json("queue", "show")["recipients"]

    def wait_until_empty(self, seconds=60):
        wait_until(lambda: self.queue_length() == 0, seconds, "the queue is empty")


def onboard(behalf, customer, domain, approach, publish, seconds=30):
    """Puts a customer's domain on board: `publish(lines)` gets the records asked of the customer, as zone-file lines.
    Returns the result of the last check; TestWorldError when the domain does not open in time."""
    known = {c["name"] for c in behalf.json("customer", "list")}
    if customer not in known:
        behalf.json("customer", "add", customer)
    behalf.json("domain", "add", domain, "--customer", customer, "--approach", approach)
    publish([line for line in behalf.call("domain", "records", domain, "--format", "zone").splitlines()
             if line.strip() and not line.startswith(";")])
    last = {}

    def opened():
        last.update(behalf.json("domain", "check", domain))
        return last.get("state") == "verified"

    try:
        wait_until(opened, seconds, "%s verified" % domain)
    except TestWorldError as error:
        raise TestWorldError("%s\n%s" % (error, json.dumps(last, indent=2))) from None
    return last


def add_credential(behalf, customer):
    """(user name, password) for SMTP submission."""
    made = behalf.json("credential", "add", "--customer", customer)
    return made["username"], made["password"]
