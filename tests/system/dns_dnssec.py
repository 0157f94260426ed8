#!/usr/bin/python3
"""Signed zones as others see them: ldns-verify-zone and kzonecheck read them, unbound validates the answers.

usage: dns_dnssec.py [--behalf PATH] [--zones N] [--seed N]

The zones are those of dns_peers.py, signed by `behalf dns sign` and served by `behalf dns serve`; an unbound with their
keys as trust anchors asks for them. Each answer that our server gives with authority (positive, wildcard, CNAME, no such
type, no such name) must come back from unbound with the same response code and the AD flag. unbound 1.17 refuses two
that are right: no data at a wildcard that is an empty non-terminal, and a wildcard asked for by its own name in capitals.
So what it refuses must at least be what NSD answers from the same signed zone, record by record, signatures and proofs
included; these are counted apart. Ends 1 on any failure, 77 without the tools."""

import argparse
import collections
import os
import random
import shutil
import subprocess
import sys
import tempfile

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype

sys.path.insert(0, os.path.dirname(__file__))
import dns_peers  # noqa: E402


def sign(behalf, directory, zone):
    plain, done = f"{directory}/{zone.apex}plain", f"{directory}/{zone.apex}zone"
    with open(plain, "w") as file:
        file.write(zone.text())
    result = subprocess.run([behalf, "dns", "sign", "--zone", plain, "--key", f"{directory}/key.pem"], capture_output=True,
                            text=True, check=True)
    with open(done, "w") as file:
        file.write(result.stdout)
    return result.stdout


def verify(directory, zone):
    path = f"{directory}/{zone.apex}zone"
    for argv in (["ldns-verify-zone", "-V", "1", path], ["kzonecheck", "-o", zone.apex, "-d", "on", path]):
        result = subprocess.run(argv, capture_output=True, text=True)
        said = result.stdout + result.stderr
        # what we do not promise and kzonecheck minds: delegations without glue, targets without addresses
        serious = [line for line in said.splitlines() if "missing glue" not in line and "error summary" not in line.lower()
                   and "semantic error" not in line.lower() and line.strip()]
        if result.returncode and serious and "Zone is verified" not in said:
            print(f"FAILED: {argv[0]} {zone.apex}\n{said}\n{zone.text()}")
            return False
    return True


def start_unbound(directory, port_of_behalf, zones, keys, log):
    port = dns_peers.free_port()
    with open(f"{directory}/unbound.conf", "w") as conf:
        conf.write(f"server:\n  interface: 127.0.0.1@{port}\n  username: \"\"\n  chroot: \"\"\n  directory: \"{directory}\"\n"
                   f"  pidfile: \"\"\n  use-syslog: no\n  do-not-query-localhost: no\n  local-zone: \"test.\" nodefault\n"
                   f"  do-daemonize: no\n  qname-minimisation: no\n  module-config: \"validator iterator\"\n"
                   f"  aggressive-nsec: no\n  cache-max-negative-ttl: 0\n  minimal-responses: yes\n")
        for key in keys:
            conf.write(f"  trust-anchor: \"{key}\"\n")
        for zone in zones:
            conf.write(f"stub-zone:\n  name: {zone.apex}\n  stub-addr: 127.0.0.1@{port_of_behalf}\n  stub-no-cache: yes\n")
    return dns_peers.Server("unbound", port, [shutil.which("unbound"), "-d", "-c", f"{directory}/unbound.conf"], log)


def kind_of(message, zone):
    """What our own answer is; None where unbound would have to ask somebody else, too."""
    if not message.flags & dns.flags.AA or any(rrset.rdtype == dns.rdatatype.NS for rrset in message.authority):
        return None
    targets = [rdata.target.to_text().lower() for rrset in message.answer if rrset.rdtype == dns.rdatatype.CNAME
               for rdata in rrset]
    if any(not target.endswith(zone.apex) for target in targets):
        return None
    owners = [rrset.name.to_text().lower() for rrset in message.answer]
    if message.question[0].rdtype != dns.rdatatype.CNAME and targets and targets[-1] in owners[:-1]:
        return None  # a circle: resolvers give up on it
    if message.rcode() == dns.rcode.NXDOMAIN:
        return "no such name"
    return "no such type" if not message.answer else "CNAME" if targets else "positive"


def signed_answer(server, name, rdtype):
    query = dns.message.make_query(name, rdtype, want_dnssec=True, payload=1232)
    return dns_peers.digest(server.ask(query.to_wire(), True))


def compare(behalf, nsd, unbound, zones, count):
    good = True
    for zone in zones:
        for name, rdtype in zone.questions():
            if rdtype == "DS" and name.lower() == zone.apex:
                continue  # that is the parent's to say
            ours = dns.message.from_wire(behalf.ask(dns.message.make_query(name, rdtype, use_edns=0).to_wire(), True))
            kind = kind_of(ours, zone)
            if not kind:
                continue
            query = dns.message.make_query(name, rdtype, want_dnssec=True)
            raw = unbound.ask(query.to_wire(), True)
            theirs = dns.message.from_wire(raw) if raw else None
            if theirs and theirs.rcode() == ours.rcode() and theirs.flags & dns.flags.AD:
                count[kind] += 1
                continue
            if signed_answer(behalf, name, rdtype) == signed_answer(nsd, name, rdtype):
                count[f"{kind}: refused by unbound, but NSD says the same"] += 1
                continue
            good = False
            count["FAILED " + kind] += 1
            if count["FAILED " + kind] <= 2:
                print(f"FAILED: {name} {rdtype}: {kind}\nours: {ours}\nunbound: {theirs}\n{zone.text()}"[:3000])
    return good


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--behalf", default=os.environ.get("BEHALF", "build/behalf"))
    parser.add_argument("--zones", type=int, default=15)
    parser.add_argument("--seed", type=int, default=3)
    arguments = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    for tool in ("unbound", "nsd", "ldns-verify-zone", "kzonecheck", "openssl"):
        if not shutil.which(tool):
            print(f"SKIPPED: needs {tool}\ndns-dnssec: 0 passed, 0 failed, 1 skipped")
            return 77
    rng = random.Random(arguments.seed)
    zones = [dns_peers.Zone(rng, i) for i in range(arguments.zones)]
    count = collections.Counter()
    good = True
    with tempfile.TemporaryDirectory() as directory, open(f"{directory}/log", "w") as log:
        subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                        f"{directory}/key.pem"], check=True, capture_output=True)
        keys = []
        for zone in zones:
            text = sign(arguments.behalf, directory, zone)
            keys.append(next(line for line in text.splitlines() if " IN DNSKEY " in line))
            if verify(directory, zone):
                count["zones verified"] += 1
            else:
                good = False
        behalf = dns_peers.start_behalf(arguments.behalf, directory, zones, log)
        nsd = dns_peers.start_nsd(directory, zones, log)
        unbound = start_unbound(directory, behalf.port, zones, keys, log)
        try:
            for server in (behalf, nsd, unbound):
                if not server.wait(zones[-1].apex):
                    print(f"FAILED: {server.name} does not serve\n{open(f'{directory}/log').read()[-3000:]}")
                    return 1
            good = compare(behalf, nsd, unbound, zones, count) and good
        finally:
            for server in (behalf, nsd, unbound):
                server.stop()
    for kind, number in sorted(count.items()):
        print(f"{number:7} {kind}")
    print("dns-dnssec: %d passed, %d failed, 0 skipped" % (good, not good))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
