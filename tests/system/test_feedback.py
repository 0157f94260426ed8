"""What comes back: a refusal in the session, a bounce days later, a complaint. Each ends as an event of the right message,
recipient and customer, and as a suppression; what is forged changes nothing."""
import re
import smtplib
import time

import pytest
from installation import BY_CNAME, DELEGATED
from mailtext import crlf
from processes import run
from world import RECEIVER, SUBMISSION

PAIR = pytest.mark.parametrize("customer", [DELEGATED, BY_CNAME], ids=lambda c: c.approach)


@pytest.fixture(scope="module", autouse=True)
def users(world):
    """missing@ is nobody at the receiver; later@ is taken and then handed on to a nobody."""
    folder = world.postfix.folder / "etc"
    (folder / "users").write_text("!/^(missing|gone)/ all/\n")
    (folder / "aliases").write_text("/^later\\.(.*)@receiver\\.example$/ gone.$1@receiver.example\n")
    settings = {"virtual_mailbox_maps": "regexp:%s/users" % folder, "virtual_alias_maps": "regexp:%s/aliases" % folder}
    run("postconf", "-c", folder, *["%s=%s" % pair for pair in settings.items()])
    run("postfix", "-c", folder, "reload")
    yield
    run("postconf", "-c", folder, "virtual_mailbox_maps=static:all/", "virtual_alias_maps=")
    run("postfix", "-c", folder, "reload")


def letter(customer, extra=""):
    return crlf(("From: %s\nTo: you@receiver.example\nSubject: hello\n%s\nhello\n" % (customer.address, extra)).encode())


def send(behalf, customer, recipient, extra=""):
    return behalf.json("send", "--customer", customer.name, "--to", recipient, "-", stdin=letter(customer, extra))["id"]


def events(behalf, message):
    return behalf.json("event", "list", "--message", message)["events"]


def wait_for(behalf, message, kind, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for event in events(behalf, message):
            if event["event"] == kind:
                return event
        time.sleep(0.1)
    raise AssertionError("no %s in %r; log: %s" % (kind, [e["event"] for e in events(behalf, message)],
                                                  behalf.log.read_text(errors="replace")[-2000:]))


def suppressions(behalf, customer, address):
    return behalf.json("suppression", "check", address, "--customer", customer.name)["suppressions"]


def wait_suppressed(behalf, customer, address, seconds=15):
    end = time.monotonic() + seconds
    while not suppressions(behalf, customer, address):
        assert time.monotonic() < end, "%s is not suppressed" % address
        time.sleep(0.1)
    return suppressions(behalf, customer, address)


def other_of(customer):
    return BY_CNAME if customer is DELEGATED else DELEGATED


@PAIR
@pytest.mark.parametrize("how", ["missing", "later"])
def test_no_such_user(world, behalf, customer, how):
    """`missing` is refused in the session; `later` is accepted first, and Postfix sends a report to the bounce address."""
    address = "%s.%s@receiver.example" % (how, customer.name)
    message = send(behalf, customer, address)
    bounced = wait_for(behalf, message, "bounced")
    assert (bounced["to"], bounced["detail"]["class"], bounced["detail"]["reason"]) == (address, "hard", "no-such-user"), bounced
    assert bounced["code"] in (0, 550) and bounced["detail"]["enhanced"] == "5.1.1", bounced
    assert ("delivered" in [e["event"] for e in events(behalf, message)]) == (how == "later")
    assert [s["reason"] for s in wait_suppressed(behalf, customer, address)] == ["bounce"]
    assert not suppressions(behalf, other_of(customer), address)
    shown = behalf.json("message", "show", message)
    assert shown["recipients"][0]["state"] == "bounced", shown
    again = send(behalf, customer, address.upper())
    assert wait_for(behalf, again, "suppressed")["detail"]["reason"] == "bounce"
    behalf.call("suppression", "remove", address, "--customer", customer.name)
    assert not suppressions(behalf, customer, address)


def deliver(world, behalf, customer, recipient, extra=""):
    world.postfix.new_messages()
    message = send(behalf, customer, recipient, extra)
    return message, world.postfix.wait_for(1)[0]


def bounce_to(address, raw, mail_from=""):
    with smtplib.SMTP(SUBMISSION, 25, local_hostname="mx.receiver.example", source_address=(RECEIVER, 0)) as smtp:
        smtp.sendmail(mail_from, [address], raw)


def arf(received):
    header = received.raw.split(b"\r\n\r\n")[0] + b"\r\n\r\n"
    return crlf(b"""From: fbl@receiver.example
To: abuse@example
Subject: complaint
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b"

--b
Content-Type: text/plain

This is an abuse report.
--b
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Receiver/1.0
Version: 1

--b
Content-Type: text/rfc822-headers

""") + header + b"\r\n--b--\r\n"


@PAIR
def test_complaint_to_the_bounce_address(world, behalf, customer):
    address = "angry.%s@receiver.example" % customer.name
    message, received = deliver(world, behalf, customer, address)
    bounce_to(received.mail_from, arf(received))
    assert wait_for(behalf, message, "complained")["to"] == address
    assert [s["reason"] for s in wait_suppressed(behalf, customer, address)] == ["complaint"]
    behalf.call("suppression", "remove", address, "--customer", customer.name)


@PAIR
def test_auto_replies_are_no_bounces(world, behalf, customer):
    address = "away.%s@receiver.example" % customer.name
    message, received = deliver(world, behalf, customer, address)
    bounce_to(received.mail_from, crlf(b"From: %s\nTo: x@example\nSubject: Out of office\nAuto-Submitted: auto-replied\n\n"
                                       b"I am away.\n" % address.encode()))
    wait_for(behalf, message, "auto-replied")
    assert "bounced" not in [e["event"] for e in events(behalf, message)]
    assert not suppressions(behalf, customer, address)


def test_forged_addresses_are_refused(world, behalf):
    """A wrong check, or the right address in another customer's domain: refused at RCPT, nothing happens."""
    message, received = deliver(world, behalf, DELEGATED, "forged@receiver.example")
    local, domain = received.mail_from.split("@")
    forged = local[:30] + ("a" if local[30] != "a" else "b") + local[31:]
    for address in (forged + "@" + domain, local + "@bounce." + BY_CNAME.domain, "news@" + domain):
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            bounce_to(address, arf(received))
    assert [e["event"] for e in events(behalf, message) if e["event"] != "deferred"] == ["accepted", "delivered"]
    assert not suppressions(behalf, DELEGATED, "forged@receiver.example")
    assert wait_refusals(behalf, "forged", 2) and wait_refusals(behalf, "unknown", 1)


def wait_refusals(behalf, why, least, seconds=20):
    """Refusals at RCPT are told to the event log some seconds later, counted by reason."""
    end, count = time.monotonic() + seconds, 0
    while count < least:
        assert time.monotonic() < end, "%d refusals as %s" % (count, why)
        time.sleep(0.2)
        ignored = behalf.json("event", "list", "--event", "feedback.ignored")["events"]
        count = sum(e["detail"].get("refused", {}).get(why, 0) for e in ignored)
    return count


@PAIR
def test_complaint_to_abuse(world, behalf, customer):
    """All complaints of a receiver go to one address: the message is found by an address of ours that the report quotes; one
    that quotes nothing of ours, or forged addresses alone, changes nothing and is counted."""
    address = "annoyed.%s@receiver.example" % customer.name
    message, received = deliver(world, behalf, customer, address)
    abuse = "abuse@" + received.mail_from.split("@")[1]
    local = received.mail_from.split("@")[0].encode()
    forged = arf(received)
    for token in set(re.findall(rb"b[a-z2-7]{47}(?=@)", forged)):
        forged = forged.replace(token, token[:40] + (b"a" if token[40:41] != b"a" else b"b") + token[41:])
    assert local not in forged
    ignored = len(behalf.json("event", "list", "--event", "feedback.ignored")["events"])
    bounce_to(abuse, forged, "fbl@receiver.example")
    end = time.monotonic() + 20
    while len(behalf.json("event", "list", "--event", "feedback.ignored")["events"]) <= ignored:
        assert time.monotonic() < end
        time.sleep(0.2)
    assert [e["event"] for e in events(behalf, message) if e["event"] != "deferred"] == ["accepted", "delivered"]
    bounce_to(abuse, arf(received), "fbl@receiver.example")
    assert wait_for(behalf, message, "complained")["to"] == address
    assert [s["reason"] for s in wait_suppressed(behalf, customer, address)] == ["complaint"]
    assert not suppressions(behalf, other_of(customer), address)
    behalf.call("suppression", "remove", address, "--customer", customer.name)


@PAIR
def test_unsubscribe(world, behalf, customer):
    """The address in List-Unsubscribe takes the recipient off that stream alone; our own fields do not leave, what we add
    is signed."""
    address = "tired.%s@receiver.example" % customer.name
    message, received = deliver(world, behalf, customer, address, "Behalf-Stream: news\nBehalf-Unsubscribe: yes\n")
    header = received.raw.split(b"\r\n\r\n")[0].decode()
    assert "\r\nbehalf-" not in header.lower()
    unsubscribe = re.search(r"^List-Unsubscribe: <mailto:([^?>]+)", header, re.M).group(1)
    assert re.search(r"^CFBL-Address: \S+@\S+; report=arf", header, re.M) and re.search(r"^Feedback-ID: news:c\d+:d\d+:\S+", header, re.M)
    signed = re.sub(r"\s", "", re.search(r"^DKIM-Signature:.*?\bh=([^;]*);", header, re.M | re.S).group(1)).lower().split(":")
    assert {"list-unsubscribe", "cfbl-address", "feedback-id"} <= set(signed)
    bounce_to(unsubscribe, crlf(b"From: %s\nTo: x@example\nSubject: unsubscribe\n\n\n" % address.encode()), address)
    assert wait_for(behalf, message, "unsubscribed")["to"] == address
    found = wait_suppressed(behalf, customer, address)
    assert [(s["reason"], s["stream"]) for s in found] == [("unsubscribe", "news")], found
    again = send(behalf, customer, address, "Behalf-Stream: news\n")
    assert wait_for(behalf, again, "suppressed")["detail"]["reason"] == "unsubscribe"
    wait_for(behalf, send(behalf, customer, address, "Behalf-Stream: receipts\n"), "delivered")


def test_replies_and_replays(world, behalf):
    """An address is good for some messages, not for any number of them."""
    message, received = deliver(world, behalf, DELEGATED, "replay@receiver.example")
    note = crlf(b"From: you@receiver.example\nTo: x@example\nSubject: Out of office\nAuto-Submitted: auto-replied\n\naway\n")
    refused = 0
    for _ in range(50):
        try:
            bounce_to(received.mail_from, note)
        except smtplib.SMTPRecipientsRefused as error:
            refused += 1
            assert list(error.recipients.values())[0][0] == 550
    assert refused >= 1 and wait_refusals(behalf, "repeated", refused)
    wait_for(behalf, message, "auto-replied")
    answers = [e for e in events(behalf, message) if e["event"] == "auto-replied"]
    assert len(answers) <= 50 - refused and not suppressions(behalf, DELEGATED, "replay@receiver.example")
