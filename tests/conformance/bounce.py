#!/usr/bin/python3
"""Real bounces and complaints through `behalf bounce --json`: sisimai's, flanker's, mikel's, and mail-auth's ARF reports.

Of sisimai's: kind >= 99 %, failed address >= 98 %, the report's own Status 100 %, class by class-map.tsv >= 92 %, and no
labelled auto-reply or delay taken for a failure. --list prints every message that is not as labelled.
"""
import collections
import email
import email.policy
import json
import os
import re
import subprocess
import sys

import corpora

BEHALF = os.environ.get("BEHALF", "behalf")
ADDRESS = re.compile(r"[^\s<>;,\"()]+@[^\s<>;,\"()]+")


def read(path):
    run = subprocess.run([BEHALF, "bounce", "--json", path], capture_output=True, timeout=60)
    if run.returncode:
        return {"kind": "exit %d: %s" % (run.returncode, run.stderr.decode("utf-8", "replace")[-300:]), "recipients": []}
    return json.loads(run.stdout)


def load(suite, name):
    with open(corpora.path(suite, name), encoding="utf-8") as file:
        return json.load(file)


def class_map():
    classes, kinds = {}, {}
    with open(corpora.path("bounce-sisimai", "class-map.tsv"), encoding="utf-8") as file:
        for line in file:
            fields = line.rstrip("\n").split("\t")
            if line.startswith("#") or len(fields) < 2:
                continue
            classes[fields[0]] = fields[1].split(",")
            if len(fields) > 2:
                kinds[fields[0]] = fields[2].split("=")[1]
    return classes, kinds


def report_recipients(dsn):
    """[(addresses that are right, Status, Action)] of the reports of a file; names of fields in any case."""
    found = []
    for report in (dsn or [])[:1]:  # a second one belongs to a returned message that is a bounce itself
        for fields in report["recipients"]:
            low = {name.lower(): value for name, value in fields.items()}
            right = set()
            for name in ("final-recipient", "original-recipient"):
                match = re.search(r'("[^"]*"|[^\s<>;,"()]+)@[^\s<>;,"()]+', low.get(name, "").split(";", 1)[-1])
                if match:
                    right.add(match.group(0).lower())
            status = re.match(r"\s*([245]\.\d+\.\d+)", low.get("status", ""))
            found.append((right, status.group(1) if status else None, low.get("action", "").lower()))
    return found


def is_delay(path, recipients):
    if recipients:
        return all(action.startswith("delay") for _, _, action in recipients)
    with open(path, "rb") as file:
        raw = file.read().decode("latin-1")
    subject = email.message_from_string(raw, policy=email.policy.compat32)["Subject"] or ""
    return bool(re.search(r"^Action: *delayed", raw, re.M)) or "delay" in subject.lower()


class Score:
    def __init__(self, name):
        self.name, self.right, self.wrong = name, 0, []

    def add(self, good, text):
        if good:
            self.right += 1
        else:
            self.wrong.append(text)

    @property
    def percent(self):
        return 100.0 * self.right / max(1, self.right + len(self.wrong))

    def line(self, wanted):
        return "  %-34s %3d of %3d  %6.2f %%  (wanted %g %%)" % (
            self.name, self.right, self.right + len(self.wrong), self.percent, wanted)


def judge_addresses(score, file, got, recipients, labels, to):
    """Where a report names the recipients, these; else one address for each label, and not the one who got the bounce."""
    named = [right for right, _, _ in recipients if right]
    have = [(r["address"] or "").lower() for r in got["recipients"]]
    if named:
        for right in named:
            score.add(right & set(have), "%s: %s instead of %s" % (file, have, sorted(right)))
        return
    with open(corpora.path("bounce-sisimai", "eml", file), encoding="latin-1") as stream:
        raw = stream.read().lower()
    good = len(have) == len(labels) and all("@" in address for address in have)
    for address in have:  # the sender's own one is right only where it is listed as such
        good = good and (address != to or re.search(r"(^|;)\W*" + re.escape(address), raw, re.M))
    score.add(good,
              "%s: %s, %d labelled" % (file, have, len(labels)))


def sisimai(failures, listing):
    classes, kinds = class_map()
    expected, dsn = load("bounce-sisimai", "expected.json"), load("bounce-sisimai", "dsn_fields.json")
    kind, address = Score("kind"), Score("failed address")
    status, best, wrong_failure = Score("Status of the report"), Score("class"), Score("delays, auto-replies")
    table = collections.Counter()
    for file, labels in sorted(expected.items()):
        path = corpora.path("bounce-sisimai", "eml", file)
        got, recipients = read(path), report_recipients(dsn.get(file))
        reasons = [label["reason"] for label in labels]
        wanted = kinds.get(reasons[0]) or ("delay" if is_delay(path, recipients) else "bounce")
        kind.add(got["kind"] == wanted, "%s: %s instead of %s" % (file, got["kind"], wanted))
        if wanted in ("delay", "auto-reply"):
            wrong_failure.add(got["kind"] != "bounce", file)
        for i, (_, own, _) in enumerate(recipients):
            if own:
                have = [r["status"] for r in got["recipients"]]
                status.add(own in have, "%s: %s instead of %s" % (file, have, own))
        if wanted not in ("bounce", "delay"):
            continue
        with open(path, "rb") as stream:
            to = email.utils.parseaddr(str(email.message_from_binary_file(stream)["To"] or ""))[1].lower()
        judge_addresses(address, file, got, recipients, labels, to)
        for i, label in enumerate(labels):
            have = got["recipients"][i]["class"] if i < len(got["recipients"]) else "none"
            text = (got["recipients"][i]["diagnostic"] or "")[:150] if i < len(got["recipients"]) else ""
            table[(classes[label["reason"]][0], have)] += 1
            best.add(have in classes[label["reason"]],
                     "%s: %s instead of %s (%s): %s" % (file, have, label["reason"], label["status"], text))
    print("bounce-sisimai, %d messages" % len(expected))
    for score, floor in ((kind, 99), (address, 98), (status, 100), (best, 92), (wrong_failure, 100)):
        print(score.line(floor))
        if score.percent < floor:
            failures.append("sisimai: %s is %.2f %%, wanted %g %%" % (score.name, score.percent, floor))
        if listing:
            print("".join("      %s\n" % wrong for wrong in score.wrong), end="")
    print_table(table)
    return kind.right + address.right + status.right + best.right


def print_table(table):
    names = ["hard", "soft", "block", "authentication", "policy", "challenge", "unknown", "none"]
    print("  labelled (best class) \\ read as")
    print("  %-16s%s" % ("", "".join("%8s" % name[:7] for name in names)))
    for label in names[:-1]:
        print("  %-16s%s" % (label, "".join("%8s" % (table[(label, have)] or ".") for have in names)))


def small_suites(failures):
    """flanker and mikel: kind, address and Status by the reports; flanker's complaints."""
    passed = 0
    for suite, folder, ending in (("bounce-flanker", "bounce", ".eml"), ("bounce-mikel", ".", ".eml")):
        dsn, base = load(suite, "dsn_fields.json"), corpora.path(suite, folder)
        for file in sorted(name for name in os.listdir(base) if name.endswith(ending)):
            path = os.path.join(base, file)
            got, recipients = read(path), report_recipients(dsn.get(file))
            wanted = "delay" if is_delay(path, recipients) and file != "delayed-broken.eml" else "bounce"
            have = {(r["address"] or "").lower() for r in got["recipients"]}
            good = got["kind"] == wanted and have and all("@" in address for address in have)
            for right, own, _ in recipients:
                good = good and (not right or right & have)
                good = good and (not own or own in [r["status"] for r in got["recipients"]])
            if good:
                passed += 1
            else:
                failures.append("%s/%s: %s" % (suite, file, json.dumps(got)[:400]))
    base = corpora.path("bounce-flanker", "complaints")
    for file in sorted(os.listdir(base)):
        got = read(os.path.join(base, file))
        if got["kind"] == "complaint" and got["feedback"]["type"] == "abuse":
            passed += 1
        else:
            failures.append("bounce-flanker/complaints/%s: %s" % (file, got["kind"]))
    return passed


def arf(failures):
    passed, base = 0, corpora.path("arf-mail-auth")
    for file in sorted(name for name in os.listdir(base) if name.endswith(".eml")):
        want, got = load("arf-mail-auth", file[:-4] + ".json"), read(os.path.join(base, file))
        feedback = got.get("feedback") or {}
        pairs = {"type": feedback.get("type"), "want": want["feedback_type"].lower().replace("authfailure", "auth-failure")}
        good = got["kind"] == "complaint" and pairs["type"] == pairs["want"]
        good = good and (feedback.get("user_agent") or None) == want["user_agent"]
        good = good and (feedback.get("source_ip") or None) == want["source_ip"]
        good = good and feedback.get("incidents") == want["incidents"]
        to = want["original_rcpt_to"]
        good = good and (not to or "@" not in to or
                         ADDRESS.search(to).group(0).lower() in [(r["address"] or "").lower() for r in got["recipients"]])
        if good:
            passed += 1
        else:
            failures.append("arf-mail-auth/%s: %s" % (file, json.dumps(got)[:500]))
    return passed


def main():
    if not corpora.path("bounce-sisimai", "expected.json"):
        return corpora.skipped("bounce")
    failures = []
    passed = sisimai(failures, "--list" in sys.argv) + small_suites(failures) + arf(failures)
    return corpora.report("bounce", passed, failures)


if __name__ == "__main__":
    sys.exit(main())
