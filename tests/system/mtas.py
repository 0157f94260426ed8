"""Mail servers of others, as receivers and as a customer's own server that hands its mail to behalf: Exim and OpenSMTPD as
Debian builds them, and a second Postfix.

Each is a class with the life of the other peers: start(), stop(), new_messages(), wait_for(count), log(). As receivers they
keep what comes for anybody at `domain`, at address:25 with STARTTLS; with `smarthost` = (host, port, user, password) all other
mail goes there, with STARTTLS and AUTH. Bounces that come back for `domain` are kept as well."""
import os
import pathlib
import re
import shutil
import time

from peers import Postfix, Received
from processes import Process, TestWorldError, port_answers, run, wait_until
from world import ROOT

UNPACKED = ROOT / ".cache/peers"
EXIM = UNPACKED / "exim4-daemon-light/usr/sbin/exim4"
OPENSMTPD = UNPACKED / "opensmtpd/usr/sbin/smtpd"
USERS = {"Debian-exim": 61990, "opensmtpd": 61991, "opensmtpq": 61992}


def add_users(folder):
    """The users that these servers were compiled with, in this mount namespace alone."""
    for name, line in (("passwd", "%(n)s:x:%(i)d:%(i)d::/nonexistent:/usr/sbin/nologin\n"), ("group", "%(n)s:x:%(i)d:\n")):
        real = pathlib.Path("/etc") / name
        text = real.read_text()
        missing = [(n, i) for n, i in USERS.items() if not re.search("^%s:" % n, text, re.M)]
        if missing:
            copy = folder / ("etc-" + name)
            copy.write_text(text + "".join(line % {"n": n, "i": i} for n, i in missing))
            copy.chmod(0o644)
            run("mount", "--bind", copy, real)


class Mta:
    """What they have in common: a folder, a copy of the certificate that they may read, a place for what comes."""

    def __init__(self, world, name, address, smarthost=None):
        self.domain, self.host, self.address, self.smarthost = name + ".example", "mx.%s.example" % name, address, smarthost
        self.folder, self.process, self.taken, self.world = world.folder / ("mta-" + name), None, set(), world
        self.kept = self.folder / "mail"

    def prepare(self, user):
        self.folder.mkdir()
        add_users(self.folder)
        self.kept.mkdir()
        for suffix in ("pem", "key"):
            shutil.copy(self.world.folder / ("tls." + suffix), self.folder)
            (self.folder / ("tls." + suffix)).chmod(0o640)
            shutil.chown(self.folder / ("tls." + suffix), "root", user)
        run("ip", "addr", "add", self.address + "/32", "dev", "lo", check=False)
        self.world.publish("example", ["%s MX 10 %s." % (self.domain + ".", self.host), "%s. A %s" % (self.host, self.address)])

    def wait_until_it_listens(self):
        self.process.wait_for(lambda: port_answers(self.address, 25))

    def log(self):
        return self.process.tail(40)

    def files(self):
        return [p for p in self.kept.rglob("*") if p.is_file() and not p.name.startswith(".") and p.parent.name != "tmp"]

    def new_messages(self):
        """What arrived since the last call, oldest first."""
        paths = [p for p in self.files() if p not in self.taken]
        self.taken.update(paths)
        return [parse(p.read_bytes()) for p in sorted(paths, key=lambda p: p.stat().st_mtime_ns)]

    def wait_for(self, count, seconds=40):
        got, end = [], time.monotonic() + seconds
        while len(got) < count:
            got += self.new_messages()
            if time.monotonic() > end:
                raise TestWorldError("%d of %d messages arrived at %s; its log:\n%s" % (len(got), count, self.host, self.log()))
            time.sleep(0.05)
        return got

    def stop(self):
        if self.process:
            self.process.stop()


def parse(stored):
    """Takes off what the server put before the message, its Received the last of it."""
    rest, fields = re.sub(rb"\r?\n", b"\r\n", stored), {}
    while "received" not in fields:
        match = re.match(rb"(Return-Path|Delivered-To|Envelope-To|Received): ?((?:[^\r]|\r\n[ \t])*)\r\n", rest, re.IGNORECASE)
        if not match:
            raise TestWorldError("the server stored no Received:\n%r" % stored[:500])
        fields[match.group(1).decode().lower()] = re.sub(r"\s+", " ", match.group(2).decode("utf-8", "replace"))
        rest = rest[match.end():]
    line = fields["received"]
    client = re.search(r"\[(?:IPv6:)?([0-9a-fA-F.:]+)\]", line)
    helo = re.search(r"helo=(\S+?)\)", line) or re.match(r"from (\S+)", line)
    to = fields.get("envelope-to", fields.get("delivered-to", ""))
    got = Received(rest, client.group(1) if client else "", helo.group(1) if helo else "", fields.get("return-path", "").strip("<>"),
                    to.strip("<>"), bool(re.search(r"with \S*smtps", line, re.IGNORECASE)))
    got.received = line
    return got


class Exim(Mta):
    available, takes_tls = EXIM.exists(), True

    def __init__(self, world, address, smarthost=None):
        super().__init__(world, "exim", address, smarthost)

    def configuration(self):
        host, port, user, password = self.smarthost or ("127.0.0.1", 1, "", "")
        return """
primary_hostname = %(host)s
exim_path = %(exim)s
spool_directory = %(folder)s/spool
log_file_path = %(folder)s/spool/%%slog
pid_file_path = %(folder)s/spool/pid
local_interfaces = %(address)s
daemon_smtp_ports = 25
domainlist ours = %(domain)s
acl_smtp_rcpt = all
acl_smtp_data = all
acl_smtp_predata = all
tls_advertise_hosts = *
tls_certificate = %(folder)s/tls.pem
tls_privatekey = %(folder)s/tls.key
chunking_advertise_hosts = *
smtputf8_advertise_hosts = *
dsn_advertise_hosts = *
message_size_limit = 64M
deliver_drop_privilege = true
host_lookup =
rfc1413_hosts =
keep_environment =
add_environment = PATH=/usr/bin:/bin
queue_run_in_order = false
begin acl
all:
  accept
begin routers
keep:
  driver = accept
  domains = +ours
  transport = keep
smart:
  driver = manualroute
  domains = ! +ours
  transport = smart
  route_list = * %(to)s byname
  self = send
begin transports
keep:
  driver = appendfile
  directory = %(folder)s/mail
  maildir_format
  create_directory
  return_path_add
  envelope_to_add
smart:
  driver = smtp
  port = %(port)d
  hosts_require_tls = *
  hosts_require_auth = *
  hosts_try_chunking = *
  tls_verify_certificates = %(ca)s
  tls_verify_hosts = *
  tls_verify_cert_hostnames =
begin retry
* * F,1h,2s
begin authenticators
plain:
  driver = plaintext
  public_name = PLAIN
  client_send = ^%(user)s^%(password)s
""" % {"host": self.host, "exim": EXIM, "folder": self.folder, "address": self.address, "domain": self.domain, "to": host,
       "port": port, "user": user, "password": password, "ca": self.world.folder / "ca.pem"}

    def start(self):
        self.prepare("Debian-exim")
        for path in (self.kept, self.folder / "spool"):
            path.mkdir(exist_ok=True)
            shutil.chown(path, "Debian-exim", "Debian-exim")
        config = self.folder / "exim.conf"
        config.write_text(self.configuration())
        config.chmod(0o640)
        shutil.chown(config, "root", "Debian-exim")
        self.process = Process("exim", [EXIM, "-C", config, "-bdf", "-q2s"], self.folder / "exim.out")
        self.wait_until_it_listens()

    def files(self):
        new = self.kept / "new"
        return list(new.iterdir()) if new.is_dir() else []

    def log(self):
        return super().log() + "".join(p.read_text(errors="replace")[-3000:] for p in (self.folder / "spool").glob("*log"))


class OpenSmtpd(Mta):
    """Its paths are compiled in: /var/lib, /var/spool and /usr/libexec are our own while it runs, and given back at its end."""
    available = OPENSMTPD.exists()
    takes_tls = False  # Debian 12's build cannot finish a handshake as a server: its key process and OpenSSL 3 ("missing private key")
    HIDDEN = ("/var/lib", "/var/spool", "/usr/libexec")

    def __init__(self, world, address, smarthost=None):
        super().__init__(world, "opensmtpd", address, smarthost)

    def configuration(self):
        lines = ['pki ours cert "%s/tls.pem"' % self.folder, 'pki ours key "%s/tls.key"' % self.folder,
                 'ca world cert "%s/ca.pem"' % self.world.folder,
                 'smtp max-message-size 64M',
                 'table all { "@" = nobody }', 'table secrets "file:%s/secrets"' % self.folder,
                 'listen on %s port 25 tls pki ours hostname %s' % (self.address, self.host),
                 'action keep mda "/bin/sh %s/keep %%{sender} %%{rcpt}" virtual <all>' % self.folder,
                 'match from any for domain "%s" action keep' % self.domain]
        if self.smarthost:
            lines += ['action smart relay host "smtp+tls://us@%s:%d" auth <secrets> tls no-verify' % self.smarthost[:2],
                      'match from any for any action smart']
        return "\n".join(lines) + "\n"

    def start(self):
        self.prepare("root")
        (self.folder / "tls.key").chmod(0o600)
        self.kept.chmod(0o777)
        (self.folder / "secrets").write_text("us %s:%s\n" % self.smarthost[2:] if self.smarthost else "")
        (self.folder / "secrets").chmod(0o640)
        shutil.chown(self.folder / "secrets", "root", "opensmtpd")
        (self.folder / "keep").write_text("""file=$(mktemp %s/.XXXXXXXXXX) && cat >"$file" && chmod 644 "$file" &&
mv "$file" "%s/$(basename "$file" | cut -c2-)"
""" % (self.kept, self.kept))
        for path in self.HIDDEN[:2]:
            run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", path)
        run("mount", "--bind", UNPACKED / "opensmtpd/usr/libexec", "/usr/libexec")
        os.makedirs("/var/lib/opensmtpd/empty", 0o755)
        os.makedirs("/var/spool/smtpd", 0o711)
        config = self.folder / "smtpd.conf"
        config.write_text(self.configuration())
        config.chmod(0o640)
        self.process = Process("smtpd", [OPENSMTPD, "-d", "-v", "-f", config], self.folder / "smtpd.log")
        self.wait_until_it_listens()

    def stop(self):
        super().stop()
        for path in self.HIDDEN:
            run("umount", "-l", path, check=False)
        pathlib.Path("/var/run/smtpd.sock").unlink(missing_ok=True)


class SendingPostfix(Postfix):
    """A Postfix that takes anything and hands it to behalf."""

    def __init__(self, world, address, smarthost):
        super().__init__(world.folder / "postfix-sending", [address], "mx.postfix.example", "postfix.example",
                         world.folder / "tls.pem", world.folder / "tls.key")
        self.world, self.address, self.smarthost = world, address, smarthost

    def start(self):
        host, port, user, password = self.smarthost
        run("ip", "addr", "add", self.address + "/32", "dev", "lo", check=False)
        self.world.publish("example", ["postfix MX 10 mx.postfix", "mx.postfix A " + self.address])
        self.configure()
        secrets = self.folder / "etc/secrets"
        secrets.write_text("[%s]:%d %s:%s\n" % self.smarthost)
        with open(self.folder / "etc/main.cf", "a", encoding="ascii") as main:
            main.write("\n".join(["relayhost = [%s]:%d" % (host, port), "smtp_tls_security_level = verify",
                                  "smtp_tls_verify_cert_match = smtp.esp.example", "smtp_tls_CAfile = %s/ca.pem" % self.world.folder,
                                  "smtp_sasl_auth_enable = yes", "smtp_sasl_password_maps = texthash:%s" % secrets,
                                  "smtp_sasl_security_options = noanonymous", "smtp_bind_address = " + self.address,
                                  ""]))
        # its own clients are on this machine
        text = (self.folder / "etc/main.cf").read_text().replace(
            "reject_unauth_destination", "permit_mynetworks, reject").replace("mynetworks = \n", "mynetworks = 127.0.0.0/8, 203.0.113.0/24\n")
        (self.folder / "etc/main.cf").write_text(text)
        run("postfix", "-c", self.folder / "etc", "start", timeout=60)
        wait_until(lambda: port_answers(self.address, 25), 15, "the sending postfix")


