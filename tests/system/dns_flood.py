#!/usr/bin/python3
"""Normal clients of our name server during floods: of TCP connections that say nothing or dribble, and of UDP garbage.

usage: dns_flood.py [--behalf PATH] [--seconds N]

The floods come from forty loopback addresses, the client from another. Every query of the client, alternately over UDP
and over a fresh TCP connection, must be answered within a second (UDP: after one repetition at most). Ends 1 if not."""

import argparse
import os
import random
import socket
import sys
import tempfile
import threading
import time

import dns.message

sys.path.insert(0, os.path.dirname(__file__))
import dns_peers  # noqa: E402

ZONE = "z.test. 60 IN SOA ns.z.test. host.z.test. 1 3600 600 86400 60\nwww.z.test. 60 IN A 192.0.2.1\n"


def flood_tcp(port, stop, count):
    held = []
    while not stop.is_set():
        try:
            sock = socket.socket()
            sock.bind((f"127.0.0.{random.randint(10, 49)}", 0))
            sock.settimeout(0.2)
            sock.connect(("127.0.0.1", port))
            sock.send(random.choice([b"", b"\0", b"\xff\xff" + b"x" * 100]))
            held.append(sock)
            count["connections"] += 1
        except OSError:
            time.sleep(0.001)
        if len(held) > 3000:
            held.pop(0).close()
    for sock in held:
        sock.close()


def flood_udp(port, stop, count):
    good = dns.message.make_query("www.z.test.", "A").to_wire()
    socks = []
    for i in range(10, 50):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((f"127.0.0.{i}", 0))
        sock.setblocking(False)
        socks.append(sock)
    while not stop.is_set():
        for sock in socks:
            packet = bytearray(random.choice([good, good, os.urandom(40)]))
            packet[random.randrange(len(packet))] = random.randrange(256)
            try:
                sock.sendto(packet, ("127.0.0.1", port))
                count["datagrams"] += 1
            except OSError:
                pass
        time.sleep(0.001)
    for sock in socks:
        sock.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--behalf", default=os.environ.get("BEHALF", "build/behalf"))
    parser.add_argument("--seconds", type=float, default=6)
    arguments = parser.parse_args()
    count = {"connections": 0, "datagrams": 0}
    asked = failed = 0
    slowest = 0.0
    with tempfile.TemporaryDirectory() as directory, open(f"{directory}/log", "w") as log:
        port = dns_peers.free_port()
        with open(f"{directory}/z.zone", "w") as file:
            file.write(ZONE)
        server = dns_peers.Server("behalf", port, [arguments.behalf, "dns", "serve", "--listen", f"127.0.0.1:{port}",
                                                   f"{directory}/z.zone"], log)
        stop = threading.Event()
        floods = [threading.Thread(target=flood, args=(port, stop, count)) for flood in (flood_tcp, flood_udp)]
        try:
            assert server.wait("z.test."), open(f"{directory}/log").read()
            for flood in floods:
                flood.start()
            end = time.time() + arguments.seconds
            while time.time() < end:
                begun = time.time()
                answer = server.ask(dns.message.make_query("www.z.test.", "A").to_wire(), asked % 2 == 1)
                asked += 1
                failed += not answer or not dns.message.from_wire(answer).answer
                slowest = max(slowest, time.time() - begun)
                time.sleep(0.02)
        finally:
            stop.set()
            for flood in floods:
                flood.join()
            server.stop()
    print(f"{count['connections']} connections, {count['datagrams']} datagrams; client: {asked} asked, {failed} unanswered, "
          f"slowest {slowest * 1000:.0f} ms")
    good = failed == 0 and asked > 20 and server.process.returncode == 0
    print("dns-flood: %d passed, %d failed, 0 skipped" % (good, not good))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
