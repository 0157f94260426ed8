#!/usr/bin/python3
"""Keys are exchanged under load, and no receiver notices.

usage: rotation.py [--build DIR] [--domains N] [--every S] [--delay S] [--rotations N] [--rate N] [--kills N]

In a network namespace of its own (it makes one): Knot as root and parents, behalf with N sending domains, half by
delegation, half by CNAME, days compressed to seconds (zone-ttl 2 s, an exchange every S seconds, receivers that verify
up to --delay seconds after they got the mail), and a receiver whose resolver is an unbound that honours TTLs, positive
and negative. Messages wait in the queue before the first exchange, are sent during and after. Every signature is judged
twice by python3-dkim, at once and late, and a part of them by libbehalf. With --kills, the six roles are killed in
turn (SIGKILL), at random moments of the exchanges, N times in all.

Then an emergency: keys are revoked. Only what the revoked keys had signed before may fail, and nothing of theirs
verifies once the TTL is over."""
import argparse
import asyncio
import collections
import concurrent.futures
import heapq
import itertools
import json
import os
import pathlib
import random
import re
import signal
import smtplib
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "lib")]

JUDGE, SINK, TRUSTED, TTL, APEX = "127.0.0.5", ("127.0.0.1", 2600), ("127.0.0.1", 2500), 2, "cust.example"


def enter_namespace():
    if os.environ.get("BH_ROTATION_INSIDE"):
        return
    if os.geteuid() != 0:
        print("rotation: 0 passed, 0 failed, 1 skipped")
        sys.exit(0)
    os.environ["BH_ROTATION_INSIDE"] = "1"
    os.execvp("unshare", ["unshare", "--net", "--mount", "--pid", "--uts", "--fork", "--kill-child", "--mount-proc",
                          "/usr/bin/python3", *sys.argv])


def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--build", default="build")
    parser.add_argument("--domains", type=int, default=8)
    parser.add_argument("--every", type=int, default=8)
    parser.add_argument("--delay", type=int, default=3)
    parser.add_argument("--rotations", type=int, default=3)
    parser.add_argument("--rate", type=float, default=20)
    parser.add_argument("--kills", type=int, default=0)
    return parser.parse_args()


class Sink(threading.Thread):
    """A receiver: hands each message to `take`; as long as it is `deferring`, mail waits in the queue."""

    def __init__(self, take):
        super().__init__(daemon=True)
        self.take, self.loop, self.deferring = take, asyncio.new_event_loop(), True
        self.start()
        asyncio.run_coroutine_threadsafe(asyncio.start_server(self.serve, *SINK, limit=1 << 24), self.loop).result(10)

    def run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    async def serve(self, reader, writer):
        async def say(line):
            writer.write(line + b"\r\n")
            await writer.drain()
        try:
            await say(b"220 sink")
            while line := await reader.readline():
                word = line[:4].upper()
                if word == b"EHLO":
                    await say(b"250-sink\r\n250 8BITMIME")
                elif word == b"DATA":
                    await say(b"354 go on")
                    lines = []
                    while (part := await reader.readline()) not in (b".\r\n", b""):
                        lines.append(part[1:] if part[:1] == b"." else part)
                    self.take(b"".join(lines))
                    await say(b"250 taken")
                elif word == b"RCPT" and self.deferring:
                    await say(b"451 4.2.1 come again")
                elif word == b"QUIT":
                    await say(b"221 bye")
                    break
                else:
                    await say(b"250 ok")
        except ConnectionError:
            pass
        finally:
            writer.close()


class Judge(threading.Thread):
    """Verifies each message now and once more later, with the resolver of the receivers."""

    def __init__(self, build, delay):
        super().__init__(daemon=True)
        import dkim
        self.dkim, self.build, self.delay = dkim, build, delay
        self.heap, self.lock, self.numbers = [], threading.Condition(), itertools.count()
        self.messages, self.failures, self.by_libbehalf = [], [], 0
        self.verified, self.sample = 0, 20
        self.start()

    def take(self, raw):
        match = re.search(rb"DKIM-Signature:.*?\bd=([^;\s]+).*?\bs=([^;\s]+)", raw, re.S)
        message = {"raw": raw, "at": time.monotonic(), "judged": 0, "d": match[1].decode() if match else "", "s": match[2].decode() if match else ""}
        with self.lock:
            self.messages.append(message)
            for late in (0, random.uniform(0.3, 1) * self.delay):
                heapq.heappush(self.heap, (message["at"] + late, next(self.numbers), message, late > 0))
            self.lock.notify()

    @staticmethod
    def txt(name, timeout=5):
        import dns.resolver
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.lifetime = [JUDGE], 5
        name = name.decode() if isinstance(name, bytes) else name
        try:
            for answer in resolver.resolve(name, "TXT"):
                return b"".join(answer.strings)
        except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
            return None
        return None

    def verifies(self, message):
        try:
            return bool(self.dkim.verify(message["raw"], dnsfunc=self.txt))
        except Exception as error:  # pylint: disable=broad-except
            message["why"] = repr(error)
            return False

    def libbehalf_verifies(self, message):
        result = subprocess.run([str(self.build / "behalf"), "verify", "--resolver", JUDGE + ":53", "--json"], input=message["raw"],
                                capture_output=True, timeout=30, check=False)
        verdict = json.loads(result.stdout)
        self.by_libbehalf += 1
        return any(signature["result"] == "pass" for signature in verdict["dkim"])

    def run(self):
        while True:
            with self.lock:
                while not self.heap or self.heap[0][0] > time.monotonic():
                    self.lock.wait(min(1, max(0.01, self.heap[0][0] - time.monotonic())) if self.heap else 1)
                _, number, message, late = heapq.heappop(self.heap)
            try:
                ok = self.verifies(message)
                if ok and number % self.sample == 0:
                    ok = self.libbehalf_verifies(message)
            except Exception as error:  # pylint: disable=broad-except
                ok, message["why"] = False, repr(error)
            self.verified += 1
            message["judged"] += 1
            if not ok:
                self.failures.append((message, late, time.monotonic() - message["at"]))

    def drain(self, seconds=60):
        """Returns when all that has arrived is judged; more may arrive meanwhile."""
        end = time.monotonic() + seconds
        for message in list(self.messages):
            while message["judged"] < 2 and time.monotonic() < end:
                time.sleep(0.05)


class Load(threading.Thread):
    """Submits one message after the other, for each domain in turn."""

    def __init__(self, domains, rate):
        super().__init__(daemon=True)
        self.domains, self.rate, self.accepted, self.ending = domains, rate, 0, False

    def submit(self, smtp, domain):
        text = "From: news@%s\r\nTo: x@sink.example\r\nSubject: %d\r\n\r\nhello %d\r\n" % (domain, self.accepted, self.accepted)
        smtp.sendmail("news@" + domain, ["x@sink.example"], text)
        self.accepted += 1

    def run(self):
        smtp, turn = None, itertools.cycle(self.domains)
        while not self.ending:
            try:
                if not smtp:
                    smtp = smtplib.SMTP(*TRUSTED, timeout=10)
                self.submit(smtp, next(turn))
            except (OSError, smtplib.SMTPException):
                smtp = None
                time.sleep(0.2)
            time.sleep(1 / self.rate)


def make_behalf(world, build, every, delay):
    from daemon import Behalf, make_config, own_uids
    from world import EGRESS, NS1, NS2, PLATFORM, RESOLVER, SUBMISSION
    listeners = [{"address": "%s:%d" % TRUSTED, "protocol": "submission", "trust": "alpha"},
                 {"address": SUBMISSION + ":25", "protocol": "smtp"},
                 {"address": NS1 + ":53", "protocol": "dns"}, {"address": NS2 + ":53", "protocol": "dns"}]
    sections = {"nameserver ns1": {"address": [NS1]}, "nameserver ns2": {"address": [NS2]},
                "inbound": {"address": [SUBMISSION]}, "egress": {"address": [EGRESS]},
                "resolver": {"forward": [RESOLVER + "@53"], "trust-anchor": ""},
                "queue": {"retry-first": "2s", "retry-max": "4s"},
                "keys": {"rotate-every": "0", "receiver-delay": "%ds" % (delay + 1)},
                "route sink.example": {"host": SINK[0], "port": SINK[1], "tls": "none"}}
    config = {"platform": PLATFORM, "state-dir": world.folder / "behalf/state", "run-dir": world.folder / "behalf/run",
              "zone-ttl": str(TTL), **own_uids()}
    behalf = Behalf(build / "behalf", world.folder / "behalf", make_config(config, listeners, **sections))
    behalf.call("init")
    behalf.start()
    return behalf


def add_domains(world, behalf, count):
    names = ["%s%d.%s" % ("d" if i % 2 else "c", i, APEX) for i in range(count)]
    behalf.json("customer", "add", "alpha")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        def add(name):
            behalf.call("domain", "add", name, "--customer", "alpha", "--approach", "delegation" if name[0] == "d" else "cname",
                        timeout=120)
            return [line for line in behalf.call("domain", "records", name, "--format", "zone").splitlines()
                    if line.strip() and not line.startswith(";")]
        records = [line for lines in pool.map(add, names) for line in lines]
        world.publish(APEX, records)

        def check(name):
            from processes import wait_until
            wait_until(lambda: behalf.json("domain", "check", name, timeout=60)["state"] == "verified", 60, name + " verified")
        list(pool.map(check, names))
    return names


class Keys:
    """What `behalf key list` says, looked at again and again: exchanges are counted, invariants checked."""

    def __init__(self, behalf, names):
        self.behalf, self.names = behalf, set(names)
        self.active, self.exchanges, self.broken = {}, collections.Counter(), []

    def look(self):
        from daemon import CommandFailed
        try:
            domains = self.behalf.json("key", "list", "--limit", "1000", timeout=60)
        except (CommandFailed, subprocess.TimeoutExpired):
            return None  # controld was killed just now
        for domain in domains:
            if domain["domain"] not in self.names:
                continue
            active = [key["id"] for key in domain["keys"] if key["state"] == "active"]
            if len(active) != 1:
                self.broken.append((domain["domain"], active))
                continue
            if self.active.get(domain["domain"], active[0]) != active[0]:
                self.exchanges[domain["domain"]] += 1
            self.active[domain["domain"]] = active[0]
        return [d for d in domains if d["domain"] in self.names]

    def ready(self):
        domains = self.look()
        return domains and all(sum(k["state"] == "seen" for k in d["keys"]) >= 2 for d in domains)

    def least(self):
        return min(self.exchanges[name] for name in self.names)


def set_period(behalf, seconds):
    text = behalf.config.read_text()
    behalf.config.write_text(re.sub(r'rotate-every = "[^"]*"', 'rotate-every = "%ds"' % seconds, text))
    os.kill(behalf.process.pid, signal.SIGHUP)


def kill_next(behalf, turn):
    role = next(turn)
    for pid in behalf.roles().get(role, []):
        os.kill(pid, signal.SIGKILL)
    return role


def rotate(behalf, keys, judge, args):
    """Until every domain had its exchanges."""
    turn = itertools.cycle(["controld", "keyd", "dnsd", "steward", "queued", "sender"])
    end = time.monotonic() + args.every * (args.rotations + 4) + 60 + 4 * args.kills
    kills, next_kill = collections.Counter(), time.monotonic()
    while (keys.least() < args.rotations or kills.total() < args.kills) and time.monotonic() < end:
        keys.look()
        if kills.total() < args.kills and time.monotonic() > next_kill:
            kills[kill_next(behalf, turn)] += 1
            next_kill = time.monotonic() + random.uniform(0.7, 2)
        time.sleep(0.5 if len(keys.names) < 100 else 3)
        behalf.process.check()
    print("exchanges per domain: %d to %d; kills: %s; messages so far: %d, judgements %d, failures %d" % (
        keys.least(), max(keys.exchanges.values(), default=0), dict(kills) or "none", len(judge.messages), judge.verified, len(judge.failures)))


def emergency(behalf, keys, judge, names):
    """Returns (messages by the revoked keys before, of these failed, verified after the TTL, later ones by them, other failures)."""
    set_period(behalf, 86400)
    time.sleep(3)
    keys.look()
    victims = random.sample(names, max(2, len(names) // 20))
    judge.drain()
    before, already = len(judge.messages), len(judge.failures)
    stolen, switched = {}, {}
    for name in victims:
        result = behalf.json("key", "revoke", name, timeout=60)
        switched[name] = time.monotonic()
        stolen[name] = (result["revoked"]["selector"], result["revoked"]["id"])
        if not result["active"]:
            print("%s has no next key ready" % name)
    last = max(switched.values())
    time.sleep(TTL + 1.5)
    old = [m for m in judge.messages if m["d"] in stolen and m["s"] == stolen[m["d"]][0] and m["at"] < switched[m["d"]]]
    # the selector may have had another key before; only what its last key signed is of interest
    alive = [m for m in old[-400:] if judge.verifies(m)]
    late = [m for m in judge.messages[before:] if m["d"] in stolen and m["s"] == stolen[m["d"]][0] and m["at"] > last + 1]
    judge.drain()
    failed = judge.failures[already:]
    own = [f for f in failed if f[0]["d"] in stolen and f[0]["s"] == stolen[f[0]["d"]][0]]
    print("emergency: %d keys revoked; %d messages signed by them before, %d of those failed afterwards; %d still verify %g s later; "
          "%d signed by them after the switch; other failures: %d" % (
              len(victims), len(old), len(own), len(alive), TTL + 1.5, len(late), len(failed) - len(own)))
    return len(alive), len(late), len(failed) - len(own)


def show(judge):
    for message, late, after in judge.failures[:10]:
        print("FAIL %s._domainkey.%s %s, %.1f s after arrival: %s; DNS has %r" % (
            message["s"], message["d"], "late" if late else "at once", after, message.get("why", ""),
            (judge.txt("%s._domainkey.%s" % (message["s"], message["d"])) or b"")[:60]))


def main():
    enter_namespace()
    args = options()
    build = pathlib.Path(args.build).resolve()
    import peers
    from world import DNS_ROOT, World
    world = World()
    passed, failed = 0, 0

    def case(what, good):
        nonlocal passed, failed
        passed, failed = passed + bool(good), failed + (not good)
        print("%s %s" % ("ok  " if good else "FAIL", what), flush=True)

    try:
        world.knot.add_zone(APEX, "_dmarc TXT \"v=DMARC1; p=reject\"")
        world.start()
        receivers = peers.Unbound(world.folder / "judge", JUDGE, DNS_ROOT, extra="cache-min-ttl: 0\n  cache-max-negative-ttl: 3600")
        receivers.start()
        behalf = make_behalf(world, build, args.every, args.delay)
        started = time.monotonic()
        names = add_domains(world, behalf, args.domains)
        keys = Keys(behalf, names)
        from processes import wait_until
        wait_until(keys.ready, 60 + args.domains, "two keys ready for every domain")
        print("%d domains on board with their keys after %.0f s" % (len(names), time.monotonic() - started), flush=True)
        judge = Judge(build, args.delay)
        sink = Sink(judge.take)
        load = Load(names, args.rate)
        load.start()
        time.sleep(min(5, len(names) / args.rate))
        waiting = behalf.queue_length()
        set_period(behalf, args.every)
        time.sleep(args.every * 0.5)
        sink.deferring = False
        print("%d messages waited before the receiver came" % waiting, flush=True)
        rotate(behalf, keys, judge, args)
        judge.drain()
        show(judge)
        case("every domain had %d exchanges" % args.rotations, keys.least() >= args.rotations)
        case("never two active keys, never none", not keys.broken)
        case("no failure among %d judgements of %d messages (%d by libbehalf)" % (
            judge.verified, len(judge.messages), judge.by_libbehalf), not judge.failures)
        if not args.kills:
            alive, late, others = emergency(behalf, keys, judge, names)
            case("nothing signed by a revoked key verifies after the TTL", alive == 0)
            case("no revoked key signs", late == 0)
            case("nothing else fails", others == 0)
        load.ending = True
        load.join(15)
        wait_until(lambda: behalf.queue_length() == 0, 60, "the queue is empty")
        wait_until(lambda: len(judge.messages) >= load.accepted, 30, "every message has arrived")
        case("all %d messages arrived" % load.accepted, len(judge.messages) >= load.accepted)
        behalf.stop()
    except Exception as error:  # pylint: disable=broad-except
        failed += 1
        print("FAIL %r" % error)
        log = world.folder / "behalf" / "behalf.log"
        if log.exists():
            print("\n".join(log.read_text(errors="replace").split("\n")[-40:]))
    finally:
        world.stop()
    print("rotation: %d passed, %d failed, 0 skipped" % (passed, failed))
    sys.stdout.flush()
    os._exit(1 if failed else 0)


main()
