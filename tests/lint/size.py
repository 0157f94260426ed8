"""Sizes: a function has at most 100 lines (150 where it is a state machine's switch), a file at most 800.

The code is in clang-format's Linux style, so a function's braces stand alone in the first column and nothing else does."""
import statistics
import sys

from source import code_of, read, tracked

FUNCTION, SWITCH, FILE = 100, 150, 800


def functions(text):
    """(name, first line, lines, has a switch) of every function in a formatted C file."""
    lines = code_of(text).split("\n")
    start = None
    for number, line in enumerate(lines):
        if line == "{":
            start = number
        elif line.startswith("}") and start is not None:
            head = start
            while head > 0 and lines[head - 1].strip() and not lines[head - 1].startswith(("}", "#")):
                head -= 1
            name = " ".join(lines[head:start]).split("(")[0].split()
            body = lines[start:number]
            yield (name[-1] if name else "?", head + 1, number - head + 1, any("switch (" in b for b in body))
            start = None


def check_text(path, text):
    count = text.count("\n")
    if count > FILE:
        yield "%s: %d lines, at most %d" % (path, count, FILE)
    for name, line, length, has_switch in functions(text):
        limit = SWITCH if has_switch else FUNCTION
        if length > limit:
            yield "%s:%d: %s has %d lines, at most %d" % (path, line, name.lstrip("*"), length, limit)


def check():
    """Lengths of functions and files in all C files."""
    files = tracked("src/*.c", "src/*.h", "include/*.h", "tests/*.c", "tests/*.h")
    return [c for path in files for c in check_text(path, read(path))]


def summary():
    lengths = sorted(f[2] for path in tracked("src/*.c") for f in functions(read(path)))
    if not lengths:
        return "no functions"
    return "%d functions in src/: median %d, p90 %d, longest %d lines" % (
        len(lengths), statistics.median(lengths), lengths[len(lengths) * 9 // 10], lengths[-1])


if __name__ == "__main__":
    found = check()
    print("\n".join(found + [summary()]))
    sys.exit(bool(found))
