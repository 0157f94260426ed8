#!/usr/bin/python3
"""dkim_peers.py BENCH_DKIM [SECONDS]: bench_dkim, then python3-dkim and Mail::DKIM verifying the very same messages in the
same run. Each peer works in one process with the keys in memory; "-" where it is not installed. Exits 1 when a promise of
bench_dkim is missed, or when a peer verifies 10 KiB faster than we do with a new key each time."""
import importlib.util
import pathlib
import re
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
    start, count = time.process_time(), 0
    while time.process_time() - start < seconds:
        if not dkim.verify(messages[count % len(messages)], dnsfunc=lambda name, timeout=5: keys[name.decode().rstrip(".")]):
            raise SystemExit("python3-dkim: not verified")
        count += 1
    return "%.1f" % ((time.process_time() - start) / count * 1e6)


def bench_perl(folder, files, seconds):
    command = ["perl", str(PERL), "bench", str(folder / "keys"), str(seconds), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else "-"


def main():
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 0.5
    slower, faster = 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        ours = subprocess.run([sys.argv[1], str(seconds), name], capture_output=True, text=True, check=False)
        print(ours.stdout + ours.stderr, end="")
        new_key = dict(re.findall(r"verify +(\d+) bytes .* new key +([0-9.]+) us", ours.stdout))
        for size in (1024, 10240, 1048576):
            files = sorted(folder.glob("%d-*.eml" % size))
            peers = {"python3-dkim": bench_dkimpy(folder, files, seconds), "Mail::DKIM": bench_perl(folder, files, seconds)}
            print("verify %7d bytes  " % size + "  ".join("%s %s us" % item for item in peers.items()))
            if size == 10240:
                times = [float(us) / float(new_key[str(size)]) for us in peers.values() if us != "-"]
                slower, faster = sum(t >= 1 for t in times), sum(t < 1 for t in times)
                print("%s new key each time, 10 KiB: %s x the others" % (
                    "FAIL" if faster else "=>", ", ".join("%.1f" % t for t in times) or "no peer"))
    print("bench-dkim-peers: %d passed, %d failed, %d skipped" % (slower, faster, 2 - slower - faster))
    return ours.returncode or faster > 0


if __name__ == "__main__":
    sys.exit(main())
