"""What comes back: a refusal in the session, a bounce days later, a complaint. Each ends as an event of the right message,
recipient and customer, and as a suppression; what is forged changes nothing."""
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
    assert [e["event"] for e in events(behalf, message)] == ["accepted", "delivered"]
    assert not suppressions(behalf, DELEGATED, "forged@receiver.example")
