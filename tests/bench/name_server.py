#!/usr/bin/python3
"""CPU per query of our name server beside Knot's, in one run; loading many zones; a change until it is served.

usage: name_server.py [--behalf PATH] [--seconds N] [--zones N]

The queries are a mix over delegated zones as behalf makes them: addresses, a 400-byte DKIM key, MX, empty non-terminals,
names that do not exist, wildcards, out of zone; then the same of signed zones with the DO bit. Use a release build. Prints a table; ends 77 without Knot or dnsperf."""

import argparse
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time

import dns.zone

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "system"))
import dns_peers  # noqa: E402

KEY = "v=DKIM1; k=rsa; p=" + "A" * 382


class Delegated:
    """One customer's zone with the names that DESIGN.md gives it."""

    def __init__(self, index):
        self.apex = f"email.c{index}.example."

    def text(self):
        a = self.apex
        key = f'"{KEY[:255]}" "{KEY[255:]}"'
        spf = '"v=spf1 ip4:192.0.2.0/24 ~all"'
        return "\n".join([
            f"{a} 300 IN SOA t{self.apex[:-1]}.ns1.on.esp.example. hostmaster.esp.example. 7 14400 3600 1209600 300",
            f"{a} 300 IN NS t.ns1.on.esp.example.", f"{a} 300 IN NS t.ns2.on.esp.example.",
            f"{a} 300 IN MX 10 bounce.{a}", f"{a} 300 IN TXT {spf}", f'{a} 300 IN CAA 0 issue "letsencrypt.org"',
            f"bounce.{a} 300 IN A 192.0.2.1", f"bounce.{a} 300 IN MX 10 mx.on.esp.example.", f"bounce.{a} 300 IN TXT {spf}",
            f"bh1._domainkey.{a} 300 IN TXT {key}", f"bh2._domainkey.{a} 300 IN TXT {key}",
            f"bh3._domainkey.{a} 300 IN TXT {key}", f'_dmarc.{a} 300 IN TXT "v=DMARC1; p=none; rua=mailto:x@rua.on.esp.example"',
            f"link.{a} 300 IN A 192.0.2.3", f"img.{a} 300 IN A 192.0.2.3", f"mta1.{a} 300 IN A 192.0.2.1",
            f"mta1.{a} 300 IN AAAA 2001:db8::1", f"*.w.{a} 300 IN CNAME link.{a}"]) + "\n"

    def queries(self):
        a = self.apex
        return [f"bh1._domainkey.{a} TXT", f"bh2._domainkey.{a} TXT", f"_domainkey.{a} TXT", f"_domainkey.{a} NS",
                f"nothing.{a} A", f"no.such.{a} AAAA", f"bounce.{a} MX", f"bounce.{a} TXT", f"link.{a} A", f"link.{a} AAAA",
                f"x.w.{a} A", f"_dmarc.{a} TXT", f"{a} SOA", f"{a} NS", "out.of.zone. A"]


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as file:
        fields = file.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_kib(pid):
    with open(f"/proc/{pid}/status") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


def measure(server, queries, seconds, options):
    before = cpu_seconds(server.process.pid)
    out = subprocess.run(["dnsperf", "-s", "127.0.0.1", "-p", str(server.port), "-d", queries, "-l", str(seconds), "-c", "4",
                          "-T", "1", "-e", "-Q", "60000", *options], capture_output=True, text=True, check=True).stdout
    done = int(re.search(r"Queries completed:\s+(\d+)", out).group(1))
    lost = int(re.search(r"Queries lost:\s+(\d+)", out).group(1))
    rate = float(re.search(r"Queries per second:\s+([\d.]+)", out).group(1))
    micro = (cpu_seconds(server.process.pid) - before) / done * 1e6
    print(f"{server.name:8} {rate:10.0f} queries/s {micro:8.2f} us CPU/query {lost:6} lost")
    return micro


def sign(arguments, directory, zones):
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out",
                    f"{directory}/key.pem"], check=True, capture_output=True)
    for zone in zones:
        path = f"{directory}/{zone.apex}zone"
        done = subprocess.run([arguments.behalf, "dns", "sign", "--zone", path, "--key", f"{directory}/key.pem"],
                              check=True, capture_output=True).stdout
        with open(path, "wb") as file:
            file.write(done)


def compare(arguments, directory, log, count, signed):
    zones = [Delegated(i) for i in range(count)]
    for zone in zones:
        with open(f"{directory}/{zone.apex}zone", "w") as file:
            file.write(zone.text())
    if signed:
        sign(arguments, directory, zones)
    queries = [query for zone in zones for query in zone.queries()]
    random.Random(1).shuffle(queries)
    with open(f"{directory}/queries", "w") as file:
        file.write("\n".join(queries) + "\n")
    servers = [dns_peers.start_behalf(arguments.behalf, directory, zones, log), dns_peers.start_knot(directory, zones, log)]
    try:
        for server in servers:
            if not server.wait(zones[-1].apex):
                print(f"FAILED: {server.name} does not serve\n{open(f'{directory}/log').read()[:2000]}")
                return 1
        results = {}
        for turn in range(2):
            for server in servers:
                results.setdefault(server.name, []).append(measure(server, f"{directory}/queries", arguments.seconds,
                                                               ["-D"] if signed else []))
        ratio = min(results["behalf"]) / min(results["knot"])
        print(f"CPU per query{', signed' if signed else ''}, behalf / knot: {ratio:.2f}")
    finally:
        for server in servers:
            server.stop()
    return 0


def record_bytes(text):
    """The zone's own bytes: owner, type, class, TTL, length and data of every record in wire form."""
    zone = dns.zone.from_text(text, origin=text.split()[0], relativize=False, check_origin=False)
    return sum(len(name.to_wire()) + 10 + len(rdata.to_wire()) for name, _, rdata in zone.iterate_rdatas())


def write_zones(path, text, count):
    """`text` is the zone of customer 0; the others are the same under their names (signatures then fit their length only)."""
    os.mkdir(path)
    for i in range(count):
        with open(f"{path}/{i}", "w") as file:
            file.write(text.replace(".c0.example.", f".c{i}.example."))


def serve_and_measure(arguments, directory, path, log):
    """(seconds, KiB resident) of a server with all zones of the folder."""
    port = dns_peers.free_port()
    start = time.time()
    with open(f"{directory}/serve.sh", "w") as file:
        file.write(f"exec '{arguments.behalf}' dns serve --listen 127.0.0.1:{port} {path}/*")
    server = dns_peers.Server("behalf", port, ["bash", "-c", f"ulimit -s unlimited; . {directory}/serve.sh"], log)
    try:
        while not server.wait(Delegated(0).apex) and server.process.poll() is None:
            pass
        return time.time() - start, rss_kib(server.process.pid)
    finally:
        server.stop()


def load(arguments, directory, log, signed):
    text = Delegated(0).text()
    if signed:
        with open(f"{directory}/{Delegated(0).apex}zone", "w") as file:
            file.write(text)
        sign(arguments, directory, [Delegated(0)])
        with open(f"{directory}/{Delegated(0).apex}zone") as file:
            text = file.read()
    count = arguments.zones // 5 if signed else arguments.zones
    path = f"{directory}/{'signed' if signed else 'plain'}"
    write_zones(f"{path}1", text, 1)
    write_zones(path, text, count)
    _, empty = serve_and_measure(arguments, directory, f"{path}1", log)
    seconds, resident = serve_and_measure(arguments, directory, path, log)
    total, own = (resident - empty) * 1024 / count, record_bytes(text)
    print(f"{count} {'signed ' if signed else ''}zones of {len(text)} bytes of text from files: {seconds:.2f} s, {resident} KiB "
          f"resident; a zone {total:.0f} bytes, of which its own records {own}, beyond them {total - own:.0f}")
    if signed:
        print(f"100000 signed zones by these figures: {seconds * 1e5 / count:.1f} s, {total * 1e5 / 2**20:.0f} MiB")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--behalf", default=os.environ.get("BEHALF", "build/behalf"))
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--zones", type=int, default=20000)
    arguments = parser.parse_args()
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    if not shutil.which("knotd") or not shutil.which("dnsperf"):
        print("SKIPPED: needs knot and dnsperf")
        return 77
    with tempfile.TemporaryDirectory() as directory, open(f"{directory}/log", "w") as log:
        status = compare(arguments, directory, log, 500, False) or compare(arguments, directory, log, 100, True)
        if arguments.zones:
            load(arguments, directory, log, False)
            load(arguments, directory, log, True)
    return status


if __name__ == "__main__":
    sys.exit(main())
