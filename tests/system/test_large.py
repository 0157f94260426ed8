"""Messages too large for one frame between the roles: each arrives whole and as itself, in sessions that serve several, with a
receiver that reads slowly."""
import concurrent.futures
import random
import smtplib

import pytest
from installation import DELEGATED, SINK, TRUSTED
from processes import Process, port_answers
from world import BUILD

SITE = ">%s:%d" % SINK
KIB = 1024
SIZES = [60 * KIB, 100 * KIB, 130 * KIB, 130 * KIB, 160 * KIB, 300 * KIB]
LARGE = [2048 * KIB, 5120 * KIB]


def make_body(number, size):
    """Lines of its own, some with a dot at their beginning."""
    rng = random.Random(number)
    lines = []
    while size > 0:
        line = b"%s%d %s\r\n" % (b"." * rng.choice((0, 0, 0, 1, 2)), number, rng.randbytes(rng.randrange(10, 440)).hex().encode())
        lines.append(line)
        size -= len(line)
    return b"".join(lines)


def submit(run, numbers):
    with smtplib.SMTP(*TRUSTED, timeout=60) as smtp:
        for number, size in numbers:
            head = "From: %s\r\nTo: load@sink.example\r\nSubject: large\r\nX-Ledger: %s-%d\r\n\r\n" % (DELEGATED.address, run, number)
            smtp.sendmail(DELEGATED.address, ["load@sink.example"], head.encode() + make_body(number, size))


@pytest.mark.parametrize("run,rules", [("reused", "connections 3"), ("fresh", "messages-per-connection 1")])
def test_large_messages(world, behalf, run, rules):
    folder = world.folder / ("large." + run)
    folder.mkdir()
    sizes = [SIZES[i % len(SIZES)] for i in range(90)] + LARGE
    sink = Process("smtp_sink", [BUILD / "tests/bench/smtp_sink", "--host", SINK[0], "--port", SINK[1], "--quiet", "--delay", 30,
                                 "--receive-buffer", 4096, "--sample", 10000, "--sample-dir", folder], world.folder / "sink.large.log")
    try:
        sink.wait_for(lambda: port_answers(*SINK))
        behalf.call("site", "set", SITE, rules)
        numbers = list(enumerate(sizes))
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda i: submit(run, numbers[i::6]), range(6)))
        behalf.wait_until_empty(90)
        arrived = {}
        for path in folder.glob("*.eml"):
            head, _, body = path.read_bytes().partition(b"\r\n\r\n")
            number = int(head.split(b"X-Ledger: %s-" % run.encode())[1].split(b"\r\n")[0])
            assert number not in arrived, "message %d came twice" % number
            arrived[number] = body == make_body(number, sizes[number])
    finally:
        behalf.call("site", "unset", SITE)
        sink.stop()
    assert sorted(arrived) == list(range(len(sizes)))
    assert all(arrived.values()), "not as submitted: %s" % [n for n, same in arrived.items() if not same]
