"""Where the public suites are, and the one line that every conformance script ends with."""
import os

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def path(*parts):
    """A file of the corpora, or None where they are absent."""
    base = os.environ.get("BH_CORPORA") or os.path.join(os.path.dirname(ROOT), "shared", "corpora")
    found = os.path.join(base, *parts)
    return found if os.path.exists(found) else None


def skipped(name):
    print("%s: 0 passed, 0 failed, 1 skipped" % name)
    return 77


def report(name, passed, failures, skipped_cases=0):
    for failure in failures:
        print("FAIL " + failure)
    print("%s: %d passed, %d failed, %d skipped" % (name, passed, len(failures), skipped_cases))
    return 1 if failures else 0
