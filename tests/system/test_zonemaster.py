"""zonemaster-cli, the registries' zone checker, on our zones: no error, in a private root.

Documentation prefixes are errors to it, so this installation has addresses of its own outside the special-purpose ranges
(on `lo` of our namespace, as everything), a Knot of its own as root and parents, and reverse zones. Switched off is what
asks the outside world, see OUTSIDE."""
import json
import re
import shutil

import dns.reversename
import pytest
from daemon import Behalf, make_config, own_uids
from peers import Knot
from processes import run, wait_until
from world import BUILD, PLATFORM

PARENTS = "20.10.0.1"
NAMESERVERS = {"ns1": ("20.20.0.53", "2a01:20::53"), "ns2": ("20.30.0.53", "2a01:30::53")}
HOST = "20.40.0.25"  # mail in and out
OUTSIDE = ["connectivity03"]  # which networks announce the addresses: asks a service in the internet by DNS
# Below WARNING stays that the zones (of the first half) are not signed, that the name with a token is not the one in the reverse zone, and
# that a shard zone takes no mail.
DELEGATED = "email.customer.example"

pytestmark = pytest.mark.skipif(not shutil.which("zonemaster-cli"), reason="zonemaster-cli is not installed")


def add_addresses():
    for address in [PARENTS, HOST] + [a for pair in NAMESERVERS.values() for a in pair]:
        run("ip", "addr", "add", address + ("/128" if ":" in address else "/32"), "dev", "lo",
            *(["nodad"] if ":" in address else []), check=False)


def addresses_of_nameservers(owner_of):
    return ["%s %s %s" % (owner_of(label), "AAAA" if ":" in address else "A", address)
            for label, pair in NAMESERVERS.items() for address in pair]


def reverse_records():
    """PTR records, owners relative to arpa: of every name server address, and of the root's."""
    hosts = [(address, "%s.%s" % (label, PLATFORM)) for label, pair in NAMESERVERS.items() for address in pair]
    hosts.append((PARENTS, "ns.root-servers.example"))
    return ["%s PTR %s." % (str(dns.reversename.from_address(address))[:-len(".arpa.")], name) for address, name in hosts]


def start_parents(folder, delegation, platform_ds):
    knot = Knot(folder, PARENTS)
    knot.add_zone("", "ns.root-servers.example. A " + PARENTS)
    knot.add_zone("example", "ns.root-servers A " + PARENTS)
    knot.add_zone("arpa", *reverse_records())
    knot.add_zone("esp.example", "on NS ns1.on", "on NS ns2.on", *platform_ds, *addresses_of_nameservers(lambda label: label + ".on"))
    knot.add_zone("customer.example", *delegation)
    knot.start()
    return knot


def start_behalf(folder, signed):
    every = [a for pair in NAMESERVERS.values() for a in pair]
    listeners = [{"address": "[%s]:53" % a if ":" in a else a + ":53", "protocol": "dns"} for a in every]
    sections = {"nameserver " + label: {"address": list(pair)} for label, pair in NAMESERVERS.items()}
    sections.update({"egress": {"address": [HOST]}, "resolver": {"forward": [PARENTS + "@53"], "trust-anchor": ""}})
    if signed:
        sections["dnssec"] = {"platform": True, "hold": "2s"}
    options = {"platform": PLATFORM, "state-dir": folder / "state", "run-dir": folder / "run", **own_uids()}
    behalf = Behalf(BUILD / "behalf", folder, make_config(options, listeners, **sections))
    behalf.call("init")
    return behalf.start()


def zone_records(behalf, domain):
    text = behalf.call("domain", "records", domain, "--format", "zone")
    return [line for line in text.splitlines() if line and not line.startswith(";")]


def wait_for_ds(behalf, domain):
    """Its DS, which is optional, when it is shown (for the platform: when the hold is over)."""
    def look():
        return re.findall(r"^; optional: (.*\sDS\s.*)$", behalf.call("domain", "records", domain, "--format", "zone"), re.M)
    wait_until(look, 30, "the DS of %s is shown" % domain)
    return look()


@pytest.fixture(scope="module", params=[False, True], ids=["unsigned", "signed"])
def zonemaster(world, request):
    """A function that checks one zone and returns what zonemaster said."""
    add_addresses()
    signed = request.param
    folder = world.folder / ("zonemaster-signed" if signed else "zonemaster")
    behalf = start_behalf(folder / "behalf", signed)
    knot = None
    try:
        behalf.json("customer", "add", "alpha")
        behalf.json("domain", "add", DELEGATED, "--customer", "alpha", "--approach", "delegation", *(["--dnssec", "on"] * signed))
        behalf.json("domain", "add", "other.example", "--customer", "alpha", "--approach", "cname")
        ds = [wait_for_ds(behalf, zone) if signed else [] for zone in (DELEGATED, PLATFORM)]
        knot = start_parents(folder / "knot", zone_records(behalf, DELEGATED) + ds[0], ds[1])
        yield make_check(folder, behalf)
    finally:
        if knot:
            knot.stop()
        behalf.stop()


def make_check(folder, behalf):
    default = json.loads(run("zonemaster-cli", "--dump-profile").stdout)
    (folder / "profile.json").write_text(json.dumps({"test_cases": [t for t in default["test_cases"] if t not in OUTSIDE]}))
    (folder / "hints").write_text(". 3600 NS ns.root-servers.example.\nns.root-servers.example. 3600 A %s\n" % PARENTS)

    def check(zone):
        said = run("zonemaster-cli", "--profile", folder / "profile.json", "--hints", folder / "hints", "--level", "INFO",
                   "--json-stream", zone, timeout=180)
        return [json.loads(line) for line in said.stdout.splitlines() if line.startswith("{")]

    check.behalf = behalf
    return check


def shard_zone(behalf):
    """The shard zone behind the CNAMEs of other.example."""
    text = behalf.call("domain", "records", "other.example", "--format", "zone")
    return re.search(r"\w\w\.dkim\." + re.escape(PLATFORM), text).group(0)


@pytest.mark.parametrize("which", ["delegated", "platform", "shard", "reports"])
def test_no_error(zonemaster, which):
    zone = {"delegated": DELEGATED, "platform": PLATFORM, "reports": "rua." + PLATFORM}.get(which) or \
        shard_zone(zonemaster.behalf)
    results = zonemaster(zone)
    worth = [r for r in results if r["level"] in ("NOTICE", "WARNING", "ERROR", "CRITICAL")]
    for result in worth:
        print(zone, result["level"], result.get("testcase"), result.get("tag"), result.get("message", ""), result.get("args"))
    assert len(results) > 20
    assert not [r for r in worth if r["level"] != "NOTICE"]
