#!/usr/bin/python3
"""The openspf.org suite for RFC 7208 through `behalf spf check --dns FILE --json`.

Prints `spf_rfc7208: N passed, N failed, N skipped`. The suite's own rules: SPF records stand for TXT unless the name
has an explicit TXT, TIMEOUT alone makes every type of the name fail, an absent name is NXDOMAIN, and where several
results are listed any of them is right.
"""
import json
import os
import subprocess
import sys
import tempfile

import corpora


def quoted(data):
    """One TXT string as a quoted token; bytes that are not plain go as \\DDD."""
    if isinstance(data, str):
        data = data.encode("latin-1") if all(ord(c) < 256 for c in data) else data.encode("utf-8")
    return '"' + "".join(chr(b) if 32 <= b < 127 and chr(b) not in '"\\' else "\\%03d" % b for b in data) + '"'


def strings(value):
    """A TXT value as strings of at most 255 bytes."""
    parts = value if isinstance(value, list) else [value]
    out = []
    for part in parts:
        out += [part[i:i + 255] for i in range(0, len(part), 255)] or [""]
    return out or [""]


def owner(name):
    return "".join(c if c.isalnum() or c in "-_." else "\\%03d" % ord(c) for c in name.rstrip(".")) + "."


def record_lines(name, entry, has_txt):
    if entry == "TIMEOUT":
        yield "$FAIL " + owner(name)
        return
    (rtype, value), = entry.items()
    if value == "TIMEOUT":
        yield "$FAIL %s %s" % (owner(name), rtype)
    elif rtype == "TXT" and value == "NONE" or rtype == "SPF" and has_txt:
        return
    elif rtype in ("TXT", "SPF"):
        yield "%s TXT %s" % (owner(name), " ".join(quoted(s) for s in strings(value)))
    elif rtype == "MX":
        yield "%s MX %d %s" % (owner(name), value[0], owner(value[1]) if value[1] else ".")
    elif rtype in ("PTR", "CNAME"):
        yield "%s %s %s" % (owner(name), rtype, owner(value))
    else:
        yield "%s %s %s" % (owner(name), rtype, value)


def zone_of(scenario):
    lines = []
    for name, entries in (scenario.get("zonedata") or {}).items():
        has_txt = any(isinstance(e, dict) and "TXT" in e for e in entries)
        failing = "TIMEOUT" in entries and len(entries) > 1
        for entry in entries:
            if entry == "TIMEOUT" and failing:
                # what is listed beside it is answered, all else of the name fails
                listed = {"TXT" if t == "SPF" else t for e in entries if isinstance(e, dict) for t in e}
                listed -= {"TXT"} if any(e.get("TXT") == "NONE" for e in entries if isinstance(e, dict)) else set()
                for rtype in {"TXT", "A", "AAAA", "MX", "PTR"} - listed:
                    lines.append("$FAIL %s %s" % (owner(name), rtype))
            else:
                lines += record_lines(name, entry, has_txt)
    return "\n".join(lines) + "\n"


def expected_of(test):
    return test["result"] if isinstance(test["result"], list) else [test["result"]]


def check(behalf, zone, name, test):
    """None, or what is wrong."""
    command = [behalf, "spf", "check", "--dns", zone, "--json", "--ip", str(test["host"]),
               "--helo", str(test["helo"]), "--mail-from", str(test["mailfrom"])]
    run = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if run.returncode != 0:
        return "%s: exit %d: %s" % (name, run.returncode, run.stderr.strip())
    got = json.loads(run.stdout)
    if got["result"] not in expected_of(test):
        return "%s: %s, expected %s: %s" % (name, got["result"], expected_of(test), got["reason"])
    wanted = test.get("explanation")
    if wanted is None:
        return None
    wanted = "" if wanted == "DEFAULT" else wanted
    if got["explanation"].lower() != wanted.lower():
        return "%s: explanation %r, expected %r" % (name, got["explanation"], wanted)
    return None


def main():
    path = corpora.path("spf-rfc7208", "rfc7208-tests.yml")
    if not path:
        return corpora.skipped("spf_rfc7208")
    import yaml
    behalf = os.environ["BEHALF"]
    passed, failures = 0, []
    with open(path, encoding="utf-8") as file:
        scenarios = list(yaml.safe_load_all(file))
    for scenario in scenarios:
        with tempfile.NamedTemporaryFile("w", suffix=".zone") as zone:
            zone.write(zone_of(scenario))
            zone.flush()
            for name, test in scenario["tests"].items():
                failure = check(behalf, zone.name, name, test)
                failures += [failure] if failure else []
                passed += not failure
    return corpora.report("spf_rfc7208", passed, failures)


if __name__ == "__main__":
    sys.exit(main())
