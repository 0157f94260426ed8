"""Domain Connect against a provider of ours: it is discovered, asked by HTTPS, given a signed link, checks the signature
against the key in DNS, applies our own template file, and the domain verifies. What the provider says is never believed:
the authoritative servers are read back."""
import base64
import http.server
import json
import re
import ssl
import subprocess
import threading
import urllib.parse

import dns.resolver
import pytest
from daemon import CommandFailed
from processes import wait_until
from world import CUSTOMER_NS1, PLATFORM, RESOLVER, ROOT

HOST = "dc.receiver.example"
SETTINGS = {"providerId": "dns.example", "providerName": "Mock DNS", "urlSyncUX": "https://ux.dns.example/dc",
            "urlAPI": "https://%s/api" % HOST, "urlControlPanel": "https://dns.example/?%domain%"}


class Provider:
    """The provider's HTTPS server, and what a customer's click does there."""

    def __init__(self, world):
        self.world, self.templates, self.zones, self.asked = world, {"cname", "delegation", "dmarc", "manual"}, set(), []
        certificate = world.folder / "dc.pem"
        self._certify(certificate)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, world.folder / "dc.key")
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                status, body = provider.answer(self.path)
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "https://%s/v2/elsewhere.example/settings" % HOST)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer((CUSTOMER_NS1, 443), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def _certify(self, path):
        folder = self.world.folder
        (folder / "dc.ext").write_text("subjectAltName=DNS:%s\n" % HOST)
        for command in (["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", folder / "dc.key",
                         "-out", folder / "dc.csr", "-subj", "/CN=" + HOST],
                        ["x509", "-req", "-in", folder / "dc.csr", "-CA", folder / "ca.pem", "-CAkey", folder / "ca.key",
                         "-CAcreateserial", "-days", "30", "-extfile", folder / "dc.ext", "-out", path]):
            subprocess.run(["openssl", *map(str, command)], check=True, capture_output=True)

    def answer(self, path):
        self.asked.append(path)
        settings = re.fullmatch(r"/v2/([a-z.]+)/settings", path)
        template = re.fullmatch(r"/api/v2/domainTemplates/providers/%s/services/([a-z]+)" % re.escape(PLATFORM), path)
        if settings and settings[1] == "redirect.example":
            return 302, b""
        if settings:
            return (200, json.dumps(SETTINGS).encode()) if settings[1] in self.zones else (404, b"")
        return (200, b"{}") if template and template[1] in self.templates else (404, b"")

    def check_signature(self, query):
        """Over the query string without key and sig, with the key in DNS (specification, "Digitally Sign Requests")."""
        parts = query.split("&")
        values = {name: urllib.parse.unquote(value) for name, value in (p.split("=", 1) for p in parts)}
        signed = "&".join(p for p in parts if p.split("=")[0] not in ("key", "sig"))
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers = [RESOLVER]
        texts = [b"".join(r.strings).decode() for r in resolver.resolve(values["key"] + "." + PLATFORM, "TXT")]
        numbered = dict(re.fullmatch(r"p=(\d+),a=RS256,d=(.+)", text).groups() for text in texts)
        der = base64.b64decode("".join(numbered[n] for n in sorted(numbered, key=int)))
        folder = self.world.folder
        (folder / "dc.der").write_bytes(der)
        (folder / "dc.sig").write_bytes(base64.b64decode(values["sig"]))
        (folder / "dc.txt").write_text(signed)
        said = subprocess.run(["openssl", "dgst", "-sha256", "-verify", folder / "dc.der", "-keyform", "DER", "-signature",
                               folder / "dc.sig", folder / "dc.txt"], capture_output=True, text=True)
        assert said.stdout.strip() == "Verified OK", said.stdout + said.stderr
        return values

    def click(self, url):
        """What the customer's consent does: the template's records with the values of the link, into the zone."""
        start, query = url.split("?", 1)
        service = re.fullmatch(r"https://ux.dns.example/dc/v2/domainTemplates/providers/%s/services/([a-z]+)/apply"
                               % re.escape(PLATFORM), start)[1]
        values = self.check_signature(query)
        template = json.loads((ROOT / "data/domain-connect" / ("%s.%s.json" % (PLATFORM, service))).read_text())
        assert template["syncPubKeyDomain"] == PLATFORM and template["serviceId"] == service
        groups = values["groupId"].split(",") if "groupId" in values else None

        def filled(text):
            return re.sub(r"%(\w+)%", lambda m: values[m[1]], text)

        lines, host = [], values.get("host", "")
        for record in template["records"]:
            if groups and record.get("groupId") not in groups:
                continue
            owner = ".".join(part for part in (filled(record["host"]).replace("@", ""), host) if part) or "@"
            if record["type"] == "TXT":
                data = filled(record["data"])
                value = " ".join('"%s"' % data[i:i + 250] for i in range(0, len(data), 250))
            else:
                value = filled(record["pointsTo"]) + "."
            lines.append("%s %s %s" % (owner, record["type"], value))
        self.world.publish(values["domain"], lines)
        return lines


@pytest.fixture(scope="module")
def provider(world, behalf):
    """behalf restarted so that it trusts the world's CA and may fetch from the world's addresses."""
    config = behalf.config.read_text()
    refused = "may be used"
    world.publish("receiver.example", ["dc A " + CUSTOMER_NS1])
    made = Provider(world)
    behalf.json("customer", "add", "connected")
    behalf.json("domain", "add", "mistakes.example", "--customer", "connected", "--approach", "cname")
    world.publish("mistakes.example", ['_domainconnect TXT "%s"' % HOST])
    with pytest.raises(CommandFailed, match=refused):  # the guard: no public address
        link(behalf, "mistakes.example")
    assert not made.asked
    behalf.stop()
    config = config.replace("tls {", "tls {\n  ca-file = \"%s\"" % (world.folder / "ca.pem"), 1)
    behalf.config.write_text(config.replace("resolver {", "resolver {\n  private-addresses = true", 1))
    behalf.start()
    yield made
    made.server.shutdown()


def link(behalf, domain):
    """The link; at the first use its key is on its way for a moment."""
    last = []

    def made():
        try:
            last.append(behalf.json("domain", "connect", domain))
            return True
        except CommandFailed as error:
            if error.status != 75:
                raise
            return False
    wait_until(made, 20, "a link")
    return last[-1]


def verified(world, behalf, domain):
    world.unbound.flush()
    return behalf.json("domain", "check", domain)["state"] == "verified"


def test_refusals(world, behalf, provider):
    with pytest.raises(CommandFailed, match="does not serve the zone"):
        link(behalf, "mistakes.example")
    behalf.json("domain", "add", "pasted.example", "--customer", "connected", "--approach", "manual")
    with pytest.raises(CommandFailed, match="pasted.example does not offer Domain Connect"):
        link(behalf, "pasted.example")
    provider.zones |= {"mistakes.example", "pasted.example", "parent.example"}
    provider.templates.discard("cname")
    with pytest.raises(CommandFailed, match="Mock DNS does not have the template on.esp.example.cname"):
        link(behalf, "mistakes.example")
    provider.templates.add("cname")


@pytest.mark.parametrize("domain,zone,approach,service", [
    ("mistakes.example", "mistakes.example", "cname", "cname"), ("email.parent.example", "parent.example", "delegation", "delegation"),
    ("pasted.example", "pasted.example", "manual", "manual")])
def test_from_link_to_verified(world, behalf, provider, domain, zone, approach, service):
    provider.zones.add(zone)
    if not any(d["name"] == domain for d in behalf.json("domain", "list")):
        behalf.json("domain", "add", domain, "--customer", "connected", "--approach", approach)
    if zone != "mistakes.example":
        world.publish(zone, ['_domainconnect TXT "%s"' % HOST])
    made = link(behalf, domain)
    assert (made["template"], made["zone"], made["provider"]) == (service, zone, "Mock DNS")
    assert not verified(world, behalf, domain)  # a link is no proof
    print("\n".join(provider.click(made["url"])))
    wait_until(lambda: verified(world, behalf, domain), 30, "%s verified" % domain)
    with pytest.raises(AssertionError, match="Verification"):
        provider.check_signature(made["url"].split("?", 1)[1].replace(zone, "customer.example"))


def test_reports(world, behalf, provider):
    """A DMARC record that is there stays, with our address added."""
    domain = "parent.example"
    behalf.json("domain", "add", domain, "--customer", "connected", "--approach", "reports")
    behalf.json("domain", "check", domain)
    made = link(behalf, domain)
    lines = provider.click(made["url"])
    assert made["template"] == "dmarc" and lines[0].startswith('_dmarc TXT "v=DMARC1; p=none')
    assert "rua=mailto:" in lines[0]


def test_templates_follow_the_schema():
    schema = ROOT.parent / "shared/reference/specs/domain-connect-template.schema"
    jsonschema = pytest.importorskip("jsonschema")
    if not schema.exists():
        pytest.skip("no schema of Domain Connect here")
    for path in sorted((ROOT / "data/domain-connect").glob("*.json")):
        jsonschema.validate(json.loads(path.read_text()), json.loads(schema.read_text()))
        template = json.loads(path.read_text())
        assert path.name == "%s.%s.json" % (template["providerId"], template["serviceId"])
