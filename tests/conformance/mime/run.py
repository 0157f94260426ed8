#!/usr/bin/python3
"""Token suites of ../shared/corpora against the parsers of src/proto/mime.

usage: run.py HELPER SUITE     prints `SUITE: N passed, N failed, N skipped`; exits 77 where the corpus is absent.
Waivers are cases that the suite gets wrong, each with the section of the RFC that says so.
"""
import glob
import json
import os
import re
import socket
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
CORPORA = os.environ.get('BH_CORPORA') or os.path.join(ROOT, '..', 'shared', 'corpora')

RFC822_ENCODED = 'RFC 2046 5.2.1: message/rfc822 is 7bit, 8bit or binary; an encoded one is opaque'
INNER_UNCLOSED = 'RFC 2046 5.1.2: an outer boundary ends the inner multiparts that were not closed'
MID_LINE = 'RFC 2046 5.1.1: a delimiter stands at the beginning of a line'

SLASH = 'RFC 5322 3.2.3: "/" is atext, it does not end an id or a user name (RFC 5321 4.4)'
ASCTIME = 'RFC 5322 3.3: the suite reads the numbers of an asctime date in a wrong order'
ZONE = 'RFC 5322 4.3: PST is -0800, PDT is -0700'
YEAR = 'RFC 5322 4.3: a two-digit year from 00 to 49 is of 2000'
SECOND = 'RFC 5322 3.3: the second is what stands behind the colon, whatever follows it'

WAIVERS = {
    **{('received', str(n)): SLASH for n in (6, 28, 29, 30, 39, 116)},
    **{('received', str(n)): ASCTIME for n in (13, 117, 118, 151)},
    **{('received', str(n)): ZONE for n in (67, 163)},
    **{('received', str(n)): YEAR for n in (89, 90, 128)},
    ('received', '144'): SECOND,
    ('tree', 'rfc/008'): RFC822_ENCODED,
    ('tree', 'rfc/008.crlf'): RFC822_ENCODED,
    ('tree', 'thirdparty/005'): MID_LINE,
    ('tree', 'thirdparty/005.crlf'): MID_LINE,
    ('tree', 'thirdparty/015'): INNER_UNCLOSED,
    ('tree', 'thirdparty/015.crlf'): INNER_UNCLOSED,
}


def ask(helper, mode, inputs):
    """One parsed JSON value per input."""
    stdin = ''.join(data.hex() + '\n' for data in inputs)
    run = subprocess.run([helper, mode], input=stdin, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in run.stdout.splitlines()]


def field(header):
    """A suite's header: the value runs to the first line end that no blank follows."""
    return re.split('\r?\n(?![ \t])', header, maxsplit=1)[0].encode('utf-8', 'surrogateescape')


def text(value):
    return None if value is None else value.encode('latin-1').decode('utf-8', 'replace')


def isemail_cases():
    tree = ElementTree.parse(os.path.join(CORPORA, 'address-isemail', 'tests.xml'))
    for test in tree.iter('test'):
        address = test.find('address').text or ''
        data = ''.join(chr(ord(c) - 0x2400) if 0x2400 <= ord(c) < 0x2421 else c for c in address).encode()
        yield test.get('id'), data, test.find('category').text != 'ISEMAIL_ERR'


def with_comment(item):
    name, comment = text(item['name']), text(item['comment'])
    return f'{name} ({comment})' if name and comment else name or comment


def address_as_expected(value):
    """Our flat list in the suite's form: groups in order, addresses outside of them in groups without a name."""
    items = [{'name': with_comment(i), 'address': text(i['address']), 'group': i['group']} for i in value['items']]
    member = lambda i: {'name': i['name'], 'address': i['address']}
    if not value['groups']:
        return {'List': [member(i) for i in items]}
    out, at = [], 0
    for number, group in enumerate(value['groups']):
        if items[at:group['before']]:
            out.append({'name': None, 'addresses': [member(i) for i in items[at:group['before']]]})
        at = group['before']
        inside = []
        while at < len(items) and items[at]['group'] == number:
            inside.append(member(items[at]))
            at += 1
        out.append({'name': with_comment(group), 'addresses': inside})
    if items[at:]:
        out.append({'name': None, 'addresses': [member(i) for i in items[at:]]})
    return {'Group': out}


def content_type_as_expected(value):
    """Parameters without their order: the suite gives that of a hash table."""
    if value is None:
        return None
    attributes = {}
    for name, param, language in value[2]:
        if language:
            attributes[text(name) + '-language'] = text(language)
        attributes[text(name)] = text(param)
    return (text(value[0]), text(value[1]) or None, attributes)


def expected_content_type(value):
    if value is None:
        return None
    return (value['c_type'], value['c_subtype'], dict(value.get('attributes') or []))


def expected_date(value):
    if value is None:
        return None
    zone = value['tz_hour'] * 60 + value['tz_minute']
    return [value[key] for key in ('year', 'month', 'day', 'hour', 'minute', 'second')] + [
        -zone if value['tz_before_gmt'] else zone]


def flat_tree(message, depth=0):
    """(depth, start of header, body range or None for an empty body) per part, nested messages included."""
    out = []

    def add(index, level):
        part = message['parts'][index]
        start, end = part['offset_body'], part['offset_end']
        out.append([level, part['offset_header'], [start, end] if end > start else None])
        for kind, inside in part['body'].items():
            if kind == 'Multipart':
                for child in inside:
                    add(child, level + 1)
            elif kind == 'Message':
                out.extend(flat_tree(inside, level + 1))
    add(0, depth)
    return out


def tree_cases():
    top = os.path.join(CORPORA, 'mime-mail-parser', 'eml')
    if not os.path.isdir(top):
        raise FileNotFoundError
    for path in sorted(glob.glob(os.path.join(top, '*', '*.json'))):
        crlf = path.endswith('.crlf.json')
        with open(path.replace('.crlf.json', '.json').replace('.json', '.eml'), 'rb') as file:
            data = file.read().replace(b'\r\n', b'\n')
        with open(path, encoding='utf-8') as file:
            expected = flat_tree(json.load(file))
        yield os.path.relpath(path, top)[:-5], data.replace(b'\n', b'\r\n') if crlf else data, expected


def tree_as_expected(value):
    return [[depth, header, [start, end] if end > start else None] for depth, header, start, end, *_ in value]


def expected_received(value):
    """The suite marks addresses apart from names and gives types and versions as its own enums."""
    out = {}
    for key, item in value.items():
        if item is None:
            continue
        if key == 'date':
            out[key] = expected_date(item)
        elif isinstance(item, dict):
            out[key] = next(iter(item.values()))
        elif key in ('with', 'helo_cmd'):
            out[key] = item.upper()
        else:
            out[key] = item
    return out


def received_as_expected(value):
    out = {}
    for key, item in value.items():
        if key == 'date':
            out[key] = item
        elif item is not None:
            out[key] = text(item)
    if 'from_ip' in out:
        out['from_ip'] = canonical_ip(out['from_ip'])
    if 'helo_cmd' in out:
        out['helo_cmd'] = out['helo_cmd'].upper()
    if 'tls_version' in out:
        major, minor = re.fullmatch(r'(?i:tls|ssl)[v-]?(\d)(?:[._](\d))?', out['tls_version']).groups()
        out['tls_version'] = f'TLSv{major}_{minor or 0}'
    return out


def canonical_ip(address):
    family = socket.AF_INET6 if ':' in address else socket.AF_INET
    return socket.inet_ntop(family, socket.inet_pton(family, address))


EXPECTED = {'date': expected_date, 'received': expected_received, 'content_type': expected_content_type, 'id': lambda value: value or []}

SHAPES = {
    'date': lambda value: value,
    'id': lambda value: [text(item) for item in value],
    'content_type': content_type_as_expected,
    'received': received_as_expected,
    'tree': tree_as_expected,
    'isemail': lambda value: value,
    'address': address_as_expected,
    'unstructured': text,
    'list': lambda value: [text(item) for item in value],
}


def token_cases(suite):
    with open(os.path.join(CORPORA, 'mime-mail-parser', suite + '.json'), encoding='utf-8') as file:
        for number, case in enumerate(json.load(file)):
            yield str(number), field(case['header']), EXPECTED.get(suite, lambda value: value)(case['expected'])


def main(helper, suite):
    own = {'isemail': isemail_cases, 'tree': tree_cases}
    try:
        cases = list(own[suite]() if suite in own else token_cases(suite))
    except FileNotFoundError:
        print(f'{suite}: 0 passed, 0 failed, 1 skipped')
        return 77
    answers = ask(helper, suite, [data for _, data, _ in cases])
    assert len(answers) == len(cases)
    passed = failed = skipped = 0
    for (name, data, expected), answer in zip(cases, answers):
        got = SHAPES[suite](answer)
        if got == expected:
            passed += 1
        elif (suite, name) in WAIVERS:
            skipped += 1
        else:
            failed += 1
            print(f'{suite} {name}: {data!r}\n  expected {expected!r}\n  got      {got!r}')
    print(f'{suite}: {passed} passed, {failed} failed, {skipped} skipped')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
