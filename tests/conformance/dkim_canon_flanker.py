#!/usr/bin/python3
"""The canonicalisation files of flanker (made by the DomainKeys people): simple and relaxed, header and body apart.
The program canon_check is the first argument."""
import os
import subprocess
import sys

import corpora


def canonical(program, canon, message):
    out = subprocess.run([program, canon], input=message, capture_output=True, timeout=60, check=True).stdout
    return out


def parts(data):
    """Header block with its empty line, body."""
    if data.startswith(b"\r\n"):
        return data[:2], data[2:]
    at = data.find(b"\r\n\r\n")
    return (data, b"") if at < 0 else (data[:at + 4], data[at + 4:])


def read(folder, name):
    with open(os.path.join(folder, name), "rb") as file:
        return file.read()


def main():
    folder = corpora.path("dkim-canon-flanker")
    if not folder:
        return corpora.skipped("dkim_canon_flanker")
    passed, failures = 0, []
    for name in sorted(os.listdir(folder)):
        if not name.startswith("email."):
            continue
        number = name[len("email."):]
        message = read(folder, name).replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        for canon in ("simple", "relaxed"):
            got = parts(canonical(sys.argv[1], canon, message))
            wanted = parts(read(folder, "%s.expected.%s" % (canon, number)))
            for what, one, other in zip(("header", "body"), got, wanted):
                passed += one == other
                if one != other:
                    failures.append("%s %s %s: %r, expected %r" % (number, canon, what, one[-80:], other[-80:]))
    return corpora.report("dkim_canon_flanker", passed, failures)


if __name__ == "__main__":
    sys.exit(main())
