#!/usr/bin/python3
"""Token suites of ../shared/corpora against the parsers of src/proto/mime.

usage: run.py HELPER SUITE     prints `SUITE: N passed, N failed, N skipped`; exits 77 where the corpus is absent.
Waivers are cases that the suite gets wrong, each with the section of the RFC that says so.
"""
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
CORPORA = os.environ.get('BH_CORPORA') or os.path.join(ROOT, '..', 'shared', 'corpora')

WAIVERS = {}


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


EXPECTED = {'date': expected_date, 'content_type': expected_content_type, 'id': lambda value: value or []}

SHAPES = {
    'date': lambda value: value,
    'id': lambda value: [text(item) for item in value],
    'content_type': content_type_as_expected,
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
    try:
        cases = list(isemail_cases() if suite == 'isemail' else token_cases(suite))
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
