"""No mutable globals: the objects of a release build have no symbol in .data or .bss."""
import re
import shutil
import subprocess
import sys

from source import ROOT

SYMBOL = re.compile(r"^[0-9a-f]+ .{7} (\.(?:data|bss|tdata|tbss)\S*)\s+([0-9a-f]+)\s+(?:\.hidden )?(\S+)$")
# A signal handler has no argument, so its flag must be global. bh_random_os is a table with one function, never written;
# it is not const because a seeded generator of the same type has a state.
ALLOWED = re.compile(r"^(bh_signal_\w+|bh_random_os)$")


def check_table(path, table):
    for line in table.split("\n"):
        match = SYMBOL.match(line)
        if not match or match.group(1).startswith(".data.rel.ro") or int(match.group(2), 16) == 0:
            continue
        if not ALLOWED.match(match.group(3)):
            yield "%s: %s in %s is mutable and global" % (path, match.group(3), match.group(1))


def check(build="build"):
    """Symbols of every object under build/src; None where there is no release build to read."""
    objects = sorted((ROOT / build / "src").rglob("*.o"))
    options = ROOT / build / "meson-info" / "intro-buildoptions.json"
    if not objects or not shutil.which("objdump") or not options.is_file():
        return None
    if re.search(r'"name": "b_sanitize"[^}]*"value": "(?!none)', options.read_text()):
        return None
    found = []
    for path in objects:
        table = subprocess.run(["objdump", "-t", str(path)], capture_output=True, text=True, check=False).stdout
        found += check_table(str(path.relative_to(ROOT)), table)
    return found


if __name__ == "__main__":
    complaints = check(*sys.argv[1:]) or []
    print("\n".join(complaints))
    sys.exit(bool(complaints))
