"""The judges: python3-spf, python3-dkim and python3-authheaders say what a receiver sees. Nothing here is our own code's
opinion; all questions go to the resolver of /etc/resolv.conf."""
import authheaders
import dkim
import spf
from authres import DKIMAuthenticationResult, SPFAuthenticationResult


class Verdict:
    """What a receiver knows about one message: `spf`, `dkim` (one (result, d=, s=) per signature, by its index), `dmarc`, and
    `dmarc_by_spf`, `dmarc_by_dkim`: DMARC's result had only the one of them been there."""

    def __init__(self, spf_result, spf_why, signatures, dmarc, dmarc_by_spf, dmarc_by_dkim, policy):
        self.spf, self.spf_why, self.dkim = spf_result, spf_why, signatures
        self.dmarc, self.dmarc_by_spf, self.dmarc_by_dkim, self.policy = dmarc, dmarc_by_spf, dmarc_by_dkim, policy

    def __repr__(self):
        return "spf=%s (%s) dkim=%s dmarc=%s (by spf alone %s, by dkim alone %s; p=%s)" % (
            self.spf, self.spf_why, self.dkim, self.dmarc, self.dmarc_by_spf, self.dmarc_by_dkim, self.policy)


def forget():
    """python3-spf and authheaders keep what they asked; a changed record needs fresh questions."""
    spf.CACHE = {}


def judge_signatures(raw):
    """Each DKIM-Signature by its index: (result, domain, selector)."""
    message = dkim.DKIM(raw)
    found = []
    for index in range(sum(1 for name, _ in message.headers if name.lower() == b"dkim-signature")):
        verifier = dkim.DKIM(raw, minkey=1024)
        try:
            result = "pass" if verifier.verify(idx=index) else "fail"
        except dkim.ValidationError as error:
            result = "fail: %s" % error
        except dkim.DKIMException as error:
            result = "error: %s" % error
        fields = verifier.signature_fields
        found.append((result, fields.get(b"d", b"").decode(), fields.get(b"s", b"").decode()))
    return found


def judge_spf(client, mail_from, helo):
    result, _, why = spf.check(i=client, s=mail_from, h=helo)
    return result, why


def judge(raw, client, helo, mail_from):
    """A whole receiver's view of the bytes `raw` (CRLF) that came from `client`."""
    forget()
    mail_from = mail_from or "postmaster@" + helo  # RFC 7208 2.4
    spf_result, why = judge_spf(client, mail_from, helo)
    signatures = judge_signatures(raw)
    passed = [s for s in signatures if s[0] == "pass"]

    def dmarc(with_spf, with_dkim):
        """authheaders judges one DKIM result at a time; DMARC passes when any of them does (RFC 7489 6.6.2). It writes into
        what it is given, so every question gets its own."""
        domains = [domain for _, domain, _ in passed] if with_dkim else []
        results = []
        for domain in domains or [None]:
            by_spf = SPFAuthenticationResult(result=spf_result if with_spf else "none", smtp_mailfrom=mail_from, smtp_helo=helo)
            by_dkim = DKIMAuthenticationResult(result="pass" if domain else "none", header_d=domain)
            results.append(authheaders.check_dmarc(raw, by_spf, by_dkim))
        return next((r for r in results if r.result == "pass"), results[0])

    whole = dmarc(True, True)
    return Verdict(spf_result, why, signatures, whole.result, dmarc(True, False).result, dmarc(False, True).result,
                   getattr(whole, "policy", None))


def judge_received(received):
    return judge(received.raw, received.client, received.helo, received.mail_from)
