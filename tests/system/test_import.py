"""What another set-up has is taken over: OpenDKIM's tables with their keys, which stay published and sign on, and CNAMEs
that point at the operator's old names; nothing is asked of the customers."""
import json
import re
import subprocess

import pytest
from clients import CLIENTS
from daemon import CommandFailed, add_credential
from judge import judge_received
from mailtext import crlf, set_from
from processes import wait_until
from world import ROOT, SUBMISSION

MOVED = {"mistakes.example": "mail", "pasted.example": "s2024", "parent.example": "bh1"}


def make_key(path, *kind):
    subprocess.run(["openssl", "genpkey", *kind, "-out", path], check=True, capture_output=True)
    public = subprocess.run(["openssl", "pkey", "-in", path, "-pubout"], check=True, capture_output=True, text=True).stdout
    path.chmod(0o600)
    return "".join(line for line in public.splitlines() if "-" not in line)


def txt(selector, public):
    value = "v=DKIM1; k=rsa; p=" + public
    return '%s._domainkey TXT %s' % (selector, " ".join('"%s"' % value[i:i + 250] for i in range(0, len(value), 250)))


def make_tables(world, folder):
    """An OpenDKIM set-up whose keys are published; the tables' paths."""
    folder.mkdir()
    keys, signing = ["# key table"], []
    for domain, selector in MOVED.items():
        public = make_key(folder / (domain + ".private"), "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048")
        world.publish(domain, [txt(selector, public)])
        keys.append("k-%s %s:%s:./%s.private" % (selector, domain, selector, domain))
        signing.append("*@%s k-%s" % (domain, selector))
    (folder / "bad.private").write_text("this is no key\n")
    keys.append("bad bad.parent.example:x:%s/bad.private" % folder)
    signing += ["*@bad.parent.example bad", "*@lost.example nokey"]
    for name, lines in (("KeyTable", keys), ("SigningTable", signing)):
        (folder / name).write_text("\n".join(lines) + "\n")
    return ("--key-table", folder / "KeyTable", "--signing-table", folder / "SigningTable")


def imported(behalf, *arguments):
    """(added, there, failed, outcome by domain)."""
    said = behalf.call("domain", "import", *arguments, "--json", check=False)
    result = json.loads(said)
    return result["added"], result["there"], result["failed"], {r["domain"]: r["outcome"] for r in result["rows"]}


def verified(world, behalf, domain):
    world.unbound.flush()
    return behalf.json("domain", "check", domain)["state"] == "verified"


def test_opendkim(world, behalf):
    tables = make_tables(world, world.folder / "opendkim")
    before = {d["name"] for d in behalf.json("domain", "list")}
    assert imported(behalf, *tables, "--customer", "mover", "--dry-run")[0] >= len(MOVED)
    assert {d["name"] for d in behalf.json("domain", "list")} == before  # a dry run changes nothing
    added, there, failed, rows = imported(behalf, *tables, "--customer", "mover")
    print(added, there, failed, rows)
    assert (added, there, failed) == (3, 0, 2)
    assert rows["bad.parent.example"] == rows["lost.example"] == "failed"
    with pytest.raises(CommandFailed, match="no sending domain"):  # nothing half done
        behalf.call("domain", "show", "bad.parent.example")
    assert imported(behalf, *tables, "--customer", "mover")[:3] == (0, 3, 2)  # again: what is there is passed over
    for domain in MOVED:
        wait_until(lambda d=domain: verified(world, behalf, d), 30, "%s verified" % domain)
    user, password = add_credential(behalf, "mover")
    raw = sorted((ROOT / "tests/world/messages").glob("*.eml"))[0].read_bytes()
    world.postfix.new_messages()
    for domain in MOVED:
        CLIENTS["smtplib"](crlf(set_from(raw, "news@" + domain)), (SUBMISSION, 465, 587), user, password,
                           "news@" + domain, ["%s@receiver.example" % domain], world.folder / "ca.pem")
    for received in world.postfix.wait_for(len(MOVED), 60):
        domain = received.rcpt_to.split("@")[0]
        verdict = judge_received(received)
        assert verdict.dmarc == "pass" and verdict.dmarc_by_dkim == "pass", repr(verdict)
        assert ("pass", domain) in [tuple(s[:2]) for s in verdict.dkim], repr(verdict)
        assert re.search(rb"\bs=%s;" % MOVED[domain].encode(), received.raw.replace(b"\r\n\t", b" ")), received.raw[:2000]
        print("%s: signed with its old key at selector %s, DMARC %s" % (domain, MOVED[domain], verdict.dmarc))


def test_cname_targets(world, behalf):
    """The customer's CNAMEs stay as they are; the operator's old names lead on to ours."""
    domain, old = "moved.other.example", "old.esp.example"
    world.publish("other.example", ["return.moved CNAME u1.%s." % old, "click.moved CNAME l1.%s." % old,
                                    *["s%d._domainkey.moved CNAME s%d.k1.%s." % (i, i, old) for i in (1, 2, 3)]])
    (world.folder / "set.csv").write_text(
        "domain,customer,selector_prefix,bounce_label,link_label,bounce_target,link_target,dkim_target\n"
        "%s,mover2,s,return,click,u1.%s,l1.%s,k1.%s\n" % (domain, old, old, old))
    said = behalf.call("domain", "import", world.folder / "set.csv")
    print(said)
    lines = [line.strip() for line in said.splitlines() if line.startswith("  ")]
    assert len(lines) == 5
    assert not verified(world, behalf, domain)
    world.publish("esp.example", lines)
    wait_until(lambda: verified(world, behalf, domain), 30, "%s verified" % domain)
    shown = behalf.json("domain", "show", domain)
    assert shown["dmarc_alignment"] == {"spf": True, "dkim": True}
    assert "1 there already" in behalf.call("domain", "import", world.folder / "set.csv")
