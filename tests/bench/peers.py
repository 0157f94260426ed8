"""The peers of ../shared/tools/peers (BH_PEERS), started for one measurement with our source and sink: Postfix with OpenDKIM, tuned,
and Haraka. Each accepts on its port, signs customer.example with an RSA-2048 key, and delivers to 127.0.0.1:2525."""
import os
import pathlib
import subprocess

TOOLS = pathlib.Path(os.environ.get("BH_PEERS", pathlib.Path(__file__).resolve().parents[3] / "shared/tools/peers"))
PREFIX, SINK_PORT = pathlib.Path("/opt/peers"), 2525
TUNED = ["in_flow_delay=0", "initial_destination_concurrency=20", "smtp_destination_concurrency_limit=40"]


class Peer:
    def __init__(self, name, script, start, port, group, needs):
        self.name, self.port, self.script, self.start_arguments = name, port, TOOLS / script, start
        self.usage, self.needs = pathlib.Path("/sys/fs/cgroup/cpuacct") / group / "cpuacct.usage", needs

    def missing(self):
        """What keeps it from being measured here, or None."""
        if os.geteuid() != 0:
            return "not root"
        for path in (self.script, self.usage.parents[1], PREFIX / "keys/rsa.key", *self.needs):
            if not pathlib.Path(path).exists():
                return "no %s" % path
        return None

    def start(self):
        subprocess.run([self.script, *self.start_arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, timeout=60, check=True)

    def cpu_seconds(self):
        return int(self.usage.read_text()) / 1e9

    def stop(self):
        subprocess.run([self.script, "stop"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                       timeout=60, check=False)


PEERS = [Peer("Postfix + OpenDKIM", "peer-postfix.sh", ["start-opendkim", *TUNED], 2600, "bench-postfix",
              ["/usr/sbin/postfix", "/usr/sbin/opendkim"]),
         Peer("Haraka", "peer-haraka.sh", ["start-dkim"], 2603, "bench-haraka", [PREFIX / "npm/haraka/node_modules/Haraka"])]
