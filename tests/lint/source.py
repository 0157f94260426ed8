"""What every check shares: the files of the tree and a view of C source without comments and strings."""
import pathlib
import re
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]

TOKEN = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.DOTALL)


def tracked(*patterns):
    """Paths (relative to the root) that are in git or would be added, sorted. Without git: what is on disk."""
    command = ["git", "-C", str(ROOT), "-c", "safe.directory=*", "ls-files", "-co", "--exclude-standard", "--", *patterns]
    listing = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    return sorted(path for path in set(listing) if path and (ROOT / path).is_file())


def read(path):
    return (ROOT / path).read_text(encoding="utf-8", errors="replace")


def blank(match):
    """Comments become blanks, strings and characters lose their content; line numbers stay."""
    text = match.group(0)
    if text.startswith("/"):
        return "\n" * text.count("\n") or " "
    return text[0] + text[0]


def code_of(text, keep_strings=False):
    """C source without comments (and without what stands in quotes, unless `keep_strings`)."""
    if keep_strings:
        return TOKEN.sub(lambda m: blank(m) if m.group(0).startswith("/") else m.group(0), text)
    return TOKEN.sub(blank, text)
