"""behalf in the test world: as root, on real ports, with two customers on board."""
from daemon import Behalf, add_credential, make_config, onboard, own_uids
from world import BUILD, EGRESS, EGRESS6, NS1, NS2, PLATFORM, RESOLVER, SUBMISSION

TRUSTED, SINK, API = ("127.0.0.1", 2500), ("127.0.0.1", 2600), ("127.0.0.1", 8080)


class Customer:
    """A customer with one sending domain. `parent` is the zone of his own, in which he publishes."""

    def __init__(self, name, domain, parent, approach):
        self.name, self.domain, self.parent, self.approach = name, domain, parent, approach
        self.user = self.password = None

    @property
    def address(self):
        return "news@" + self.domain


DELEGATED = Customer("alpha", "email.customer.example", "customer.example", "delegation")
BY_CNAME = Customer("beta", "other.example", "other.example", "cname")
CUSTOMERS = {c.approach: c for c in (DELEGATED, BY_CNAME)}


def make_installation(world):
    """A running behalf, nobody on board yet."""
    listeners = [{"address": SUBMISSION + ":25", "protocol": "smtp"}, {"address": SUBMISSION + ":587", "protocol": "submission"},
                 {"address": SUBMISSION + ":465", "protocol": "submissions"},
                 {"address": "%s:%d" % TRUSTED, "protocol": "submission", "trust": DELEGATED.name},
                 {"address": "%s:%d" % API, "protocol": "http"}, {"address": SUBMISSION + ":443", "protocol": "https"},
                 {"address": NS1 + ":53", "protocol": "dns"}, {"address": NS2 + ":53", "protocol": "dns"}]
    sections = {"nameserver ns1": {"address": [NS1]}, "nameserver ns2": {"address": [NS2]},
                "inbound": {"address": [SUBMISSION]}, "egress": {"address": [EGRESS, EGRESS6], "keep": "5s"},
                "tls": {"certificate": world.folder / "tls.pem", "key": world.folder / "tls.key"},
                "resolver": {"forward": [RESOLVER + "@53"], "trust-anchor": ""},
                "queue": {"retry-first": "2s", "retry-max": "5s"},
                "route sink.example": {"host": SINK[0], "port": SINK[1], "tls": "none"}}
    options = {"platform": PLATFORM, "state-dir": world.folder / "behalf/state", "run-dir": world.folder / "behalf/run",
               "zone-ttl": "60", **own_uids()}
    behalf = Behalf(BUILD / "behalf", world.folder / "behalf", make_config(options, listeners, **sections))
    behalf.call("init")
    behalf.start()
    return behalf


def put_on_board(world, behalf, customer):
    def publish(lines):
        world.publish(customer.parent, lines)
    onboard(behalf, customer.name, customer.domain, customer.approach, publish)
    customer.user, customer.password = add_credential(behalf, customer.name)
    world.unbound.flush()
