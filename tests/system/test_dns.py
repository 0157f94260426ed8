"""The name server in the running daemon: changes served within a second, also after kill -9, by two dnsd processes; Knot and
BIND as secondaries that know our catalog and a key; a hidden primary."""
import base64
import os
import signal
import subprocess
import time

import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest
from daemon import Behalf, make_config, own_uids
from processes import Process, run, wait_until
from world import BUILD, EGRESS, RESOLVER

PLATFORM = "dns.esp.example"  # one of its own, delegated to the addresses below
NS = ("192.0.2.153", "192.0.2.154")
KNOT, BIND = "192.0.2.161", "192.0.2.162"
CATALOG = "catalog.invalid"
KEY, SECRET = "to-secondaries", base64.b64encode(b"thirty-two bytes that are secret").decode()
KEY_FILE = 'key "%s" {\n\talgorithm hmac-sha256;\n\tsecret "%s";\n};\n' % (KEY, SECRET)
ASKED = 12  # times each: so that each dnsd is asked, with a chance of 1 in 2000 to miss one


def ask(server, name, kind, tcp=False):
    query = dns.message.make_query(name + ".", kind)
    try:
        return (dns.query.tcp if tcp else dns.query.udp)(query, server, timeout=2)
    except (OSError, dns.exception.DNSException):
        return None


def records(server, name, kind, tcp=False):
    """The records of that type that the server answers, as text; None without an answer."""
    answer = ask(server, name, kind, tcp)
    if answer is None or answer.rcode() != dns.rcode.NOERROR:
        return None
    return sorted(str(rdata).replace('" "', "") for rrset in answer.answer for rdata in rrset)


def everywhere(name, kind, good):
    """True when every one of many answers, from both addresses, by UDP and TCP, is good."""
    return all((found := records(server, name, kind, tcp)) is not None and good(found)
               for _ in range(ASKED) for server in NS for tcp in (False, True))


def seconds_until(condition, limit=10):
    start = time.monotonic()
    wait_until(condition, limit, "served")
    return time.monotonic() - start


def serial(server, name):
    found = records(server, name, "SOA", tcp=True)
    return int(found[0].split()[2]) if found else None


class Installation:
    def __init__(self, folder, world=None):
        self.folder, self.world = folder, world
        folder.mkdir()
        folder.chmod(0o755)
        (folder / "tsig.key").write_text(KEY_FILE)
        (folder / "tsig.key").chmod(0o600)
        self.behalf = Behalf(BUILD / "behalf", folder / "behalf", self.config(False))
        self.behalf.call("init")
        self.zones = []
        self.peers = []

    def config(self, hidden):
        listeners = [{"address": a + ":53", "protocol": "dns"} for a in NS]
        sections = {"nameserver ns%d" % (i + 1): {"address": [a]} for i, a in enumerate(NS)}
        for label, address in (("ns3", KNOT), ("ns4", BIND)):
            sections["secondary " + label] = {"address": [address], "tsig-key": self.folder / "tsig.key"}
        sections.update({"egress": {"address": [EGRESS]}, "resolver": {"forward": [RESOLVER + "@53"], "trust-anchor": ""},
                         "processes": {"dnsd": 2}})
        options = {"platform": PLATFORM, "state-dir": self.folder / "state", "run-dir": self.folder / "run",
                   "catalog": CATALOG, "hidden-primary": hidden, "query-log-sample": 100, **own_uids()}
        return make_config(options, listeners, **sections)

    def add_domain(self, name):
        """Added, delegated by the customer, and checked: then its zone is served."""
        records = self.behalf.json("domain", "add", name, "--customer", "alpha", "--approach", "delegation")["records"]
        self.world.publish("customer.example", ["%s NS %s" % (name.split(".")[0], record["value"]) for record in records
                                                if record["type"] == "NS"])
        subprocess.Popen(self.behalf.command("domain", "check", name), stdout=subprocess.DEVNULL)
        self.zones.append(name)

    def start_knot(self):
        folder = self.folder / "knot"
        folder.mkdir()
        (folder / "knot.conf").write_text("""server:
  rundir: %(folder)s
  listen: %(address)s@53
  user: root:root
  background-workers: 1
database:
  storage: %(folder)s
log:
  - target: stderr
    any: info
key:
  - id: %(key)s
    algorithm: hmac-sha256
    secret: %(secret)s
remote:
  - id: primary
    address: %(primary)s@53
    key: %(key)s
acl:
  - id: notify
    address: %(primary)s
    action: notify
template:
  - id: default
    storage: %(folder)s
  - id: member
    storage: %(folder)s
    master: primary
    acl: notify
zone:
  - domain: %(catalog)s.
    master: primary
    acl: notify
    catalog-role: interpret
    catalog-template: member
""" % {"folder": folder, "address": KNOT, "key": KEY, "secret": SECRET, "primary": NS[0], "catalog": CATALOG})
        self.peers.append(Process("knotd", ["knotd", "-c", folder / "knot.conf"], folder / "log"))

    def start_bind(self):
        folder = self.folder / "bind"
        folder.mkdir()
        (folder / "named.conf").write_text("""key "%(key)s" { algorithm hmac-sha256; secret "%(secret)s"; };
controls { };
options { directory "%(folder)s"; listen-on { %(address)s; }; listen-on-v6 { none; }; pid-file none; session-keyfile none;
  recursion no; allow-notify { %(primary)s; }; dnssec-validation no; empty-zones-enable no; min-refresh-time 1; min-retry-time 1;
  catalog-zones { zone "%(catalog)s" default-primaries { %(primary)s key "%(key)s"; } in-memory no zone-directory "%(folder)s"
    min-update-interval 1; }; };
zone "%(catalog)s" { type secondary; file "catalog.db"; primaries { %(primary)s key "%(key)s"; }; };
""" % {"folder": folder, "address": BIND, "key": KEY, "secret": SECRET, "primary": NS[0], "catalog": CATALOG})
        self.peers.append(Process("named", ["named", "-g", "-n", "1", "-c", folder / "named.conf"], folder / "log"))

    def stop(self):
        for peer in self.peers:
            peer.stop()
        self.behalf.stop()


@pytest.fixture(scope="module")
def here(world):
    for address in NS + (KNOT, BIND):
        run("ip", "addr", "add", address + "/32", "dev", "lo", check=False)
    world.publish("esp.example", ["dns NS ns%d.dns" % (i + 1) for i in range(2)] +
                  ["ns%d.dns A %s" % (i + 1, a) for i, a in enumerate(NS)])
    made = Installation(world.folder / "dns", world)
    try:
        made.behalf.start()
        made.behalf.json("customer", "add", "alpha")
        made.add_domain("first.customer.example")
        wait_until(lambda: everywhere("first.customer.example", "SOA", len), 10, "the first zone is served")
        yield made
    finally:
        made.stop()


def test_a_new_domain_is_served_within_a_second(here):
    took = []
    for i in range(10):
        name = "added%d.customer.example" % i
        here.add_domain(name)
        took.append(seconds_until(lambda: everywhere(name, "SOA", len)))  # noqa: B023  (called in this turn)
    print("a domain is served by both dnsd after %.0f to %.0f ms" % (1000 * min(took), 1000 * max(took)))


def test_an_imported_key_is_served_within_a_second(here):
    key = here.folder / "dkim.key"
    run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key)
    made = here.behalf.json("dkim", "import", "--domain", "first.customer.example", "--selector", "old2019", key)
    took = seconds_until(lambda: everywhere("old2019._domainkey.first.customer.example", "TXT",
                                            lambda found: made["record"].split("p=")[1] in found[0].replace(" ", "")))
    print("an imported key is served after %.0f ms" % (1000 * took))


@pytest.mark.parametrize("how_many", [1, 2])
def test_killed_and_serving_again_within_a_second(here, how_many):
    """Nothing is refused meanwhile; all zones come back under their old serials."""
    before = {name: serial(NS[0], name) for name in here.zones}
    victims = here.behalf.roles()["dnsd"][:how_many]
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    start = time.monotonic()

    def started_again():
        running = here.behalf.roles().get("dnsd", [])
        return len(running) == 2 and not set(victims) & set(running)
    wait_until(started_again, 10, "dnsd is started again")
    wait_until(lambda: all(everywhere(name, "SOA", len) for name in here.zones[-2:]), 10, "served")
    took = time.monotonic() - start
    print("%d of 2 killed: all is served again after %.0f ms" % (how_many, 1000 * took))
    for name in here.zones:
        assert everywhere(name, "SOA", lambda found: int(found[0].split()[2]) == before[name]), name  # noqa: B023


def test_secondaries_follow(here):
    here.start_knot()
    here.start_bind()

    def same(name):
        ours = serial(NS[0], name)
        return ours is not None and all(serial(server, name) == ours for server in (KNOT, BIND))

    start = time.monotonic()
    wait_until(lambda: all(same(name) for name in here.zones + [PLATFORM, "rua." + PLATFORM]), 30, "secondaries have all")
    print("%d zones and the platform's are at Knot and BIND after %.1f s" % (len(here.zones), time.monotonic() - start))
    here.add_domain("later.customer.example")
    took = seconds_until(lambda: same("later.customer.example"), 20)
    print("a new domain is at both after %.1f s" % took)
    key = here.folder / "dkim2.key"
    run("openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key)
    here.behalf.call("dkim", "import", "--domain", "first.customer.example", "--selector", "old2020", key)
    took = seconds_until(lambda: all(records(server, "old2020._domainkey.first.customer.example", "TXT") for server in
                                     (KNOT, BIND)), 20)
    print("an imported key is at both after %.1f s" % took)


def test_no_transfer_without_the_key(here):
    for name in ("first.customer.example", CATALOG):
        assert ask(NS[0], name, "AXFR", tcp=True).rcode() != dns.rcode.NOERROR


def test_name_servers_are_all_listed(here):
    assert [ns.split(".")[2] for ns in records(NS[0], "first.customer.example", "NS")] == ["ns1", "ns2", "ns3", "ns4"]


def test_query_statistics_and_log(here):
    before = here.behalf.json("dns", "stats")
    for _ in range(200):
        ask(NS[1], "no.such.first.customer.example", "A")
    after = here.behalf.json("dns", "stats")
    assert after["total"]["nxdomain"] - before["total"]["nxdomain"] == 200

    def nxdomain(stats):
        return sum(z["nxdomain"] for z in stats["zones"] if z["zone"] == "first.customer.example.")

    assert nxdomain(after) - nxdomain(before) == 200
    logged = [line for line in here.behalf.log.read_text().splitlines() if "no.such.first.customer.example" in line]
    print("\n".join(logged))
    assert 1 <= len(logged) <= 4 and "nxdomain" in logged[0]


def test_own_query_and_export(here):
    answer = here.behalf.json("dns", "query", "first.customer.example", "MX")
    assert answer["rcode"] == "NOERROR" and "aa" in answer["flags"]
    long = here.behalf.json("dns", "query", "old2019._domainkey.first.customer.example", "TXT", "--tcp")
    assert "v=DKIM1" in long["answer"][0]
    folder = here.folder / "export"
    folder.mkdir()
    here.behalf.call("dns", "export", folder)
    files = {path.name[:-len(".zone")] for path in folder.iterdir()}
    assert set(here.zones) | {PLATFORM, "rua." + PLATFORM} <= files
    for name in here.zones + [PLATFORM, "rua." + PLATFORM]:
        loaded = run(here.behalf.binary, "dns", "answer", "--zone", folder / (name + ".zone"), "--name", name, "--type", "SOA")
        assert str(serial(NS[0], name)) in loaded.stdout, name


def test_hidden_primary(here):
    """After a restart as a hidden primary the secondaries alone are in the NS set, and they know."""
    here.behalf.stop()
    here.behalf.config.write_text(here.config(True))
    here.behalf.start()

    def hidden(found):
        return sorted(ns.split(".")[2] for ns in found) == ["ns3", "ns4"]

    wait_until(lambda: everywhere("first.customer.example", "NS", hidden), 10, "the primary is hidden")
    wait_until(lambda: all((found := records(server, "first.customer.example", "NS")) and hidden(found)
                           for server in (KNOT, BIND)), 20, "the secondaries follow")
    assert records(KNOT, "ns3." + PLATFORM, "A") == [KNOT]
    assert records(KNOT, PLATFORM, "SOA")[0].startswith("ns3.")


def transfer(zone, secret=SECRET):
    """What kdig says of a transfer with that key."""
    return run("kdig", "+tcp", "@" + NS[0], zone, "AXFR", "-y", "hmac-sha256:%s:%s" % (KEY, secret), check=False).stdout


def test_keys_and_catalog_are_reloaded(here):
    """SIGHUP: the new key alone opens transfers, the catalog has its new name; and back again."""
    fresh = base64.b64encode(b"another thirty-two bytes, secret").decode()
    zone = "first.customer.example"
    assert "hostmaster" in transfer(zone) and "hostmaster" not in transfer(zone, fresh)

    def reload(secret, catalog):
        (here.folder / "tsig.key").write_text(KEY_FILE.replace(SECRET, secret))
        here.behalf.config.write_text(here.config(True).replace(CATALOG, catalog))
        os.kill(here.behalf.roles()["master"][0], signal.SIGHUP)

    reload(fresh, "other.invalid")
    wait_until(lambda: "hostmaster" in transfer(zone, fresh), 10, "the new key is known")
    assert "hostmaster" not in transfer(zone)
    wait_until(lambda: zone in transfer("other.invalid", fresh), 10, "the catalog is renamed")
    reload(SECRET, CATALOG)
    wait_until(lambda: zone in transfer(CATALOG), 10, "and back")
