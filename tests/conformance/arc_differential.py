#!/usr/bin/python3
"""Our ARC beside python3-dkim's: chains sealed by both in turn must pass both, and on mutated chains both must say the
same, but for the rules of EXPLAINED."""
import importlib.util
import os
import random
import re
import sys
import tempfile

import corpora
import dkim_differential as peers

MUTATIONS = int(os.environ.get("ARC_MUTATIONS", "120"))



def out_of_order(message):
    """The instances of some ARC field do not fall from the top down."""
    found = {}
    for name, instance in re.findall(rb"(?im)^(arc-[a-z-]+)\s*:(?:.*?;)??\s*i=(\d+)", message):
        found.setdefault(name.lower(), []).append(int(instance))
    return any(sequence != sorted(sequence, reverse=True) for sequence in found.values())


# (does it concern the message, why python3-dkim is different)
EXPLAINED = [
    (re.compile(rb"(?m)^[A-Za-z-]+ :").search, "refuses a blank before the colon, which RFC 5322 4.5.8 allows"),
    (out_of_order, "pairs seals by their place in the header, where RFC 8617 4.2 goes by i= alone"),
]


def seal_ours(world, rng, message):
    selector = rng.choice("rq")
    path = world.store(message)
    return peers.run(peers.BEHALF, "arc", "seal", "--domain", "example.com", "--selector", selector, "--key",
                     world.key(selector), "--authserv-id", "mx.example.net", "--now", peers.NOW, "--dns",
                     world.path("zone"), path).stdout


def seal_dkimpy(world, rng, message):
    import dkim
    selector = rng.choice("rq")
    results = b"Authentication-Results: lists.example.org; arc=pass; spf=pass smtp.mfrom=a@example.com\r\n"
    if b"ARC-Seal" not in message:
        results = results.replace(b"arc=pass; ", b"")
    message = results + re.sub(rb"(?m)^Authentication-Results:.*\r\n", b"", message)  # cv= is taken from all of them
    lines = dkim.arc_sign(message, selector.encode(), b"example.com", peers.content(world.key(selector)),
                          b"lists.example.org", timestamp=int(peers.NOW))
    return b"".join(lines) + message


def verdict_ours(world, path):
    out = peers.run(peers.BEHALF, "arc", "verify", "--json", "--now", peers.NOW, "--dns", world.path("zone"), path)
    return peers.json.loads(out.stdout)["result"]


def verdict_dkimpy(world, path):
    import dkim

    def answer(name, timeout=5):
        name = name.decode() if isinstance(name, bytes) else name
        found = world.records.get(name.rstrip(".").lower())
        return found.encode() if found else None
    try:
        return dkim.arc_verify(peers.content(path), dnsfunc=answer)[0].decode()
    except Exception as error:
        return "fail (%s)" % error


def compare(world, message, expected, failures):
    path = world.store(message)
    ours, theirs = verdict_ours(world, path), verdict_dkimpy(world, path)
    known = any(concerns(message) for concerns, _ in EXPLAINED)
    if expected in (None, ours) and (theirs.split(" ")[0] == ours or known):
        return 1
    failures.append("dkimpy says %s, ours %s: %r" % (theirs, ours, message))
    return 0


def main():
    if not importlib.util.find_spec("dkim"):
        return corpora.skipped("arc_differential")
    rng, failures, chains, passed = random.Random(8617), [], [], 0
    with tempfile.TemporaryDirectory() as folder:
        world = peers.World(folder)
        for _ in range(6):
            message = peers.sign_ours(world, rng, world.store(peers.generated(rng)))
            for _ in range(rng.randrange(1, 5)):
                message = rng.choice([seal_ours, seal_dkimpy])(world, rng, message)
            chains.append(message)
            passed += compare(world, message, "pass", failures)
        for _ in range(MUTATIONS):
            passed += compare(world, peers.mutated(rng, rng.choice(chains)), None, failures)
    return corpora.report("arc_differential", passed, failures)


if __name__ == "__main__":
    sys.exit(main())
