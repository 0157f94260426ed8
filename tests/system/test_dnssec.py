"""Signed zones in the running daemon: unbound validates every kind of answer through a chain of DS records, also in each
step of a roll-over and while signing is turned on and off; ldns-verify-zone agrees; Knot and BIND serve them on.

The parent is a Knot that signs; the hold times are seconds here. Zones: the platform's own, and mail.signed.example."""
import os
import re
import shutil
import signal
import subprocess
import time

import dns.edns
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import pytest
import test_dns
from daemon import make_config, own_uids
from peers import Knot, Unbound
from processes import Process, port_answers, run, wait_until
from world import EGRESS, RESOLVER

PARENT, VALIDATOR = "192.0.2.171", "192.0.2.172"
NS = test_dns.NS
PARENT_ZONE, PLATFORM, DOMAIN = "signed.example", "on.signed.example", "mail.signed.example"
HOLD = 3

pytestmark = pytest.mark.skipif(not shutil.which("ldns-verify-zone"), reason="ldnsutils is not installed")


class SigningKnot(Knot):
    """The same, with its zones signed."""

    def start(self):
        super().start()
        self.process.stop()
        path = self.folder / "knot.conf"
        path.write_text(path.read_text().replace("zonefile-load: whole", "zonefile-load: difference-no-serial")
                        .replace("journal-content: none", "journal-content: all\n    zonefile-sync: -1\n    dnssec-signing: on"))
        self.process = Process("knotd", ["knotd", "-c", self.folder / "knot.conf"], self.folder / "knotd.log")
        self.process.wait_for(lambda: self.soa_served(PARENT_ZONE))

    def soa_served(self, name, serial=None):
        return super().soa_served(PARENT_ZONE)

    def set_records(self, name, records):
        self.zones[name] = list(records)
        self._write(name)
        run("knotc", "-b", "-s", self.folder / "knot.sock", "zone-reload", name + ".")


class Validator(Unbound):
    def start(self):
        super().start()
        self.process.stop()
        key = next(rdata for rrset in ask(PARENT, PARENT_ZONE, "DNSKEY").answer for rdata in rrset if rdata.flags == 257)
        path = self.folder / "unbound.conf"
        path.write_text(path.read_text().replace('module-config: "iterator"', 'module-config: "validator iterator"\n'
                        '  trust-anchor: "%s. DNSKEY %s"\n  val-log-level: 2\n  aggressive-nsec: no' % (PARENT_ZONE, key)))
        self.process = Process("unbound", ["unbound", "-d", "-c", path], self.folder / "unbound.log")
        self.process.wait_for(lambda: port_answers(self.address, 53))


def ask(server, name, kind):
    return dns.query.tcp(dns.message.make_query(name + ".", kind, want_dnssec=True), server, timeout=5)


class Installation(test_dns.Installation):
    """That of test_dns.py, with zones below a parent that signs."""

    def config(self, hidden, dnssec=True):
        listeners = [{"address": a + ":53", "protocol": "dns"} for a in NS]
        sections = {"nameserver ns%d" % (i + 1): {"address": [a]} for i, a in enumerate(NS)}
        for label, address in (("ns3", test_dns.KNOT), ("ns4", test_dns.BIND)):
            sections["secondary " + label] = {"address": [address], "tsig-key": self.folder / "tsig.key", "listed": False}
        sections.update({"egress": {"address": [EGRESS]}, "resolver": {"forward": [RESOLVER + "@53"], "trust-anchor": ""},
                         "processes": {"dnsd": 2}, "dnssec": {"platform": dnssec, "hold": "%ds" % HOLD}})
        options = {"platform": PLATFORM, "state-dir": self.folder / "state", "run-dir": self.folder / "run",
                   "catalog": test_dns.CATALOG, **own_uids()}
        return make_config(options, listeners, **sections)

    def keys(self, domain):
        return self.behalf.json("dns", "keys", domain)

    def states(self, domain):
        return [key["state"] for key in self.keys(domain)["keys"]]

    def ds(self, domain):
        """What `domain records` shows."""
        text = self.behalf.call("domain", "records", domain, "--format", "zone")
        return re.findall(r"(\d+ 13 2 [0-9A-Fa-f]{64})", text)


class World:
    def __init__(self, world, folder):
        self.parent = SigningKnot(folder / "parent", PARENT)
        self.validator = Validator(folder / "validator", VALIDATOR, "198.51.100.1")
        self.here = Installation(folder / "behalf")
        self.records = ["ns A " + PARENT] + ["on NS ns%d.on" % (i + 1) for i in range(2)] + \
            ["ns%d.on A %s" % (i + 1, a) for i, a in enumerate(NS)]
        self.parent.glue = "ns." + PARENT_ZONE
        self.parent.add_zone(PARENT_ZONE, *self.records)
        world.publish("example", ["signed NS ns.signed", "ns.signed A " + PARENT])

    def publish(self, *more):
        self.records = [r for r in self.records if not any(r.split(" DS ")[0] == m.split(" DS ")[0] for m in more
                                                           if " DS " in m and " DS " in r)] + [m for m in more if m[-4:] != "none"]
        self.parent.set_records(PARENT_ZONE, self.records)
        time.sleep(0.5)

    def look(self, name, kind):
        """(response code, authenticated) of the validating resolver, from an empty cache."""
        self.validator.flush()
        answer = ask(VALIDATOR, name, kind)
        return dns.rcode.to_text(answer.rcode()), bool(answer.flags & dns.flags.AD)

    def validates(self, secure=True):
        """Every kind of answer: positive, NODATA, NXDOMAIN, wildcard (addresses of name servers), through CNAMEs too."""
        wanted = {(DOMAIN, "SOA"): "NOERROR", (DOMAIN, "TXT"): "NOERROR", ("_domainkey." + DOMAIN, "TXT"): "NOERROR",
                  (DOMAIN, "AAAA"): "NOERROR", ("nothing." + DOMAIN, "A"): "NXDOMAIN"}
        return {question: found for question, rcode in wanted.items() if (found := self.look(*question)) != (rcode, secure)}


@pytest.fixture(scope="module")
def all_of_it(world):
    for address in NS + (test_dns.KNOT, test_dns.BIND, PARENT, VALIDATOR):
        run("ip", "addr", "add", address + "/32", "dev", "lo", check=False)
    folder = world.folder / "dnssec"
    folder.mkdir()
    folder.chmod(0o755)
    made = World(world, folder)
    try:
        made.parent.start()
        made.validator.start()
        made.here.behalf.start()
        made.here.behalf.json("customer", "add", "alpha")
        yield made
    finally:
        made.here.stop()
        made.validator.stop()
        made.parent.stop()


def wait_for_states(w, domain, states, limit=60):
    wait_until(lambda: w.here.states(domain) == states, limit, "%s: keys %s" % (domain, states))


def test_turned_on(all_of_it):
    w = all_of_it
    w.here.behalf.json("domain", "add", DOMAIN, "--customer", "alpha", "--approach", "delegation", "--dnssec", "on")
    wait_until(lambda: w.here.ds(DOMAIN), 20, "a new domain's DS is shown at once")
    text = w.here.behalf.call("domain", "records", DOMAIN, "--format", "zone")
    w.publish(*["mail NS " + line.split()[-1] for line in text.splitlines() if re.search(r"\sNS\s", line)],
              "mail 2 DS " + w.here.ds(DOMAIN)[0])
    w.here.behalf.json("domain", "check", DOMAIN)
    wait_for_states(w, DOMAIN, ["active"])
    wait_until(lambda: not w.validates(), 20, "the domain validates")
    assert "CDS" in str(ask(NS[0], DOMAIN, "CDS").answer[0])


def test_the_platform_too(all_of_it):
    w = all_of_it
    wait_until(lambda: w.here.ds(PLATFORM), 20 + HOLD, "the platform's DS is shown after the hold")
    w.publish("on 2 DS " + w.here.ds(PLATFORM)[0])
    wait_for_states(w, PLATFORM, ["active"])
    host = str(ask(NS[0], DOMAIN, "NS").answer[0][0].target)[:-1]
    wait_until(lambda: w.look(host, "A") == ("NOERROR", True), 20, "a wildcard validates")
    assert w.look(host, "AAAA") == ("NOERROR", True)
    assert w.look("nothing." + PLATFORM, "A") == ("NXDOMAIN", True)
    assert w.look("rua." + PLATFORM, "MX") == ("NOERROR", True)  # through our own DS


def transferred(server, zone):
    return run("kdig", "+tcp", "+noall", "+answer", "@" + server, zone, "AXFR", "-y",
               "hmac-sha256:%s:%s" % (test_dns.KEY, test_dns.SECRET)).stdout


def test_whole_zones_verify(all_of_it):
    w = all_of_it
    zones = [DOMAIN, PLATFORM, "rua." + PLATFORM]
    zones.append(re.search(r"(\w\w\.dkim\.on\.signed\.example)\.\s", transferred(NS[0], PLATFORM)).group(1))
    for zone in zones:
        path = w.here.folder / "transferred"
        lines = [line for line in transferred(NS[0], zone).splitlines() if line and not line.startswith(";")]
        path.write_text("\n".join(lines[:-1]) + "\n")
        said = subprocess.run(["ldns-verify-zone", "-V", "2", path], capture_output=True, text=True)
        assert said.returncode == 0, (zone, said.stdout + said.stderr)


def test_secondaries_serve_the_same(all_of_it):
    w = all_of_it
    w.here.start_knot()
    w.here.start_bind()
    for server in (test_dns.KNOT, test_dns.BIND):
        for zone in (DOMAIN, PLATFORM):
            wait_until(lambda: test_dns.serial(server, zone) == test_dns.serial(NS[0], zone), 60, "%s has %s" % (server, zone))
        for name in ("nothing." + DOMAIN, "x.ns1." + PLATFORM):
            ours, theirs = ask(NS[0], name, "A"), ask(server, name, "A")
            kinds = [sorted((r.name, r.rdtype) for r in (m.answer + m.authority) if r.rdtype != dns.rdatatype.NS)
                     for m in (ours, theirs)]
            assert kinds[0] == kinds[1], (server, str(ours), str(theirs))


def test_rolled(all_of_it):
    """In each state on the way, every kind of answer validates."""
    w = all_of_it
    old = w.here.ds(DOMAIN)[0]
    w.here.behalf.json("dns", "roll", DOMAIN)
    wait_for_states(w, DOMAIN, ["active", "new"])
    assert not w.validates() and w.here.ds(DOMAIN) == [old]
    wait_for_states(w, DOMAIN, ["active", "ready"], 20 + HOLD)
    new = w.here.ds(DOMAIN)[0]
    assert new != old and not w.validates()
    assert [str(r).split()[0] for r in ask(NS[0], DOMAIN, "CDS").answer[0]] == [new.split()[0]]
    w.publish("mail 2 DS " + new)
    wait_for_states(w, DOMAIN, ["retired", "active"])
    assert not w.validates()
    assert w.here.behalf.json("dns", "keys", DOMAIN)["dnssec"]


def test_the_old_key_goes(all_of_it):
    """After the hold and the DS's TTL: one key in the zone, signatures by it alone, and everything validates."""
    w = all_of_it
    wait_for_states(w, DOMAIN, ["active"], 30 + HOLD)
    tag = str(w.here.keys(DOMAIN)["keys"][0]["tag"])
    wait_until(lambda: len(ask(NS[0], DOMAIN, "DNSKEY").answer[0]) == 1, 20, "one key is left")
    assert {str(rdata).split()[6] for rrset in ask(NS[0], DOMAIN, "SOA").answer for rdata in rrset
            if rrset.rdtype == dns.rdatatype.RRSIG} == {tag}
    assert not w.validates()


def test_keyd_killed_while_it_signs(all_of_it):
    """A roll of the platform's key signs all of its zones anew; keyd is killed again and again meanwhile."""
    w = all_of_it
    old = w.here.ds(PLATFORM)[0]
    w.here.behalf.json("dns", "roll", PLATFORM)
    for _ in range(5):
        for pid in w.here.behalf.roles().get("keyd", []):
            os.kill(pid, signal.SIGKILL)
        assert w.look("nothing." + PLATFORM, "A") == ("NXDOMAIN", True)
        time.sleep(0.3)
    wait_for_states(w, PLATFORM, ["active", "ready"], 60 + HOLD)
    wait_until(lambda: len([r for s in ask(NS[0], PLATFORM, "SOA").answer if s.rdtype == dns.rdatatype.RRSIG for r in s]) == 2,
               60, "both keys sign")
    assert w.look("nothing." + PLATFORM, "A") == ("NXDOMAIN", True) and w.look("rua." + PLATFORM, "MX") == ("NOERROR", True)
    new = w.here.ds(PLATFORM)[0]
    assert new != old
    w.publish("on 2 DS " + new)
    wait_for_states(w, PLATFORM, ["active"], 60 + HOLD)
    wait_until(lambda: len(ask(NS[0], PLATFORM, "DNSKEY").answer[0]) == 1, 20, "one key is left")
    assert w.look("nothing." + PLATFORM, "A") == ("NXDOMAIN", True) and w.look("rua." + PLATFORM, "MX") == ("NOERROR", True)
    signing = w.here.behalf.json("dns", "stats")["signing"]
    print(signing)
    assert signing["zones"] >= 3 and signing["signatures_made"] > 0 and signing["days_left"] >= 20


def test_a_registrable_domain(all_of_it, world):
    """The DS of a domain right below a public suffix is the registry's; one that fits no key is named, with what is right."""
    w = all_of_it
    w.here.behalf.json("domain", "add", "shop.example", "--customer", "alpha", "--approach", "delegation", "--dnssec", "on")
    wait_until(lambda: w.here.ds("shop.example"), 20, "its DS is shown")
    text = w.here.behalf.call("domain", "records", "shop.example", "--format", "zone")
    delegation = ["shop NS " + line.split()[-1] for line in text.splitlines() if re.search(r"\sNS\s", line)]
    world.publish("example", delegation + ["shop DS 1 13 2 " + "00" * 32])

    def fix():
        checked = w.here.behalf.json("domain", "check", "shop.example")
        return {p["code"]: p["fix"] for p in checked["problems"]}.get("ds_without_key", "")

    # it is served from the first check on that sees the delegation; until then there are no keys to compare with
    wait_until(lambda: w.here.ds("shop.example")[0] in fix(), 30, "the DS that fits no key is named")
    assert w.here.states("shop.example") == ["ready"]
    world.publish("example", delegation + ["shop DS " + w.here.ds("shop.example")[0]])
    wait_for_states(w, "shop.example", ["active"], 30)
    assert not fix()


def cookie_of(cookie):
    """What one of the name servers makes of this cookie."""
    query = dns.message.make_query(DOMAIN + ".", "SOA", use_edns=0, options=[dns.edns.GenericOption(10, cookie)])
    answer = dns.query.udp(query, NS[0], timeout=5)
    return next(option for option in answer.options if option.otype == 10).to_wire()


def test_name_servers_share_cookie_secrets(all_of_it):
    """A good cookie comes back as it is; who does not know its secret makes another, with a later time in it."""
    first = cookie_of(b"8 bytes!")
    assert len(first) == 24
    time.sleep(1.1)
    assert {cookie_of(first) for _ in range(24)} == {first}
    assert cookie_of(first[:-1] + bytes([first[-1] ^ 1])) != first


def test_a_killed_controld_signs_nothing_anew(all_of_it):
    w = all_of_it
    before = transferred(NS[0], PLATFORM)
    os.kill(w.here.behalf.roles()["controld"][0], signal.SIGKILL)
    wait_until(lambda: w.here.behalf.call("dns", "keys", PLATFORM, check=False), 20, "controld is back")
    time.sleep(1)
    after = transferred(NS[0], PLATFORM)
    strip = lambda text: sorted(line for line in text.splitlines() if line and not line.startswith(";"))  # noqa: E731
    assert strip(before) == strip(after)


def test_turned_off(all_of_it):
    w = all_of_it
    w.here.behalf.json("domain", "set", DOMAIN, "--dnssec", "off")
    wait_until(lambda: "0 0 0 00" in str(ask(NS[0], DOMAIN, "CDS").answer), 20, "CDS says delete")
    assert not w.here.ds(DOMAIN) and not w.validates()
    w.publish("mail 2 DS none")
    wait_until(lambda: not w.validates(secure=False), 20, "insecure, as the parent says")
    wait_until(lambda: not w.here.states(DOMAIN), 60 + HOLD, "the keys are gone, once nobody can remember the DS")
    wait_until(lambda: not ask(NS[0], DOMAIN, "DNSKEY").answer, 20, "unsigned")
    assert not [r for s in ask(NS[0], DOMAIN, "SOA").answer for r in s if r.rdtype == dns.rdatatype.RRSIG]
    assert not w.validates(secure=False)
