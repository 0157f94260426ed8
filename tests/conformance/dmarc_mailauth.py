#!/usr/bin/python3
"""The DMARC evaluations of mailauth through `behalf dmarc check --dns FILE --json`.

Prints `dmarc_mailauth: N passed, N failed, N skipped`. Assertions are counted; those about mailauth's own interface
(its ARC comment, its info string, undersized signatures) have nothing to be compared with and are skipped.
"""
import json
import os
import subprocess
import sys
import tempfile

import corpora

# what an assertion's path is called in our output
FIELDS = {
    "status.result": lambda out: out["result"],
    "policy": lambda out: out["policy"],
    "p": lambda out: tag(out, "p"),
    "sp": lambda out: tag(out, "sp"),
    "pct": lambda out: int(tag(out, "pct")),
    "domain": lambda out: out["org_domain"],
    "rr": lambda out: out["record"],
    "status.header.from": lambda out: out["header_from"],
    "status.header.d": lambda out: out["record_domain"],
    "alignment.dkim.strict": lambda out: tag(out, "adkim") == "s",
    "alignment.spf.strict": lambda out: tag(out, "aspf") == "s",
    "alignment.dkim.result": lambda out: out["dkim_domain"] if out["alignment"]["dkim"] else None,
    "alignment.spf.result": lambda out: out["org_domain"] if out["alignment"]["spf"] else None,
    "": lambda out: out["result"] not in ("permerror",),  # mailauth: false for several authors
}


def tag(out, name):
    for part in (out["record"] or "").split(";"):
        key, _, value = part.partition("=")
        if key.strip() == name:
            return value.strip()
    return None


def zone_of(zone):
    lines = []
    for name, types in zone.items():
        for rtype, records in types.items():
            if isinstance(records, dict):
                lines.append("$FAIL %s. %s" % (name, rtype))
            elif rtype == "TXT":
                lines += ["%s. TXT %s" % (name, " ".join('"%s"' % s for s in record)) for record in records]
    return "\n".join(lines) + "\n"


def domains(args, key):
    return [d if isinstance(d, str) else d["domain"] for d in args.get(key, [])]


def call(behalf, item):
    args = item["args"]
    authors = args["headerFrom"] if isinstance(args["headerFrom"], list) else [args["headerFrom"]]
    command = [behalf, "dmarc", "check", "--json"]
    for author in authors:
        # several authors are none, even of one domain, as mailauth has it: an empty one beside makes it so
        command += ["--header-from", author] + (["--header-from", ""] if len(authors) > 1 else [])
    for domain in domains(args, "dkimDomains"):
        command += ["--dkim", "pass:" + domain]
    for domain in domains(args, "spfDomains"):
        command += ["--spf", "pass:" + domain]
    with tempfile.NamedTemporaryFile("w", suffix=".zone") as zone:
        zone.write(zone_of(item["zone"]))
        zone.flush()
        run = subprocess.run(command + ["--dns", zone.name], capture_output=True, text=True, timeout=60)
    if run.returncode != 0:
        raise RuntimeError(run.stderr.strip())
    return json.loads(run.stdout)


def holds(op, got, value):
    return {
        "to.equal": lambda: got == value[0],
        "to.be.true": lambda: got is True,
        "to.be.false": lambda: got is False,
        "to.not.be.ok": lambda: not got,
        "to.be.undefined": lambda: got is None,
    }[op]()


def main():
    path = corpora.path("dmarc-mailauth-js", "dmarc-verify.json")
    if not path:
        return corpora.skipped("dmarc_mailauth")
    behalf = os.environ["BEHALF"]
    passed, skipped, failures = 0, 0, []
    with open(path, encoding="utf-8") as file:
        cases = json.load(file)
    for case in cases:
        outputs = {item["id"]: call(behalf, item) for item in case["calls"]}
        for assertion in case["asserts"]:
            run, _, field = assertion["path"].partition(".")
            if field not in FIELDS:
                skipped += 1
                continue
            got = FIELDS[field](outputs[run])
            if holds(assertion["op"], got, assertion.get("value")):
                passed += 1
            else:
                failures.append("%s: %s is %r, expected %s %r" % (case["name"], field, got, assertion["op"],
                                                                 assertion.get("value")))
    return corpora.report("dmarc_mailauth", passed, failures, skipped)


if __name__ == "__main__":
    sys.exit(main())
