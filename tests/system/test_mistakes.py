"""Every mistake that people make with the records asked of them, made on purpose in real zones (Knot, BIND): the check
names it with a sentence that can be acted on; put right, the state heals by itself. The table is printed."""
import json
import os
import re
import signal

import dns.message
import dns.query
import pytest
from peers import Bind
from processes import TestWorldError, wait_until
from world import CUSTOMER_NS1, CUSTOMER_NS2

CNAMES, PASTED, BELOW, OWN = "mistakes.example", "pasted.example", "email.parent.example", "own.example"
DMARC = '_dmarc TXT "v=DMARC1; p=none"'


def lines_of(behalf, domain):
    text = behalf.call("domain", "records", domain, "--format", "zone")
    lines = [line.removeprefix("; optional: ") for line in text.splitlines()]
    return [line for line in lines if line.strip() and not line.startswith((";", "_dmarc"))]


def problems_of(report):
    found = list(report["problems"])
    for record in report["records"]:
        found += record["problems"]
    for proof in report["proofs"].values():
        found += proof["problems"]
    return found


class Bench:
    """One domain of one approach, and the zone in which its customer publishes."""

    def __init__(self, world, behalf, domain, zone, approach, *options):
        self.world, self.behalf, self.domain, self.zone = world, behalf, domain, zone
        if "clumsy" not in {c["name"] for c in behalf.json("customer", "list")}:
            behalf.json("customer", "add", "clumsy")
        behalf.json("domain", "add", domain, "--customer", "clumsy", "--approach", approach, *options)
        self.right = lines_of(behalf, domain)
        self.publish(self.right)
        self.heal()

    def publish(self, lines, dmarc=(DMARC,)):
        self.world.knot.set_records(self.zone, list(dmarc) + list(lines))
        self.world.unbound.flush()

    def check(self):
        return self.behalf.json("domain", "check", self.domain)

    def heal(self):
        last = {}

        def healed():
            self.world.unbound.flush()
            last.update(self.check())
            return last["state"] == "verified" and not problems_of(last)
        try:
            wait_until(healed, 20, self.domain + " healed")
        except TestWorldError as error:
            raise TestWorldError("%s: %s %s" % (error, last.get("state"), json.dumps(problems_of(last), indent=1))) from None

    def make(self, code, lines, dmarc=(DMARC,)):
        """Makes the mistake, prints what is said about it, and puts it right."""
        self.publish(lines, dmarc)
        self.expect(code)
        self.publish(self.right)
        self.heal()

    def expect(self, code):
        report = self.check()
        said = {problem["code"]: problem for problem in problems_of(report)}
        assert code in said, (code, json.dumps(problems_of(report), indent=1))
        problem = said[code]
        assert problem["detail"] and problem["fix"], problem
        print("%-20s %-14s %s | to do: %s" % (code, report["state"], problem["detail"][:230], problem["fix"][:230]))
        return problem

    def instead(self, pattern, *replacement):
        """The right lines with those that match replaced."""
        kept = [line for line in self.right if not re.search(pattern, line)]
        assert len(kept) < len(self.right), (pattern, self.right)
        return kept + list(replacement)

    def one(self, pattern):
        return next(line for line in self.right if re.search(pattern, line))


@pytest.fixture(scope="module")
def cnames(world, behalf):
    return Bench(world, behalf, CNAMES, CNAMES, "cname")


@pytest.fixture(scope="module")
def pasted(world, behalf):
    return Bench(world, behalf, PASTED, PASTED, "manual", "--bounces", "customer")


@pytest.fixture(scope="module")
def below(world, behalf):
    return Bench(world, behalf, BELOW, "parent.example", "delegation")


def test_names_typed_wrongly(cnames):
    target = cnames.one(r"^bh1\._domainkey").split()[-1]
    made = cnames.make
    made("doubled_domain", cnames.instead(r"^bh1\.", "bh1._domainkey.%s.%s. CNAME %s" % (CNAMES, CNAMES, target)))
    made("missing_underscore", cnames.instead(r"^bh1\.", "bh1.domainkey CNAME " + target))
    made("wrong_parent", cnames.instead(r"^bh1\.", "bh1._domainkey.www CNAME " + target))
    made("missing", cnames.instead(r"^bh1\."))


def test_values_typed_wrongly(cnames):
    target = cnames.one(r"^bh1\._domainkey").split()[-1]
    made = cnames.make
    made("relative_target", cnames.instead(r"^bh1\.", "bh1._domainkey CNAME " + target.rstrip(".")))
    made("wrong_type", cnames.instead(r"^bh1\.", 'bh1._domainkey TXT "%s"' % target.rstrip(".")))
    made("flattened", cnames.instead(r"^bh1\.", 'bh1._domainkey TXT "v=DKIM1; k=rsa; p=MIIBIjANBgkqhki"'))
    made("proxied", cnames.instead(r"^bounce\.", "bounce A 203.0.113.80"))
    made("wrong_value", cnames.instead(r"^bh1\.", "bh1._domainkey CNAME elsewhere.example."))


def quoted(value):
    return " ".join('"%s"' % value[at:at + 250].replace("\\", "\\\\").replace('"', '\\"') for at in range(0, len(value), 250))


def test_pasted_keys(pasted):
    key = next(r["value"] for r in pasted.check()["records"] if r["purpose"] == "dkim")
    made = pasted.make

    def with_key(*values):
        return pasted.instead(r"^bh1\.", *["bh1._domainkey TXT " + quoted(value) for value in values])
    made("literal_quotes", with_key('"%s"' % key))
    made("escaped_semicolon", with_key(key.replace(";", "\\;")))
    made("truncated_key", with_key(key[:255]))
    made("other_key", with_key(key[:60] + key[61:]))
    made("strange_bytes", pasted.instead(
        r"^bh1\.", "bh1._domainkey TXT " + quoted(key).replace("k=rsa", "k=rsa\\226\\128\\139")))
    made("two_keys", with_key(key, "v=DKIM1; k=rsa; p=MIIBIjANBgkqhki"))
    made("not_a_key", with_key("hello"))
    made("revoked_key", with_key("v=DKIM1; k=rsa; p="))
    made("missing_underscore", pasted.instead(r"^bh1\.", "bh1.domainkey TXT " + quoted(key)))


def test_spf_and_dmarc(pasted):
    made = pasted.make
    made("two_spf", pasted.right + ['@ TXT "v=spf1 mx -all"'])
    made("two_dmarc", pasted.right, dmarc=(DMARC, '_dmarc TXT "v=DMARC1; p=reject"'))
    made("no_org_dmarc", pasted.right, dmarc=())


def test_spf_that_lacks_us(behalf, pasted):
    """At a name of its own: what a resolver remembers of another record plays no part."""
    name = "lacking." + PASTED
    behalf.json("domain", "add", name, "--customer", "clumsy", "--approach", "manual", "--bounces", "customer")
    pasted.publish(pasted.right + ['lacking TXT "v=spf1 mx -all"'])
    said = {p["code"]: p for p in problems_of(behalf.json("domain", "check", name))}
    assert "spf_without_us" in said, said
    print("%-20s %s | to do: %s" % ("spf_without_us", said["spf_without_us"]["detail"], said["spf_without_us"]["fix"]))


def test_policies_that_defeat(cnames, below):
    cnames.make("strict_spf", cnames.right, dmarc=('_dmarc TXT "v=DMARC1; p=reject; aspf=s"',))
    below.make("strict_dkim", below.right, dmarc=('_dmarc TXT "v=DMARC1; p=reject; adkim=s; aspf=s"',))
    below.make("np_applies", below.right, dmarc=('_dmarc TXT "v=DMARC1; p=none; np=reject"',))


def test_caa_that_forbids(behalf, cnames):
    """Only an operator who publishes no CAA himself has to ask for one: otherwise ours at the target counts (RFC 8659)."""
    text = behalf.config.read_text()

    def configure(new):
        behalf.config.write_text(new)
        os.kill(behalf.process.pid, signal.SIGHUP)
    configure(text + '\nweb { caa = "" }\n')
    try:
        cnames.publish(cnames.right + ['@ CAA 0 issue "ca.example"'])
        wait_until(lambda: "caa_forbids" in {p["code"] for p in problems_of(cnames.check())}, 10, "the CAA is noticed")
        cnames.expect("caa_forbids")
        cnames.publish(cnames.right)
        cnames.heal()
    finally:
        configure(text)


def test_sp_applies(world, behalf):
    """Manual at a sub-domain without a DMARC record of its own."""
    bench = Bench(world, behalf, "shop.pasted.example", PASTED, "manual")
    bench.make("sp_applies", bench.right, dmarc=('_dmarc TXT "v=DMARC1; p=none; sp=reject"',))


def test_delegations(world, below):
    ns = [line for line in below.right if " NS " in line]
    below.make("partial_delegation", [line for line in below.right if line != ns[1]])
    below.make("other_values", below.right + ["email NS ns.elsewhere.example."])
    below.make("ds_without_key", below.right + [
        "email DS 12345 13 2 0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF"])


def test_what_a_delegation_hides(world, behalf):
    """Seen while it is not delegated yet: afterwards nobody can."""
    behalf.json("domain", "add", "hidden.parent.example", "--customer", "clumsy", "--approach", "delegation")
    kept = list(world.knot.zones["parent.example"])
    world.knot.set_records("parent.example", kept + ["hidden A 192.0.2.80", 'hidden TXT "verify=1"'])
    report = behalf.json("domain", "check", "hidden.parent.example")
    said = [p for p in problems_of(report) if p["code"] == "occluded"]
    assert len(said) == 2, report
    print("%-20s %s | to do: %s" % ("occluded", said[0]["detail"], said[0]["fix"]))
    world.knot.set_records("parent.example", kept + ["hidden CNAME www.elsewhere.example."])
    report = behalf.json("domain", "check", "hidden.parent.example")
    said = [p for p in problems_of(report) if p["code"] == "cname_at_cut"]
    assert said, report
    print("%-20s %s | to do: %s" % ("cname_at_cut", said[0]["detail"], said[0]["fix"]))
    world.knot.set_records("parent.example", kept)


def test_a_resolver_that_remembers(world, behalf, cnames):
    """The records are right everywhere, but somebody looked too early."""
    name = "stale." + CNAMES
    behalf.json("domain", "add", name, "--customer", "clumsy", "--approach", "cname")
    config = world.unbound.folder / "unbound.conf"
    config.write_text(config.read_text().replace("cache-max-negative-ttl: 1", "cache-min-ttl: 30"))
    world.unbound.stop()
    world.unbound.start()
    dns.query.udp(dns.message.make_query("bounce.%s." % name, "TXT"), "127.0.0.1", timeout=3)
    world.knot.set_records(CNAMES, [DMARC] + cnames.right + lines_of(behalf, name))
    said = [p for p in problems_of(behalf.json("domain", "check", name)) if p["code"] == "stale_cache"]
    config.write_text(config.read_text().replace("cache-min-ttl: 30", "cache-max-negative-ttl: 1"))
    world.unbound.stop()
    world.unbound.start()
    assert said
    print("%-20s %s | to do: %s" % ("stale_cache", said[0]["detail"], said[0]["fix"]))


def test_servers_that_differ(world, behalf, cnames):
    """own.example stands at two name servers of the customer's own."""
    records = ["@ NS ns1", "@ NS ns2", "ns1 A " + CUSTOMER_NS1, "ns2 A " + CUSTOMER_NS2, DMARC]
    first, second = Bind(world.folder / "bind1", CUSTOMER_NS1), Bind(world.folder / "bind2", CUSTOMER_NS2)
    for server in (first, second):
        server.add_zone(OWN, *records)
        server.start()
    try:
        bench = Bench.__new__(Bench)
        bench.world, bench.behalf, bench.domain, bench.zone = world, behalf, OWN, OWN
        behalf.json("domain", "add", OWN, "--customer", "clumsy", "--approach", "cname")
        bench.right = lines_of(behalf, OWN)
        # entered in a panel that is not authoritative: whoever runs it is not among the servers named
        said = bench.expect("missing")
        assert "ns1.own.example" in said["detail"] and "ns2.own.example" in said["detail"]
        first.set_records(OWN, records + bench.right)
        bench.expect("some_servers")
        second.set_records(OWN, records + bench.right)
        bench.heal()
        for server, code in ((second, "lame_server"), (first, "lame_delegation")):
            server.stop()
            server.zones = {"else.example": (["@ NS ns1.own.example."], None)}
            server.start()
            bench.expect(code)
        first.stop()
        first.zones = {OWN: (records + bench.right, None)}
        first.start()
        second.stop()
        second.zones = first.zones
        second.start()
        bench.heal()
    finally:
        first.stop()
        second.stop()
