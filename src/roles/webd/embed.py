#!/usr/bin/env python3
"""embed.py OPENAPI PAGE OUTPUT: the API's description, checked to be JSON and without blanks, and its page, as C arrays."""
import json
import sys


def array(name, data):
    out = ["extern const char %s[];" % name, "extern const size_t %s_n;" % name, "const char %s[] = {" % name]
    for at in range(0, len(data), 20):
        out.append("    " + "".join("%d," % (byte if byte < 128 else byte - 256) for byte in data[at:at + 20]))
    return "\n".join(out + ["    0};", "const size_t %s_n = sizeof(%s) - 1;" % (name, name), ""])


with open(sys.argv[1], encoding="utf-8") as source:
    text = json.dumps(json.load(source), separators=(",", ":"), ensure_ascii=False).encode()
with open(sys.argv[2], "rb") as source:
    page = source.read()
with open(sys.argv[3], "w", encoding="ascii") as out:
    out.write("#include <stddef.h>\n\n" + array("bh_openapi_json", text) + array("bh_docs_html", page))
