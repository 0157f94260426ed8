#!/usr/bin/python3
"""Our SPF beside python3-spf and Mail::SPF on generated records, clients and senders.

Prints `spf_differential: N passed, N failed, N skipped`. A disagreement is a failure unless a rule of EXPLAINED names
it. SPF_CASES sets how many checks are made, SPF_SEED which.
"""
import json
import os
import random
import re
import subprocess
import sys
import tempfile

import corpora

CASES = int(os.environ.get("SPF_CASES", "300"))
SEED = int(os.environ.get("SPF_SEED", "7208"))
BEHALF = os.environ.get("BEHALF", "")
PERL = os.path.join(os.path.dirname(os.path.abspath(__file__)), "spf_peers", "mail_spf.pl")


def names_itself(case):
    """A record with an include: of its own name."""
    return re.search(r"(?m)^(\S+)\. TXT .*include:(?:\1|%\{d2?\})\.?[ \"]", case["text"])


def repeats_modifier(case):
    return re.search(r"(?m) ((?:foo|x\.y-z_1)=)\S+ .*\1", case["text"])


# (what the case must look like, our result, theirs, why); "theirs" is one judge's result
EXPLAINED = [
    (names_itself, None, "permerror",
     "a record that includes itself: python3-spf refuses it before it looks at the terms; RFC 7208 4.6.4 counts lookups, "
     "and none is made where an earlier term matches"),
    (repeats_modifier, None, "permerror",
     "an unknown modifier twice: RFC 7208 6 forbids that for redirect and exp alone"),
    (lambda case: "unknown macro letter" in case["reason"] and case["judge"] == "Mail::SPF", "permerror", None,
     "Mail::SPF looks at macro letters when it expands; RFC 7208 4.6 wants syntax errors found anywhere in the record"),
    (lambda case: case["voids"] and "permerror" in (case["ours"], case["theirs"]), None, None,
     "what counts as a void lookup: python3-spf counts those for the client's own names (ptr, %{p}) too, which the "
     "client and not the domain controls; RFC 7208 4.6.4 counts the terms of the record"),
    (lambda case: "keeps zero parts" in case["reason"], "permerror", None,
     "a macro that keeps zero parts: RFC 7208 7.1 says that the number MUST be nonzero"),
    (lambda case: "%{p" in case["text"], None, None,
     "%{p} with several validated names: RFC 7208 7.3 leaves the choice open"),
]


# ---- generating ----

class Zone:
    """Names with a few records each, from which both judges answer."""

    def __init__(self, rng):
        self.rng = rng
        self.data = {}
        self.names = ["d%d.example" % i for i in range(8)]
        for name in self.names:
            self.fill(name)
        for last in range(1, 6):
            self.add("%d.2.0.192.in-addr.arpa" % last, "PTR", rng.choice(self.names))
        self.add("void.example", "MX", (10, "nowhere.example"))

    def add(self, name, rtype, value):
        self.data.setdefault(name.lower(), []).append((rtype, value))

    def fill(self, name):
        rng = self.rng
        for _ in range(rng.randrange(0, 3)):
            self.add(name, "A", "192.0.2.%d" % rng.randrange(1, 6))
        if rng.random() < 0.4:
            self.add(name, "AAAA", "2001:db8::%d" % rng.randrange(1, 4))
        for _ in range(rng.randrange(0, 3)):
            self.add(name, "MX", (10, rng.choice(self.names)))
        if rng.random() < 0.9:
            self.add(name, "TXT", self.record())
        if rng.random() < 0.05:
            self.add(name, "TXT", "v=spf1 -all")
        if rng.random() < 0.2:
            self.add(name, "TXT", "something else")

    def target(self):
        rng = self.rng
        if rng.random() < 0.6:
            return rng.choice(self.names)
        return rng.choice(self.names + ["nowhere.example", "void.example", "%{d}", "x.%{o}", "%{l}.d1.example",
                                        "%{ir}.d2.example", "%{d2}", "%{h}", "bad", "d1.example.", "a..example",
                                        "%{x}.example", "%{d0}", "d%d", "192.0.2.1", "%{lr-}.example"][:rng.choice([2, 8, 8, 8, 8, 16])])

    def bits(self):
        return self.rng.choice(["", "", "/24", "/30", "//64", "/24//64", "/0"] * 5 + ["/33", "/", "//129"])

    def term(self):
        rng = self.rng
        kind = rng.choice(["a", "mx", "ip4", "ip6", "include", "exists", "ptr", "all", "modifier", "broken"])
        sign = rng.choice(["", "", "+", "-", "~", "?"])
        if kind in ("a", "mx"):
            return sign + kind + rng.choice(["", ":" + self.target()]) + self.bits()
        if kind == "ip4":
            return sign + "ip4:192.0.2.%d" % rng.randrange(0, 8) + rng.choice(["", "", "/30", "/24"] * 6 + ["/33", "/08"])
        if kind == "ip6":
            return sign + "ip6:2001:db8::%d" % rng.randrange(0, 8) + rng.choice(["", "", "/64", "/128"] * 6 + ["/129"])
        if kind in ("include", "exists"):
            return sign + kind + ":" + self.target()
        if kind == "ptr":
            return sign + "ptr" + rng.choice(["", "", ":" + self.target()])
        if kind == "all":
            return sign + "all" if rng.random() < 0.3 else sign + "A"
        if kind == "modifier":
            return rng.choice(["foo=bar", "x.y-z_1=%{d}", "exp=d1.example", "redirect=" + self.target()])
        return rng.choice(["ip4:1.2.3", "al", "all:", "include", "a:", "redirect:x.example", "1x=y", "-", "mx:%"]) \
            if rng.random() < 0.1 else "a"

    def record(self):
        rng = self.rng
        terms = [self.term() for _ in range(rng.randrange(0, 6))]
        if rng.random() < 0.5:
            terms.append(rng.choice(["-all", "~all", "?all", "+all"]))
        return rng.choice(["v=spf1", "v=spf1", "v=spf1", "V=SPF1"]) + " " + rng.choice([" ", "  "]).join(terms)

    def text(self):
        lines = []
        for name, records in self.data.items():
            for rtype, value in records:
                if rtype == "TXT":
                    value = '"%s"' % value
                elif rtype == "MX":
                    value = "%d %s." % value
                elif rtype == "PTR":
                    value += "."
                lines.append("%s. %s %s" % (name, rtype, value))
        return "\n".join(lines) + "\n"


# ---- judging ----

def theirs(spf, zone, ip, helo, sender):
    def lookup(name, qtype, *_rest, **_named):
        import socket
        for rtype, value in zone.data.get(name.lower().rstrip("."), []):
            if rtype == "TXT":
                value = (value.encode("ascii"),)
            elif rtype == "AAAA":
                value = socket.inet_pton(socket.AF_INET6, value)
            yield (name, rtype), value

    spf.DNSLookup = lookup
    return spf.query(i=ip, s=sender, h=helo, strict=True, timeout=20, querytime=0).check()[0]


def ours(path, ip, helo, sender):
    run = subprocess.run([BEHALF, "spf", "check", "--dns", path, "--json", "--ip", ip, "--helo", helo, "--mail-from",
                          sender], capture_output=True, text=True, timeout=60)
    if run.returncode != 0:
        raise RuntimeError(run.stderr)
    return json.loads(run.stdout)


def mail_spf(path, clients):
    """Mail::SPF's results for all clients, or None where it is not installed."""
    run = subprocess.run(["perl", PERL, path], input="".join(" ".join(c) + "\n" for c in clients), capture_output=True,
                         text=True, timeout=120)
    return run.stdout.split() if run.returncode == 0 else None


def explained(case):
    return any(looks_like(case) and (a in (None, case["ours"])) and (b in (None, case["theirs"]))
               for looks_like, a, b, _why in EXPLAINED)


def main():
    try:
        import spf
    except ImportError:
        return corpora.skipped("spf_differential")
    rng = random.Random(SEED)
    passed, skipped, failures = 0, 0, []
    results = {}
    while passed + skipped + len(failures) < CASES:
        zone = Zone(rng)
        with tempfile.NamedTemporaryFile("w", suffix=".zone") as file:
            file.write(zone.text())
            file.flush()
            clients = [(rng.choice(["192.0.2.%d" % rng.randrange(1, 7), "2001:db8::%d" % rng.randrange(1, 5)]),
                        rng.choice(zone.names),
                        rng.choice(["user@", "a-b@", "x+y@"]) + rng.choice(zone.names)) for _ in range(10)]
            perl = mail_spf(file.name, clients)
            for i, (ip, helo, sender) in enumerate(clients):
                got = ours(file.name, ip, helo, sender)
                results[got["result"]] = results.get(got["result"], 0) + 1
                judges = {"python3-spf": theirs(spf, zone, ip, helo, sender)}
                if perl:
                    judges["Mail::SPF"] = perl[i]
                for judge, result in judges.items():
                    case = {"ours": got["result"], "theirs": result, "judge": judge, "text": zone.text(),
                            "reason": got["reason"], "voids": got["void_lookups"]}
                    if case["ours"] == result:
                        passed += 1
                    elif explained(case):
                        skipped += 1
                    else:
                        failures.append("%s from %s (%s): %s, %s says %s: %s\n%s" % (
                            sender, ip, helo, case["ours"], judge, result, case["reason"],
                            "\n".join(line for line in case["text"].splitlines() if "TXT" in line)))
    print("results: " + ", ".join("%s %d" % item for item in sorted(results.items())))
    return corpora.report("spf_differential", passed, failures, skipped)


if __name__ == "__main__":
    sys.exit(main())
