#!/usr/bin/python3
"""Real messages through the submission check and the preparation of the departing header.

usage: run.py HELPER     prints what is refused and by which rule, then `messages: N passed, N failed, N skipped`.
Every message under eml/ of the mime-mail-parser corpus is judged twice with CRLF line ends: as it is, and with From
set to one certain address. An independent reading of the rules in Python must come to the same verdict; an accepted
message must leave with its other fields untouched, one From, a Date, a Message-ID, and no Bcc.
"""
import glob
import json
import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
CORPORA = os.environ.get('BH_CORPORA') or os.path.join(ROOT, '..', 'shared', 'corpora')
AUTHOR = b'From: Customer <someone@customer.example>\r\n'
GONE = {b'bcc', b'resent-bcc', b'return-path'}


def crlf(data):
    return re.sub(rb'\r?\n', b'\r\n', data)


def fields(header):
    """[(name in lower case or None, the whole field)]"""
    out = []
    for line in header.splitlines(keepends=True) if b'\r' not in header.replace(b'\r\n', b'') else header.split(b'\n'):
        if out and line[:1] in b' \t':
            out[-1] = (out[-1][0], out[-1][1] + line)
        else:
            name = re.match(rb'([!-9;-~]+)[ \t]*:', line)
            out.append((name.group(1).lower() if name else None, line))
    return out


def split(data):
    if data.startswith(b'\r\n'):
        return b'', data[2:]
    head, gap, body = data.partition(b'\r\n\r\n')
    return head + (b'\r\n' if gap else b''), body


def with_author(data):
    header, body = split(data)
    kept = [whole for name, whole in fields(header) if name != b'from']
    return AUTHOR + b''.join(kept) + b'\r\n' + body


def expected_rule(data):
    """The rules once more, without a line of the C code; None = refused or not by the address alone."""
    lines = data.split(b'\n')
    for number, line in enumerate(lines):
        last = number == len(lines) - 1
        text = line[:-1] if line.endswith(b'\r') and not last else line
        if len(text) > 998:
            return 'long-line'
        if b'\r' in text:
            return 'bare-cr'
        if b'\0' in text:
            return 'nul'
        if not last and not line.endswith(b'\r'):
            return 'bare-lf'
    header, _ = split(data)
    found = fields(header)
    if any(name is None for name, _ in found):
        return 'not-a-field'
    if header and not header.endswith(b'\r\n'):
        return 'no-header-end'
    names = [name for name, _ in found]
    if names.count(b'received') > 100:
        return 'hops'
    if names.count(b'from') != 1:
        return 'several-from' if b'from' in names else 'no-from'
    return None


def ask(helper, messages):
    stdin = ''.join(data.hex() + '\n' for data in messages)
    run = subprocess.run([helper], input=stdin, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def faults(data, verdict):
    """What is wrong with our verdict."""
    expected = expected_rule(data)
    rule = verdict['rule']
    if expected:
        return [] if rule == expected else [f'{rule} instead of {expected}']
    if rule in ('several-authors', 'bad-from'):
        return [] if AUTHOR not in data else [f'{rule} for a plain author']
    if rule != 'ok':
        return [f'{rule} instead of ok']
    out, before, after = [], fields(split(data)[0]), fields(bytes.fromhex(verdict['header']))
    names = [name for name, _ in after]
    if names.count(b'from') != 1 or names[0] != b'received' or GONE & set(names):
        out.append('fields that must not leave')
    if b'date' not in names or b'message-id' not in names:
        out.append('no Date or no Message-ID')
    kept = [whole for name, whole in before if name not in GONE]
    if [whole for _, whole in after][len(after) - len(kept):] != kept:
        out.append('a field was changed')
    return out


def main(helper):
    paths = sorted(glob.glob(os.path.join(CORPORA, 'mime-mail-parser', 'eml', '*', '*.eml')))
    if not paths:
        print('messages: 0 passed, 0 failed, 1 skipped')
        return 77
    cases = []
    for path in paths:
        with open(path, 'rb') as file:
            data = crlf(file.read())
        name = os.path.join(os.path.basename(os.path.dirname(path)), os.path.basename(path))
        cases += [(name, data), (name + ' with From set', with_author(data))]
    passed = failed = 0
    for (name, data), verdict in zip(cases, ask(helper, [data for _, data in cases])):
        wrong = faults(data, verdict)
        if verdict['rule'] != 'ok':
            print(f"refused {name}: {verdict['code']} {verdict['enhanced']} {verdict['rule']}: {verdict['reason']}")
        for fault in wrong:
            print(f'FAIL {name}: {fault}')
        passed, failed = passed + (not wrong), failed + bool(wrong)
    print(f'messages: {passed} passed, {failed} failed, 0 skipped')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
