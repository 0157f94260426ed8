"""How mail leaves: DANE and MTA-STS with a signed zone and real certificates, each attempt to talk us down; conversion to
7 bits; notices to submitters; reports of TLS; sendmail; explain."""
import email
import gzip
import hashlib
import http.server
import json
import os
import shutil
import socket
import sqlite3
import ssl
import subprocess
import threading
import time

import dns.message
import dns.query
import pytest
import smtplib
from installation import DELEGATED, TRUSTED
from judge import judge_received, judge_signatures
from peers import Knot
from processes import Process, run, wait_until
from sink import Sink
from world import PLATFORM

SIGNED, STS_HOST, ZONE = "192.0.2.181", "203.0.113.99", "secure.example"
CASES = ("dane-ok", "dane-ta", "dane-bad", "dane-stripped", "dane-unusable", "sts-ok", "sts-untrusted", "sts-elsewhere",
         "sts-testing", "sts-stripped", "may-broken", "plain", "seven", "refusing", "slow", "eyeballs", "bogus")
DEAD6 = "2001:db8:dead::25"  # takes no connection and says nothing
ADDRESS = {case: "203.0.113.%d" % (101 + i) for i, case in enumerate(CASES)}


class SigningKnot(Knot):
    def soa_served(self, name, serial=None):
        return super().soa_served(ZONE)

    def start(self):
        super().start()
        self.process.stop()
        path = self.folder / "knot.conf"
        path.write_text(path.read_text().replace("zonefile-load: whole", "zonefile-load: difference-no-serial")
                        .replace("journal-content: none", "journal-content: all\n    zonefile-sync: -1\n    dnssec-signing: on"))
        self.process = Process("knotd", ["knotd", "-c", self.folder / "knot.conf"], self.folder / "knotd.log")
        self.process.wait_for(lambda: self.key())

    def key(self):
        try:
            answer = dns.query.tcp(dns.message.make_query(ZONE + ".", "DNSKEY"), SIGNED, timeout=2).answer
        except OSError:
            return None
        return next((rdata for rrset in answer for rdata in rrset if rdata.flags == 257), None)


def certificate(folder, name, names, ca=None):
    """(chain, key): self-signed, or by the world's CA."""
    key, pem = folder / (name + ".key"), folder / (name + ".pem")
    extension = folder / (name + ".ext")
    extension.write_text("subjectAltName=%s\n" % ",".join("DNS:" + n for n in names))
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-subj", "/CN=" + names[0]]
    if not ca:
        run("openssl", "req", "-x509", *new, "-days", "30", "-out", pem, "-addext", extension.read_text().strip())
    else:
        run("openssl", "req", *new, "-out", folder / "request.csr")
        run("openssl", "x509", "-req", "-in", folder / "request.csr", "-CA", ca / "ca.pem", "-CAkey", ca / "ca.key",
            "-CAcreateserial", "-days", "30", "-extfile", extension, "-out", pem)
    return pem, key


def spki_hash(pem):
    public = run("openssl", "x509", "-in", pem, "-noout", "-pubkey").stdout
    der = subprocess.run(["openssl", "pkey", "-pubin", "-outform", "der"], input=public.encode(), capture_output=True,
                         check=True).stdout
    return hashlib.sha256(der).hexdigest()


def certificate_hash(pem):
    der = subprocess.run(["openssl", "x509", "-in", str(pem), "-outform", "der"], capture_output=True, check=True).stdout
    return hashlib.sha256(der).hexdigest()


class Policies(http.server.BaseHTTPRequestHandler):
    texts, asked, reports = {}, [], {}

    def do_POST(self):
        """A report by https (RFC 8460 5.4)."""
        assert self.headers["Content-Type"] == "application/tlsrpt+gzip"
        self.reports[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(201)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def do_GET(self):
        host = self.headers["Host"]
        self.asked.append(host)
        body = self.texts.get(host, "").encode()
        self.send_response(200 if body and self.path == "/.well-known/mta-sts.txt" else 404)
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def policy(mode, mx):
    return "version: STSv1\r\nmode: %s\r\nmx: %s\r\nmax_age: 86400\r\n" % (mode, mx)


@pytest.fixture(scope="module")
def outside(world, behalf):
    """The signed zone, the servers of all cases, the policies; behalf restarted with the zone's trust anchor."""
    folder = world.folder / "transport"
    folder.mkdir()
    for address in [SIGNED, STS_HOST] + list(ADDRESS.values()):
        run("ip", "addr", "add", address + "/32", "dev", "lo")
    own = certificate(folder, "own", ["somebody.invalid"])
    good = certificate(folder, "good", ["*." + ZONE] + ["mta-sts.%s.%s" % (c, ZONE) for c in CASES], world.folder)
    sinks = {
        "dane-ok": Sink(ADDRESS["dane-ok"], own), "dane-ta": Sink(ADDRESS["dane-ta"], good),
        "dane-bad": Sink(ADDRESS["dane-bad"], own), "dane-stripped": Sink(ADDRESS["dane-stripped"]),
        "dane-unusable": Sink(ADDRESS["dane-unusable"], own), "sts-ok": Sink(ADDRESS["sts-ok"], good),
        "sts-untrusted": Sink(ADDRESS["sts-untrusted"], own), "sts-elsewhere": Sink(ADDRESS["sts-elsewhere"], good),
        "sts-testing": Sink(ADDRESS["sts-testing"], own), "sts-stripped": Sink(ADDRESS["sts-stripped"]),
        "may-broken": Sink(ADDRESS["may-broken"], broken_tls=True), "plain": Sink(ADDRESS["plain"]),
        "seven": Sink(ADDRESS["seven"], eight_bit=False), "refusing": Sink(ADDRESS["refusing"], refuse="550 5.1.1 no such user"),
        "slow": Sink(ADDRESS["slow"], refuse="451 4.2.1 later"), "eyeballs": Sink(ADDRESS["eyeballs"]),
        "bogus": Sink(ADDRESS["bogus"])}
    run("ip", "-6", "addr", "add", DEAD6 + "/128", "dev", "lo", "nodad")
    dead = [socket.create_server((DEAD6, 25), family=socket.AF_INET6, backlog=0)]  # its queue is full: SYNs are dropped
    for _ in range(4):
        dead.append(socket.socket(socket.AF_INET6))
        dead[-1].setblocking(False)
        dead[-1].connect_ex((DEAD6, 25))
    knot = SigningKnot(world.folder / "knot-secure", SIGNED)
    knot.glue = "ns." + ZONE
    records = ["ns A " + SIGNED]
    for case in CASES:
        records += ["%s MX 10 mx-%s" % (case, case), "mx-%s A %s" % (case, ADDRESS[case])]
        if case == "eyeballs":
            records += ["mx-eyeballs AAAA " + DEAD6]
        if case.startswith("sts"):
            records += ['_mta-sts.%s TXT "v=STSv1; id=1;"' % case, "mta-sts.%s A %s" % (case, STS_HOST)]
            to = "https://mta-sts.%s.%s/report" % (case, ZONE) if case == "sts-ok" else "mailto:tls.%s@receiver.example" % case
            records += ['_smtp._tls.%s TXT "v=TLSRPTv1; rua=%s"' % (case, to)]
            Policies.texts["mta-sts.%s.%s" % (case, ZONE)] = policy(
                "testing" if case == "sts-testing" else "enforce",
                "mx.elsewhere.example" if case == "sts-elsewhere" else "mx-%s.%s" % (case, ZONE))
    records += ["_25._tcp.mx-%s TLSA %s" % pair for pair in (
        ("dane-ok", "3 1 1 " + spki_hash(own[0])), ("dane-ta", "2 0 1 " + certificate_hash(world.folder / "ca.pem")),
        ("dane-bad", "3 1 1 " + "00" * 32), ("dane-stripped", "3 1 1 " + spki_hash(own[0])), ("dane-unusable", "1 1 1 " + "00" * 32))]
    # the chain of usage 2 must hold the CA that the record names
    chain = folder / "chain.pem"
    chain.write_text(good[0].read_text() + (world.folder / "ca.pem").read_text())
    sinks["dane-ta"].context.load_cert_chain(str(chain), str(good[1]))
    knot.add_zone(ZONE, *records)
    knot.start()
    anchor = folder / "anchor.key"
    # the second zone is anchored too, but nobody signs it: somebody in between has taken the signatures away
    anchor.write_text("".join("%s. 3600 IN DNSKEY %s\n" % (zone, knot.key()) for zone in (ZONE, "bogus.example")))
    anchor.chmod(0o644)
    world.publish("example", ["secure NS ns.secure", "ns.secure A " + SIGNED, "bogus MX 10 mx.bogus", "mx.bogus A " + ADDRESS["bogus"]])
    web = http.server.ThreadingHTTPServer((STS_HOST, 443), Policies)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(good[0]), str(good[1]))
    web.socket = context.wrap_socket(web.socket, server_side=True)
    threading.Thread(target=web.serve_forever, daemon=True).start()
    before = behalf.config.read_text()
    behalf.stop()
    behalf.config.write_text(before.replace('trust-anchor = ""', 'trust-anchor = "%s"' % anchor)
                             .replace("tls {", 'tls {\n  ca-file = "%s"' % (world.folder / "ca.pem"), 1)
                             .replace("queue {", 'queue {\n  delay-notice = "1s"', 1))
    behalf.start()
    yield sinks
    behalf.stop()
    behalf.config.write_text(before)
    behalf.start()
    web.shutdown()
    for sock in dead:
        sock.close()
    for sink in sinks.values():
        sink.stop()
    knot.stop()


def submit(to, body=b"hello\r\n", header=b"", mail_from=None, rcpt_options=(), mail_options=()):
    """Hands a message to the trusted port; returns its id."""
    raw = b"From: %s\r\nTo: %s\r\nSubject: transport\r\nMIME-Version: 1.0\r\n%s\r\n%s" % (
        DELEGATED.address.encode(), to.encode(), header, body)
    with smtplib.SMTP(*TRUSTED, timeout=20) as smtp:
        smtp.ehlo()
        assert smtp.mail(mail_from or DELEGATED.address, mail_options)[0] == 250
        assert smtp.rcpt(to, rcpt_options)[0] == 250
        code, said = smtp.data(raw)
        assert code == 250, said
        return said.decode().rsplit(" ", 1)[1]


def outcome(behalf, message, seconds=20):
    """The first delivered, bounced or deferred event of a message."""
    def look():
        events = behalf.json("message", "show", message)["events"]
        return next((e for e in events if e["event"] in ("delivered", "bounced", "deferred", "expired")), None)
    return wait_until(look, seconds, "something becomes of " + message)


def send_to(behalf, case, user="user", **more):
    return outcome(behalf, submit("%s@%s.%s" % (user, case, ZONE), **more))


@pytest.mark.parametrize("case,policy_name,tls", [
    ("dane-ok", "dane", " DANE"), ("dane-ta", "dane", " DANE"), ("dane-unusable", "dane-unusable", "TLSv1"),
    ("sts-ok", "mta-sts", " verified"), ("sts-testing", "mta-sts-testing", "TLSv1"), ("may-broken", "opportunistic", None),
    ("plain", "opportunistic", None)])
def test_delivered(outside, behalf, case, policy_name, tls):
    event = send_to(behalf, case)
    assert (event["event"], event["detail"]["attempt"]) == ("delivered", 1), event
    assert event["detail"].get("policy", "none").replace("none", "opportunistic") == policy_name, event
    assert (tls in event["detail"].get("tls", "")) if tls else "tls" not in event["detail"], event
    assert outside[case].messages[-1]["tls"] == bool(tls)


@pytest.mark.parametrize("case", ["dane-bad", "dane-stripped", "sts-untrusted", "sts-elsewhere", "sts-stripped"])
def test_talked_down_waits(outside, behalf, case):
    event = send_to(behalf, case)
    assert event["event"] == "deferred", event
    assert not outside[case].messages, "it went out all the same"
    print(case, event["detail"].get("enhanced"), event["text"])


def test_bogus_waits(outside, behalf):
    """Answers that DNSSEC disproves are none: the mail waits."""
    event = outcome(behalf, submit("user@bogus.example"))
    assert event["event"] == "deferred" and event["detail"]["enhanced"].startswith("4."), event
    assert outside["bogus"].connections == 0


def test_dead_ipv6_costs_little(outside, behalf):
    """RFC 8305: the next address is tried while the first one says nothing."""
    event = send_to(behalf, "eyeballs")
    assert (event["event"], event["detail"]["attempt"]) == ("delivered", 1), event
    assert ADDRESS["eyeballs"] in event["detail"]["remote"] and event["detail"]["took_ms"] < 10000, event
    print("took %d ms beside a dead address" % event["detail"]["took_ms"])


def test_policy_is_kept(outside, behalf):
    """The policy was fetched once; when the record is gone and the server too, it still holds."""
    host = "mta-sts.sts-untrusted." + ZONE
    assert Policies.asked.count(host) == 1
    Policies.texts.pop(host)
    event = send_to(behalf, "sts-untrusted")
    assert event["event"] == "deferred" and not outside["sts-untrusted"].messages


@pytest.mark.parametrize("level,case,word", [("required", "plain", "deferred"), ("verified", "dane-unusable", "deferred"),
                                             ("verified", "dane-ok", "delivered"), ("required", "sts-testing", "delivered")])
def test_level_of_a_customer(outside, behalf, level, case, word):
    behalf.call("customer", "set", DELEGATED.name, "--tls", level)
    try:
        assert behalf.json("customer", "show", DELEGATED.name)["tls"] == level
        assert send_to(behalf, case)["event"] == word
    finally:
        behalf.call("customer", "set", DELEGATED.name, "--tls", "opportunistic")
    behalf.call("queue", "drop", "--all")


def test_converted_to_seven_bits(outside, behalf):
    text = "Grüße aus Köln = 100 %\r\n" * 10
    event = send_to(behalf, "seven", body=text.encode(), mail_options=["BODY=8BITMIME"],
                    header=b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n")
    assert event["event"] == "delivered", event
    got = outside["seven"].messages[-1]["raw"]
    assert all(b < 128 for b in got)
    read = email.message_from_bytes(got)
    assert read["Content-Transfer-Encoding"] == "quoted-printable"
    assert read.get_payload(decode=True).decode() == text
    signatures = judge_signatures(got)  # made over what left, not over what came
    assert signatures and all(s[:2] == ("pass", DELEGATED.domain) for s in signatures), signatures
    assert judge_signatures(got.replace(b"=C3=BC", b"=c3=bc"))[0][0] != "pass", "a changed byte must not pass"


def notices(world, count, seconds=25):
    return [r for r in world.postfix.wait_for(count, seconds)]


@pytest.mark.parametrize("case,notify,action,status", [("refusing", "FAILURE", "failed", "5.1.1"),
                                                       ("plain", "SUCCESS,FAILURE", "relayed", "2.0.0"),
                                                       ("slow", "DELAY", "delayed", "4.2.1")])
def test_notices(world, outside, behalf, case, notify, action, status, tmp_path):
    world.postfix.new_messages()
    to = "user@%s.%s" % (case, ZONE)
    submit(to, mail_from="sender.%s@receiver.example" % case, mail_options=["RET=FULL", "ENVID=envelope+2B1"],
           rcpt_options=["NOTIFY=" + notify, "ORCPT=rfc822;was@before.example"])
    got = notices(world, 1)[0]
    assert got.mail_from == "" and not got.headers.get_all("Return-Path") and got.rcpt_to == "sender.%s@receiver.example" % case
    parts = list(got.headers.walk())
    assert got.headers.get_content_type() == "multipart/report"
    fields = [p for p in parts if p.get_content_type() == "message/delivery-status"][0].get_payload()
    assert fields[0]["Original-Envelope-Id"] == "envelope+1"
    assert (fields[1]["Action"], fields[1]["Status"]) == (action, status)
    assert fields[1]["Final-Recipient"] == "rfc822;" + to
    assert fields[1]["Original-Recipient"] == "rfc822;was@before.example"
    assert ("message/rfc822" in [p.get_content_type() for p in parts]) == (action == "failed")
    file = tmp_path / "notice.eml"
    file.write_bytes(got.raw)
    read = behalf.json("bounce", str(file))
    assert to in json.dumps(read), read
    verdict = judge_received(got)
    assert (verdict.dmarc, verdict.dmarc_by_dkim) == ("pass", "pass"), verdict
    assert got.headers["From"].endswith("<mailer-daemon@%s>" % PLATFORM) and got.headers["Auto-Submitted"] == "auto-replied"
    behalf.call("queue", "drop", "--all")


def test_nobody_asked_nobody_told(world, outside, behalf):
    world.postfix.new_messages()
    """Nor is anybody told of what becomes of mail with the null sender, whatever NOTIFY says (RFC 3461 6.1)."""
    assert send_to(behalf, "refusing", "quiet", mail_from="quiet@receiver.example")["event"] == "bounced"
    assert send_to(behalf, "refusing", "never", mail_from="never@receiver.example", rcpt_options=["NOTIFY=NEVER"])["event"] == "bounced"
    null = send_to(behalf, "refusing", "null", mail_from="<>", rcpt_options=["NOTIFY=FAILURE,SUCCESS,DELAY"])
    assert null["event"] == "bounced"
    time.sleep(1)
    assert not world.postfix.new_messages()
    assert not [e for e in behalf.json("event", "list")["events"] if e["event"] == "notified" and "quiet" in json.dumps(e)]


def test_sendmail(world, behalf, tmp_path):
    world.postfix.new_messages()
    link = tmp_path / "sendmail"
    link.symlink_to(behalf.binary)
    text = b"From: %s\nTo: One <one@receiver.example>\nBcc: two@receiver.example\nSubject: x\n\nbody\n.\nmore\n" % \
        DELEGATED.address.encode()
    env = {**os.environ, "BEHALF_CONFIG": str(behalf.config)}
    done = subprocess.run([link, "-t", "-i", "-f", DELEGATED.address], input=text, env=env, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    got = world.postfix.wait_for(2)
    assert {g.rcpt_to for g in got} == {"one@receiver.example", "two@receiver.example"}
    assert all(b"more" in g.raw and g.headers["Bcc"] is None for g in got)
    done = subprocess.run([link, "-oi", "a@receiver.example"], input=b"From: x@stranger.example\n\nx\n", env=env,
                          capture_output=True, check=False)
    assert done.returncode == 69, done
    done = subprocess.run([link, "-t"], input=b"From: x@stranger.example\n\nx\n", env=env, capture_output=True, check=False)
    assert done.returncode == 64, done


def test_explain(outside, behalf):
    message = submit("user@dane-ok." + ZONE)
    outcome(behalf, message)
    text = behalf.call("message", "explain", message)
    for words in ("Accepted", "aligned", "DKIM key", "policy dane", "mx-dane-ok." + ZONE, "TLSv1.3", "Finished"):
        assert words in text, text
    print(text)


def test_report_of_tls(world, outside, behalf, tmp_path):
    """What was counted above, told to those who ask; the day is over when we say so."""
    database = behalf.folder / "state/reports/transport.db"

    def counted():  # in a copy: the file has one owner
        for suffix in ("", "-wal"):
            shutil.copy(str(database) + suffix, str(tmp_path / "copy.db") + suffix)
        with sqlite3.connect(tmp_path / "copy.db") as db:
            return {row[0].split(".")[0] for row in db.execute("SELECT domain FROM tls_result")}
    wait_until(lambda: {c for c in CASES if c.startswith("sts-")} <= counted(), 70, "the senders tell what they counted")
    behalf.stop()
    with sqlite3.connect(database) as db:
        rows = db.execute("SELECT domain, policy_type, failure, count FROM tls_result").fetchall()
        db.execute("UPDATE tls_result SET day = day - 2")
        db.execute("DELETE FROM tls_result WHERE domain NOT LIKE 'sts-%'")
    db.close()
    print(rows)
    world.postfix.new_messages()
    behalf.start()
    reports = {}
    for got in world.postfix.wait_for(4, 90):
        assert got.headers["TLS-Report-Submitter"] and got.headers.get_param("report-type") == "tlsrpt"
        part = [p for p in got.headers.walk() if p.get_content_type() == "application/tlsrpt+gzip"][0]
        report = json.loads(gzip.decompress(part.get_payload(decode=True)))
        reports[got.headers["TLS-Report-Domain"]] = report
        check_report(report)
    wait_until(lambda: "/report" in Policies.reports, 30, "the report by https")
    reports["sts-ok." + ZONE] = json.loads(gzip.decompress(Policies.reports["/report"]))
    check_report(reports["sts-ok." + ZONE])
    ok = reports["sts-ok." + ZONE]["policies"][0]
    assert ok["policy"]["policy-type"] == "sts" and ok["summary"]["total-successful-session-count"] >= 1
    bad = reports["sts-untrusted." + ZONE]["policies"][0]
    assert bad["summary"]["total-failure-session-count"] >= 1
    assert bad["failure-details"][0]["result-type"] == "certificate-not-trusted"
    stripped = reports["sts-stripped." + ZONE]["policies"][0]["failure-details"]
    assert stripped[0]["result-type"] == "starttls-not-supported"


def check_report(report):
    """RFC 8460 4.4, member by member."""
    assert set(report) == {"organization-name", "date-range", "contact-info", "report-id", "policies"}
    assert set(report["date-range"]) == {"start-datetime", "end-datetime"}
    assert report["date-range"]["start-datetime"].endswith("T00:00:00Z")
    assert report["policies"]
    for entry in report["policies"]:
        assert set(entry["policy"]) <= {"policy-type", "policy-string", "policy-domain", "mx-host"}
        assert entry["policy"]["policy-type"] in ("tlsa", "sts", "no-policy-found")
        assert all(isinstance(n, int) for n in entry["summary"].values()) and len(entry["summary"]) == 2
        for detail in entry["failure-details"]:
            assert set(detail) <= {"result-type", "sending-mta-ip", "receiving-mx-hostname", "receiving-mx-helo", "receiving-ip",
                                   "failed-session-count", "additional-information", "failure-reason-code"}
            assert isinstance(detail["failed-session-count"], int) and detail["result-type"]
