"""Submission clients as customers use them: each takes bytes with CRLF and hands them to a submission server.

Every function is client(raw, server, user, password, mail_from, recipients, ca) with server = (host, tls port, starttls port)
and raises Refused with the server's words when it does not take the message."""
import re
import smtplib
import ssl
import subprocess
import tempfile


class Refused(Exception):
    """The server said no; str() is what it said."""


def tls_context(ca):
    context = ssl.create_default_context(cafile=str(ca))
    context.check_hostname = False
    return context


def in_words(code, text):
    return "%d %s" % (code, text.decode("utf-8", "replace").replace("\n", "; "))


def by_smtplib(raw, server, user, password, mail_from, recipients, ca, implicit=True):
    """Python's smtplib: implicit TLS on 465, or STARTTLS on 587."""
    options = ["BODY=8BITMIME"] if any(b > 127 for b in raw) else []
    try:
        if implicit:
            smtp = smtplib.SMTP_SSL(server[0], server[1], context=tls_context(ca), timeout=30)
        else:
            smtp = smtplib.SMTP(server[0], server[2], timeout=30)
        with smtp:
            if not implicit:
                smtp.starttls(context=tls_context(ca))
            if user:
                smtp.login(user, password)
            smtp.sendmail(mail_from, recipients, raw, mail_options=options)
    except smtplib.SMTPRecipientsRefused as error:
        raise Refused(in_words(*list(error.recipients.values())[0])) from None
    except smtplib.SMTPResponseException as error:
        raise Refused(in_words(error.smtp_code, error.smtp_error)) from None
    except smtplib.SMTPException as error:
        raise Refused(str(error)) from None


def by_smtplib_starttls(raw, server, user, password, mail_from, recipients, ca):
    by_smtplib(raw, server, user, password, mail_from, recipients, ca, implicit=False)


def run_client(command, stdin=None):
    result = subprocess.run(command, input=stdin, capture_output=True, timeout=60, check=False)
    if result.returncode != 0:
        raise Refused((result.stdout + result.stderr).decode("utf-8", "replace")[-4000:])


def by_swaks(raw, server, user, password, mail_from, recipients, ca):
    """swaks over STARTTLS; without its fix-ups the file is what goes over the wire, dots stuffed and the final one there."""
    wire = re.sub(rb"(?m)^\.", b"..", raw if raw.endswith(b"\r\n") else raw + b"\r\n") + b"."
    with tempfile.NamedTemporaryFile() as file:
        file.write(wire)
        file.flush()
        run_client(["swaks", "--server", server[0], "--port", str(server[2]), "--tls", "--auth", "PLAIN", "--auth-user", user,
                    "--auth-password", password, "--from", mail_from, "--to", ",".join(recipients), "--data",
                    "@" + file.name, "--no-data-fixup", "--silent", "2", "--timeout", "20"])


def by_msmtp(raw, server, user, password, mail_from, recipients, ca):
    """msmtp over implicit TLS, which reads LF and sends CRLF."""
    run_client(["msmtp", "--file=/dev/null", "--host=" + server[0], "--port=%d" % server[1], "--tls=on", "--tls-starttls=off",
                "--tls-trust-file=" + str(ca), "--tls-certcheck=on", "--auth=plain", "--user=" + user,
                "--passwordeval=printf %%s '%s'" % password, "--from=" + mail_from, "--timeout=20", *recipients],
               raw.replace(b"\r\n", b"\n"))


def by_curl(raw, server, user, password, mail_from, recipients, ca):
    """curl's smtps: it stuffs dots and sends the bytes of the file; only --verbose shows the server's words."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(raw)
        file.flush()
        command = ["curl", "--silent", "--verbose", "--max-time", "30", "--url", "smtps://%s:%d" % server[:2], "--cacert",
                   str(ca), "--user", "%s:%s" % (user, password), "--mail-from", mail_from, "--upload-file", file.name]
        for recipient in recipients:
            command += ["--mail-rcpt", recipient]
        run_client(command)


CLIENTS = {"smtplib": by_smtplib, "smtplib-starttls": by_smtplib_starttls, "swaks": by_swaks, "msmtp": by_msmtp,
           "curl": by_curl}
