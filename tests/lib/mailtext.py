"""Messages as bytes: what a test changes in them before it submits them."""
import email.utils
import re

FROM = re.compile(rb"^From[ \t]*:(?:[^\n]|\n[ \t])*\n", re.IGNORECASE | re.MULTILINE)


def crlf(raw):
    """Line ends made CRLF. A CR without LF is no line end and stays: a server must refuse it."""
    return re.sub(rb"\r?\n", b"\r\n", raw)


def split(raw):
    """(header section with its last line end, the rest) of a message, whatever its line ends."""
    match = re.search(rb"\r?\n(?=\r?\n)", raw)
    return (raw[:match.end()], raw[match.end():]) if match else (raw, b"")


def set_from(raw, address):
    """The message with exactly one From, `address`, where the first one stood; the display name stays when it is ASCII."""
    header, rest = split(raw)
    if header.startswith(b"From ") and b":" not in header.split(b"\n")[0].split(b" ")[0]:
        header = header.split(b"\n", 1)[1]  # the separator line of a mailbox file is no header
    found = FROM.search(header)
    name = ""
    if found:
        value = re.sub(rb"\r?\n[ \t]+", b" ", found.group(0)[found.group(0).index(b":") + 1:]).strip()
        name = email.utils.parseaddr(value.decode("latin-1"))[0]
    name = name if name.isascii() and name.isprintable() and '"' not in name and "\\" not in name else ""
    new = ("From: %s\r\n" % email.utils.formataddr((name, address))).encode()
    position = found.start() if found else 0
    kept = FROM.sub(b"", header)
    before = FROM.sub(b"", header[:position])
    return before + new + kept[len(before):] + rest


def set_header(raw, name, value):
    """Adds `name: value` at the top."""
    return ("%s: %s\r\n" % (name, value)).encode() + raw
