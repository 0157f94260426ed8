#!/usr/bin/python3
"""demo.py [--once] [FILE.eml...]: what ./run shows once behalf is built. See little_world.py for who plays which part."""
import os
import pathlib
import shutil
import signal
import sys
import time

sys.path[:0] = [str(pathlib.Path(__file__).resolve().parent), str(pathlib.Path(__file__).resolve().parents[1] / "lib")]

from little_world import CUSTOMERS, LittleWorld  # noqa: E402  (the path comes first)
from mailtext import crlf, set_from  # noqa: E402
from processes import TestWorldError  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
WIDTH = 78


def say(text="", indent=0):
    print(" " * indent + text, flush=True)


def heading(text):
    say()
    say(text)
    say("-" * min(len(text), WIDTH))


def elapsed():
    """Seconds since ./run was typed."""
    return time.time() - float(os.environ.get("BH_STARTED", time.time()))


def show_customer(world, customer):
    """On board, in words: what was asked of him, what the check found."""
    heading("Customer %s: %s by %s" % (customer.name, customer.domain, customer.approach_text))
    asked = world.put_on_board(customer)
    say("asked of the customer, once:")
    for line in asked:
        say(" ".join(line.split()), 4)
    say("checked at every authoritative server: %s may be used in From" % customer.domain)


class Tally:
    """Verdicts so far."""

    def __init__(self):
        self.messages = self.passed = 0
        self.first_at = None

    def add(self, passed):
        self.first_at = self.first_at or elapsed()
        self.messages += 1
        self.passed += passed


def show_verdict(world, received, tally):
    """What the receiver saw, judged on the bytes that it stored. True when all judges say pass."""
    verdict = world.verify(received)
    others = world.other_judges(received)
    say("from %s, HELO %s" % (received.client, received.helo), 4)
    say("MAIL FROM <%s>" % received.mail_from, 4)
    for name, result, detail in verdict.lines:
        say("%-6s%-10s%s" % (name, result, detail), 4)
    if others is None:
        say("(python3-spf and python3-dkim are not installed, so nobody else was asked; ./test installs them)", 4)
    else:
        say("python3-spf: %s   python3-dkim: %s   python3-authheaders: dmarc %s" % (
            others.spf, ", ".join(s[0] for s in others.dkim) or "no signature", others.dmarc), 4)
        if not verdict.agrees_with(others):
            say("THE JUDGES DISAGREE: %r" % others, 4)
    passed = verdict.passed and (others is None or verdict.agrees_with(others))
    tally.add(passed)
    return passed


def send_one(world, customer, path, tally):
    address = "%s@%s" % (customer.local_part, customer.domain)
    raw = crlf(set_from(path.read_bytes(), address))
    heading("%s, in the name of %s" % (path.name, customer.name))
    say("From set to %s" % address, 4)
    try:
        recipient = world.submit(customer, raw)
    except world.refused as refused:
        say("refused at submission: %s" % refused, 4)
        tally.add(False)
        return
    for received in world.wait_for(recipient):
        show_verdict(world, received, tally)
    if tally.messages == 1:
        say("first verdict %.1f s after ./run" % tally.first_at, 4)


def what_next(world):
    customer = CUSTOMERS[0]
    heading("It stays up. What to try next")
    say("another message, by swaks:")
    say("swaks --server %s:%d --tls --auth PLAIN --auth-user %s --auth-password %s \\" % (
        world.submission + (customer.user, customer.password)), 4)
    say("      --from %s@%s --to you@receiver.example" % (customer.local_part, customer.domain), 4)
    say("in a name that is not his (it is refused, with the reason and the fix): the same with --from ceo@%s" %
        CUSTOMERS[1].domain)
    say("your own message:   ./run FILE.eml")
    say("what it holds:      %s domain list" % world.behalf_command)
    say("                    %s queue list" % world.behalf_command)
    ask = next((tool for tool in ("dig", "kdig") if shutil.which(tool)), "dig")
    say("its answers:        %s @%s -p %d %s TXT" % ((ask,) + world.dns + ("bounce." + customer.domain,)))
    say("ports:              submission %s:%d (STARTTLS), %s:%d (TLS); bounces %s:%d; DNS %s:%d; the receiver %s:%d" % (
        world.submission + world.submissions + world.smtp + world.dns + world.receiver))
    say("state:              %s (gone when this ends)" % world.folder)
    say("messages arrive in: %s" % world.mailbox)
    say("Ctrl-C ends it and everything it started.")


def main():
    arguments = sys.argv[1:]
    once = "--once" in arguments
    own = [pathlib.Path(a) for a in arguments if a != "--once"]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    tally = Tally()
    with LittleWorld() as world:
        say("behalf is up in a world of its own on loopback, with %s." % world.who())
        for customer in CUSTOMERS:
            show_customer(world, customer)
        for path in own or sorted((HERE / "messages").glob("*.eml")):
            for customer in CUSTOMERS:
                send_one(world, customer, path, tally)
        say()
        say("%d of %d messages pass DMARC as the customer. First verdict after %.1f s, all after %.1f s." % (
            tally.passed, tally.messages, tally.first_at or 0, elapsed()))
        if not once:
            what_next(world)
            try:
                world.stay(lambda received: show_new(world, received, tally))
            except KeyboardInterrupt:
                say()
    return 0 if tally.passed == tally.messages and tally.messages else 1


def show_new(world, received, tally):
    heading("A message arrived for %s" % ", ".join(received.rcpt_to))
    show_verdict(world, received, tally)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TestWorldError as problem:
        sys.exit("run: %s" % problem)
