#!/usr/bin/python3
"""Corners of SPF and DMARC that the public suites leave out, through the tools: corners/spf.json and corners/dmarc.json.

Each case is a command's arguments, the zone that answers it, and members of the JSON that it must print. What is expected was
decided by RFC 7208 and RFC 9989; for SPF it is also what python3-spf says, but where that is not RFC 7208:
 - a final dot of MAIL FROM and HELO, which 4.3 allows; a name of one label, which is none by 4.3
 - transformers and delimiters out of order, "%{d.r}", which 7.1 does not allow; other bytes than ASCII
 - an unknown modifier with %{c}: any macro-string is one (6); DNS errors of ptr, by which it does not match (5.5)
 - CNAMEs, which its stand-in for DNS does not follow, and U-labels in MAIL FROM
Prints `corners: N passed, N failed, N skipped`.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import corpora


def check(behalf, case):
    """None, or what is wrong."""
    with tempfile.NamedTemporaryFile("w", suffix=".zone") as zone:
        zone.write("\n".join(case["zone"]) + "\n")
        zone.flush()
        run = subprocess.run([behalf, *case["args"], "--json", "--dns", zone.name], capture_output=True, text=True, timeout=60)
    if run.returncode != 0:
        return "%s: exit %d: %s" % (case["name"], run.returncode, run.stderr.strip())
    got = json.loads(run.stdout)
    for member, expected in case["expect"].items():
        if got.get(member) != expected:
            return "%s: %s is %r, expected %r: %s" % (case["name"], member, got.get(member), expected, got.get("reason"))
    return None


def main():
    behalf = os.environ["BEHALF"]
    folder = pathlib.Path(__file__).resolve().parent / "corners"
    cases = [case for path in sorted(folder.glob("*.json")) for case in json.loads(path.read_text())]
    failures = [failure for failure in (check(behalf, case) for case in cases) if failure]
    return corpora.report("corners", len(cases) - len(failures), failures)


if __name__ == "__main__":
    sys.exit(main())
