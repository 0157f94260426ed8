"""The little world of ./run: everything on loopback, high ports, no root, nothing but behalf and this folder.

    127.0.0.1, .2   behalf: its name servers ns1 and ns2, submission, bounces
    127.0.0.3       the parents: a second dnsd, `behalf dns serve`, with the zone files of zones/
    127.0.0.4       mx.receiver.example: the sink, which stores what comes
    127.0.0.5       a resolver for whoever judges what the receiver stored"""
import json
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import resolver as little_resolver
from clients import Refused, by_smtplib
from daemon import Behalf, add_credential, make_config, onboard, own_uids
from processes import Process, TestWorldError, port_answers, wait_until

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PLATFORM = "on.esp.example"


class Customer:
    def __init__(self, name, domain, parent, approach, approach_text, local_part):
        self.name, self.domain, self.parent, self.approach = name, domain, parent, approach
        self.approach_text, self.local_part = approach_text, local_part
        self.user = self.password = None


CUSTOMERS = [
    Customer("river", "email.river.example", "river.example", "delegation", "full delegation (NS)", "news"),
    Customer("lantern", "lantern.example", "lantern.example", "cname", "CNAMEs", "hello"),
]


def find_port(addresses, preferred, taken=()):
    """A port that is free on all addresses, for UDP and TCP, and not among `taken`; `preferred` if it is."""
    for port in [preferred] + list(range(20000, 32000, 7)):
        if port in taken:
            continue
        try:
            for address in addresses:
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                    with socket.socket(socket.AF_INET, kind) as sock:
                        if kind == socket.SOCK_STREAM:
                            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                        sock.bind((address, port))
            return port
        except OSError:
            continue
    raise TestWorldError("no free port on %s" % ", ".join(addresses))


class Received:
    """What the sink stored of one transaction."""

    def __init__(self, envelope):
        fields = [line.split(": ", 1) for line in envelope.read_text(errors="replace").splitlines()]
        values = dict(fields)
        self.client, self.helo, self.mail_from = values["client"], values["helo"], values["mail-from"]
        self.rcpt_to = [value for name, value in fields if name == "rcpt-to"]
        self.path = envelope.with_suffix(".eml")
        self.raw = self.path.read_bytes()


class OwnVerdict:
    """The verdict of `behalf verify --json`, in lines for people."""

    ALIGNED = {"strict": "aligned: the same domain as From", "relaxed": "aligned: the same organisational domain as From",
               "none": "not aligned with From"}

    def __init__(self, report):
        self.spf, self.dkim, self.dmarc = report["spf"], report["dkim"], report["dmarc"]
        self.lines = [("SPF", self.spf["result"], "%s, %s" % (
            self.spf["domain"], self.aligned("spf") if self.spf["result"] == "pass" else self.spf["reason"]))]
        for signature in self.dkim:
            why = self.aligned("dkim") if signature["result"] == "pass" else signature["reason"]
            self.lines.append(("DKIM", signature["result"], "d=%s s=%s, %s" % (signature["domain"], signature["selector"], why)))
        if not self.dkim:
            self.lines.append(("DKIM", "none", "no signature"))
        self.lines.append(("DMARC", self.dmarc["result"], "From %s, policy %s of %s: %s" % (
            self.dmarc.get("header_from"), self.dmarc.get("policy"), self.dmarc.get("record_domain"), self._by())))

    def aligned(self, way):
        return self.ALIGNED.get(self.dmarc.get(way + "_alignment"), "")

    def ways(self):
        """Which of SPF and DKIM would be enough alone."""
        return [name for name, way in (("SPF", "spf"), ("DKIM", "dkim")) if self.dmarc.get("alignment", {}).get(way)]

    def _by(self):
        ways = self.ways()
        return "by SPF and by DKIM, each alone sufficient" if len(ways) == 2 else self.dmarc.get("reason", "")

    @property
    def passed(self):
        return self.dmarc["result"] == "pass" and len(self.ways()) == 2

    def agrees_with(self, others):
        return (self.spf["result"], [s["result"] for s in self.dkim], self.dmarc["result"]) == (
            others.spf, [s[0].split(":")[0] for s in others.dkim], others.dmarc)


class LittleWorld:
    refused = Refused

    def __init__(self, build=None):
        self.build = ROOT / (build or os.environ.get("BH_BUILD", "build"))
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="behalf-world."))
        self.folder.chmod(0o755)
        self.mailbox = self.folder / "mail"
        self.mailbox.mkdir()
        self.started, self.seen, self.count = [], set(), 0
        self.behalf = self.parents = None
        self.smtp = self.submission = self.submissions = None
        self.resolver_servers = []

    # -- life --

    def __enter__(self):
        try:
            self._choose_ports()
            self._start()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(self, *_):
        if self.behalf:
            self.behalf.stop()
        for process in reversed(self.started):
            process.stop()
        for server in self.resolver_servers:
            server.shutdown()
            server.server_close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _choose_ports(self):
        self.dns_port = find_port(["127.0.0.1", "127.0.0.2", "127.0.0.3"], 5300)
        self.dns = ("127.0.0.1", self.dns_port)
        self.judge_resolver = ("127.0.0.5", find_port(["127.0.0.5"], 5300))
        self.receiver = ("127.0.0.4", find_port(["127.0.0.4"], 2525))
        taken = [self.dns_port]
        for name, preferred in (("smtp", 2525), ("submission", 5870), ("submissions", 4650)):
            taken.append(find_port(["127.0.0.1"], preferred, taken))
            setattr(self, name, ("127.0.0.1", taken[-1]))

    def _start(self):
        self._make_certificates()
        self.zones = self.folder / "zones"
        shutil.copytree(HERE / "zones", self.zones)
        self._start_parents()
        sink = Process("sink", [self.build / "tests/world/sink", *map(str, self.receiver), self.mailbox],
                       self.folder / "sink.log")
        self.started.append(sink)
        sink.wait_for(lambda: "ready" in sink.tail())
        platform = "127.0.0.1:%d" % self.dns_port
        zones = {"": "127.0.0.3:%d" % self.dns_port, PLATFORM: platform, CUSTOMERS[0].domain: platform}
        self.resolver_servers = little_resolver.serve(self.judge_resolver, little_resolver.Resolver(
            {zone: little_resolver.split_address(address) for zone, address in zones.items()}))
        self.behalf = Behalf(self.build / "behalf", self.folder / "behalf", self._config())
        self.behalf.call("init")
        self.behalf.start()

    def _start_parents(self):
        if self.parents:
            self.parents.stop()
            self.started.remove(self.parents)
        address = "127.0.0.3:%d" % self.dns_port
        self.parents = Process("dns serve", [self.build / "behalf", "dns", "serve", "--listen", address,
                                             *sorted(self.zones.glob("*.zone"))], self.folder / "parents.log")
        self.started.append(self.parents)
        self.parents.wait_for(lambda: port_answers("127.0.0.3", self.dns_port))

    def _make_certificates(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days",
                        "30", "-keyout", str(self.folder / "tls.key"), "-out", str(self.folder / "tls.pem"), "-subj",
                        "/CN=smtp.esp.example", "-addext", "subjectAltName=DNS:smtp.esp.example,IP:127.0.0.1"],
                       check=True, capture_output=True)

    def _config(self):
        at = "%s:%d"
        listeners = [{"address": at % self.smtp, "protocol": "smtp"},
                     {"address": at % self.submission, "protocol": "submission"},
                     {"address": at % self.submissions, "protocol": "submissions"},
                     {"address": at % ("127.0.0.1", self.dns_port), "protocol": "dns"},
                     {"address": at % ("127.0.0.2", self.dns_port), "protocol": "dns"}]
        ours = ["127.0.0.1@%d" % self.dns_port, "127.0.0.2@%d" % self.dns_port]
        # each of the parents' zones by itself: the port of a delegation cannot be told to a resolver
        parents = {"address": "127.0.0.3@%d" % self.dns_port}
        stubs = {"stub example": parents, **{"stub " + c.parent: parents for c in CUSTOMERS},
                 "stub " + PLATFORM: {"address": ours}, "stub " + CUSTOMERS[0].domain: {"address": ours}}
        sections = {"nameserver ns1": {"address": ["127.0.0.1"]}, "nameserver ns2": {"address": ["127.0.0.2"]},
                    "egress": {"address": ["127.0.0.1"], "bind": False},
                    "tls": {"certificate": self.folder / "tls.pem", "key": self.folder / "tls.key"},
                    "resolver": {"trust-anchor": "", **stubs}, "route *": {"host": self.receiver[0], "port": self.receiver[1]}}
        options = {"platform": PLATFORM, "state-dir": self.folder / "behalf/state", "run-dir": self.folder / "behalf/run",
                   "dns-port-override": self.dns_port, "zone-ttl": "60", **own_uids()}
        return "# The configuration of the world of ./run.\n" + make_config(options, listeners, **sections)

    # -- what happens in it --

    def who(self):
        return "its own parents' name server, a receiver and %d customers-to-be" % len(CUSTOMERS)

    def publish(self, customer, lines):
        """What the customer does at his DNS provider: he adds the lines to his zone."""
        with open(self.zones / (customer.parent + ".zone"), "a", encoding="ascii") as zone:
            zone.write("\n".join(lines) + "\n")
        self._start_parents()

    def put_on_board(self, customer):
        """The records asked of the customer, now in his zone; TestWorldError when the domain does not open."""
        asked = []

        def publish(lines):
            asked.extend(lines)
            self.publish(customer, lines)

        onboard(self.behalf, customer.name, customer.domain, customer.approach, publish)
        customer.user, customer.password = add_credential(self.behalf, customer.name)
        return asked

    def submit(self, customer, raw):
        """By SMTP with AUTH over TLS, to a recipient of its own, which is returned."""
        self.count += 1
        recipient = "reader.%d@receiver.example" % self.count
        by_smtplib(raw, (*self.submissions, self.submission[1]), customer.user, customer.password,
                   "%s@%s" % (customer.local_part, customer.domain), [recipient], self.folder / "tls.pem")
        return recipient

    def arrivals(self):
        """What arrived since the last call."""
        new = sorted(p for p in self.mailbox.glob("*.envelope") if p not in self.seen)
        self.seen.update(new)
        return [Received(path) for path in new]

    def wait_for(self, recipient, seconds=30):
        found = []

        def arrived():
            found.extend(r for r in self.arrivals() if recipient in r.rcpt_to)
            return found
        try:
            return wait_until(arrived, seconds, "the message for %s arrives" % recipient)
        except TestWorldError as error:
            raise TestWorldError("%s\n%s" % (error, self.behalf.process.tail())) from None

    def stay(self, on_arrival):
        """Shows what arrives until the user ends it or behalf does."""
        while self.behalf.process.check():
            for received in self.arrivals():
                on_arrival(received)
            time.sleep(0.2)

    # -- the judges --

    def verify(self, received):
        command = [self.build / "behalf", "verify", "--json", "--ip", received.client, "--helo", received.helo, "--mail-from",
                   received.mail_from, "--resolver", "%s:%d" % self.judge_resolver, received.path]
        result = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=30, check=False)
        if not result.stdout.strip():
            raise TestWorldError("behalf verify: exit %d: %s" % (result.returncode, result.stderr))
        return OwnVerdict(json.loads(result.stdout))

    def other_judges(self, received):
        """judge.Verdict of software not written here, or None where it is not installed."""
        try:
            import dns.resolver
            import judge
        except ImportError:
            return None
        mine = dns.resolver.Resolver(configure=False)
        mine.nameservers, mine.port = [self.judge_resolver[0]], self.judge_resolver[1]
        dns.resolver.default_resolver = mine
        return judge.judge(received.raw, received.client, received.helo, received.mail_from)

    @property
    def behalf_command(self):
        return "build/behalf --config %s" % self.behalf.config


if not sys.warnoptions:
    import warnings
    warnings.simplefilter("ignore", DeprecationWarning)  # the judges call dnspython by its old name
