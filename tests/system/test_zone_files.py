"""Zone files in every style, read by us and by BIND, Knot, NSD and ldns: who refuses what, and every record that BIND reads
compared with our answer to a question for it. What differs is listed with its reason."""
import json
import re
import shutil
import subprocess

import pytest
from world import BUILD

ORIGIN = "example.test"
H = "$TTL 300\n@ IN SOA ns hostmaster 1 3600 900 604800 300\n@ IN NS ns\nns IN A 192.0.2.1\n"
CASES = {
    "plain": H + "a A 192.0.2.2\n",
    "origin": H + "$ORIGIN sub\na A 192.0.2.2\n$ORIGIN other.example.test.\nb A 192.0.2.3\n",
    "origin lower": H + "$origin sub\na A 192.0.2.2\n",
    "ttl lower units": H + "$ttl 1h30m\na A 192.0.2.2\nb 1w2d3h4m5s A 192.0.2.3\nc 1W A 192.0.2.3\n",
    "ttl units soa": "$TTL 1d\n@ IN SOA ns hostmaster ( 1 1h 15m 1w 5m )\n@ NS ns\nns A 192.0.2.1\n",
    "include": H + "$INCLUDE other.zone\n",
    "generate": H + "$GENERATE 1-3 h$ A 10.0.0.$\n",
    "generate step": H + "$GENERATE 0-10/5 h${0,3,d} A 10.0.0.$\n",
    "generate offset": H + "$GENERATE 1-4 h${-1} CNAME x${10,4,x}.y\n",
    "generate hex": H + "$GENERATE 10-12 h${0,2,X} A 10.0.0.$\n",
    "generate octal": H + "$GENERATE 8-9 h${0,4,o} A 10.0.0.$\n",
    "generate nibble": H + "$GENERATE 18-20 ${0,8,n} PTR h$.x.\n",
    "generate Nibble": H + "$GENERATE 171-172 ${0,8,N} PTR h$.x.\n",
    "generate ttl class": H + "$GENERATE 1-2 h$ 600 IN A 10.0.0.$\n",
    "generate class ttl": H + "$GENERATE 1-2 h$ IN 600 A 10.0.0.$\n",
    "generate esc": H + "$GENERATE 1-2 h$ TXT \"a\\$b$$c$\"\n",
    "generate txt": H + "$GENERATE 1-2 h$ TXT \"v $ x\"\n",
    "generate mx": H + "$GENERATE 1-2 h$ MX \"10 m$\"\n",
    "generate mx unq": H + "$GENERATE 1-2 h$ MX 10 m$\n",
    "generate lower": H + "$generate 1-2 h$ A 10.0.0.$\n",
    "generate reverse": H + "$GENERATE 5-1 h$ A 10.0.0.$\n",
    "generate owner at": H + "$GENERATE 1-2 @ NS s$.x.\n",
    "generate absolute": H + "$GENERATE 1-2 h$.example.test. A 10.0.0.$\n",
    "generate w only": H + "$GENERATE 1-2 h${0,5} A 10.0.0.$\n",
    "generate neg": H + "$GENERATE 1-2 h${-5,2} A 10.0.0.$\n",
    "generate comment": H + "$GENERATE 1-2 h$ A 10.0.0.$ ; hello\n",
    "generate then blank owner": H + "a A 192.0.2.2\n$GENERATE 1-2 h$ A 10.0.0.$\n  AAAA ::1\n",
    "generate class only": H + "$GENERATE 1-2 h$ IN A 10.0.0.$\n",
    "generate range bad": H + "$GENERATE 1 h$ A 10.0.0.$\n",
    "generate $ in ttl": H + "$GENERATE 1-2 h$ $ A 10.0.0.1\n",
    "generate two": H + "$GENERATE 1-2 $.h$ A 10.$.0.$\n",
    "parens": H + "a ( A\n192.0.2.2 )\n( b\n) A 192.0.2.3\n",
    "parens soa comments": "$TTL 300\n@ IN SOA ns hostmaster (\n 1 ; serial\n 3600 ; r\n 900\n 604800\n 300 ) ; end\n NS ns\nns A 192.0.2.1\n",
    "parens txt": H + "a TXT ( \"x\"\n  \"y\" )\n",
    "parens blank start": H + "(\na A 192.0.2.2\n)\n",
    "escapes": H + "a\\.b A 192.0.2.2\na\\046c A 192.0.2.3\n\\097x A 192.0.2.4\nq TXT \"a\\\"b\\\\c\\;d\\065\\255\"\n",
    "escape spaces": H + "a\\ b A 192.0.2.2\nc\\;d A 192.0.2.3\ne\\(f A 192.0.2.4\n",
    "at escaped": H + "\\@ A 192.0.2.2\n",
    "rfc3597": H + "a TYPE1 \\# 4 c0000202\nb TYPE999 \\# 3 ab cd ef\nc A \\# 4 0a000001\nd TYPE998 \\# 0\ne CLASS1 TYPE15 \\# 6 000a 02 6d 78 00\n",
    "class missing": H + "a 600 A 192.0.2.2\n",
    "ttl class": H + "a 600 IN A 192.0.2.2\nb IN 600 A 192.0.2.3\nc in a 192.0.2.4\n",
    "blank owner": H + "a A 192.0.2.2\n  AAAA ::1\n\tTXT x\n\n  MX 10 a\n",
    "comments": H + "; c\na A 192.0.2.2;x\n   ; c2\n;\nb TXT \"a;b\" ;c\nc TXT a;b\n",
    "crlf": (H+"a A 192.0.2.2\n  TXT \"x\"\n").replace("\n","\r\n"),
    "crlf parens": "$TTL 300\n@ IN SOA ns hostmaster (\n 1\n 3600\n 900\n 604800\n 300 )\n NS ns\nns A 192.0.2.1\n".replace("\n","\r\n"),
    "cr only": (H+"a A 192.0.2.2\n").replace("\n","\r"),
    "no final newline": H + "a A 192.0.2.2",
    "no final newline comment": H + "a A 192.0.2.2 ; x",
    "tabs": H + "a\tIN\tA\t192.0.2.2\n\t\tTXT\t\"x\ty\"\n",
    "case": H + "A.EXAMPLE.TEST. in a 192.0.2.2\nMiXed Mx 10 MaIl\n",
    "at rdata": H + "a MX 10 @\nb CNAME @\n",
    "long line": H + "a TXT "+" ".join('"%s"'%("x"*200) for _ in range(100))+"\n",
    "long string 255": H + 'a TXT "%s"\n'%("x"*255),
    "long string 256": H + 'a TXT "%s"\n'%("x"*256),
    "long label": H + "%s A 192.0.2.2\n"%("a"*63),
    "label too long": H + "%s A 192.0.2.2\n"%("a"*64),
    "no ttl": "@ IN SOA ns hostmaster 1 3600 900 604800 60\n@ IN NS ns\nns IN A 192.0.2.1\n",
    "soa ttl inherits": "@ 500 IN SOA ns hostmaster 1 3600 900 604800 60\n@ IN NS ns\nns IN A 192.0.2.1\n",
    "last ttl": "@ 500 IN SOA ns hostmaster 1 3600 900 604800 60\n@ 400 IN NS ns\nns IN A 192.0.2.1\na TXT x\n",
    "ttl changes": H + "a A 192.0.2.2\n$TTL 700\nb A 192.0.2.3\nc 5 A 192.0.2.4\nd A 192.0.2.5\n",
    "rrset ttls": H + "a 100 A 192.0.2.2\na 200 A 192.0.2.3\n",
    "dup": H + "a A 192.0.2.2\na A 192.0.2.2\n",
    "dup case": H + "a CNAME X.y.\nA CNAME x.Y.\n",
    "empty label": H + "a..b A 192.0.2.2\n",
    "txt unquoted": H + "a TXT foo bar\nb TXT foo\\ bar\nc TXT \"\"\nd TXT \"a\" b \"c\"\n",
    "txt adjacent quotes": H + 'a TXT "a""b"\n',
    "txt multi line quote": H + 'a TXT "a\nb"\n',
    "owner is type": H + "mx A 192.0.2.2\na A 192.0.2.3\nin A 192.0.2.4\n",
    "owner numeric": H + "10 A 192.0.2.2\n10 10 A 192.0.2.3\n",
    "owner type-like blank": H + "a A 192.0.2.2\n IN A 192.0.2.3\n 5 IN A 192.0.2.3\n",
    "wildcard": H + "* A 192.0.2.2\n*.a A 192.0.2.3\nb.*.c A 192.0.2.4\n",
    "underscore": H + "_a._tcp SRV 0 0 5 x\n",
    "v6": H + "a AAAA 2001:DB8:0:0:0:0:0:1\nb AAAA ::ffff:1.2.3.4\nc AAAA 2001:db8::1:0:0:1\nd AAAA 1:0:0:0:1:0:0:0\n",
    "caa": H + 'a CAA 0 issue "letsencrypt.org"\nb CAA 0 issue letsencrypt.org\nc CAA 128 issuewild ";"\n',
    "naptr": H + 'a NAPTR 100 10 "u" "E2U+sip" "!^.*$!sip:a@b!" .\n',
    "https": H + 'a HTTPS 1 . alpn="h2,h3" ipv4hint=192.0.2.1 port=443\nb SVCB 0 foo\nc HTTPS 1 . key65333=ex1 no-default-alpn alpn=h2\n',
    "sshfp": H + "a SSHFP 4 2 ( 123456789abcdef67890123456789abcdef67890\n 123456789abcdef123456789 )\n",
    "tlsa": H + "a TLSA 3 1 1 0123456789ABCDEF 0123456789abcdef0123456789abcdef0123456789abcdef\n",
    "ds": H + "a NS x.\na DS 12345 13 2 0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\n",
    "ds alg names": H + "a NS x.\na DS 12345 ECDSAP256SHA256 SHA-256 0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\n",
    "dnskey": H + "@ DNSKEY 257 3 13 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==\n",
    "dnskey alg name": H + "@ DNSKEY 257 3 ECDSAP256SHA256 mdsswUyr3DPW132mOi8V9xESWE8jTo0dxCjjnopKl+GqJxpVXckHAeF+KkxLbxILfDLUT0rAK9iUzy1L53eKGQ==\n",
    "loc": H + "a LOC 52 22 23.000 N 4 53 32.000 E -2.00m 0.00m 10000m 10m\nb LOC 42 21 54 N 71 06 18 W -24m 30m\nc LOC 42 N 71 W 0\n",
    "hinfo": H + 'a HINFO "PC-Intel" Linux\n',
    "rp": H + "a RP x.y. z\n",
    "afsdb": H + "a AFSDB 1 x\n",
    "isdn x25 rt px": H + 'a X25 "311061700956"\nb ISDN "150862028003217" "004"\nc RT 2 relay\nd ISDN 1508\n',
    "kx cert": H + "a KX 10 x\nb CERT PGP 0 0 AQID\nc CERT 1 2 5 AQID\n",
    "minfo mb mg mr": H + "a MINFO x y\nb MB x\nc MG x\nd MR x\n",
    "wks": H + "a WKS 10.0.0.1 TCP ( smtp 80 )\n",
    "nsap": H + "a NSAP 0x47.0005.80.005a00.0000.0001.e133.ffffff000161.00\n",
    "gpos": H + "a GPOS -32.6882 116.8652 10.0\n",
    "eui": H + "a EUI48 00-00-5e-00-53-2a\nb EUI64 00-00-5e-ef-10-00-00-2a\n",
    "apl": H + "a APL 1:192.168.32.0/21 !1:192.168.38.0/28\n",
    "dhcid": H + "a DHCID AAIBY2/AuCccgoJbsaxcQc9TUapptP69lOjxfNuVAA2kjEA=\n",
    "ipseckey": H + "a IPSECKEY 10 1 2 192.0.2.38 AQNRU3mG7TVTO2BkR47usntb102uFJtugbo6BSGvgqt4AQ==\n",
    "hip": H + "a HIP 2 200100107B1A74DF365639CC39F1D578 AwEAAbdxyhNuSutc5EMzxTs9LBPCIkOFH8cIvM4p9+LrV4e19WzK00+CI6zBCQTdtWsuxKbWIy87UOoJTwkUs7lBu+Upr1gsNrut79ryra+bSRGQb1slImA8YVJyuIDsj7kwzG7jnERNqnWxZ48AWkskmdHaVDP4BcelrTI3rMXdXF5D x.\n",
    "nid l32 l64 lp": H + "a NID 10 0014:4fff:ff20:ee64\nb L32 10 10.1.2.0\nc L64 10 2001:0db8:1140:1000\nd LP 10 l.x.\n",
    "uri": H + 'a URI 10 1 "ftp://x/y"\n',
    "openpgpkey": H + "a OPENPGPKEY AQID BAUG\n",
    "smimea": H + "a SMIMEA 3 0 0 aabb cc\n",
    "csync": H + "@ CSYNC 66 3 A NS AAAA\n",
    "nsec": H + "a NSEC b.example.test. A TYPE1234\n",
    "nsec3": H + "2vptu5timamqttgl4luu9kg21e0aor3s NSEC3 1 1 12 aabbccdd 2t7b4g4vsa5smi47k61mv5bv1a22bojr MX DNSKEY\n@ NSEC3PARAM 1 0 12 aabbccdd\n",
    "rrsig": H + "a RRSIG A 13 3 300 20300101000000 20200101000000 1 example.test. AQID\n",
    "dlv ta sink": H + "a DLV 12345 13 2 0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef\n",
    "zonemd": H + "@ ZONEMD 2018031900 1 1 62e6cf51b02e54b9b5f967d547ce43136792901f9f88e637493daaf401c92c279dd10f0edb1c56f8080211f8480ee306\n",
    "avc ninfo": H + "a AVC \"x\"\nb NINFO \"x\"\n",
    "spf": H + 'a SPF "v=spf1 -all"\n',
    "key sig": H + "a KEY 256 3 5 AQID\n",
    "a bad": H + "a A 192.0.2\n",
    "a leading zero": H + "a A 192.0.02.1\n",
    "mx zero pad": H + "a MX 010 x\n",
    "ttl big": H + "a 2147483647 A 192.0.2.2\n",
    "ttl too big": H + "a 2147483648 A 192.0.2.2\n",
    "ttl 4294967295": H + "a 4294967295 A 192.0.2.2\n",
    "class ch": H + "a CH TXT x\n",
    "class any": H + "a CLASS1 A 192.0.2.2\n",
    "cname and other": H + "a CNAME x\na A 192.0.2.2\n",
    "two cnames": H + "a CNAME x\na CNAME y\n",
    "two soas": H + "@ SOA ns hostmaster 2 3600 900 604800 300\n",
    "out of zone": H + "a.other. A 192.0.2.2\n",
    "occluded": H + "d NS n.d\nn.d A 192.0.2.2\nx.d TXT y\n",
    "soa not first": "$TTL 300\n@ NS ns\nns A 192.0.2.1\n@ SOA ns hostmaster 1 3600 900 604800 300\n",
    "soa big serial": "$TTL 300\n@ SOA ns hostmaster 4294967295 3600 900 604800 300\n@ NS ns\nns A 192.0.2.1\n",
    "soa rname dot": "$TTL 300\n@ SOA ns host\\.master.x. 1 3600 900 604800 300\n@ NS ns\nns A 192.0.2.1\n",
    "no ns": "$TTL 300\n@ SOA ns hostmaster 1 3600 900 604800 300\n",
    "name ending backslash": H + "a\\\\ A 192.0.2.2\n",
    "utf8 name": H + "\u00e4 A 192.0.2.2\n",
    "utf8 txt": H + 'a TXT "\u00e4"\n',
    "formfeed": H + "a\x0bA 192.0.2.2\n",
    "quoted owner": H + '"a" A 192.0.2.2\n',
    "quoted rdata name": H + 'a CNAME "x"\n',
    "quoted address": H + 'a A "192.0.2.2"\n',
    "quoted type": H + 'a "A" 192.0.2.2\n',
    "bom": "\ufeff"+H,
    "only comment at end": H + "; end",
    "parens nested": H + "a ( ( A ) 192.0.2.2 )\n",
    "parens glued": H + "a A (192.0.2.2)\n",
    "parens ttl": H + "a (600\n IN) A 192.0.2.2\n",
    "unbalanced": H + "a A ( 192.0.2.2\n",
    "unbalanced2": H + "a A 192.0.2.2 )\n",
    "dollar unknown": H + "$FOO x\n",
    "dollar owner": H + "\\$a A 192.0.2.2\n",
    "origin comment": H + "$ORIGIN x ; c\na A 192.0.2.2\n",
    "ttl comment": H + "$TTL 500 ; c\na A 192.0.2.2\n",
    "indented directive": H + "  $TTL 500\na A 192.0.2.2\n",
    "ttl then inherit": H + "a 5 A 192.0.2.2\nb A 192.0.2.3\n",
    "trailing blanks": H + "a A 192.0.2.2   \t \n",
    "blank lines with spaces": H + "   \n\t\na A 192.0.2.2\n  \n AAAA ::1\n",
    "owner inherit after origin": H + "a A 192.0.2.2\n$ORIGIN z\n AAAA ::1\n",
    "owner inherit after include-like comment": H + "a A 192.0.2.2\n; x\n AAAA ::1\n",
    "root mx": H + "a MX 0 .\n",
    "srv case": H + "_X._TCP SRV 0 0 5 Target.EXAMPLE.\n",
    "esc digit short": H + "a\\06 A 192.0.2.2\n",
    "esc too big": H + "a\\300 A 192.0.2.2\n",
    "esc in txt unquoted": H + "a TXT a\\\"b\\032c\n",
    "nul in name": H + "a\\000b A 192.0.2.2\n",
    "name 255": H + ".".join(["a"*49]*4)+".b"*20+" A 192.0.2.2\n",
    "at ns origin": "$ORIGIN example.test.\n$TTL 300\n@ SOA ns hostmaster 1 3600 900 604800 300\n@ NS ns\nns A 192.0.2.1\n",
}
# files of which we think otherwise than BIND: (accepted by us, why)
DIFFER = {
    "generate mx unq": (True, "more than one token of data behind $GENERATE says what it means"),
    "cr only": (False, "nobody has written such files for twenty years; Knot refuses them, too"),
    "ds alg names": (False, "mnemonics of digests: Knot, NSD and ldns refuse them, too"),
    "wks": (False, "has the form of RFC 3597 only, as in Knot"),
    "nsap": (False, "has the form of RFC 3597 only, as in Knot"),
    "ipseckey": (False, "has the form of RFC 3597 only"),
    "hip": (False, "has the form of RFC 3597 only, as in Knot and NSD"),
    "nsec3": (False, "signed zones have NSEC"),
    "no ns": (True, "NSD and ldns take it; it answers"),
    "quoted rdata name": (True, "NSD and ldns take it"),
    "quoted address": (True, "NSD takes it"),
    "quoted type": (True, "NSD takes it"),
    "bom": (True, "editors leave it"),
}
# records that we say otherwise: why
SAID = {
    "no ttl": "3600 as in Knot and NSD; BIND takes the SOA's minimum",
    "owner numeric": "an RRset's lowest TTL; BIND takes the first one's",
    "kx cert": "algorithms are printed as numbers",
    "nid l32 l64 lp": "groups keep their zeros, as in RFC 6742",
    "occluded": "names at and below a delegation are not ours to answer",
}

pytestmark = pytest.mark.skipif(not shutil.which("named-compilezone"), reason="bind9-utils is not installed")


def call(*argv):
    done = subprocess.run([str(a) for a in argv], capture_output=True, timeout=30)
    return done.returncode == 0, done.stdout.decode("latin1")


def by_bind(path):
    ignored = [word for option in "iknmrMS" for word in ("-" + option, "none" if option == "i" else "ignore")]
    return call("named-compilezone", *ignored, "-f", "text", "-F", "text", "-o", "-", ORIGIN, path)


def ask(path, name, kind):
    good, said = call(BUILD / "behalf", "dns", "answer", "--zone", path, "--origin", ORIGIN, "--name", name, "--type", kind,
                      "--json", "--tcp")
    return json.loads(said) if good else None


def records(text):
    """{(owner, type): [(TTL, data)]}: hex and base64 in one piece and small letters."""
    sets = {}
    for line in text.splitlines():
        match = re.match(r"(\S+)\s+(\d+)\s+IN\s+(\S+)\s+(.*)$", line)
        if match:
            owner, ttl, kind, data = match.groups()
            if kind in ("DS", "DLV", "CDS", "TLSA", "SMIMEA", "SSHFP", "ZONEMD") or kind.startswith("TYPE"):
                data = re.sub(r"(?<=[0-9A-Fa-f]{4}) (?=[0-9A-Fa-f]+$)", "", data).lower()
            elif kind in ("DNSKEY", "CDNSKEY", "KEY", "OPENPGPKEY"):
                data = re.sub(r"(?<=[A-Za-z0-9+/]{40}) ", "", data)
            sets.setdefault((owner.lower(), kind), []).append((ttl, data))
    return {key: sorted(values) for key, values in sets.items()}


def differences(path, text):
    for (owner, kind), expected in records(text).items():
        said = ask(path, owner, kind)
        found = records("\n".join(said["answer"] + said["authority"])).get((owner, kind))
        if found != expected:
            yield owner, kind, expected, found


@pytest.mark.parametrize("name", CASES)
def test_zone_file(tmp_path, name):
    path = tmp_path / "zone"
    path.write_bytes(CASES[name].encode())
    theirs, text = by_bind(path)
    ours = ask(path, ORIGIN, "SOA") is not None
    assert ours == (DIFFER[name][0] if name in DIFFER else theirs), "accepted by BIND: %s" % theirs
    assert theirs != ours or name not in DIFFER
    if theirs and ours:
        found = list(differences(path, text))
        assert bool(found) == (name in SAID), found
