"""The life of a domain: each approach from "added" to a message that passes DMARC with no step but publishing the records shown;
loss, healing, suspension; removal; take-over attempts; canaries; records of the customer's own. An installation of its own beside
that of the other tests, since its patience is measured in seconds here. Knot and BIND are the customers' servers."""
import ipaddress
import re
import subprocess
import time

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest
from daemon import Behalf, CommandFailed, make_config, own_uids
from judge import judge_received
from peers import Bind
from processes import wait_until
from world import BUILD, RESOLVER

PLATFORM, NS1, NS2 = "life.esp.example", "198.51.100.63", "198.51.100.64"
IN, EGRESS, BIND_AT = "192.0.2.30", "192.0.2.40", "198.51.100.2"
GRACE = 12


def use_addresses(*addresses):
    for address in addresses:
        subprocess.run(["ip", "addr", "add", address + "/32", "dev", "lo"], check=False, capture_output=True)


@pytest.fixture(scope="module")
def bind(world):
    use_addresses(BIND_AT)
    server = Bind(world.folder / "bind", BIND_AT)
    for name in ("lifecname", "lifepaste", "lifeinclude"):
        server.add_zone(name + ".example", "@ NS ns", "ns A " + BIND_AT, "_dmarc TXT \"v=DMARC1; p=reject\"")
        world.knot.add_records("example", ["%s NS ns.%s" % (name, name), "ns.%s A %s" % (name, BIND_AT)])
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def life(world):
    """behalf with little patience, nobody on board."""
    use_addresses(NS1, NS2, IN, EGRESS)
    world.publish("esp.example", ["life NS ns1.life", "life NS ns2.life", "ns1.life A " + NS1, "ns2.life A " + NS2])
    listeners = [{"address": IN + ":25", "protocol": "smtp"}, {"address": NS1 + ":53", "protocol": "dns"},
                 {"address": NS2 + ":53", "protocol": "dns"}]
    sections = {"nameserver ns1": {"address": [NS1]}, "nameserver ns2": {"address": [NS2]},
                "inbound": {"address": [IN]}, "egress": {"address": [EGRESS]}, "web": {"address": [IN]},
                "resolver": {"forward": [RESOLVER + "@53"], "trust-anchor": ""},
                "queue": {"retry-first": "2s", "retry-max": "5s"},
                "domains": {"grace": "%ds" % GRACE, "loss": "4s", "unanimous-loss": "2s", "tombstone": "5s", "canary": "24h"}}
    options = {"platform": PLATFORM, "state-dir": world.folder / "life/state", "run-dir": world.folder / "life/run",
               "zone-ttl": "1", **own_uids()}
    behalf = Behalf(BUILD / "behalf", world.folder / "life", make_config(options, listeners, **sections))
    behalf.call("init")
    behalf.start()
    for customer in ("alice", "bob", "carol", "dave"):
        behalf.json("customer", "add", customer)
    yield behalf
    behalf.stop()


# ---- helpers ----

def records_of(behalf, domain, customer, everything=False):
    lines = behalf.call("domain", "records", domain, "--customer", customer, "--format", "zone").splitlines()
    return [re.sub(r"^; optional: ", "", line) for line in lines if everything or not line.startswith(";")]


def add(behalf, domain, customer, approach, *options):
    return behalf.json("domain", "add", domain, "--customer", customer, "--approach", approach, *options)


def wait_sendable(behalf, domain, customer, publish):
    """Seconds from the publication to sendable, while somebody watches."""
    with subprocess.Popen(behalf.command("domain", "check", domain, "--customer", customer, "--wait", "--timeout", "60"),
                          stdout=subprocess.PIPE, text=True) as watcher:
        time.sleep(2.2)  # it has looked before, in vain
        start = time.monotonic()
        publish()
        said = watcher.communicate(timeout=90)[0]
        assert watcher.returncode == 0, said + behalf.call("domain", "show", domain, "--customer", customer)
        return time.monotonic() - start


def verified(behalf, world, domain, customer, parent, *options):
    """A delegated domain, whose records stand in a zone of Knot."""
    add(behalf, domain, customer, "delegation", *options)
    lines = records_of(behalf, domain, customer)
    world.publish(parent, lines)
    wait_state(behalf, domain, customer, "verified")
    return lines


def wait_state(behalf, domain, customer, state, seconds=30):
    def there():
        return behalf.json("domain", "check", domain, "--customer", customer)["state"] == state
    try:
        wait_until(there, seconds, "%s is %s" % (domain, state))
    except Exception as error:
        raise AssertionError("%s\n%s" % (error, behalf.call("domain", "show", domain, "--customer", customer))) from None


def send(behalf, customer, sender, recipient):
    raw = "From: <%s>\r\nTo: <%s>\r\nSubject: life\r\nDate: %s\r\nMessage-ID: <%d@x>\r\n\r\nhello\r\n" % (
        sender, recipient, time.strftime("%a, %d %b %Y %H:%M:%S +0000", time.gmtime()), time.monotonic_ns())
    return behalf.json("send", "--customer", customer, "--to", recipient, stdin=raw.encode())["id"]


def delivered(world, behalf, customer, sender):
    world.postfix.new_messages()
    send(behalf, customer, sender, "life@receiver.example")
    return world.postfix.wait_for(1)[0]


def ask(server, name, kind):
    return dns.query.udp(dns.message.make_query(name, kind), server, timeout=3)


def answers(server, name, kind):
    return sorted(r.to_text() for rrset in ask(server, name, kind).answer for r in rrset)


# ---- every approach ----

CASES = [("delegation", "email.customer.example", "customer.example", "knot", ()),
         ("cname", "lifecname.example", "lifecname.example", "bind", ()),
         ("manual", "lifepaste.example", "lifepaste.example", "bind", ("--bounces", "ours")),
         ("manual", "lifeinclude.example", "lifeinclude.example", "bind", ("--bounces", "customer"))]


@pytest.mark.parametrize("approach,domain,zone,server,options", CASES, ids=lambda v: v if isinstance(v, str) else None)
def test_from_added_to_a_passing_message(world, bind, life, approach, domain, zone, server, options):
    made = add(life, domain, "alice", approach, *options)
    assert made["state"] == "pending" and not made["can_send"]
    with pytest.raises(CommandFailed):
        send(life, "alice", "news@" + domain, "x@receiver.example")
    lines = [line for line in records_of(life, domain, "alice", everything=True) if "_dmarc." not in line]
    publish = (lambda: world.knot.add_records(zone, lines)) if server == "knot" else (
        lambda: bind.set_records(zone, bind.zones[zone][0] + lines))
    seconds = wait_sendable(life, domain, "alice", publish)
    print("%s (%s, parent on %s): sendable %.1f s after the publication" % (approach, domain, server, seconds))
    assert seconds < 30
    received = delivered(world, life, "alice", "news@" + domain)
    verdict = judge_received(received)
    assert (verdict.spf, verdict.dmarc, verdict.dmarc_by_dkim) == ("pass", "pass", "pass"), verdict
    assert received.mail_from.endswith("." + PLATFORM if "ours" in options else domain), received.mail_from


def test_reports_only(world, life):
    world.publish("other.example", ["reported TXT \"x\"", "_dmarc.reported TXT \"v=DMARC1; p=quarantine; rua=mailto:them@x.example\""])
    made = add(life, "reported.other.example", "alice", "reports")
    rua = re.search(r"mailto:[^\s\"]+", made["records"][0]["value"]).group(0)
    shown = life.json("domain", "check", "reported.other.example")
    value = shown["records"][0]["value"]
    assert value.startswith("v=DMARC1; p=quarantine; rua=mailto:them@x.example,") and rua in value, value
    assert shown["records"][0]["problems"][0]["code"] == "no_report_address"
    world.knot.set_records("other.example", [r for r in world.knot.zones["other.example"] if "_dmarc.reported" not in r] +
                           ["_dmarc.reported TXT \"%s\"" % value])
    world.unbound.flush()
    wait_state(life, "reported.other.example", "alice", "verified")
    assert not life.json("domain", "show", "reported.other.example")["can_send"]
    with pytest.raises(CommandFailed, match="reports only"):
        send(life, "alice", "a@reported.other.example", "x@receiver.example")
    allowed = "reported.other.example._report._dmarc.rua." + PLATFORM
    assert answers(NS1, allowed, "TXT") == ['"v=DMARC1"']
    assert ask(NS1, "stranger.example._report._dmarc.rua." + PLATFORM, "TXT").rcode() == dns.rcode.NXDOMAIN


# ---- canaries ----

@pytest.mark.parametrize("domain", ["email.customer.example", "lifecname.example", "lifepaste.example", "lifeinclude.example"])
def test_canary(life, domain):
    verdict = life.json("domain", "canary", domain, timeout=60)
    print(domain, verdict["detail"])
    assert verdict["passed"] and verdict["aligned"] == ("dkim" if domain == "lifepaste.example" else "spf+dkim"), verdict
    past = life.json("domain", "history", domain)
    assert any(entry["what"] == "canary" and entry["state"] == "passed" for entry in past)


# ---- take-over ----

def facts(behalf, domain, customer):
    """What must not change: the domain, its records and keys, what is served."""
    shown = behalf.json("domain", "show", domain, "--customer", customer)
    for name in ("last_checked_at", "proofs"):
        shown.pop(name, None)
    served = {(name, kind): answers(NS1, name + domain, kind) for name, kind in
              (("", "NS"), ("", "TXT"), ("bounce.", "MX"), ("bounce.", "TXT"), ("bh1._domainkey.", "TXT"), ("_dmarc.", "TXT"))}
    return shown, served


def test_nobody_takes_what_another_verified(world, life):
    domain = "email.customer.example"
    before = facts(life, domain, "alice")
    for customer, approach in (("bob", "delegation"), ("carol", "cname"), ("dave", "manual")):
        add(life, domain, customer, approach)
        for _ in range(3):
            shown = life.json("domain", "check", domain, "--customer", customer)
            assert shown["state"] == "pending" and not shown["can_send"], shown
        with pytest.raises(CommandFailed):
            send(life, customer, "x@" + domain, "x@receiver.example")
    for inner in ("bounce." + domain, "deep.er." + domain):
        add(life, inner, "bob", "delegation")
        assert life.json("domain", "check", inner)["state"] == "pending"
    assert facts(life, domain, "alice") == before
    verdict = judge_received(delivered(world, life, "alice", "news@" + domain))
    assert verdict.dmarc == "pass", verdict


def test_a_name_delegated_to_anothers_tokens(world, life):
    """alice's name servers stand at the parent of a name that bob adds first: REFUSED before, and after, and never his."""
    mine = life.json("domain", "show", "email.customer.example", "--customer", "alice")
    servers = [r["value"] for r in mine["records"] if r["purpose"] == "delegation"]
    world.publish("customer.example", ["unclaimed NS %s" % s for s in servers])
    name = "unclaimed.customer.example"
    assert ask(NS1, name, "SOA").rcode() == dns.rcode.REFUSED
    add(life, name, "bob", "delegation")
    for _ in range(3):
        assert life.json("domain", "check", name)["state"] == "pending"
        assert ask(NS1, name, "SOA").rcode() == dns.rcode.REFUSED
    time.sleep(1.5)
    assert ask(NS2, name, "TXT").rcode() == dns.rcode.REFUSED


def test_fresh_proof_moves_a_domain(world, life):
    """The owner names bob's servers instead of alice's: the zone is bob's, with keys of his own, and alice loses it."""
    name = "moving.customer.example"
    old = verified(life, world, name, "alice", "customer.example")
    key = answers(NS1, "bh1._domainkey." + name, "TXT")
    add(life, name, "bob", "delegation")
    world.knot.set_records("customer.example", [r for r in world.knot.zones["customer.example"] if r not in old] +
                           records_of(life, name, "bob"))
    world.unbound.flush()
    wait_state(life, name, "bob", "verified")
    assert answers(NS1, "bh1._domainkey." + name, "TXT") != key
    wait_state(life, name, "alice", "degraded")
    assert not life.json("domain", "show", name, "--customer", "alice")["can_send"]


# ---- loss ----

def outcome(behalf, message):
    return behalf.json("message", "show", message)["recipients"][0]


def lose(world, lines):
    world.knot.set_records("other.example", [r for r in world.knot.zones["other.example"] if r not in lines])
    world.unbound.flush()


def test_mail_is_held_and_leaves_when_the_records_are_back(world, life):
    lines = verified(life, world, "held.other.example", "carol", "other.example")
    lose(world, lines)
    assert life.json("domain", "check", "held.other.example")["state"] == "verified"  # one look is not believed
    wait_state(life, "held.other.example", "carol", "degraded")
    world.postfix.new_messages()
    message = send(life, "carol", "news@held.other.example", "held@receiver.example")
    time.sleep(2)
    assert outcome(life, message)["state"] in ("queued", "waiting", "held"), outcome(life, message)
    assert not world.postfix.new_messages()
    world.publish("other.example", lines)
    start = time.monotonic()
    wait_state(life, "held.other.example", "carol", "verified")
    received = world.postfix.wait_for(1)[0]
    print("held mail left %.1f s after the records were back" % (time.monotonic() - start))
    verdict = judge_received(received)
    assert verdict.dmarc == "pass", verdict
    kinds = life.call("event", "list", "--limit", "1000")
    assert "domain.degraded" in kinds and "domain.restored" in kinds, kinds


def test_suspension_returns_held_mail(world, life):
    lines = verified(life, world, "gone.other.example", "carol", "other.example")
    lose(world, lines)
    wait_state(life, "gone.other.example", "carol", "degraded")
    message = send(life, "carol", "news@gone.other.example", "held@receiver.example")
    wait_state(life, "gone.other.example", "carol", "suspended", GRACE * 3)
    wait_until(lambda: outcome(life, message)["state"] == "bounced", 15, "the held message is returned")
    assert "suspended" in str(outcome(life, message)), outcome(life, message)
    with pytest.raises(CommandFailed, match="suspended"):
        send(life, "carol", "news@gone.other.example", "x@receiver.example")
    world.publish("other.example", lines)  # and it heals by itself
    wait_state(life, "gone.other.example", "carol", "verified")
    assert delivered(world, life, "carol", "news@gone.other.example").rcpt_to == "life@receiver.example"


# ---- records of the customer's own ----

def test_own_records(life, world):
    name = "email.customer.example"
    life.call("domain", "zone", "add", name, "www 60 A 192.0.2.80", "--customer", "alice")
    wait_until(lambda: answers(NS1, "www." + name, "A") == ["192.0.2.80"], 5, "the record is served")
    for line in ("bounce A 192.0.2.1", "@ MX 1 x.example.", "sub NS ns.x.example.", "www CNAME x.example.", "bh7._domainkey TXT \"p=\""):
        with pytest.raises(CommandFailed):
            life.call("domain", "zone", "add", name, line, "--customer", "alice")
    text = life.call("domain", "zone", "export", name, "--customer", "alice")
    life.call("domain", "zone", "import", name, "--replace", "--customer", "alice",
              stdin=(text + "@ TXT \"proof=1\"\nshop CNAME shops.x.example.\n").encode())
    wait_until(lambda: '"proof=1"' in answers(NS1, name, "TXT"), 5, "the imported record is served")
    life.call("domain", "zone", "remove", name, "www", "--customer", "alice")
    wait_until(lambda: not answers(NS1, "www." + name, "A"), 5, "the record is gone")
    assert life.json("domain", "show", name, "--customer", "alice")["state"] == "verified"


def test_web_hosts_have_addresses_and_caa(life, world):
    for name in ("link.email.customer.example", "img.email.customer.example"):
        assert answers(NS1, name, "A") == [IN]
        assert answers(NS1, name, "CAA") == ['0 issue "letsencrypt.org"']
    answer = ask(RESOLVER, "link.lifecname.example", "CAA")
    assert any("letsencrypt.org" in r.to_text() for rrset in answer.answer for r in rrset), answer


# ---- removal ----

def test_removal(world, life, bind):
    name = "leaving.other.example"
    verified(life, world, name, "dave", "other.example")
    target = [r["value"] for r in life.json("domain", "show", "lifecname.example", "--customer", "alice")["records"]
              if r["name"].startswith("bh1._domainkey")][0]
    for domain, customer in ((name, "dave"), ("lifecname.example", "alice")):
        life.call("domain", "remove", domain, "--customer", customer)
    with pytest.raises(CommandFailed):
        send(life, "dave", "x@" + name, "x@receiver.example")
    wait_until(lambda: answers(NS1, "bh1._domainkey." + name, "TXT") == ['"v=DKIM1; k=rsa; p="'], 5, "the key is revoked")
    assert answers(NS1, target, "TXT") == ['"v=DKIM1; k=rsa; p="']
    assert '"v=spf1 -all"' in answers(NS1, name, "TXT")
    add(life, name, "bob", "delegation")  # the delegation still names dave's servers
    assert life.json("domain", "check", name, "--customer", "bob")["state"] == "pending"
    assert answers(NS1, "bh1._domainkey." + name, "TXT") == ['"v=DKIM1; k=rsa; p="']
    wait_until(lambda: ask(NS1, name, "SOA").rcode() == dns.rcode.REFUSED, 75, "the tombstone is taken away")
    assert ask(NS2, target, "TXT").rcode() == dns.rcode.NXDOMAIN
    life.call("customer", "remove", "bob")
    with pytest.raises(CommandFailed):
        life.json("customer", "show", "bob")
    assert ipaddress.ip_address(answers(NS1, "ns1." + PLATFORM, "A")[0])
