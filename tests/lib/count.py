#!/usr/bin/python3
"""count.py TESTLOG: sums what the tests of a Meson run counted themselves.

TESTLOG is meson-logs/testlog.json. A test that prints "NAME: N passed, N failed, N skipped" or cmocka's summary is counted
by its cases, any other as one. Prints "P F S" and, before it, a line for each test that did not pass."""
import json
import re
import sys

OWN = re.compile(r"^[\w ./:-]+: (\d+) passed, (\d+) failed, (\d+) skipped$", re.MULTILINE)
CMOCKA = {kind: re.compile(r"^\[ +%s +\] (\d+) test\(s\)" % kind.upper(), re.MULTILINE)
          for kind in ("passed", "failed", "skipped")}


def cases(test):
    """(passed, failed, skipped) of one test."""
    output = test.get("stdout", "") + "\n" + test.get("stderr", "")
    own = OWN.findall(output)
    if own:
        passed, failed, skipped = (sum(int(line[i]) for line in own) for i in range(3))
    else:
        passed, failed, skipped = (sum(int(n) for n in CMOCKA[kind].findall(output)) for kind in ("passed", "failed", "skipped"))
    if passed + failed + skipped == 0:
        result = test["result"]
        return (int(result in ("OK", "EXPECTEDFAIL")), 0, 1) if result == "SKIP" else (
            int(result in ("OK", "EXPECTEDFAIL")), int(result not in ("OK", "EXPECTEDFAIL")), 0)
    if test["result"] not in ("OK", "EXPECTEDFAIL", "SKIP") and failed == 0:
        failed = 1  # it ended badly after its cases: a leak, a crash at exit, a timeout
    return passed, failed, skipped


def main():
    total = [0, 0, 0]
    with open(sys.argv[1], encoding="utf-8", errors="replace") as log:
        tests = [json.loads(line) for line in log if line.strip()]
    for test in tests:
        counted = cases(test)
        total = [a + b for a, b in zip(total, counted)]
        if counted[1]:
            print("FAIL %s (%s)" % (test["name"], test["result"]))
            print("\n".join("  " + line for line in (test.get("stdout", "") + test.get("stderr", "")).split("\n")[-40:]))
        elif counted[2]:
            print("skip %s: %d" % (test["name"], counted[2]))
    print("%d %d %d" % tuple(total))


if __name__ == "__main__":
    main()
