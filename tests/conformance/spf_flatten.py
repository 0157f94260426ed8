#!/usr/bin/python3
"""Flattened SPF records beside what they were made of: the same result for every address, by python3-spf and libbehalf, with
the original's limits lifted and the flattened one within 10 lookups and 2 voids.

Prints `spf_flatten: N passed, N failed, N skipped`; a case is one address. FLATTEN_ADDRESSES: per record."""
import ipaddress
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile

import corpora
import spf_flatten_records as shapes

PER_RECORD = int(os.environ.get("FLATTEN_ADDRESSES", "260"))
BEHALF = os.environ.get("BEHALF", "")
CHECK = sys.argv[1] if len(sys.argv) > 1 else ""
LIMIT, VOIDS = 10, 2


def zone_text(zone):
    lines = []
    for name, records in zone.items():
        for rtype, value in records:
            if rtype == "TXT":
                value = " ".join('"%s"' % value[i:i + 255] for i in range(0, len(value), 255))
            elif rtype == "MX":
                value = "%d %s." % value
            elif rtype == "PTR":
                value += "."
            lines.append("%s. %s %s" % (name, rtype, value))
    return "\n".join(lines) + "\n"


def theirs(spf, zone, domain, ip, lifted):
    def lookup(name, qtype, *_rest, **_named):
        for rtype, value in zone.get(name.lower().rstrip("."), []):
            if rtype == "TXT":
                value = (value.encode("ascii"),)
            elif rtype == "AAAA":
                value = socket.inet_pton(socket.AF_INET6, value)
            yield (name, rtype), value

    spf.DNSLookup = lookup
    spf.MAX_LOOKUP, spf.MAX_VOID_LOOKUPS = (10000, 10000) if lifted else (LIMIT, VOIDS)
    query = spf.query(i=ip, s="u@" + domain, h=domain, strict=True, timeout=60, querytime=0)
    return query.check()[0]


def flatten(path, domain):
    run = subprocess.run([BEHALF, "spf", "flatten", domain, "--preview", "--json", "--dns", path], capture_output=True,
                         text=True, timeout=60)
    if run.returncode not in (0, 2):
        raise RuntimeError(run.stderr)
    return json.loads(run.stdout)


def lint(path, domain):
    run = subprocess.run([BEHALF, "spf", "lint", domain, "--json", "--dns", path], capture_output=True, text=True, timeout=60)
    if run.returncode:
        raise RuntimeError(run.stderr)
    return json.loads(run.stdout)


def networks_of(zone, text):
    return [ipaddress.ip_network(n, strict=False)
            for n in re.findall(r"(?i)ip[46]:([0-9a-f:./]+)", text)
            if re.fullmatch(r"\d+\.\d+\.\d+\.\d+(/\d+)?|[0-9a-f:]*:[0-9a-f:]*(/\d+)?", n, re.IGNORECASE)]


def addresses(rng, zone, texts, n):
    """Boundaries of every network that stands in one of the texts, then the hosts', then any."""
    edges, chosen = [], []
    for text in texts:
        for net in networks_of(zone, text):
            first, last, kind = int(net.network_address), int(net.broadcast_address), type(net.network_address)
            edges += [kind(a) for a in (first, last, first - 1, last + 1, (first + last) // 2) if 0 <= a < 1 << net.max_prefixlen]
    rng.shuffle(edges)
    chosen = edges[:n * 2 // 3]
    hosts = [ipaddress.ip_address(v) for records in zone.values() for t, v in records if t in ("A", "AAAA")]
    while len(chosen) < n:
        host = rng.choice(hosts)
        pick = rng.random()
        if pick < 0.6:
            chosen.append(type(host)(int(host) + rng.choice([-1, 0, 0, 0, 1, 8])))
        elif pick < 0.8:
            chosen.append(ipaddress.IPv4Address(rng.randrange(1 << 24, 223 << 24)))
        else:
            chosen.append(ipaddress.IPv6Address((0x2001 << 112) + rng.randrange(1 << 112)))
    return [str(a) for a in chosen + [ipaddress.ip_address(a) for a in ("192.0.2.1", "192.0.2.2", "13.108.1.7", "9.9.9.9", "203.0.113.130")]]


def judge_by_libbehalf(path, lines):
    run = subprocess.run([CHECK, path], input="".join(lines), capture_output=True, text=True, timeout=600)
    if run.returncode:
        raise RuntimeError("spf_flatten_check: " + run.stderr)
    return [line.split() for line in run.stdout.splitlines()]


class Tally:
    def __init__(self):
        self.passed, self.failures, self.results, self.saved = 0, [], {}, []

    def expect(self, ok, text):
        if ok:
            self.passed += 1
        else:
            self.failures.append(text)


def compare(spf, rng, tally, folder, case, zone, answer):
    domain, record, _expected = case
    after = dict(zone)
    for text in answer["texts"]:
        after[text["name"]] = [("TXT", text["text"])]
    after[domain] = [r for r in zone[domain] if not str(r[1]).lower().startswith("v=spf1")] + [("TXT", answer["owner_record"])]
    texts = [record, answer["owner_record"]] + [t["text"] for t in answer["texts"]]
    for name in re.findall(r"(?i)(?:include:|redirect=)([a-z0-9._-]+)", record):
        texts += [str(v) for t, v in zone.get(name.lower(), []) if t == "TXT"]
    paths = [os.path.join(folder, "before.zone"), os.path.join(folder, "after.zone")]
    for path, content in zip(paths, (zone, after)):
        with open(path, "w", encoding="ascii") as file:
            file.write(zone_text(content))
    ips = addresses(rng, zone, texts, PER_RECORD)
    before = judge_by_libbehalf(paths[0], ["10000 10000 %s %s\n" % (domain, ip) for ip in ips])
    behind = judge_by_libbehalf(paths[1], ["%d %d %s %s\n" % (LIMIT, VOIDS, domain, ip) for ip in ips])
    for ip, ours_before, ours_after in zip(ips, before, behind):
        judged = [theirs(spf, zone, domain, ip, True), theirs(spf, after, domain, ip, False), ours_before[0], ours_after[0]]
        tally.results[judged[0]] = tally.results.get(judged[0], 0) + 1
        tally.expect(len(set(judged)) == 1, "%s (%s) from %s: %r; it became %s" % (domain, record, ip, judged, answer["owner_record"]))
    corrected = lint(os.path.join(folder, "all.zone"), domain)["corrected"]
    if "+all" not in record and re.search(r"(?i)[-~?]all|redirect=", record):  # else the correction is meant to change it
        other = dict(zone)
        other[domain] = [r for r in zone[domain] if not str(r[1]).lower().startswith("v=spf1")] + [("TXT", corrected)]
        with open(paths[1], "w", encoding="ascii") as file:
            file.write(zone_text(other))
        for ip, was, now in zip(ips, before, judge_by_libbehalf(paths[1], ["10000 10000 %s %s\n" % (domain, ip) for ip in ips])):
            tally.expect(was[0] == now[0], "%s (%s) from %s: %s, corrected (%s) %s" % (domain, record, ip, was[0], corrected, now[0]))
    most = max(int(b[1]) for b in behind)
    tally.saved.append((answer["lookups_before"], most))
    tally.expect(most <= answer["lookups_after"] <= LIMIT, "%s: %d lookups, %d said" % (domain, most, answer["lookups_after"]))
    tally.expect(max(int(b[2]) for b in behind) <= VOIDS, "%s: too many voids" % domain)
    # an answer has 12 bytes of header, the question, the owner as a pointer and the strings
    tally.expect(all(len(t["text"]) <= 450 for t in answer["texts"]) or answer["networks"] > 60, "%s: a record is too long" % domain)


def main():
    try:
        import spf
    except ImportError:
        return corpora.skipped("spf_flatten")
    rng = random.Random(7208)
    cases, zone = shapes.make()
    tally = Tally()
    counts = {}
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "all.zone")
        with open(path, "w", encoding="ascii") as file:
            file.write(zone_text(zone))
        for case in cases:
            domain, record, expected = case
            answer = flatten(path, domain)
            got = shapes.REFUSED if answer["problem"] else shapes.KEPT if answer["kept"] else shapes.FLAT
            counts[got] = counts.get(got, 0) + 1
            tally.expect(got == expected, "%s (%s): %s, expected %s: %s" % (domain, record, got, expected, answer["problem"]))
            if not answer["problem"]:
                compare(spf, rng, tally, folder, case, zone, answer)
            else:  # nothing is published; the original is a permerror for whoever gets that far
                tally.expect(theirs(spf, zone, domain, "9.9.9.8", False) == "permerror", domain + " is not broken")
    for failure in tally.failures[:20]:
        print("FAIL", failure)
    print("records: %r; addresses: %d; results: %r" % (counts, sum(tally.results.values()), tally.results))
    over = [b for b, _a in tally.saved if b > LIMIT]
    print("lookups: %d before, %d after; %d records were over the limit, the worst %d; none is now"
          % (sum(b for b, _ in tally.saved), sum(a for _, a in tally.saved), len(over), max(over)))
    print("spf_flatten: %d passed, %d failed, 0 skipped" % (tally.passed, len(tally.failures)))
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
