"""Formatting of C files, and the scripts: bash by shellcheck, Python by pyflakes, Debian's interpreter only."""
import shutil
import subprocess
import sys

from source import ROOT, read, tracked

INTERPRETERS = ("#!/usr/bin/env bash", "#!/bin/bash", "#!/bin/sh", "#!/usr/bin/python3", "#!/usr/bin/perl")


def run(command):
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return [] if result.returncode == 0 else [(result.stdout + result.stderr).strip()[:6000]]


def check_format():
    """clang-format --dry-run of all C files; None where clang-format is missing."""
    if not shutil.which("clang-format"):
        return None
    files = tracked("src/*.c", "src/*.h", "include/*.h", "tests/*.c", "tests/*.h")
    result = subprocess.run(["clang-format", "--dry-run", *files], cwd=ROOT, capture_output=True, text=True, check=False)
    lines = [line.split(": ")[0] for line in result.stderr.split("\n") if "warning:" in line or "error:" in line]
    bad = sorted({line.split(":")[0] for line in lines})
    return ["%s: run clang-format -i on it" % path for path in bad]


def by_interpreter():
    bash, python, bad = [], tracked("*.py"), []
    for path in tracked("*"):
        if path.endswith((".py", ".c", ".h", ".eml", ".build")) or "/corpus/" in path:
            continue
        with open(ROOT / path, "rb") as file:
            first = file.readline(80).decode("latin-1").strip()
        if not first.startswith("#!"):
            if path.endswith(".sh"):
                bash.append(path)
            continue
        if first not in INTERPRETERS:
            bad.append("%s: starts with %s, not one of %s" % (path, first, ", ".join(INTERPRETERS)))
        if not first.endswith("perl"):  # a few lines around an oracle that exists in Perl only
            (python if "python" in first else bash).append(path)
    return bash, python, bad


def check_scripts():
    """Interpreters, shellcheck and pyflakes; None where neither tool is there."""
    bash, python, found = by_interpreter()
    if not shutil.which("shellcheck"):
        return None
    if bash:
        found += run(["shellcheck", "--shell=bash", "--severity=warning", "--external-sources", *bash])
    for line in "\n".join(run(["/usr/bin/python3", "-m", "pyflakes", *python])).split("\n"):
        path, number = (line.split(":") + [""])[:2]
        if line and not (number.isdigit() and "# noqa" in read(path).split("\n")[int(number) - 1]):
            found.append(line)
    found += ["%s: tab in indentation" % path for path in python if "\n\t" in read(path)]
    return found


if __name__ == "__main__":
    complaints = (check_format() or []) + (check_scripts() or [])
    print("\n".join(complaints))
    sys.exit(bool(complaints))
