#!/usr/bin/env python3
"""embed.py OUTPUT INPUT...: the rules as a C array."""
import sys

with open(sys.argv[1], "w", encoding="ascii") as out:
    data = b"".join(open(name, "rb").read() for name in sys.argv[2:])
    out.write("static const unsigned char builtin_rules[] = {\n")
    for at in range(0, len(data), 20):
        out.write("    %s\n" % "".join("%d," % byte for byte in data[at:at + 20]))
    out.write("};\n")
