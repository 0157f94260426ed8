"""The main job: what a customer submits reaches a receiver, and the receiver finds SPF, DKIM and DMARC passing as the customer."""
import re
import smtplib

import pytest
from clients import CLIENTS, Refused
from installation import BY_CNAME, CUSTOMERS, DELEGATED
from judge import judge_received
from mailtext import crlf, set_from, split
from world import CORPORA, EGRESS, EGRESS6, RECEIVER, ROOT, SUBMISSION, UNLISTED

SERVER = (SUBMISSION, 465, 587)
OWN = sorted((ROOT / "tests/world/messages").glob("*.eml"))
REAL = sorted((CORPORA / "mime-mail-parser/eml").rglob("*.eml"))
LINE_MAX = 998  # RFC 5321 4.5.3.1.6, without CRLF


def broken_rules(raw):
    """Why a server may refuse these bytes, in the words that its reply must have."""
    rules = []
    if b"\r" in raw.replace(b"\r\n", b"") or b"\n" in raw.replace(b"\r\n", b""):
        rules.append(r"bare")
    if any(len(line) > LINE_MAX for line in raw.split(b"\r\n")):
        rules.append(r"line")
    if b"\0" in raw:
        rules.append(r"NUL")
    if any(byte > 127 for byte in split(raw)[0]):
        rules.append(r"SMTPUTF8|8-bit|UTF-8")
    return rules


def submit(world, customer, client, raw, recipient, mail_from=None):
    CLIENTS[client](raw, SERVER, customer.user, customer.password, mail_from or customer.address, [recipient],
                    world.folder / "ca.pem")


def complaint_about(received, customer):
    """What is wrong with a delivered message in the judges' eyes, or None. Signatures that came with it do not count."""
    verdict = judge_received(received)
    ours = [s for s in verdict.dkim if s[1] == customer.domain]
    good = (verdict.spf == "pass" and ours and all(s[0] == "pass" for s in ours) and verdict.dmarc == "pass"
            and verdict.dmarc_by_spf == "pass" and verdict.dmarc_by_dkim == "pass")
    if not good:
        return repr(verdict)
    if not received.mail_from.endswith("@bounce." + customer.domain):
        return "MAIL FROM is " + received.mail_from
    if received.client not in (EGRESS, EGRESS6):
        return "left from " + received.client
    return None if received.tls else "no TLS"


def send_all(world, customer, client, paths):
    """Submits every file with a recipient of its own. Returns ({recipient: path}, {path: the server's refusal})."""
    sent, refused = {}, {}
    for number, path in enumerate(paths):
        raw = crlf(set_from(path.read_bytes(), customer.address))
        recipient = "%s.%s.%d@receiver.example" % (customer.name, client, number)
        try:
            submit(world, customer, client, raw, recipient)
            sent[recipient] = path
        except Refused as error:
            rules = broken_rules(raw)
            if not any(re.search(rule, str(error), re.IGNORECASE) for rule in rules):
                raise AssertionError("%s refused, but it breaks %s: %s" % (path.name, rules or "no rule", error)) from None
            refused[path] = str(error)
    return sent, refused


def deliver_and_judge(world, customer, client, paths):
    world.postfix.new_messages()
    sent, refused = send_all(world, customer, client, paths)
    arrived = {r.rcpt_to: r for r in world.postfix.wait_for(len(sent), 60)}
    complaints = ["%s: %s" % (sent[to].name, complaint) for to, received in arrived.items()
                  if (complaint := complaint_about(received, customer))]
    print("%s by %s: %d delivered, %d refused" % (customer.approach, client, len(arrived), len(refused)))
    for path, text in refused.items():
        said = re.search(r"\b5\d\d[^\n]*", text)
        print("  refused %s/%s: %s" % (path.parent.name, path.name, said.group(0)[:200] if said else text))
    assert set(arrived) == set(sent)
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize("approach", sorted(CUSTOMERS))
@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_own_messages(world, behalf, client, approach):
    deliver_and_judge(world, CUSTOMERS[approach], client, OWN)


@pytest.mark.skipif(not REAL, reason="no ../shared/corpora here")
@pytest.mark.parametrize("approach", sorted(CUSTOMERS))
@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_real_messages(world, behalf, client, approach):
    deliver_and_judge(world, CUSTOMERS[approach], client, REAL)


def one_delivered(world, customer, raw=None, address=None):
    raw = raw or crlf(set_from(OWN[0].read_bytes(), address or customer.address))
    world.postfix.new_messages()
    submit(world, customer, "smtplib", raw, "one@receiver.example", address)
    return world.postfix.wait_for(1)[0]


def test_from_above_the_delegated_zone(world, behalf):
    """The NS record proves control of the zone that holds it: From may be at customer.example itself."""
    received = one_delivered(world, DELEGATED, address="ceo@customer.example")
    assert complaint_about(received, DELEGATED) is None, judge_received(received)


def test_two_recipients_get_bounce_addresses_of_their_own(world, behalf):
    world.postfix.new_messages()
    raw = crlf(set_from(OWN[0].read_bytes(), DELEGATED.address))
    CLIENTS["smtplib"](raw, SERVER, DELEGATED.user, DELEGATED.password, DELEGATED.address,
                       ["a@receiver.example", "b@receiver.example"], world.folder / "ca.pem")
    arrived = world.postfix.wait_for(2)
    assert {r.rcpt_to for r in arrived} == {"a@receiver.example", "b@receiver.example"}
    assert len({r.mail_from for r in arrived}) == 2


def test_bcc_is_removed_and_missing_fields_are_added(world, behalf):
    raw = b"From: %s\r\nTo: one@receiver.example\r\nBcc: secret@receiver.example\r\nSubject: x\r\n\r\nx\r\n" % \
        DELEGATED.address.encode()
    received = one_delivered(world, DELEGATED, raw)
    assert received.headers["Bcc"] is None
    assert received.headers["Date"] and received.headers["Message-ID"] and received.headers["Received"]
    assert complaint_about(received, DELEGATED) is None


# ---- what a receiver sees when something goes wrong on the way ----

def resend(world, received, raw, source):
    """Hands `raw` to the receiver once more with the same envelope, from another address."""
    world.postfix.new_messages()
    with smtplib.SMTP(RECEIVER, 25, local_hostname=received.helo, source_address=(source, 0)) as smtp:
        smtp.sendmail(received.mail_from, ["again@receiver.example"], raw)
    return judge_received(world.postfix.wait_for(1)[0])


def flip_body_byte(raw):
    at = raw.index(b"\r\n\r\n") + 10
    return raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1:]


@pytest.mark.parametrize("customer", [DELEGATED, BY_CNAME], ids=lambda c: c.approach)
class TestEachAloneSuffices:
    def test_flipped_body_byte(self, world, behalf, customer):
        received = one_delivered(world, customer)
        verdict = resend(world, received, flip_body_byte(received.raw), EGRESS)
        assert (verdict.spf, verdict.dmarc, verdict.dmarc_by_dkim) == ("pass", "pass", "fail"), verdict
        assert all(s[0] != "pass" for s in verdict.dkim), verdict

    def test_unlisted_address(self, world, behalf, customer):
        received = one_delivered(world, customer)
        verdict = resend(world, received, received.raw, UNLISTED)
        assert (verdict.spf, verdict.dmarc, verdict.dmarc_by_spf) == ("softfail", "pass", "fail"), verdict
        assert all(s[0] == "pass" for s in verdict.dkim), verdict

    def test_both(self, world, behalf, customer):
        received = one_delivered(world, customer)
        verdict = resend(world, received, flip_body_byte(received.raw), UNLISTED)
        assert (verdict.spf, verdict.dmarc) == ("softfail", "fail"), verdict
