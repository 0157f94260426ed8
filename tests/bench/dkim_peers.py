#!/usr/bin/python3
"""dkim_peers.py BENCH_DKIM [SECONDS]: bench_dkim, then python3-dkim and Mail::DKIM verifying the very same messages in the
same run. Each peer works in one process with the keys in memory; "-" where it is not installed."""
import importlib.util
import pathlib
import subprocess
import sys
import tempfile
import time

PERL = pathlib.Path(__file__).resolve().parents[1] / "conformance" / "dkim_peers" / "mail_dkim.pl"


def bench_dkimpy(folder, files, seconds):
    if not importlib.util.find_spec("dkim"):
        return "-"
    import dkim
    lines = (folder / "keys").read_text().splitlines()
    keys = {name: text.encode() for name, text in (line.split(" ", 1) for line in lines)}
    messages = [file.read_bytes() for file in files]
    start, count = time.monotonic(), 0
    while time.monotonic() - start < seconds:
        if not dkim.verify(messages[count % len(messages)], dnsfunc=lambda name, timeout=5: keys[name.decode().rstrip(".")]):
            raise SystemExit("python3-dkim: not verified")
        count += 1
    return "%.1f" % ((time.monotonic() - start) / count * 1e6)


def bench_perl(folder, files, seconds):
    command = ["perl", str(PERL), "bench", str(folder / "keys"), str(seconds), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "-"


def main():
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 0.5
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        print(subprocess.run([sys.argv[1], str(seconds), name], capture_output=True, text=True, check=True).stdout, end="")
        for size in (1024, 10240, 1048576):
            files = sorted(folder.glob("%d-*.eml" % size))
            print("verify %7d bytes  python3-dkim %s us  Mail::DKIM %s us" %
                  (size, bench_dkimpy(folder, files, seconds), bench_perl(folder, files, seconds)))


if __name__ == "__main__":
    main()
