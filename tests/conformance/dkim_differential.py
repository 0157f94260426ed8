#!/usr/bin/python3
"""Our DKIM beside python3-dkim, Mail::DKIM and libopendkim, on generated and mutated messages.

Signatures of ours must pass all of them, theirs must pass ours. Then signed messages are mutated, and every judge says
pass or not. A disagreement is a failure unless a rule of EXPLAINED names it. The first argument is the program
opendkim_verify, or "" without libopendkim; judges that are not installed are left out and counted as skipped.
"""
import importlib.util
import json
import os
import random
import re
import subprocess
import sys
import tempfile

import corpora

HERE = os.path.dirname(os.path.abspath(__file__))
BEHALF = os.environ.get("BEHALF", "")
PERL = os.path.join(HERE, "dkim_peers", "mail_dkim.pl")
MUTATIONS = int(os.environ.get("DKIM_MUTATIONS", "150"))
NOW = "1795312000"

# (judge, pattern of the message, why the judge is wrong or merely different)
EXPLAINED = [
    ("opendkim", re.compile(rb"a=ed25519", re.I), "Debian's libopendkim has no Ed25519 (RFC 8463)"),
    ("Mail::DKIM", re.compile(rb"a=ed25519", re.I), "needs CryptX for Ed25519, which Debian's package does not bring"),
    ("dkimpy", re.compile(rb"(?m)^[A-Za-z-]+ :"), "refuses a blank before the colon, which RFC 5322 4.5.8 allows"),
    ("Mail::DKIM", re.compile(rb"(?mi)^DKIM-Signature[ \t]+:"), "overlooks a signature with that blank"),
    ("dkimpy", re.compile(rb"(?mis)^From:.*^From:"), "refuses two From fields (RFC 6376 8.15), where we leave it to DMARC"),
]


def run(*command, stdin=None):
    return subprocess.run(command, input=stdin, capture_output=True, timeout=120, check=False)


# ---- messages ----

def words(rng, n):
    return " ".join(rng.choice(["alpha", "be", "gamma-ray", "d", "=C3=A9", "<b>", "10%"]) for _ in range(n))


def generated(rng):
    """A well-formed message with odd but legal white space."""
    head = [b"From: \"A. B\" <a@example.com>", b"To: b@example.net,\r\n\tc@example.net",
            b"Subject:  %s \t\r\n  %s  " % (words(rng, 4).encode(), words(rng, 3).encode()),
            b"Date: Fri, 11 Jul 2003 21:00:37 -0700", b"Message-ID: <1@example.com>"]
    if rng.random() < 0.5:
        head.append(b"MIME-Version:1.0")
    if rng.random() < 0.3:
        head.append(b"X-Empty:")
    rng.shuffle(head)
    lines = []
    for _ in range(rng.randrange(0, 12)):
        lines.append(rng.choice(["", "", " ", "\t ", words(rng, 6), words(rng, 3) + "  \t" + words(rng, 2) + " ",
                                 " " + words(rng, 2)]).encode())
    return b"\r\n".join(head) + b"\r\n\r\n" + b"".join(line + b"\r\n" for line in lines)


def mutated(rng, message):
    """One change; always CRLF line ends, so that judges that repair line ends see the same bytes."""
    head, _, body = message.partition(b"\r\n\r\n")
    fields = re.split(rb"\r\n(?![ \t])", head)
    at = rng.randrange(len(fields))
    kind = rng.randrange(14)
    if kind == 0:
        i = rng.randrange(len(message))
        return message[:i] + rng.choice([b"x", b" ", b";", b"=", b":", b"\t"]) + message[i + 1:]
    if kind == 1:
        body += rng.choice([b"\r\n", b"\r\n\r\n", b" \r\n", b"x\r\n"])
    elif kind == 2:
        body = body.replace(b" ", rng.choice([b"  ", b"\t", b""]), 1)
    elif kind == 3:
        fields.insert(at, fields[rng.randrange(len(fields))])
    elif kind == 4:
        del fields[at]
    elif kind == 5:
        fields[at] = fields[at].replace(b" ", b"\r\n ", 1) if b": " in fields[at] else fields[at]
    elif kind == 6:
        fields[at] = fields[at].replace(b":", rng.choice([b" :", b":  "]), 1)
    elif kind == 7:
        name, _, value = fields[at].partition(b":")
        fields[at] = rng.choice([name.upper(), name.lower()]) + b":" + value
    elif kind == 8:
        rng.shuffle(fields)
    elif kind == 9:
        old, new = rng.choice([(b"v=1", b"v=2"), (b"c=relaxed", b"c=simple"), (b"; s=", b"; z=; s="), (b"d=e", b"d=E"),
                               (b"; t=", b"; x=1795000000; t="), (b"; h=", b"; l=0; h="), (b"v=1;", b""),
                               (b"; bh=", b"; bh= "), (b" b=", b" b=A"), (b"; t=", b"; T=")])
        fields = [f.replace(old, new, 1) if f.lower().startswith(b"dkim-sig") else f for f in fields]
    elif kind == 10:
        fields = [f + rng.choice([b";", b" ", b"; n=x"]) if f.lower().startswith(b"dkim-sig") else f for f in fields]
    elif kind == 11:
        body = body[:-2] + b"  \r\n" if body.endswith(b"\r\n") else body
    elif kind == 12:
        fields.append(b"Subject: added")
    else:
        fields.insert(0, b"X-Added: y")
    return b"\r\n".join(fields) + b"\r\n\r\n" + body


# ---- judges: {file: "pass"|"other"} ----

class World:
    def __init__(self, folder):
        self.folder, self.records, self.count = folder, {}, 0
        for selector, kind, bits in (("r", "rsa", "1024"), ("q", "rsa", "2048"), ("e", "ed25519", "2048")):
            out = json.loads(run(BEHALF, "dkim", "keygen", "--json", "--domain", "example.com", "--selector", selector,
                                 "--type", kind, "--bits", bits, "--out", self.key(selector)).stdout)
            self.records[out["name"]] = out["record"]
        with open(self.path("zone"), "w") as file:
            for name, text in self.records.items():
                file.write("%s. TXT %s\n" % (name, " ".join('"%s"' % text[i:i + 250] for i in range(0, len(text), 250))))
        with open(self.path("keys"), "w") as file:
            file.writelines("%s %s\n" % item for item in self.records.items())

    def path(self, name):
        return os.path.join(self.folder, name)

    def key(self, selector):
        return self.path("key." + selector)

    def store(self, message):
        self.count += 1
        path = self.path("%d.eml" % self.count)
        with open(path, "wb") as file:
            file.write(message)
        return path


def content(path):
    with open(path, "rb") as file:
        return file.read()


def judge_ours(world, files):
    out = {}
    for path in files:
        result = run(BEHALF, "dkim", "verify", "--json", "--now", NOW, "--dns", world.path("zone"), path)
        if result.returncode != 0:
            raise SystemExit("%s: %s" % (path, result.stderr.decode()))
        out[path] = "pass" if json.loads(result.stdout)["result"] == "pass" else "other"
    return out


def judge_dkimpy(world, files):
    import dkim

    def answer(name, timeout=5):
        name = name.decode() if isinstance(name, bytes) else name
        found = world.records.get(name.rstrip(".").lower())
        return found.encode() if found else None

    def passes(path):
        message = content(path)
        for index in range(len(re.findall(rb"(?im)^dkim-signature[ \t]*:", message))):
            try:
                if dkim.DKIM(message).verify(idx=index, dnsfunc=answer):
                    return "pass"
            except Exception:
                pass
        return "other"
    return {path: passes(path) for path in files}


def judge_lines(*command):
    def judge(world, files):
        lines = run(*command, world.path("keys"), *files).stdout.decode().split("\n")
        return dict(line.rsplit(" ", 1) for line in lines if line)
    return judge


def judges(opendkim):
    found = {"dkimpy": judge_dkimpy} if importlib.util.find_spec("dkim") else {}
    if run("perl", "-MMail::DKIM", "-e", "1").returncode == 0:
        found["Mail::DKIM"] = judge_lines("perl", PERL, "verify")
    if opendkim:
        found["opendkim"] = judge_lines(opendkim)
    return found


# ---- the tests ----

def sign_ours(world, rng, path):
    canon = "%s/%s" % (rng.choice(["simple", "relaxed"]), rng.choice(["simple", "relaxed"]))
    selector = rng.choice("rrqe")
    extra = ["--length"] if rng.random() < 0.2 else []
    result = run(BEHALF, "dkim", "sign", "--domain", "example.com", "--selector", selector, "--key",
                 world.key(selector), "--canon", canon, "--now", NOW, *extra, path)
    return result.stdout


def sign_dkimpy(world, rng, path):
    import dkim
    selector = rng.choice("rq")
    canon = [rng.choice([b"simple", b"relaxed"]) for _ in range(2)]
    message = content(path)
    return dkim.sign(message, selector.encode(), b"example.com", content(world.key(selector)),
                     canonicalize=tuple(canon), length=rng.random() < 0.2) + message


def sign_perl(world, rng, path):
    selector = rng.choice("rq")
    method = "%s/%s" % (rng.choice(["simple", "relaxed"]), rng.choice(["simple", "relaxed"]))
    field = run("perl", PERL, "sign", world.key(selector), selector, "example.com", "rsa-sha256", method, path).stdout
    return field + content(path)


def explained(judge, message):
    return any(name == judge and pattern.search(message) for name, pattern, _ in EXPLAINED)


def compare(world, files, found, failures, must_pass):
    ours = judge_ours(world, files)
    agreed = 0
    for path in files:
        if must_pass and ours[path] != "pass":
            failures.append("ours refuses a good signature: %r" % content(path))
    for name, judge in found.items():
        theirs = judge(world, files)
        for path in files:
            if theirs.get(path) == ours[path] or explained(name, content(path)):
                agreed += 1
            else:
                failures.append("%s says %s, ours %s: %r" % (name, theirs.get(path), ours[path], content(path)))
    return agreed


def main():
    if not BEHALF or not run(BEHALF, "--version"):
        return corpora.skipped("dkim_differential")
    rng = random.Random(6376)
    found = judges(sys.argv[1] if len(sys.argv) > 1 else "")
    if not found:
        return corpora.skipped("dkim_differential")
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        world = World(folder)
        plain = [world.store(generated(rng)) for _ in range(24)]
        signed = [world.store(sign_ours(world, rng, path)) for path in plain]
        if "dkimpy" in found:
            signed += [world.store(sign_dkimpy(world, rng, path)) for path in plain[:12]]
        if "Mail::DKIM" in found:
            signed += [world.store(sign_perl(world, rng, path)) for path in plain[:8]]
        passed = compare(world, signed, found, failures, True)
        changed = [world.store(mutated(rng, content(rng.choice(signed)))) for _ in range(MUTATIONS)]
        passed += compare(world, changed, found, failures, False)
    return corpora.report("dkim_differential", passed, failures, 3 - len(found))


if __name__ == "__main__":
    sys.exit(main())
