"""Egress pools and flattening with real name servers and a real resolver: an address sends nothing before SPF with it is seen at
every server, and stays in SPF after it was removed; a flattened record follows its source within the TTL."""
import time

import dns.message
import dns.query
import pytest
from clients import CLIENTS
from installation import BY_CNAME, DELEGATED
from judge import judge_received
from mailtext import crlf, set_from
from processes import run, wait_until
from world import EGRESS, EGRESS6, NS1, NS2, RESOLVER, SUBMISSION

NEW = "192.0.2.11"
RAW = b"Subject: pool\r\n\r\ntext\r\n"
SERVER = (SUBMISSION, 465, 587)


def txt(name, server):
    """The TXT strings of a name, each joined."""
    answer = dns.query.udp(dns.message.make_query(name, "TXT"), server, timeout=3).answer
    return [b"".join(r.strings).decode() for rrset in answer for r in rrset if r.rdtype == 16]


def state_of(behalf, address):
    pool = behalf.json("pool", "show", "default")
    return next((a["state"] for a in pool["addresses"] if a["address"] == address), "withdrawn")


def send(world, customer, number):
    raw = crlf(set_from(b"From: x@example\r\nTo: reader@receiver.example\r\n" + RAW, customer.address))
    CLIENTS["smtplib"](raw, SERVER, customer.user, customer.password, customer.address, ["pool%d@receiver.example" % number],
                       world.folder / "ca.pem")


WHOLE = "v=spf1 ip4:198.18.0.0/24 ip4:203.0.113.77 ?all"
CHANGED = "v=spf1 ip4:198.18.9.0/24 ip4:203.0.113.77 ?all"
ZONE = "customer.example"
SPF = ["@ TXT \"v=spf1 include:one.customer.example include:two.customer.example -all\"",
       "two TXT \"v=spf1 a:host.customer.example -all\"", "host A 203.0.113.77"]


@pytest.fixture(scope="module")
def flattened(world, behalf):
    """A flattened record whose source has just changed: (its name, the zone's own records, when it changed)."""
    own = list(world.knot.zones[ZONE])
    world.knot.set_records(ZONE, own + SPF + ["one TXT \"v=spf1 ip4:198.18.0.0/24 -all\""])
    world.unbound.flush()
    flat = behalf.json("spf", "flatten", ZONE, "--customer", DELEGATED.name)
    assert flat["problem"] is None and flat["lookups_before"] == 3 and flat["lookups_after"] == 1
    name = flat["texts"][0]["name"]
    wait_until(lambda: txt(name, RESOLVER) == [WHOLE], 10, "it is served")
    world.knot.set_records(ZONE, own + SPF + ["one TXT \"v=spf1 ip4:198.18.9.0/24 -all\""])
    yield name, own, time.time()
    world.knot.set_records(ZONE, own)
    world.unbound.flush()


def test_an_added_address_waits_and_a_removed_one_stays(world, behalf, flattened):
    run("ip", "addr", "add", NEW + "/32", "dev", "lo", check=False)
    bounce = "bounce." + DELEGATED.domain
    world.postfix.new_messages()
    behalf.call("pool", "address", "add", "default", NEW, "--helo", "mta2.on.esp.example")
    started, number, usable_at = time.time(), 0, None
    while usable_at is None and time.time() - started < 150:
        send(world, (DELEGATED, BY_CNAME)[number % 2], number)
        number += 1
        if state_of(behalf, NEW) == "usable":
            usable_at = time.time()
        time.sleep(2)
    assert usable_at, state_of(behalf, NEW)
    before = world.postfix.wait_for(number - 1, 30)
    print("usable after %.0f s; %d messages before" % (usable_at - started, len(before)))
    assert usable_at - started >= 60  # the TTL of what resolvers may have cached
    assert {r.client for r in before[:number - 1]} <= {EGRESS, EGRESS6}
    for server in (NS1, NS2):
        assert any(NEW in text for text in txt(bounce, server))
        assert txt("mta2.on.esp.example", server) == ["v=spf1 a -all"]
    for received in before:
        assert judge_received(received).spf == "pass"
    assert any("PTR" in (a["ptr_problem"] or "") for a in behalf.json("pool", "show", "default")["addresses"])
    behalf.call("pool", "address", "remove", "default", NEW)
    assert state_of(behalf, NEW) == "stopping"
    assert any(NEW in text for text in txt(bounce, NS1))  # its mail is young
    wait_until(lambda: state_of(behalf, NEW) == "withdrawn", 60, "the address is withdrawn")
    assert not any(NEW in text for text in txt(bounce, NS1))


def test_a_flattened_record_follows_its_source(world, flattened):
    name, own, changed = flattened
    wait_until(lambda: txt(name, NS1) == [CHANGED], 90, "the change is followed")
    print("seen %.0f s after the change" % (time.time() - changed))
    world.knot.set_records(ZONE, own + SPF)  # the source is gone
    world.unbound.flush()
    time.sleep(5)
    assert txt(name, NS1) == [CHANGED]
