"""The test world: one network and mount namespace with its own root, resolver and receiver. See docs/testing in CONTRIBUTING.

    198.51.100.1      Knot: the root, `example`, and the parents of every sending domain
    127.0.0.1         unbound: the resolver of /etc/resolv.conf
    203.0.113.25      mx.receiver.example: Postfix, storing what comes for anybody@receiver.example
    192.0.2.10        behalf: egress, listed; 192.0.2.66: an address of the same machine that no SPF record lists
    192.0.2.20        behalf: port 25, 465, 587
    198.51.100.53,54  behalf: ns1 and ns2 of the platform domain

Addresses are documentation prefixes put on `lo`; there is no other interface."""
import os
import pathlib
import shutil
import tempfile

from peers import Knot, Postfix, Unbound
from processes import TestWorldError, run

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("BH_BUILD", "build")
CORPORA = pathlib.Path(os.environ.get("BH_CORPORA", ROOT.parent / "shared" / "corpora"))

DNS_ROOT, RESOLVER, RECEIVER, RECEIVER6 = "198.51.100.1", "127.0.0.1", "203.0.113.25", "2001:db8:25::25"
EGRESS, EGRESS6, UNLISTED, SUBMISSION = "192.0.2.10", "2001:db8::10", "192.0.2.66", "192.0.2.20"
NS1, NS2 = "198.51.100.53", "198.51.100.54"
CUSTOMER_NS1, CUSTOMER_NS2 = "198.51.100.61", "198.51.100.62"  # own.example: name servers of a customer's own
PLATFORM = "on.esp.example"


def make_namespace(folder):
    """Addresses, and files of ours in the place of the machine's; refuses to work in the machine's own namespace."""
    links = [line.split(":")[1].strip() for line in run("ip", "-o", "link").stdout.splitlines()]
    if links != ["lo"]:
        raise TestWorldError("not in a network namespace of our own (links: %s); use tests/system/run" % links)
    run("ip", "link", "set", "lo", "up")
    for address in (DNS_ROOT, RECEIVER, EGRESS, UNLISTED, SUBMISSION, NS1, NS2, CUSTOMER_NS1, CUSTOMER_NS2):
        run("ip", "addr", "add", address + "/32", "dev", "lo")
    for address in (RECEIVER6, EGRESS6):
        run("ip", "-6", "addr", "add", address + "/128", "dev", "lo", "nodad", check=False)
    for name, text in (("resolv.conf", "nameserver %s\noptions timeout:2 attempts:2\n" % RESOLVER),
                       ("hosts", "127.0.0.1 localhost\n")):
        (folder / name).write_text(text)
        run("mount", "--bind", folder / name, os.path.realpath("/etc/" + name))
    run("hostname", "world.example")


def make_certificates(folder):
    """A CA of the world and a certificate for every host name in it."""
    names = "DNS:mx.receiver.example,DNS:smtp.esp.example,DNS:%s,DNS:*.%s,IP:%s" % (PLATFORM, PLATFORM, SUBMISSION)
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
        "-keyout", folder / "ca.key", "-out", folder / "ca.pem", "-subj", "/CN=test world CA")
    run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "tls.key",
        "-out", folder / "tls.csr", "-subj", "/CN=smtp.esp.example")
    (folder / "tls.ext").write_text("subjectAltName=%s\n" % names)
    run("openssl", "x509", "-req", "-in", folder / "tls.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
        "-CAcreateserial", "-days", "30", "-extfile", folder / "tls.ext", "-out", folder / "tls.pem")


class World:
    """Everything but behalf. `knot`, `unbound` and `postfix` are running after start()."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="behalf-world."))
        self.folder.chmod(0o755)
        self.knot = Knot(self.folder / "knot", DNS_ROOT)
        self.unbound = Unbound(self.folder / "unbound", RESOLVER, DNS_ROOT)
        self.postfix = Postfix(self.folder / "postfix", [RECEIVER, RECEIVER6], "mx.receiver.example", "receiver.example",
                               self.folder / "tls.pem", self.folder / "tls.key")

    def start(self):
        make_namespace(self.folder)
        make_certificates(self.folder)
        root = self.knot
        root.add_zone("", "ns.root-servers.example. A %s" % DNS_ROOT)
        root.add_zone("example", "ns.root-servers A %s" % DNS_ROOT)
        root.add_zone("esp.example", "on NS ns1.on", "on NS ns2.on", "ns1.on A %s" % NS1, "ns2.on A %s" % NS2,
                      "smtp A %s" % SUBMISSION, "_dmarc TXT \"v=DMARC1; p=reject\"")
        root.add_zone("receiver.example", "@ MX 10 mx", "mx A %s" % RECEIVER, "mx AAAA %s" % RECEIVER6)
        for name in ("customer", "other"):
            root.add_zone(name + ".example", "_dmarc TXT \"v=DMARC1; p=reject; adkim=r; aspf=r\"")
        for name in ("mistakes", "pasted", "parent"):
            root.add_zone(name + ".example", "_dmarc TXT \"v=DMARC1; p=none\"")
        root.zones["example"] += ["own NS ns1.own", "own NS ns2.own", "ns1.own A " + CUSTOMER_NS1, "ns2.own A " + CUSTOMER_NS2]
        root.start()
        self.unbound.start()
        self.postfix.start()

    def publish(self, zone, records):
        """Adds records to a parent's zone and makes the resolver forget what it knew."""
        self.knot.add_records(zone, records)
        self.unbound.flush()

    def stop(self):
        for peer in (self.postfix, self.unbound, self.knot):
            peer.stop()
        if not os.environ.get("BH_KEEP_WORLD"):
            shutil.rmtree(self.folder, ignore_errors=True)
