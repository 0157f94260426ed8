#!/usr/bin/python3
"""Secondaries that follow our catalog: Knot and BIND, through adds, changes, deletes and restarts.

usage: dns_secondaries.py [--behalf PATH] [--zones N]

Our server holds the zones, with a TSIG key, NOTIFY and a catalog; Knot and BIND know the catalog's name and the key, and
nothing else. After every step each secondary must serve exactly the zones and serials that we serve. Ends 1 on failure,
77 without the tools (one of the two secondaries is enough)."""

import argparse
import base64
import os
import pathlib
import shutil
import sys
import tempfile
import time

import dns.message
import dns.rcode
import dns.rdatatype

sys.path.insert(0, os.path.dirname(__file__))
import dns_peers  # noqa: E402

SECRET = base64.b64encode(b"a secret of thirty-two bytes ...").decode()
CATALOG = "catalog.test."


def zone_text(name, serial):
    return (f"{name} 60 IN SOA ns.{name} host.{name} {serial} 3600 600 86400 60\n{name} 60 IN NS ns.{name}\n"
            f"ns.{name} 60 IN A 192.0.2.1\nbh1._domainkey.{name} 60 IN TXT \"v=DKIM1; serial={serial}\"\n"
            f"*.w.{name} 60 IN CNAME ns.{name}\n")


class World:
    def __init__(self, behalf, directory, log):
        self.behalf, self.directory, self.log = behalf, pathlib.Path(directory), log
        self.zones = {}
        self.folder = self.directory / "zones"
        self.folder.mkdir()
        self.ports = {name: dns_peers.free_port() for name in ("behalf", "knot", "bind")}
        self.secondaries = []

    def write(self, name, serial):
        """As an editor does: a new file in the old one's place, so that a half is never read."""
        self.zones[name] = serial
        temporary = self.folder / "new"
        temporary.write_text(zone_text(name, serial))
        temporary.rename(self.folder / f"{name}zone")

    def delete(self, name):
        del self.zones[name]
        (self.folder / f"{name}zone").unlink()

    def start_primary(self):
        notify = [argument for secondary in self.secondaries for argument in
                  ("--notify", f"127.0.0.1:{self.ports[secondary]}")]
        self.primary = dns_peers.Server("behalf", self.ports["behalf"], [
            self.behalf, "dns", "serve", "--listen", f"127.0.0.1:{self.ports['behalf']}", "--tsig", f"key.test:{SECRET}",
            "--catalog", CATALOG, *notify, str(self.folder)], self.log)

    def start_knot(self):
        folder = self.directory / "knot"
        folder.mkdir(exist_ok=True)
        (folder / "knot.conf").write_text(
            f"server:\n  rundir: {folder}\n  listen: 127.0.0.1@{self.ports['knot']}\n  background-workers: 2\n"
            f"database:\n  storage: {folder}\nkey:\n  - id: key.test\n    algorithm: hmac-sha256\n    secret: {SECRET}\n"
            f"remote:\n  - id: primary\n    address: 127.0.0.1@{self.ports['behalf']}\n    key: key.test\n"
            f"acl:\n  - id: notify\n    address: 127.0.0.1\n    action: notify\n"
            f"template:\n  - id: default\n    storage: {folder}\n  - id: member\n    storage: {folder}\n"
            f"    master: primary\n    acl: notify\n"
            f"zone:\n  - domain: {CATALOG}\n    master: primary\n    acl: notify\n    catalog-role: interpret\n"
            f"    catalog-template: member\n")
        return dns_peers.Server("knot", self.ports["knot"], ["knotd", "-c", str(folder / "knot.conf")], self.log)

    def start_bind(self):
        folder = self.directory / "bind"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o777)
        (folder / "named.conf").write_text(
            f'key "key.test" {{ algorithm hmac-sha256; secret "{SECRET}"; }};\ncontrols {{ }};\n'
            f'options {{ directory "{folder}"; listen-on port {self.ports["bind"]} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }};\n'
            f'  pid-file none; session-keyfile none; recursion no; allow-notify {{ 127.0.0.1; }}; dnssec-validation no;\n'
            f'  empty-zones-enable no; serial-query-rate 500; transfers-in 50; transfers-per-ns 50; min-refresh-time 1;\n'
            f'  masterfile-format text; min-retry-time 1;\n'
            f'  catalog-zones {{ zone "{CATALOG}" default-primaries {{ 127.0.0.1 port {self.ports["behalf"]} key "key.test"; }}\n'
            f'    in-memory no zone-directory "{folder}" min-update-interval 1; }}; }};\n'
            f'zone "{CATALOG}" {{ type secondary; file "catalog.db";\n'
            f'  primaries {{ 127.0.0.1 port {self.ports["behalf"]} key "key.test"; }}; }};\n')
        return dns_peers.Server("bind", self.ports["bind"], ["named", "-g", "-n", "1", "-c", str(folder / "named.conf")], self.log)

    def serial_at(self, server, name):
        raw = server.ask(dns.message.make_query(name, "SOA", use_edns=-1).to_wire(), True)
        answer = dns.message.from_wire(raw).answer if raw else []
        return answer[0][0].serial if answer and answer[0].rdtype == dns.rdatatype.SOA else None

    def wait_for(self, what, gone=()):
        start = time.time()
        for server in list(self.servers.values()):
            left = dict(self.zones)
            left_gone = set(gone)
            while (left or left_gone) and time.time() < start + 60:
                left = {name: serial for name, serial in left.items() if self.serial_at(server, name) != serial}
                left_gone = {name for name in left_gone if self.serial_at(server, name) is not None}
                if left or left_gone:
                    time.sleep(0.2)
            if left or left_gone:
                print(f"FAILED: {what}: {server.name} lacks {len(left)} of {len(self.zones)}, {len(left_gone)} not gone: "
                      f"{list(left)[:3]} {list(left_gone)[:3]}")
                return False
            print(f"{what}: {server.name} follows after {time.time() - start:.1f} s")
        return True


def scenario(world, count):
    for i in range(count):
        world.write(f"z{i}.test.", 1)
    world.start_primary()
    if not world.primary.wait("z0.test."):
        print("FAILED: our server does not serve")
        return False
    world.servers = {name: getattr(world, f"start_{name}")() for name in world.secondaries}
    good = world.wait_for(f"{count} zones")
    for i in range(0, count, 7):
        world.write(f"z{i}.test.", 2)
    good = good and world.wait_for("changed")
    for i in range(5):
        world.write(f"new{i}.test.", 1)
    good = good and world.wait_for("added")
    gone = [f"z{i}.test." for i in range(0, count, 11)]
    for name in gone:
        world.delete(name)
    good = good and world.wait_for("deleted", gone)
    world.primary.stop()
    world.write("new0.test.", 2)
    world.start_primary()
    good = good and world.wait_for("changed while we were down")
    for name in world.secondaries:
        world.servers[name].stop()
    world.write("new1.test.", 2)
    world.write("newer.test.", 1)
    time.sleep(1.5)
    world.servers = {name: getattr(world, f"start_{name}")() for name in world.secondaries}
    return good and world.wait_for("changed while they were down")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--behalf", default=os.environ.get("BEHALF", "build/behalf"))
    parser.add_argument("--zones", type=int, default=200)
    arguments = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    secondaries = [name for name, program in (("knot", "knotd"), ("bind", "named")) if shutil.which(program)]
    if not secondaries:
        print("SKIPPED: needs knot or bind9\ndns-secondaries: 0 passed, 0 failed, 1 skipped")
        return 77
    with tempfile.TemporaryDirectory() as directory, open(f"{directory}/log", "w") as log:
        os.chmod(directory, 0o755)
        world = World(arguments.behalf, directory, log)
        world.secondaries, world.servers = secondaries, {}
        try:
            good = scenario(world, arguments.zones)
        finally:
            for server in [world.primary, *world.servers.values()]:
                if server.process.poll() is None:
                    server.stop()
        if not good:
            print(open(f"{directory}/log").read()[-3000:])
    print("dns-secondaries: %d passed, %d failed, 0 skipped" % (good, not good))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
