"""The checks check: each finds what it is there for in a few lines that break its rule."""
import banned
import layering
import mutable
import size

UPWARD = '#include "io/loop.h"\n'
LONG = "int f(void)\n{\n" + "    x();\n" * 100 + "}\n"
TABLE = ("0000000000000000 l     O .bss   0000000000000008 counter\n"
         "0000000000000000 l     O .data.rel.ro.local 0000000000000008 table\n"
         "0000000000000000 g     O .bss   0000000000000004 .hidden bh_signal_stop\n")

CASES = [
    ("an upward include", lambda: list(layering.check_text("src/mail/x.c", UPWARD)), 1),
    ("a downward include", lambda: list(layering.check_text("src/roles/sender/x.c", UPWARD)), 0),
    ("an include in a comment", lambda: list(layering.check_text("src/mail/x.c", "/* " + UPWARD + " */")), 0),
    ("a socket in a pure floor", lambda: list(layering.check_text("src/auth/x.c", "#include <sys/socket.h>\n")), 1),
    ("a clock in a pure floor", lambda: list(layering.check_text("src/mail/x.c", "x = bh_clock_now();\n")), 1),
    ("a public header of a higher floor", lambda: list(layering.check_text("src/proto/x.c", "#include <behalf/dkim.h>\n")), 1),
    ("a private header in a public one", lambda: list(layering.check_text("include/behalf/x.h", '#include "base/str.h"\n')), 1),
    ("a banned call", lambda: list(banned.check_text("src/a/x.c", "void f(void)\n{\n    strcpy(a, b);\n}\n")), 1),
    ("a banned call in a string", lambda: list(banned.check_text("src/a/x.c", 'x = "strcpy(";\n')), 0),
    ("a call that ends alike", lambda: list(banned.check_text("src/a/x.c", "bh_random(x);\n")), 0),
    ("a static local", lambda: list(banned.check_text("src/a/x.c", "{\n    static int n = 0;\n}\n")), 1),
    ("a constant static local", lambda: list(banned.check_text("src/a/x.c", "{\n    static const int n = 0;\n}\n")), 0),
    ("a long function", lambda: list(size.check_text("x.c", LONG)), 1),
    ("a long switch", lambda: list(size.check_text("x.c", LONG.replace("    x();\n", "    switch (x) {}\n", 1))), 0),
    ("a long file", lambda: list(size.check_text("x.c", "\n" * 801)), 1),
    ("a mutable global", lambda: list(mutable.check_table("x.o", TABLE)), 1),
]


def check():
    """Each case finds as many complaints as it should."""
    found = []
    for name, run, expected in CASES:
        got = run()
        if len(got) != expected:
            found.append("%s: %d complaints, expected %d: %s" % (name, len(got), expected, got))
    return found
