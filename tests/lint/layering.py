"""The floors of the design: a folder of src/ includes only from folders before it; what stands before io is pure."""
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

from source import ROOT, code_of, read, tracked

FLOORS = ["base", "proto", "auth", "queue", "domain", "mail", "reports", "io", "store", "roles", "cli"]
# Public headers belong to libbehalf (auth); these few are the ground on which it stands.
PUBLIC_BASE = {"types.h", "arena.h", "resolver.h"}
PURE = {"proto", "auth", "queue", "domain", "mail", "reports"}
IMPURE_SYSTEM = re.compile(r"(sys/(socket|epoll|poll|time|timerfd|random|wait|un)|netdb|poll|event|event2/.*|syslog|time|"
                           r"sys/select|unbound.*|sqlite3|signal|pthread)\.h$")
IMPURE_OWN = {"base/log.h"}
CLOCK = re.compile(r"\bbh_clock_(now|monotonic)\b|\bbh_random_os\b|\bgetenv\b")
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)


def floor_of(folder):
    return FLOORS.index(folder) if folder in FLOORS else None


def check_include(path, quote, target):
    """What is wrong with one #include of the file `path`, or None."""
    parts = path.split("/")
    own = parts[1] if parts[0] == "src" else ("base" if parts[-1] in PUBLIC_BASE else "auth")
    if ".." in target.split("/"):
        return "includes through '..'"
    if target.startswith("behalf/"):
        other = "base" if target.split("/")[1] in PUBLIC_BASE else "auth"
    elif quote == "<":
        return "pure floors know no " + target if own in PURE and IMPURE_SYSTEM.match(target) else None
    elif parts[0] == "include":
        return "a public header includes \"%s\", which is not installed" % target
    elif "/" not in target:
        return None
    else:
        other = target.split("/")[0]
    if floor_of(other) is None or floor_of(own) is None:
        return "no such floor: " + target
    if floor_of(other) > floor_of(own):
        return "%s stands before %s and may not include %s" % (own, other, target)
    if own in PURE and target in IMPURE_OWN:
        return "pure floors do not log: " + target
    return check_role(parts, target)


def check_role(parts, target):
    """Roles are programs of their own: roles/<a>/ includes nothing of roles/<b>/."""
    names = target.split("/")
    if len(parts) > 3 and parts[1] == "roles" and len(names) > 2 and names[0] == "roles" and names[1] != parts[2]:
        if (ROOT / "src/roles" / names[1] / "main.c").is_file():
            return "the role %s includes the role %s" % (parts[2], names[1])
    return None


def check_text(path, text):
    code = code_of(text, keep_strings=True)
    for match in INCLUDE.finditer(code):
        complaint = check_include(path, match.group(1), match.group(2))
        if complaint:
            yield "%s:%d: %s" % (path, code.count("\n", 0, match.start()) + 1, complaint)
    if path.startswith("src/") and path.split("/")[1] in PURE:
        for match in CLOCK.finditer(code_of(text)):
            yield "%s:%d: pure floors are handed time, randomness and settings, not %s" % (
                path, code.count("\n", 0, match.start()) + 1, match.group(0))


def check():
    """Every #include of src/ and include/."""
    return [c for path in tracked("src/*.c", "src/*.h", "include/*.h") for c in check_text(path, read(path))]


def compiles_alone(path, folder):
    name = path.split("/", 1)[1]
    unit = os.path.join(folder, path.replace("/", "_") + ".c")
    with open(unit, "w", encoding="ascii") as out:
        out.write('#include <%s>\nextern int alone;\n' % name if path.startswith("include/") else
                  '#include "%s"\nextern int alone;\n' % name)
    flags = ["-I" + str(ROOT / "include")]
    if not path.startswith("include/"):
        flags.append("-I" + str(ROOT / "src"))
    run = subprocess.run(["cc", "-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Werror", "-fsyntax-only", *flags, unit],
                         capture_output=True, text=True, check=False)
    return [] if run.returncode == 0 else ["%s does not compile alone:\n%s" % (path, run.stderr.strip())]


def check_alone():
    """Every header compiles as the only include; public headers without src/ in the search path."""
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda path: compiles_alone(path, folder), tracked("src/*.h", "include/*.h"))
        return [c for complaints in results for c in complaints]


if __name__ == "__main__":
    found = check() + check_alone()
    print("\n".join(found))
    sys.exit(bool(found))
