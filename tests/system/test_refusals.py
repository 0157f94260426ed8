"""What a customer may not do is refused before 250, each with its own reply, and nothing is queued."""
import base64
import socket
import ssl

import pytest
from installation import BY_CNAME, DELEGATED
from world import SUBMISSION


class Session:
    """SMTP byte by byte, for what no client library would send."""

    def __init__(self, port=587):
        self.sock = socket.create_connection((SUBMISSION, port), timeout=10)
        self.file = self.sock.makefile("rb")
        self.read()

    def read(self):
        lines = []
        while True:
            line = self.file.readline().decode("utf-8", "replace")
            if not line:
                raise ConnectionError("closed after %r" % lines)
            lines.append(line.rstrip("\r\n"))
            if line[3:4] != "-":
                return "\n".join(lines)

    def send(self, line):
        """A command with CRLF (or bytes as they are), and the reply to it."""
        self.sock.sendall(line if isinstance(line, bytes) else line.encode() + b"\r\n")
        return self.read()

    def start_tls(self):
        self.send("EHLO client.example")
        assert self.send("STARTTLS").startswith("220")
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self.sock = context.wrap_socket(self.sock)
        self.file = self.sock.makefile("rb")
        return self.send("EHLO client.example")

    def login(self, user, password):
        return self.send("AUTH PLAIN " + base64.b64encode(b"\0%s\0%s" % (user.encode(), password.encode())).decode())

    def envelope(self, mail_from):
        assert self.send("MAIL FROM:<%s>" % mail_from).startswith("250")
        assert self.send("RCPT TO:<reader@receiver.example>").startswith("250")
        assert self.send("DATA").startswith("354")


def logged_in(customer=DELEGATED):
    session = Session()
    session.start_tls()
    reply = session.login(customer.user, customer.password)
    assert reply.startswith("235"), reply
    return session


def message(*headers, body=b"text\r\n"):
    return b"\r\n".join([h.encode() if isinstance(h, str) else h for h in headers]) + b"\r\n\r\n" + body


def whole(raw):
    """Sends it after a good log-in and envelope and returns the reply to the final dot."""
    session = logged_in()
    session.envelope(DELEGATED.address)
    return session.send(raw + b".\r\n")


OURS = "From: news@email.customer.example"
CASES = {
    "another customer's domain": (message("From: news@" + BY_CNAME.domain), "5.7."),
    "a domain that nobody verified": (message("From: news@unverified.example"), "5.7."),
    "below another customer's domain": (message("From: x@sub." + BY_CNAME.domain), "5.7."),
    "above the apex of the customer's zone": (message("From: x@example"), "5.7."),
    "two From headers": (message(OURS, OURS), "5."),
    "two addresses in From": (message("From: a@email.customer.example, b@" + BY_CNAME.domain), "5."),
    "no From": (message("Subject: x"), "5."),
    "an empty From": (message("From: "), "5."),
    "a From hidden behind a group": (message("From: group: x@%s;" % BY_CNAME.domain), "5."),
    "a bare LF in the body": (message(OURS, body=b"one\ntwo\r\n"), "5."),
    "a bare CR in the body": (message(OURS, body=b"one\rtwo\r\n"), "5."),
    "a bare LF in the header": (message(OURS + "\nFrom: x@other.example"), "5."),
    "too many hops": (message(*["Received: from a by b; Sun, 22 Nov 2026 02:00:00 +0000"] * 60, OURS), "5.4.6"),
}


def queued(behalf):
    return behalf.queue_length()


@pytest.mark.parametrize("name", sorted(CASES))
def test_refused_after_data(world, behalf, name):
    raw, enhanced = CASES[name]
    before = queued(behalf)
    world.postfix.new_messages()
    reply = whole(raw)
    print(reply)
    assert reply.startswith("55") and (" %s" % enhanced) in reply.replace("-", " "), reply
    assert len(reply) > len("550 5.7.1 ") + 20, "the reply does not say what is wrong: " + reply
    assert queued(behalf) == before and not world.postfix.new_messages()


def test_each_refusal_has_words_of_its_own(world, behalf):
    replies = {name: whole(raw) for name, (raw, _) in CASES.items() if name in (
        "another customer's domain", "two From headers", "no From", "a bare LF in the body", "too many hops")}
    assert len(set(replies.values())) == len(replies), replies


def test_wrong_password(world, behalf):
    session = Session()
    session.start_tls()
    assert session.login(DELEGATED.user, "wrong").startswith("535")
    assert session.send("MAIL FROM:<%s>" % DELEGATED.address).startswith("530")


def test_unknown_user_gets_the_same_reply(world, behalf):
    replies = []
    for user in (DELEGATED.user, "nobody-knows"):
        session = Session()
        session.start_tls()
        replies.append(session.login(user, "wrong"))
    assert replies[0] == replies[1]


def test_no_auth_before_tls(world, behalf):
    session = Session()
    assert "AUTH" not in session.send("EHLO client.example")
    assert session.login(DELEGATED.user, DELEGATED.password).startswith(("503", "538", "530", "502"))


def test_nothing_without_auth(world, behalf):
    session = Session()
    session.start_tls()
    assert session.send("MAIL FROM:<%s>" % DELEGATED.address).startswith("530")


@pytest.mark.parametrize("end", [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r"], ids=repr)
def test_smuggling(world, behalf, end):
    """Only CRLF.CRLF ends DATA: what stands behind another ending is never a command."""
    before = queued(behalf)
    session = logged_in()
    session.envelope(DELEGATED.address)
    inner = b"MAIL FROM:<x@evil.example>\r\nRCPT TO:<reader@receiver.example>\r\nDATA\r\n" + message(OURS)
    reply = session.send(message(OURS, body=b"text") + end + inner + b".\r\n")
    assert reply.startswith("5"), reply
    assert queued(behalf) == before


def test_port_25_takes_only_our_own_addresses(world, behalf):
    session = Session(25)
    session.send("EHLO mx.receiver.example")
    assert session.send("MAIL FROM:<>").startswith("250")
    for recipient in ("reader@receiver.example", "news@email.customer.example", "b-forged@bounce.email.customer.example"):
        assert session.send("RCPT TO:<%s>" % recipient).startswith("55"), recipient


def test_a_real_bounce_address_is_taken(world, behalf):
    from test_delivery import one_delivered
    received = one_delivered(world, DELEGATED)
    session = Session(25)
    session.send("EHLO mx.receiver.example")
    session.send("MAIL FROM:<>")
    assert session.send("RCPT TO:<%s>" % received.mail_from).startswith("250")
    forged = received.mail_from[0] + ("a" if received.mail_from[1] != "a" else "b") + received.mail_from[2:]
    assert session.send("RCPT TO:<%s>" % forged).startswith("55")
    assert session.send("DATA").startswith("354")
    reply = session.send(message("From: mailer-daemon@receiver.example", "Subject: undeliverable") + b".\r\n")
    assert reply.startswith("250"), reply
