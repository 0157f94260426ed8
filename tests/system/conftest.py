"""Fixtures of the system tests, and their last line for ./test."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from installation import CUSTOMERS, make_installation, put_on_board  # noqa: E402  (the path comes first)
from world import World  # noqa: E402


@pytest.fixture(scope="session")
def world():
    made = World()
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture(scope="session")
def behalf(world):
    """behalf, running, with both customers on board."""
    running = make_installation(world)
    try:
        for customer in CUSTOMERS.values():
            put_on_board(world, running, customer)
        yield running
    finally:
        running.stop()


def pytest_terminal_summary(terminalreporter):
    """Cases counted once each: an error while setting up is a failure."""
    stats = terminalreporter.stats
    count = {kind: len(stats.get(kind, [])) for kind in ("passed", "failed", "error", "skipped")}
    terminalreporter.ensure_newline()
    terminalreporter.write_line("system: %d passed, %d failed, %d skipped" % (
        count["passed"], count["failed"] + count["error"], count["skipped"]))
