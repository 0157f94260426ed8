#!/usr/bin/env python3
"""embed.py INPUT OUTPUT: the API's description, checked to be JSON and without blanks, as a C array."""
import json
import sys

with open(sys.argv[1], encoding="utf-8") as source:
    text = json.dumps(json.load(source), separators=(",", ":"), ensure_ascii=False).encode()
with open(sys.argv[2], "w", encoding="ascii") as out:
    out.write("#include <stddef.h>\n\nextern const char bh_openapi_json[];\nextern const size_t bh_openapi_json_n;\n")
    out.write("const char bh_openapi_json[] = {\n")
    for at in range(0, len(text), 20):
        out.write("    %s\n" % "".join("%d," % (byte if byte < 128 else byte - 256) for byte in text[at:at + 20]))
    out.write("    0};\nconst size_t bh_openapi_json_n = sizeof(bh_openapi_json) - 1;\n")
