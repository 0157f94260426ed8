"""Fixtures of the system tests, and their last line for ./test."""
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "lib"))

from installation import CUSTOMERS, make_installation, put_on_board  # noqa: E402  (the path comes first)
from world import World  # noqa: E402


# Those that wait for TTLs and timers for minutes: ./test --all runs them, and whoever names one.
LONG = {"test_pool.py", "test_interop.py", "test_transport.py", "test_mistakes.py", "test_backup.py", "test_zone_files.py"}


def pytest_ignore_collect(collection_path, config):
    named = any(collection_path.name in argument for argument in config.args)
    return True if collection_path.name in LONG and not named and not os.environ.get("BH_LONG") else None


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
