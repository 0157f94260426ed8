#!/usr/bin/python3
"""Stalwart's signed messages through `behalf dkim verify`: every signature of each must pass. The DNS records are the
first lines of each file. Each is tried again with a byte of the body changed, and then must not pass."""
import json
import os
import subprocess
import sys
import tempfile

import corpora

NOW = "1667843664"  # before the x= of one of them


def split(data):
    head, _, message = data.replace(b"\r\n", b"\n").partition(b"\n\n")
    lines = []
    for line in head.decode().splitlines():
        name, _, text = line.partition(" ")
        strings = " ".join('"%s"' % text[i:i + 250] for i in range(0, len(text), 250))
        lines.append("%s. TXT %s\n" % (name, strings))
    return "".join(lines), message


def results(behalf, zone, message):
    run = subprocess.run([behalf, "dkim", "verify", "--json", "--dns", zone, "--now", NOW], input=message,
                         capture_output=True, timeout=60)
    if run.returncode != 0:
        return [("exit %d" % run.returncode, run.stderr.decode())]
    return [(one["result"], one["reason"]) for one in json.loads(run.stdout)["dkim"]]


def check(behalf, zone, message):
    got = results(behalf, zone, message)
    if not got or any(result != "pass" for result, _ in got):
        return str(got)
    body = message.index(b"\n\n") + 2
    at = next(i for i in range(body, len(message)) if message[i:i + 1].isalpha())
    changed = message[:at] + bytes([message[at] ^ 1]) + message[at + 1:]
    got = results(behalf, zone, changed)
    return str(got) if any(result != "fail" for result, _ in got) else None


def main():
    folder = corpora.path("dkim-mail-auth")
    if not folder:
        return corpora.skipped("dkim_mail_auth")
    behalf, passed, failures = os.environ["BEHALF"], 0, []
    for name in sorted(n for n in os.listdir(folder) if n.endswith(".txt")):
        with open(os.path.join(folder, name), "rb") as file:
            records, message = split(file.read())
        with tempfile.NamedTemporaryFile("w", suffix=".zone") as zone:
            zone.write(records)
            zone.flush()
            failure = check(behalf, zone.name, message)
        failures += ["%s: %s" % (name, failure)] if failure else []
        passed += not failure
    return corpora.report("dkim_mail_auth", passed, failures)


if __name__ == "__main__":
    sys.exit(main())
