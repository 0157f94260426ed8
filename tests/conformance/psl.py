#!/usr/bin/python3
"""The tests of publicsuffix.org, through our interface to the list. Prints `psl: N passed, N failed, N skipped`."""
import subprocess
import sys

import corpora


def ascii_of(name):
    return name if name == "null" else name.encode("idna").decode("ascii")


def main():
    tests = corpora.path("psl", "tests", "tests.txt")
    rules = corpora.path("psl", "public_suffix_list.dat")
    if not tests or not rules:
        return corpora.skipped("psl")
    with open(tests, encoding="utf-8") as file:
        pairs = [line.split() for line in file if line.strip() and not line.startswith("//")]
    run = subprocess.run([sys.argv[1], rules], input="".join(p[0] + "\n" for p in pairs), capture_output=True,
                         text=True, timeout=60, check=True)
    failures = []
    for (name, expected), got in zip(pairs, run.stdout.splitlines(), strict=True):
        if name != "null" and got != ascii_of(expected):
            failures.append("%s: %s, expected %s" % (name, got, expected))
    return corpora.report("psl", len(pairs) - len(failures), failures)


if __name__ == "__main__":
    sys.exit(main())
