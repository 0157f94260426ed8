#!/usr/bin/python3
"""ValiMail's ARC validation suite through `behalf arc verify --dns FILE --json`.

Three cases, cv_fail_*_as*_fail, expect nothing: a seal in them says cv=fail. RFC 8617 5.2 step 2 makes the chain fail.
"""
import json
import os
import subprocess
import sys
import tempfile

import corpora


def zone_of(records):
    lines = []
    for name, text in (records or {}).items():
        strings = " ".join('"%s"' % text[i:i + 250] for i in range(0, len(text), 250))
        lines.append("%s. TXT %s" % (name, strings))
    return "\n".join(lines) + "\n"


def verdict(behalf, zone, message):
    run = subprocess.run([behalf, "arc", "verify", "--json", "--dns", zone], input=message, capture_output=True,
                         timeout=60)
    return json.loads(run.stdout) if run.returncode == 0 else {"result": "exit %d" % run.returncode, "reason": ""}


def main():
    path = corpora.path("arc-valimail", "arc-draft-validation-tests.yml")
    if not path:
        return corpora.skipped("arc_valimail")
    import yaml
    behalf, passed, failures = os.environ["BEHALF"], 0, []
    with open(path, encoding="utf-8") as file:
        scenarios = list(yaml.safe_load_all(file))
    for scenario in scenarios:
        with tempfile.NamedTemporaryFile("w", suffix=".zone") as zone:
            zone.write(zone_of(scenario.get("txt-records")))
            zone.flush()
            for name, test in scenario["tests"].items():
                got = verdict(behalf, zone.name, test["message"].encode())
                expected = test["cv"].lower() or "fail"
                if got["result"] == expected:
                    passed += 1
                else:
                    failures.append("%s: %s, expected %s (%s)" % (name, got["result"], expected, got["reason"]))
    return corpora.report("arc_valimail", passed, failures)


if __name__ == "__main__":
    sys.exit(main())
