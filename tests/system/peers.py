"""The peers in the test world: Knot (the root and the parents), unbound (everybody's resolver), Postfix (a receiver); other
mail servers are in mtas.py.

Each has a folder of its own and is configured from scratch; nothing of the machine's own /etc is used."""
import email
import pathlib
import re
import shutil
import time

import dns.exception
import dns.message
import dns.query
from processes import Process, TestWorldError, port_answers, run, wait_until

TTL = 60


class Knot:
    """Authoritative for the root, `example` and whatever zone a test adds, on one address."""

    def __init__(self, folder, address):
        self.folder, self.address = pathlib.Path(folder), address
        self.folder.mkdir(parents=True)
        self.zones = {}
        self.serial = int(time.time())
        self.process = None
        self.glue = "ns.root-servers.example"
        self.update_key = None  # (name, secret): may change the zones by DNS UPDATE

    def add_zone(self, name, *records):
        """A zone with SOA and NS here; `records` are "owner type data" with owners relative to it, or "@"."""
        self.zones[name] = list(records)

    def _zone_text(self, name):
        self.serial += 1
        head = ["$ORIGIN %s." % name if name else "$ORIGIN .", "$TTL %d" % TTL,
                "@ SOA %s. hostmaster.%s. %d 3600 600 86400 1" % (self.glue, self.glue, self.serial),
                "@ NS %s." % self.glue]
        return "\n".join(head + self.zones[name]) + "\n"

    def _write(self, name):
        path = self.folder / ("%s.zone" % (name or "root"))
        path.write_text(self._zone_text(name))
        return path

    def start(self):
        config = ["server:", "    rundir: %s" % self.folder, "    listen: %s@53" % self.address, "    user: root:root",
                  "    udp-workers: 1", "    tcp-workers: 1", "    background-workers: 1",
                  "control:", "    listen: %s/knot.sock" % self.folder,
                  "database:", "    storage: %s" % self.folder,
                  "log:", "  - target: stderr", "    any: info",
                  *self._update_sections(), "template:", "  - id: default", "    storage: %s" % self.folder, "    zonefile-load: whole",
                  "    journal-content: none", "    semantic-checks: off"]
        if self.update_key:
            config += ["    acl: update"]
        config += ["zone:"]
        for name in self.zones:
            config += ["  - domain: \"%s.\"" % name, "    file: %s" % self._write(name)]
        (self.folder / "knot.conf").write_text("\n".join(config) + "\n")
        self.process = Process("knotd", ["knotd", "-c", self.folder / "knot.conf"], self.folder / "knotd.log")
        self.process.wait_for(lambda: self.soa_served("") and self.soa_served("example"))

    def _update_sections(self):
        if not self.update_key:
            return []
        name, secret = self.update_key
        return ["key:", "  - id: %s" % name, "    algorithm: hmac-sha256", "    secret: %s" % secret,
                "acl:", "  - id: update", "    key: %s" % name, "    action: update"]

    def soa_served(self, name, serial=None):
        """True when the server answers for the zone, with that serial if one is given."""
        query = dns.message.make_query((name or "") + ".", "SOA")
        try:
            answer = dns.query.udp(query, self.address, timeout=1).answer
        except (OSError, dns.exception.DNSException):
            return False
        return bool(answer) and (serial is None or answer[0][0].serial == serial)

    def set_records(self, name, records):
        """Replaces the records of a served zone and returns when they are served."""
        self.zones[name] = list(records)
        self._write(name)
        serial = self.serial
        run("knotc", "-s", self.folder / "knot.sock", "zone-reload", name + ".")
        wait_until(lambda: self.soa_served(name, serial), 5, "knot serves the new " + name)

    def add_records(self, name, records):
        self.set_records(name, self.zones[name] + list(records))

    def stop(self):
        if self.process:
            self.process.stop()


class Bind:
    """A customer's own name server: BIND, authoritative for some zones on one address."""

    def __init__(self, folder, address):
        self.folder, self.address = pathlib.Path(folder), address
        self.folder.mkdir(parents=True)
        self.folder.chmod(0o777)
        self.zones, self.serial, self.process, self.keys = {}, 1, None, ""

    def add_zone(self, name, *records, allow_update=None):
        """`records` are master file lines, SOA left out; `allow_update` names a key of self.keys."""
        self.zones[name] = (list(records), allow_update)

    def set_records(self, name, records):
        self.zones[name] = (list(records), self.zones[name][1])
        self._write(name)
        run("rndc", "-c", self.folder / "rndc.conf", "reload", name)
        wait_until(lambda: self.serial_of(name) == self.serial, 5, "BIND serves the new " + name)

    def serial_of(self, name):
        try:
            answer = dns.query.udp(dns.message.make_query(name + ".", "SOA"), self.address, timeout=1).answer
        except (OSError, dns.exception.DNSException):
            return None
        return answer[0][0].serial if answer else None

    def _write(self, name):
        self.serial += 1
        lines = ["$ORIGIN %s." % name, "$TTL %d" % TTL, "@ SOA ns hostmaster %d 3600 600 86400 1" % self.serial]
        path = self.folder / (name + ".zone")
        path.write_text("\n".join(lines + self.zones[name][0]) + "\n")
        path.chmod(0o666)
        return path

    def start(self):
        key = 'key "rndc" { algorithm hmac-sha256; secret "c2VjcmV0IG9mIHRoZSB0ZXN0IHdvcmxk"; };\n'
        zones = "".join('zone "%s" { type primary; file "%s"; %s };\n' % (
            name, self._write(name), 'allow-update { key "%s"; };' % update if update else "")
            for name, (_, update) in self.zones.items())
        (self.folder / "rndc.conf").write_text(key + 'options { default-key "rndc"; default-server %s; default-port 953; };\n'
                                               % self.address)
        (self.folder / "named.conf").write_text(
            key + self.keys + 'controls { inet %(a)s port 953 allow { any; } keys { "rndc"; }; };\n'
            'options { directory "%(f)s"; listen-on port 53 { %(a)s; }; listen-on-v6 { none; }; recursion no;\n'
            'pid-file "%(f)s/pid"; session-keyfile "%(f)s/session.key"; managed-keys-directory "%(f)s"; };\n'
            % {"a": self.address, "f": self.folder} + zones)
        self.process = Process("named", ["named", "-g", "-n", "1", "-c", self.folder / "named.conf"], self.folder / "named.log")
        self.process.wait_for(lambda: all(self.serial_of(name) for name in self.zones))

    def stop(self):
        if self.process:
            self.process.stop()


class Unbound:
    """The resolver of the whole world, from our own root; with a control socket, so that a test can empty its cache."""

    def __init__(self, folder, address, root_address, extra="cache-max-negative-ttl: 1"):
        self.folder, self.address, self.root_address, self.extra = pathlib.Path(folder), address, root_address, extra
        self.folder.mkdir(parents=True)
        self.process = None

    def start(self):
        hints = self.folder / "root.hints"
        hints.write_text(". 3600 NS ns.root-servers.example.\nns.root-servers.example. 3600 A %s\n" % self.root_address)
        (self.folder / "unbound.conf").write_text("""server:
  interface: %(address)s
  port: 53
  access-control: 0.0.0.0/0 allow
  username: ""
  chroot: ""
  directory: "%(folder)s"
  pidfile: "%(folder)s/unbound.pid"
  use-syslog: no
  do-daemonize: no
  root-hints: "%(folder)s/root.hints"
  module-config: "iterator"
  do-not-query-localhost: no
  local-zone: "example." nodefault
  %(extra)s
  infra-host-ttl: 5
  qname-minimisation: yes
  num-threads: 1
remote-control:
  control-enable: yes
  control-interface: %(folder)s/control.sock
  control-use-cert: no
""" % {"address": self.address, "folder": self.folder, "extra": self.extra})
        self.process = Process("unbound", ["unbound", "-d", "-c", self.folder / "unbound.conf"], self.folder / "unbound.log")
        self.process.wait_for(lambda: port_answers(self.address, 53))

    def flush(self):
        """Forgets everything: what was just published is seen at once."""
        run("unbound-control", "-c", self.folder / "unbound.conf", "flush_zone", ".")
        run("unbound-control", "-c", self.folder / "unbound.conf", "flush_infra", "all")

    def stop(self):
        if self.process:
            self.process.stop()


class Received:
    """A message as the receiver stored it: the bytes that were sent, and what the receiver noted about the session."""

    def __init__(self, raw, client, helo, mail_from, rcpt_to, tls):
        self.raw, self.client, self.helo, self.mail_from, self.rcpt_to = raw, client, helo, mail_from, rcpt_to
        self.tls, self.received = tls, ""  # the receiver's own line, where it is kept
        self.headers = email.message_from_bytes(raw)


class Postfix:
    """A receiving Postfix as Debian ships it: STARTTLS offered, everything at receiver.example goes into a maildir."""

    SERVICES = """pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
proxywrite unix - - n - 1 proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
showq unix n - n - - showq
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
local unix - n n - - local
virtual unix - n n - - virtual
lmtp unix - - n - - lmtp
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
"""

    def __init__(self, folder, addresses, name, domain, certificate, key):
        self.folder, self.addresses, self.name, self.domain = pathlib.Path(folder), addresses, name, domain
        self.certificate, self.key = certificate, key
        self.maildir = self.folder / "mail" / "all"
        self.taken = set()

    def configure(self):
        config = self.folder / "etc"
        config.mkdir(parents=True)
        (self.folder / "queue").mkdir()
        for name, owner in (("data", "postfix"), ("mail", "nobody")):
            (self.folder / name).mkdir()
            shutil.chown(self.folder / name, owner, "nogroup" if owner == "nobody" else "postfix")
        settings = {
            "compatibility_level": "3.6", "queue_directory": self.folder / "queue", "data_directory": self.folder / "data",
            "command_directory": "/usr/sbin", "daemon_directory": "/usr/lib/postfix/sbin", "mail_owner": "postfix",
            "setgid_group": "postdrop", "maillog_file": self.folder / "maillog", "maillog_file_prefixes": self.folder,
            "myhostname": self.name, "mydestination": "", "mynetworks": "", "inet_protocols": "all",
            "inet_interfaces": ", ".join(self.addresses),
            "virtual_mailbox_domains": self.domain, "virtual_mailbox_base": self.folder / "mail",
            "virtual_mailbox_maps": "static:all/", "virtual_uid_maps": "static:65534", "virtual_gid_maps": "static:65534",
            "virtual_mailbox_limit": "0", "mailbox_size_limit": "0", "message_size_limit": "67108864",
            "smtpd_relay_restrictions": "reject_unauth_destination", "smtpd_tls_security_level": "may",
            "smtpd_tls_cert_file": self.certificate, "smtpd_tls_key_file": self.key, "smtpd_tls_received_header": "yes",
            "smtputf8_enable": "yes", "enable_original_recipient": "no", "alias_maps": "", "alias_database": "",
            "smtpd_client_connection_rate_limit": "0", "smtpd_peername_lookup": "no", "header_size_limit": "1048576",
            "smtpd_sasl_auth_enable": "no", "always_add_missing_headers": "no", "local_header_rewrite_clients": "",
        }
        (config / "main.cf").write_text("".join("%s = %s\n" % pair for pair in settings.items()))
        listeners = "".join("%s:25 inet n - n - - smtpd\n" % ("[%s]" % a if ":" in a else a) for a in self.addresses)
        (config / "master.cf").write_text(listeners + self.SERVICES)

    def start(self):
        self.configure()
        run("postfix", "-c", self.folder / "etc", "start", timeout=60)
        wait_until(lambda: port_answers(self.addresses[0], 25), 15, "postfix ready")

    def stop(self):
        run("postfix", "-c", self.folder / "etc", "stop", check=False)

    def log(self):
        path = self.folder / "maillog"
        return path.read_text(errors="replace") if path.exists() else ""

    def new_messages(self):
        """What arrived since the last call, oldest first."""
        folder = self.maildir / "new"
        paths = [p for p in (folder.iterdir() if folder.is_dir() else []) if p.name not in self.taken]
        self.taken.update(p.name for p in paths)
        return [self.parse(p.read_bytes()) for p in sorted(paths, key=lambda p: p.stat().st_mtime_ns)]

    def wait_for(self, count, seconds=30):
        """The next `count` messages; TestWorldError with the log's end when they do not come."""
        got, end = [], time.monotonic() + seconds
        while len(got) < count:
            got += self.new_messages()
            if time.monotonic() > end:
                raise TestWorldError("%d of %d messages arrived; maillog:\n%s" % (len(got), count, self.log()[-3000:]))
            time.sleep(0.02)
        return got

    @staticmethod
    def parse(stored):
        """Takes off what Postfix put before the message (Return-Path, Delivered-To, Received) and reads it."""
        fields = {}
        rest = stored.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        for name in (b"Return-Path", b"Delivered-To", b"Received"):
            match = re.match(rb"%s: ((?:[^\r]|\r\n[ \t])*)\r\n" % name, rest)
            if not match:
                raise TestWorldError("postfix stored no %s:\n%r" % (name.decode(), rest[:500]))
            fields[name] = re.sub(r"\r\n[ \t]+", " ", match.group(1).decode("utf-8", "replace"))
            rest = rest[match.end():]
        received = re.match(r"from (\S+) \(\S+ \[(?:IPv6:)?([^\]]+)\]\)(.*)", fields[b"Received"])
        if not received:
            raise TestWorldError("not understood: " + fields[b"Received"])
        return Received(rest, received.group(2), received.group(1), fields[b"Return-Path"].strip("<>"),
                        fields[b"Delivered-To"], "ESMTPS" in received.group(3) or "UTF8SMTPS" in received.group(3))
