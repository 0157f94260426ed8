"""The world itself, without behalf: a message signed by hand must be judged as it should be, or no later verdict counts."""
import smtplib

import dkim
import pytest
from judge import judge_received
from processes import run
from world import EGRESS, RECEIVER, UNLISTED

MESSAGE = (b"From: News <news@hand.example>\r\nTo: reader@receiver.example\r\nSubject: signed by hand\r\n"
           b"Date: Sun, 22 Nov 2026 02:00:00 +0000\r\nMessage-ID: <1@hand.example>\r\n\r\nA line.\r\n")


@pytest.fixture(scope="module")
def key(world):
    """A key for hand.example, published with SPF and DMARC."""
    path = world.folder / "hand.key"
    run("openssl", "genrsa", "-traditional", "-out", path, "2048")
    public = run("openssl", "rsa", "-in", path, "-pubout", "-outform", "DER", text=False, errors=None).stdout
    import base64
    encoded = base64.b64encode(public).decode()
    parts = " ".join("\"%s\"" % ("v=DKIM1; k=rsa; p=" + encoded)[i:i + 250] for i in range(0, len(encoded) + 20, 250))
    world.publish("example", ["bounce.hand TXT \"v=spf1 ip4:%s ~all\"" % EGRESS, "s1._domainkey.hand TXT " + parts,
                              "_dmarc.hand TXT \"v=DMARC1; p=reject\""])
    return path.read_bytes()


def deliver(world, raw, source):
    with smtplib.SMTP(RECEIVER, 25, local_hostname="mta.hand.example", source_address=(source, 0)) as smtp:
        smtp.starttls()
        smtp.sendmail("b-1@bounce.hand.example", ["reader@receiver.example"], raw)
    received = world.postfix.wait_for(1)[0]
    assert received.raw == raw, "Postfix did not store the bytes that were sent"
    assert (received.client, received.mail_from, received.tls) == (source, "b-1@bounce.hand.example", True)
    return judge_received(received)


def signed(key, body_change=b""):
    signature = dkim.sign(MESSAGE, b"s1", b"hand.example", key, canonicalize=(b"relaxed", b"relaxed"))
    return signature + MESSAGE + body_change


def test_both_pass(world, key):
    verdict = deliver(world, signed(key), EGRESS)
    assert (verdict.spf, verdict.dkim, verdict.dmarc) == ("pass", [("pass", "hand.example", "s1")], "pass"), verdict
    assert (verdict.dmarc_by_spf, verdict.dmarc_by_dkim) == ("pass", "pass"), verdict


def test_changed_body_passes_by_spf(world, key):
    verdict = deliver(world, signed(key, b"one more line\r\n"), EGRESS)
    assert (verdict.spf, verdict.dmarc, verdict.dmarc_by_spf, verdict.dmarc_by_dkim) == ("pass", "pass", "pass", "fail"), verdict
    assert verdict.dkim[0][0] != "pass", verdict


def test_unlisted_address_passes_by_dkim(world, key):
    verdict = deliver(world, signed(key), UNLISTED)
    assert (verdict.spf, verdict.dmarc, verdict.dmarc_by_spf, verdict.dmarc_by_dkim) == ("softfail", "pass", "fail", "pass"), verdict


def test_both_broken_fail(world, key):
    verdict = deliver(world, signed(key, b"one more line\r\n"), UNLISTED)
    assert (verdict.spf, verdict.dmarc) == ("softfail", "fail"), verdict


def test_two_signatures_are_judged_by_index(world, key):
    other = dkim.sign(MESSAGE, b"s2", b"hand.example", key, canonicalize=(b"relaxed", b"relaxed"))
    verdict = deliver(world, other + signed(key), EGRESS)
    assert [s[0] == "pass" for s in verdict.dkim] == [False, True], verdict
    assert verdict.dmarc_by_dkim == "pass", verdict
