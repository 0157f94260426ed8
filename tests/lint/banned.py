"""Calls and words that do not occur in the tree (the reasons are in CONTRIBUTING)."""
import re
import sys

from source import code_of, read, tracked

CALLS = """strcpy stpcpy strcat strncpy strncat sprintf vsprintf strtok strtok_r atoi atol atoll atof sscanf vsscanf fscanf
scanf gets rand srand random srandom drand48 alloca tmpnam tempnam mktemp asctime ctime gmtime localtime system popen
setjmp longjmp""".split()
# ctype.h depends on the locale and has undefined behaviour for bytes above 127: base/str.h has our own.
CTYPE = """isalnum isalpha isblank iscntrl isdigit isgraph islower isprint ispunct isspace isupper isxdigit tolower
toupper strcasecmp strncasecmp""".split()
TESTS_MAY = ["system", "random", "setjmp", "longjmp", "strcasecmp", "strncasecmp"]
CALL = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(CALLS + CTYPE))
HEADER = re.compile(r"#\s*include\s*<(ctype|alloca|setjmp)\.h>")
LEFT = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
STATIC_LOCAL = re.compile(r"^[ \t]+static (?!inline|const\b|_Thread_local const|assert)[^(=]*[=;\[]", re.MULTILINE)


def line_of(text, match):
    return text.count("\n", 0, match.start()) + 1


def check_text(path, text):
    code = code_of(text)
    tests = path.startswith("tests/")  # cmocka wants setjmp.h; tests are not shipped
    for match in CALL.finditer(code):
        if not tests or match.group(1) not in TESTS_MAY:
            yield "%s:%d: %s is banned" % (path, line_of(code, match), match.group(1))
    for match in HEADER.finditer(code):
        if not tests:
            yield "%s:%d: <%s.h> is banned" % (path, line_of(code, match), match.group(1))
    for match in LEFT.finditer(text):
        yield "%s:%d: %s left behind" % (path, line_of(text, match), match.group(1))
    if not tests:
        for match in STATIC_LOCAL.finditer(code):
            yield "%s:%d: a mutable static local" % (path, line_of(code, match))


def check():
    """Banned calls, headers and left-overs in all C files."""
    files = tracked("src/*.c", "src/*.h", "include/*.h", "tests/*.c", "tests/*.h")
    return [c for path in files for c in check_text(path, read(path))]


if __name__ == "__main__":
    found = check()
    print("\n".join(found))
    sys.exit(bool(found))
