"""Records go into a customer's own name server by DNS UPDATE, BIND and Knot: from "added" to "verified" by one command,
with nothing of the customer's overwritten."""
import pytest
from daemon import CommandFailed
from peers import Bind, Knot
from world import CUSTOMER_NS1

OWN, SECRET = "own.example", "dGhlIHNlY3JldCBvZiBhIGN1c3RvbWVyJ3Mgc2VydmVy"
KEY = 'key "customer" { algorithm hmac-sha256; secret "%s"; };\n' % SECRET
RECORDS = ["@ NS ns1", "ns1 A " + CUSTOMER_NS1]


def make_bind(folder, extra):
    server = Bind(folder / "bind-update", CUSTOMER_NS1)
    server.keys = KEY
    server.add_zone(OWN, *RECORDS, *extra, allow_update="customer")
    return server


def make_knot(folder, extra):
    server = Knot(folder / "knot-update", CUSTOMER_NS1)
    server.glue, server.update_key = "ns1." + OWN, ("customer", SECRET)
    server.add_zone("", "@ A 192.0.2.1")
    server.add_zone("example", "@ A 192.0.2.1")
    server.add_zone(OWN, *RECORDS[1:], *extra)
    return server


def serve(server, name, extra):
    server.stop()
    server.zones[OWN] = (RECORDS + extra, "customer") if name == "bind" else RECORDS[1:] + extra
    server.start()


@pytest.mark.parametrize("make", [make_bind, make_knot])
def test_from_added_to_verified(world, behalf, make):
    name = make.__name__.removeprefix("make_")
    customer, key = "own-" + name, world.folder / ("update-%s.key" % name)
    domain = "%s.%s" % (name, OWN)
    world.knot.set_records("example", [line for line in world.knot.zones["example"] if not line.startswith("own NS ns2")])
    key.write_text(KEY)
    server = make(world.folder, ["bounce.%s A 192.0.2.99" % name])
    server.start()
    world.unbound.flush()
    try:
        behalf.json("customer", "add", customer)
        behalf.json("domain", "add", domain, "--customer", customer, "--approach", "cname")
        arguments = ("domain", "publish", domain, "--server", CUSTOMER_NS1, "--tsig-key", key, "--zone", OWN)
        assert "would add" in behalf.call(*arguments, "--dry-run")
        assert behalf.json("domain", "check", domain)["state"] == "pending"
        assert "leave  CNAME  bounce.%s" % domain in behalf.call(*arguments, "--dry-run")  # an A record stands there
        serve(server, name, ["link.%s HINFO a b" % name])  # which no check asks for: only the condition finds it
        with pytest.raises(CommandFailed, match="something stands at one of the names already"):
            behalf.call(*arguments)
        assert behalf.json("domain", "check", domain)["state"] == "pending"  # all or nothing
        serve(server, name, [])
        said = behalf.call(*arguments)
        print(said)
        assert "is verified" in said
        assert "nothing to add" in behalf.call(*arguments)
        assert "nothing to add" in behalf.call(*arguments[:4], CUSTOMER_NS1 + ":53", *arguments[5:])
        key.write_text(KEY.replace(SECRET, "d3Jvbmc="))
        behalf.json("domain", "add", "other." + OWN, "--customer", customer, "--approach", "cname")
        with pytest.raises(CommandFailed, match="does not accept the key"):
            behalf.call("domain", "publish", "other." + OWN, *arguments[3:])
        behalf.call("domain", "remove", "other." + OWN, "--customer", customer, check=False)
    finally:
        server.stop()
