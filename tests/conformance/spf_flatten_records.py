"""Fifty SPF records of shapes that real domains have, with all that they include: (domain, what `flatten` must say).

Names stand for kinds of senders: a large mailbox provider that nests (ws), an office suite (off365), a marketing platform
with long address lists (mkt), a CRM with exists: and macros (crm), a help desk that redirects (desk) …"""
import random

FLAT, KEPT, REFUSED = "flat", "kept", "refused"


def providers():
    """Records of the senders that others include."""
    rng = random.Random(50)
    zone = {}

    def txt(name, text):
        zone.setdefault(name, []).append(("TXT", text))

    def nets4(n, base, bits=(22, 23, 24, 28, 32)):
        return " ".join("ip4:%s.%d.%d/%d" % (base, rng.randrange(256), rng.randrange(64) * 4, rng.choice(bits)) for _ in range(n))

    def nets6(n, base):
        return " ".join("ip6:%s:%x::/%d" % (base, rng.randrange(4096), rng.choice((36, 48, 64))) for _ in range(n))

    txt("_spf.ws.example", "v=spf1 include:_nb1.ws.example include:_nb2.ws.example include:_nb3.ws.example ~all")
    txt("_nb1.ws.example", "v=spf1 %s ~all" % nets4(10, "35.190"))
    txt("_nb2.ws.example", "v=spf1 %s ~all" % nets6(6, "2001:4860"))
    txt("_nb3.ws.example", "v=spf1 %s ~all" % nets4(9, "108.177"))
    txt("spf.off365.example", "v=spf1 %s %s -all" % (nets4(6, "40.92"), nets6(5, "2a01:111")))
    txt("servers.mkt.example", "v=spf1 %s ?all" % nets4(3, "205.201"))
    txt("mail.mkt.example", "v=spf1 %s -all" % nets4(60, "198.2"))
    txt("_spf.crm.example", "v=spf1 exists:%{i}._spf.mta.crm.example -all")
    txt("mx.crm.example", "v=spf1 include:_spf.crm.example ip4:13.108.1.0/24 ~all")
    txt("desk.example", "v=spf1 redirect=_spf2.desk.example")
    txt("_spf2.desk.example", "v=spf1 ip4:192.161.148.0/24 include:servers.mkt.example ~all")
    txt("hole.example", "v=spf1 -ip4:203.0.113.128/26 ip4:203.0.113.0/24 ip6:2001:db8:77::/48 ~all")
    txt("nohole.example", "v=spf1 ?a:host1.example ip4:192.0.2.0/24 -ip6:2001:db8:9:1::/64 ip6:2001:db8:9::/48 -all")
    txt("plusall.example", "v=spf1 ip4:10.0.0.0/8 +all")
    txt("ptrs.example", "v=spf1 ptr ip4:192.0.2.77 -all")
    txt("mixed.example", "v=spf1 exists:%{i}.bl.example -ip4:192.0.2.9 ip4:192.0.2.0/28 -all")
    txt("bymail.example", "v=spf1 mx a:host1.example/28 -all")
    zone["bymail.example"].append(("MX", (10, "host2.example")))
    zone["bymail.example"].append(("MX", (20, "host3.example")))
    txt("deep0.example", "v=spf1 ip4:100.64.0.0/24 ~all")
    for i in range(1, 8):
        txt("deep%d.example" % i, "v=spf1 include:deep%d.example ip4:100.64.%d.0/24 ~all" % (i - 1, i * 2))
    for i in range(1, 30):
        zone["host%d.example" % i] = [("A", "198.51.100.%d" % (i * 8)), ("AAAA", "2001:db8:5::%x" % (i * 16))]
    zone["v4only.example"] = [("A", "198.51.100.251")]
    zone["many.example"] = [("A", "203.0.113.%d" % i) for i in range(1, 14)]
    for i in range(1, 12):
        zone.setdefault("toomany.example", []).append(("MX", (i, "host%d.example" % i)))
    txt("broken.example", "v=spf1 ip4:1.2.3 -all")
    txt("twice.example", "v=spf1 ip4:192.0.2.1 -all")
    txt("twice.example", "v=spf1 ip4:192.0.2.2 -all")
    txt("loop1.example", "v=spf1 include:loop2.example -all")
    txt("loop2.example", "v=spf1 include:loop1.example -all")
    zone["1.2.0.192.bl.example"] = [("A", "127.0.0.2")]
    zone["7.1.108.13._spf.mta.crm.example"] = [("A", "127.0.0.2")]
    zone["9.9.9.9._spf.mta.crm.example"] = [("A", "127.0.0.2")]
    return zone


RECORDS = [
    ("v=spf1 include:_spf.ws.example ~all", FLAT),
    ("v=spf1 include:_spf.ws.example -all", FLAT),
    ("v=spf1 include:_spf.ws.example include:spf.off365.example -all", FLAT),
    ("v=spf1 include:spf.off365.example -all", FLAT),
    ("v=spf1 a mx include:_spf.ws.example ~all", FLAT),
    ("v=spf1 a mx include:_spf.ws.example include:spf.off365.example include:servers.mkt.example include:desk.example ~all", FLAT),
    ("v=spf1 a mx include:_spf.ws.example include:spf.off365.example include:servers.mkt.example include:desk.example "
     "include:mail.mkt.example include:deep3.example ~all", FLAT),
    ("v=spf1 include:deep7.example -all", FLAT),
    ("v=spf1 include:deep7.example include:_spf.ws.example a:host1.example a:host2.example -all", FLAT),
    ("v=spf1 include:mail.mkt.example ?all", FLAT),
    ("v=spf1 include:mail.mkt.example include:_spf.ws.example include:spf.off365.example -all", FLAT),
    ("v=spf1 ip4:192.0.2.0/24 ip4:192.0.2.5 ip4:192.0.3.0/24 -all", FLAT),
    ("v=spf1 ip4:192.0.2.0/25 ip4:192.0.2.128/25 -all", FLAT),
    ("v=spf1 +mx +a +ip4:198.51.100.1 +include:desk.example -all", FLAT),
    ("v=spf1 redirect=_spf.ws.example", FLAT),
    ("v=spf1 redirect=desk.example", FLAT),
    ("v=spf1 ip4:192.0.2.1 redirect=spf.off365.example", FLAT),
    ("v=spf1 include:hole.example -all", FLAT),
    ("v=spf1 include:nohole.example ~all", FLAT),
    ("v=spf1 include:hole.example ip4:203.0.113.130 -all", FLAT),
    ("v=spf1 -ip4:203.0.113.7 include:hole.example ~all", KEPT),
    ("v=spf1 ?include:servers.mkt.example include:_spf.ws.example -all", KEPT),
    ("v=spf1 ip4:192.0.2.0/26 -ip4:192.0.2.0/24 include:desk.example ~all", KEPT),
    ("v=spf1 ~a:host3.example ip4:198.51.100.0/24 -all", KEPT),
    ("v=spf1 include:_spf.ws.example include:_spf.crm.example -all", KEPT),
    ("v=spf1 include:mx.crm.example include:spf.off365.example ~all", KEPT),
    ("v=spf1 exists:%{i}.bl.example include:_spf.ws.example -all", KEPT),
    ("v=spf1 exists:%{i}.%{d} ip4:192.0.2.0/30 -all", KEPT),
    ("v=spf1 include:ptrs.example ip4:192.0.2.0/30 -all", KEPT),
    ("v=spf1 ptr include:desk.example ?all", KEPT),
    ("v=spf1 include:mixed.example ip4:198.51.100.0/25 -all", KEPT),
    ("v=spf1 include:bymail.example -all", FLAT),
    ("v=spf1 mx:bymail.example/28//64 a:host4.example/30 ~all", FLAT),
    ("v=spf1 a:many.example a:v4only.example -all", FLAT),
    ("v=spf1 a:nowhere.example mx:v4only.example ip4:192.0.2.44 -all", FLAT),
    ("v=spf1 a:gone1.example a:gone2.example a:gone3.example ip4:192.0.2.44 -all", FLAT),
    ("v=spf1 include:plusall.example -all", FLAT),
    ("v=spf1 ip6:2001:db8::/32 ip6:2001:db9::/32 ip6:2001:db8:1::1 ip4:0.0.0.0/1 -all", FLAT),
    ("v=spf1 ip4:127.0.0.1 include:_spf.ws.example exp=why.example -all", FLAT),
    ("v=spf1 " + " ".join("a:host%d.example" % i for i in range(1, 25)) + " -all", FLAT),
    ("v=spf1 " + " ".join("include:deep%d.example" % i for i in range(0, 8)) + " ~all", FLAT),
    ("V=SPF1 IP4:192.0.2.8/29 INCLUDE:DESK.EXAMPLE -ALL", FLAT),
    ("v=spf1 ip4:192.0.2.8/29 -all ip4:203.0.113.9", FLAT),
    ("v=spf1 mx include:servers.mkt.example include:deep2.example x-note=hello ~all", FLAT),
    ("v=spf1 -all", FLAT),
    ("v=spf1 include:broken.example -all", REFUSED),
    ("v=spf1 include:nospf.example -all", REFUSED),
    ("v=spf1 include:twice.example -all", REFUSED),
    ("v=spf1 include:loop1.example -all", REFUSED),
    ("v=spf1 mx:toomany.example -all", REFUSED),
    ("v=spf1 ip4:1.2.3.4.5 include:_spf.ws.example -all", REFUSED),
    ("v=spf1 include:_spf.ws.example a: -all", REFUSED),
]


def make():
    """[(domain, record, expected)], the zone."""
    zone = providers()
    zone["why.example"] = [("TXT", "ask postmaster")]
    zone["nospf.example"] = [("TXT", "hello")]
    cases = []
    for i, (record, expected) in enumerate(RECORDS):
        domain = "case%d.example" % i
        zone[domain] = [("TXT", record), ("TXT", "verify=%d" % i), ("A", "192.0.2.%d" % (100 + i)),
                        ("AAAA", "2001:db8:aa::%x" % i), ("MX", (10, "host%d.example" % (i % 20 + 1)))]
        zone["1.2.0.192." + domain] = [("A", "127.0.0.2")]
        cases.append((domain, record, expected))
    zone["2.2.0.192.in-addr.arpa"] = [("PTR", "client.ptrs.example")]
    zone["client.ptrs.example"] = [("A", "192.0.2.2")]
    return cases, zone
