"""Other people's mail servers on both sides: what behalf delivers to Postfix, Exim and OpenSMTPD, and what they hand to it as a
customer's own server. Each message is judged at its end: DMARC, TLS, and every byte that matters."""
import email
import email.policy
import hashlib
import smtplib

import pytest
from installation import DELEGATED
from judge import judge_received
from mtas import Exim, OpenSmtpd, SendingPostfix
from test_transport import outcome
from world import EGRESS, EGRESS6, SUBMISSION

EXIM, OPENSMTPD, POSTFIX = "203.0.113.201", "203.0.113.202", "203.0.113.203"
LARGE = 5 * 1024 * 1024
UTF8 = "grüße@%s"


def text_of(kind):
    """(header lines, body) of a message; the body has what goes wrong easily: dots, long lines, 8 bits."""
    mime = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
    dots = b".\r\n..two\r\n.\r\nFrom here\r\n" + b"x" * 900 + b"\r\n\r\n.\r\n"
    if kind == "large":
        line = hashlib.sha256(b"behalf").hexdigest().encode() + b"\r\n"
        return mime + b"7bit\r\n", (dots + line * (LARGE // len(line) + 1))
    if kind == "8bit":
        return mime + b"8bit\r\n", dots + "Grüße aus Köln\r\n".encode() * 50
    if kind == "utf8":
        return mime + b"8bit\r\n" + "X-Who: Jürgen\r\n".encode(), "Grüße\r\n".encode()
    return mime + b"7bit\r\n", dots


KINDS = ("plain", "large", "8bit", "utf8", "many")


def message(kind, to):
    header, body = text_of(kind)
    subject = "Grüße" if kind == "utf8" else kind
    return ("From: %s\r\nTo: %s\r\nSubject: interop %s\r\n" % (DELEGATED.address, to[0], subject)).encode() + header + b"\r\n" + body


def recipients(kind, domain):
    return [UTF8 % domain] if kind == "utf8" else ["%s.%d@%s" % (kind, i, domain) for i in range(3 if kind == "many" else 1)]


def options(kind):
    return {"utf8": ["SMTPUTF8", "BODY=8BITMIME"], "8bit": ["BODY=8BITMIME"]}.get(kind, [])


def hand_over(smtp, kind, to):
    """One transaction; the last reply."""
    smtp.ehlo()
    smtp.command_encoding = "utf-8"
    assert smtp.mail(DELEGATED.address, options(kind))[0] == 250
    for address in to:
        assert smtp.rcpt(address)[0] in (250, 251)
    code, said = smtp.data(message(kind, to))
    assert code == 250, said
    return said.decode()


def complaint(received, kind, to, tls):
    """What is wrong at the end of the way, or None."""
    verdict = judge_received(received)
    if (verdict.dmarc, verdict.dmarc_by_dkim, verdict.dmarc_by_spf) != ("pass", "pass", "pass"):
        return repr(verdict)
    if received.tls != tls or received.client not in (EGRESS, EGRESS6):
        return "TLS: %s, from %s; %r" % (received.tls, received.client, received.received)
    _, body = text_of(kind)
    read = email.message_from_bytes(received.raw, policy=email.policy.SMTPUTF8)
    if read.get_payload(decode=True).replace(b"\r\n", b"\n").rstrip(b"\n") != body.replace(b"\r\n", b"\n").rstrip(b"\n"):
        return "the body is another"
    if kind == "utf8" and (read["Subject"] != "interop Grüße" or read["X-Who"] != "Jürgen"):
        return "the header is another: %r" % read["Subject"]
    return None if received.rcpt_to in to else "for " + received.rcpt_to


def check(arrived, kind, to, tls=True):
    assert {r.rcpt_to for r in arrived} == set(to) and len(arrived) == len(to)
    complaints = [c for r in arrived if (c := complaint(r, kind, to, tls))]
    assert not complaints, complaints


@pytest.fixture(scope="module")
def smarthost(behalf):
    return (SUBMISSION, 587, DELEGATED.user, DELEGATED.password)


@pytest.fixture(scope="module", params=["postfix", "exim", "opensmtpd"])
def peer(request, world, smarthost):
    """(receiver, sender): a server that keeps what comes, and one that hands on to behalf; mostly it is the same."""
    if request.param == "postfix":
        sending = SendingPostfix(world, POSTFIX, smarthost)
        sending.start()
        yield world.postfix, sending
        sending.stop()
        return
    kind, address = (Exim, EXIM) if request.param == "exim" else (OpenSmtpd, OPENSMTPD)
    if not kind.available:
        pytest.skip("%s is not unpacked in .cache/peers" % request.param)
    mta = kind(world, address, smarthost)
    try:
        mta.start()
        yield mta, mta
    finally:
        mta.stop()


@pytest.mark.parametrize("kind", KINDS)
def test_delivery(world, behalf, peer, kind):
    """behalf → the peer."""
    receiver = peer[0]
    receiver.new_messages()
    to = recipients(kind, receiver.domain)
    with smtplib.SMTP(SUBMISSION, 587, timeout=30) as smtp:
        smtp.starttls()
        smtp.ehlo()
        smtp.login(DELEGATED.user, DELEGATED.password)
        said = hand_over(smtp, kind, to)
    event = outcome(behalf, said.rsplit(" ", 1)[1], 40)
    if kind == "utf8" and isinstance(receiver, OpenSmtpd):  # it knows no SMTPUTF8 (RFC 6531 3.5: back to the sender)
        assert (event["event"], event["detail"]["enhanced"]) == ("bounced", "5.6.7"), event
        return
    assert event["event"] == "delivered", event
    check(receiver.wait_for(len(to)), kind, to, getattr(receiver, "takes_tls", True))
    print(kind, event["detail"].get("tls"), event["detail"].get("took_ms"), "ms")


@pytest.mark.parametrize("kind", KINDS)
def test_submission(world, behalf, peer, kind):
    """The peer → behalf → the world's Postfix."""
    if kind == "utf8" and isinstance(peer[1], OpenSmtpd):
        pytest.skip("OpenSMTPD knows no SMTPUTF8")
    world.postfix.new_messages()
    to = recipients(kind, world.postfix.domain)
    with smtplib.SMTP(peer[1].address, 25, timeout=30) as smtp:
        hand_over(smtp, kind, to)
    try:
        arrived = world.postfix.wait_for(len(to), 40)
    except Exception as error:
        raise AssertionError("%s\nthe peer: %s" % (error, peer[1].log()[-3000:])) from None
    check(arrived, kind, to)
