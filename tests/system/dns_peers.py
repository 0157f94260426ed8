#!/usr/bin/python3
"""Our name server beside Knot and NSD: the same generated zones, the same queries, the same answers?

usage: dns_peers.py [--behalf PATH] [--zones N] [--seed N] [--verbose]

Every server loads every zone and listens on a loopback port of its own. The zones are small and dense in what servers
get wrong: wildcards, empty non-terminals, CNAMEs and their chains and loops, delegations with and without glue, data
that a delegation hides. Each name that a zone speaks of, names beside and below it, and odd cases of them are asked for
several types, over UDP and, for a part, TCP. An answer of ours counts as right when one of the peers gives it too; what
both peers give and we do not is a failure. Where the two differ from each other, that is counted and shown, too.
Then ISC's eight EDNS queries and the message formats of RFC 8906 8. Ends 1 on any failure, 77 without the peers."""

import argparse
import collections
import os
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import dns.rcode

TYPES = ["A", "NS", "CNAME", "TXT", "MX", "SOA", "AAAA", "SRV", "DS"]
LABELS = ["a", "b", "c", "*", "www"]


class Zone:
    """Random records below an apex; only what all three servers agree to load."""

    def __init__(self, rng, index):
        self.rng = rng
        self.apex = f"z{index}.test."
        self.records = {}
        self.names = {self.apex}
        owners = [self.name(rng.randint(1, 4)) for _ in range(rng.randint(2, 7))]
        self.targets = owners + [self.name(rng.randint(1, 4)) for _ in range(4)] + ["out.example.", self.apex]
        self.add(self.apex, "SOA", f"ns1.{self.apex} host.{self.apex} {index} 7200 3600 1209600 {rng.choice([60, 9000])}")
        self.add(self.apex, "NS", rng.choice(["ns.out.example.", f"ns1.{self.apex}", rng.choice(self.targets)]))
        if rng.random() < 0.5:
            self.add(f"ns1.{self.apex}", "A", "192.0.2.53")
        for owner in owners:
            self.add_some(owner)

    def name(self, depth):
        return ".".join(self.rng.choice(LABELS) for _ in range(depth)) + "." + self.apex

    def add(self, owner, rdtype, rdata):
        types = self.records.setdefault(owner, {})
        if "CNAME" in types and rdtype != "CNAME" or rdtype == "CNAME" and types:
            return
        # a wildcard that delegates is undefined (RFC 4592 4.2)
        if rdtype == "NS" and owner.startswith("*."):
            return
        types.setdefault(rdtype, []).append(rdata)
        self.names.add(owner)

    def add_some(self, owner):
        rng = self.rng
        target = rng.choice(self.targets)
        kind = rng.choice(["A", "A", "TXT", "CNAME", "CNAME", "NS", "NS", "MX", "AAAA", "SRV", "many"])
        if kind == "A":
            self.add(owner, "A", f"192.0.2.{rng.randint(1, 250)}")
        elif kind == "AAAA":
            self.add(owner, "AAAA", f"2001:db8::{rng.randint(1, 250):x}")
        elif kind == "TXT":
            self.add(owner, "TXT", '"' + "x" * rng.choice([1, 1, 1, 250]) + '"')
        elif kind == "many":
            for i in range(30):
                self.add(owner, "TXT", f'"{i} {"y" * 60}"')
        elif kind == "MX":
            self.add(owner, "MX", f"10 {target}")
            self.add(owner, "MX", f"20 {rng.choice(self.targets)}")
        elif kind == "SRV":
            self.add(owner, "SRV", f"0 1 25 {target}")
        elif kind == "CNAME":
            self.add(owner, "CNAME", target)
        elif kind == "NS":
            glue = rng.choice([target, f"ns.{owner}"])
            self.add(owner, "NS", glue)
            if rng.random() < 0.5:
                self.add(owner, "NS", rng.choice(self.targets))
            if rng.random() < 0.7:
                self.add(f"ns.{owner}", "A", "192.0.2.99")

    def text(self):
        lines = []
        for owner, types in self.records.items():
            for rdtype, rdatas in types.items():
                lines += [f"{owner} 300 IN {rdtype} {rdata}" for rdata in dict.fromkeys(rdatas)]
        lines.sort(key=lambda line: " SOA " not in line)
        return "\n".join(lines) + "\n"

    def questions(self):
        names = set()
        for name in self.names | set(self.targets):
            names.add(name)
            parent = name
            while parent != self.apex and parent.endswith(self.apex) and "." in parent:
                names.add(parent)
                names.add(f"q.{parent}")
                parent = parent.split(".", 1)[1]
        names |= {f"x.{self.apex}", f"x.y.{self.apex}", f"*.{self.apex}"}
        for name in sorted(names):
            for rdtype in self.rng.sample(TYPES, 4):
                yield self.odd_case(name), rdtype

    def odd_case(self, name):
        return "".join(self.rng.choice([c.upper(), c]) for c in name)


class Server:
    def __init__(self, name, port, argv, log):
        self.name, self.port = name, port
        self.process = subprocess.Popen(argv, stdout=log, stderr=log)

    def wait(self, zone):
        for _ in range(200):
            if self.process.poll() is not None:
                return False
            answer = self.ask(dns.message.make_query(zone, "SOA").to_wire(), False)
            if answer and dns.message.from_wire(answer).answer:
                return True
            time.sleep(0.05)
        return False

    def ask(self, wire, tcp):
        for _ in range(2):
            try:
                return self.ask_tcp(wire) if tcp else self.ask_udp(wire)
            except (OSError, TimeoutError):
                continue
        return None

    def ask_udp(self, wire):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.5)
            sock.connect(("127.0.0.1", self.port))
            sock.send(wire)
            return sock.recv(65535)

    def ask_tcp(self, wire):
        with socket.create_connection(("127.0.0.1", self.port), timeout=1) as sock:
            sock.sendall(len(wire).to_bytes(2, "big") + wire)
            stream = sock.makefile("rb")
            size = stream.read(2)
            return stream.read(int.from_bytes(size, "big")) if len(size) == 2 else None

    def stop(self):
        self.process.terminate()
        self.process.wait(10)


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def start_knot(directory, zones, log):
    port = free_port()
    with open(f"{directory}/knot.conf", "w") as conf:
        conf.write(f"server:\n  rundir: {directory}\n  listen: 127.0.0.1@{port}\n  udp-workers: 1\n"
                   f"database:\n  storage: {directory}\n"
                   f"template:\n  - id: default\n    storage: {directory}\n    file: \"%s\"\n"
                   f"    semantic-checks: off\n    zonefile-sync: -1\n    journal-content: none\nzone:\n")
        for zone in zones:
            conf.write(f"  - domain: {zone.apex}\n    file: {zone.apex}zone\n")
    return Server("knot", port, [shutil.which("knotd"), "-c", f"{directory}/knot.conf"], log)


def start_nsd(directory, zones, log):
    port = free_port()
    with open(f"{directory}/nsd.conf", "w") as conf:
        conf.write(f"server:\n  ip-address: 127.0.0.1@{port}\n  username: \"\"\n  zonesdir: \"{directory}\"\n"
                   f"  pidfile: \"\"\n  database: \"\"\n  zonelistfile: \"{directory}/zone.list\"\n"
                   f"  xfrdfile: \"{directory}/xfrd.state\"\n  xfrdir: \"{directory}\"\n  minimal-responses: yes\n"
                   f"  rrl-ratelimit: 0\n  rrl-whitelist-ratelimit: 0\n  server-count: 1\n  refuse-any: yes\n"
                   f"  hide-version: yes\nremote-control:\n  control-enable: no\n")
        for zone in zones:
            conf.write(f"zone:\n  name: {zone.apex}\n  zonefile: {zone.apex}zone\n")
    return Server("nsd", port, [shutil.which("nsd"), "-d", "-c", f"{directory}/nsd.conf"], log)


def start_behalf(path, directory, zones, log):
    port = free_port()
    files = [f"{directory}/{zone.apex}zone" for zone in zones]
    return Server("behalf", port, [path, "dns", "serve", "--listen", f"127.0.0.1:{port}", *files], log)


def section(rrsets):
    """TTLs and the order of records are compared as a set; names without their case."""
    return frozenset((str(rrset.name).lower(), rrset.ttl, dns.rdatatype.to_text(rrset.rdtype), rdata.to_text().lower())
                     for rrset in rrsets for rdata in rrset if rrset.rdtype != dns.rdatatype.OPT)


def digest(wire):
    if wire is None:
        return ("no answer",)
    message = dns.message.from_wire(wire)
    flags = [flag for flag in ("AA", "TC", "RA", "AD", "RD") if message.flags & getattr(dns.flags, flag)]
    if message.flags & dns.flags.TC:
        return (dns.rcode.to_text(message.rcode()), " ".join(flags), "truncated")
    return (dns.rcode.to_text(message.rcode()), " ".join(flags), section(message.answer), section(message.authority),
            section(message.additional))


def show(answer):
    if len(answer) < 5:
        return " ".join(answer)
    parts = [f"{answer[0]} {answer[1]}"]
    for title, records in zip(("answer", "authority", "additional"), answer[2:]):
        parts += [f"      {title}: {' '.join(map(str, record))}" for record in sorted(records)]
    return "\n".join(parts)


class Ledger:
    def __init__(self, verbose):
        self.count = collections.Counter()
        self.verbose = verbose
        self.shown = collections.Counter()

    def compare(self, what, ours, knot, nsd, zone_text):
        kind = ("all agree" if ours == knot == nsd else "agrees with Knot" if ours == knot else
                "agrees with NSD" if ours == nsd else "FAILED: Knot and NSD agree" if knot == nsd else
                "all three differ")
        self.count[kind] += 1
        if kind == "all agree" or (self.shown[kind] >= (1000 if self.verbose else 3)):
            return
        self.shown[kind] += 1
        if kind.startswith("FAILED") or self.verbose:
            print(f"{kind}: {what}\n  behalf {show(ours)}\n  knot {show(knot)}\n  nsd {show(nsd)}")
            if zone_text:
                print("  " + zone_text.replace("\n", "\n  "))


def compare_zones(servers, zones, ledger, rng):
    for zone in zones:
        for name, rdtype in zone.questions():
            tcp = rng.random() < 0.1
            query = dns.message.make_query(name, rdtype, use_edns=rng.choice([-1, 0, 0]), payload=rng.choice([512, 1232, 4096]))
            wire = query.to_wire()
            answers = {}
            for server in servers:
                raw = server.ask(wire, tcp)
                answers[server.name] = digest(raw)
                if server.name == "behalf" and raw:
                    assert raw[:2] == wire[:2] and raw[12:12 + len(name) + 1] == wire[12:12 + len(name) + 1], "not echoed"
            ledger.compare(f"{name} {rdtype}{' tcp' if tcp else ''}", answers["behalf"], answers["knot"], answers["nsd"], zone.text())


EDNS = [  # ISC's eight: kb.isc.org, "EDNS compliance"
    ("noedns", {"use_edns": -1}),
    ("edns=0", {"use_edns": 0}),
    ("edns=100", {"use_edns": 100}),
    ("ednsopt=100", {"use_edns": 0, "options": [100]}),
    ("ednsflags=0x80", {"use_edns": 0, "ednsflags": 0x80}),
    ("dnssec", {"use_edns": 0, "ednsflags": 0x8000}),
    ("dnssec bufsize=512", {"use_edns": 0, "ednsflags": 0x8000, "payload": 512}),
    ("edns=100 ednsopt=100", {"use_edns": 100, "options": [100]}),
]


def edns_digest(wire):
    if wire is None:
        return ("no answer",)
    message = dns.message.from_wire(wire)
    return (dns.rcode.to_text(message.rcode()), f"edns {message.edns}", f"flags {message.ednsflags & 0xffff:#x}",
            f"options {len(message.options)} answers {len(message.answer)}")


def compare_edns(servers, zone, ledger):
    for title, arguments in EDNS:
        arguments = dict(arguments)
        options = [dns.edns.GenericOption(code, b"") for code in arguments.pop("options", [])]
        query = dns.message.make_query(zone.apex, "SOA", options=options or None,
                                       want_dnssec=bool(arguments.get("ednsflags", 0) & 0x8000), **arguments)
        answers = {server.name: edns_digest(server.ask(query.to_wire(), False)) for server in servers}
        ledger.compare(f"EDNS {title}", answers["behalf"], answers["knot"], answers["nsd"], "")


def odd_messages(zone):
    base = dns.message.make_query(zone.apex, "SOA", use_edns=-1)
    wire = base.to_wire()
    yield "header alone", wire[:4] + b"\0" * 8
    yield "opcode 15", wire[:2] + bytes([15 << 3]) + wire[3:]
    yield "all header flags", wire[:2] + bytes([wire[2] | 1]) + b"\x70" + wire[4:]
    yield "two questions", wire[:4] + b"\0\2" + wire[6:] + wire[12:]
    yield "class CH", wire[:-2] + b"\0\3"
    yield "type 1000", wire[:-4] + b"\3\xe8" + wire[-2:]
    yield "bytes behind", wire + b"abc"
    yield "no zone of ours", dns.message.make_query("nowhere.example.", "A", use_edns=-1).to_wire()
    opt = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"
    yield "two OPT", wire[:10] + b"\0\2" + wire[12:] + opt + opt
    yield "OPT not at the root", wire[:10] + b"\0\1" + wire[12:] + b"\1a" + opt
    yield "AXFR over UDP", dns.message.make_query(zone.apex, "AXFR", use_edns=-1).to_wire()


def rcode_digest(wire):
    if wire is None:
        return ("no answer",)
    return (dns.rcode.to_text(wire[3] & 15),)


def compare_odd(servers, zone, ledger):
    for title, wire in odd_messages(zone):
        answers = {server.name: rcode_digest(server.ask(wire, False)) for server in servers}
        ledger.compare(f"message: {title}", answers["behalf"], answers["knot"], answers["nsd"], "")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--behalf", default=os.environ.get("BEHALF", "build/behalf"))
    parser.add_argument("--zones", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--verbose", action="store_true")
    arguments = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if not shutil.which("knotd") or not shutil.which("nsd"):
        print("SKIPPED: needs knot and nsd\ndns-peers: 0 passed, 0 failed, 1 skipped")
        return 77
    rng = random.Random(arguments.seed)
    zones = [Zone(rng, i) for i in range(arguments.zones)]
    ledger = Ledger(arguments.verbose)
    with tempfile.TemporaryDirectory() as directory, open(f"{directory}/log", "w") as log:
        for zone in zones:
            with open(f"{directory}/{zone.apex}zone", "w") as file:
                file.write(zone.text())
        servers = [start_behalf(arguments.behalf, directory, zones, log), start_knot(directory, zones, log),
                   start_nsd(directory, zones, log)]
        try:
            for server in servers:
                if not server.wait(zones[-1].apex):
                    print(f"FAILED: {server.name} does not serve\n{open(f'{directory}/log').read()[:3000]}")
                    return 1
            compare_zones(servers, zones, ledger, rng)
            compare_edns(servers, zones[0], ledger)
            compare_odd(servers, zones[0], ledger)
        finally:
            for server in servers:
                server.stop()
    for kind, count in ledger.count.most_common():
        print(f"{count:7} {kind}")
    failed = any(kind.startswith("FAILED") for kind in ledger.count)
    print("dns-peers: %d passed, %d failed, 0 skipped" % (not failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
