#!/usr/bin/python3
"""resolver.py ADDRESS:PORT ZONE=ADDRESS:PORT...: the resolver of the world of ./run, for whoever judges a message there.

A judge needs one place to ask; the world has no root on port 53. So: the longest ZONE that holds a name says which
authoritative server is asked, and CNAMEs are followed from one to the next. UDP and TCP, nothing cached."""
import socket
import socketserver
import struct
import sys
import threading

CNAME, CHAIN_MAX = 5, 10
NAMES_IN_RDATA = {2: 0, 5: 0, 12: 0, 15: 2, 6: 0}  # by type, how many bytes stand before the first name


def read_name(packet, at):
    """(labels, offset behind it); follows compression pointers, which must point backwards."""
    labels, behind, limit = [], None, at + 1
    while True:
        length = packet[at]
        if length >= 0xC0:
            behind = behind or at + 2
            target = (length & 0x3F) << 8 | packet[at + 1]
            if target >= limit:
                raise ValueError("a compression pointer that points forwards")
            at = limit = target
        elif length == 0:
            return labels, behind or at + 1
        else:
            labels.append(packet[at + 1:at + 1 + length])
            at += 1 + length


def write_name(labels):
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def read_rdata(packet, kind, at, length):
    """The rdata with the names in it uncompressed."""
    if kind not in NAMES_IN_RDATA:
        return packet[at:at + length]
    start = at + NAMES_IN_RDATA[kind]
    name, behind = read_name(packet, start)
    out = packet[at:start] + write_name(name)
    if kind == 6:
        second, behind = read_name(packet, behind)
        out += write_name(second) + packet[behind:at + length]
    return out


def read_answer(packet):
    """(rcode, question type, answer records, authority records); a record is (labels, type, class, ttl, rdata)."""
    _, flags, questions, answers, authorities, _ = struct.unpack_from(">6H", packet)
    at, sections = 12, []
    for _ in range(questions):
        _, at = read_name(packet, at)
        at += 4
    for count in (answers, authorities):
        section = []
        for _ in range(count):
            owner, at = read_name(packet, at)
            kind, klass, ttl, length = struct.unpack_from(">HHIH", packet, at)
            at += 10
            section.append((owner, kind, klass, ttl, read_rdata(packet, kind, at, length)))
            at += length
        sections.append(section)
    return flags & 0xF, sections[0], sections[1]


def write_record(record):
    owner, kind, klass, ttl, rdata = record
    return write_name(owner) + struct.pack(">HHIH", kind, klass, ttl, len(rdata)) + rdata


def ask(server, labels, kind):
    """One question to one authoritative server, by TCP: no truncation to handle."""
    query = struct.pack(">6H", 0x4242, 0, 1, 0, 0, 0) + write_name(labels) + struct.pack(">HH", kind, 1)
    with socket.create_connection(server, timeout=3) as sock:
        sock.sendall(struct.pack(">H", len(query)) + query)
        stream = sock.makefile("rb")
        length = struct.unpack(">H", stream.read(2))[0]
        return read_answer(stream.read(length))


class Resolver:
    def __init__(self, zones):
        self.zones = {tuple(z.encode().lower().split(b".")) if z else (): server for z, server in zones.items()}

    def server_of(self, labels):
        lower = tuple(label.lower() for label in labels)
        best = max((z for z in self.zones if lower[len(lower) - len(z):] == z), key=len)
        return self.zones[best]

    def resolve(self, labels, kind):
        """(rcode, answers, authorities) of a question, its CNAMEs followed across servers."""
        collected = []
        for _ in range(CHAIN_MAX):
            rcode, answers, authorities = ask(self.server_of(labels), labels, kind)
            collected += [a for a in answers if a not in collected]
            last = [a for a in answers if a[1] == CNAME]
            if rcode or kind == CNAME or not last or any(a[1] == kind for a in answers):
                return rcode, collected, authorities
            labels = read_name(last[-1][4], 0)[0]
        return 2, [], []

    def answer(self, query, limit):
        """The reply to a query packet; SERVFAIL when an authoritative server does not answer."""
        ident, flags = struct.unpack_from(">HH", query)
        labels, at = read_name(query, 12)
        kind = struct.unpack_from(">H", query, at)[0]
        question = write_name(labels) + query[at:at + 4]
        try:
            rcode, answers, authorities = self.resolve(labels, kind)
        except (OSError, ValueError, struct.error, IndexError):
            rcode, answers, authorities = 2, [], []

        def packet(truncated, answers, authorities):
            head = struct.pack(">6H", ident, 0x8080 | flags & 0x100 | (0x200 if truncated else 0) | rcode, 1, len(answers),
                               len(authorities), 0)
            return head + question + b"".join(map(write_record, answers + authorities))

        whole = packet(False, answers, authorities)
        return whole if len(whole) <= limit else packet(True, [], [])


def udp_limit(query):
    """The size that an EDNS client takes; 512 without."""
    counts = struct.unpack_from(">4H", query, 4)
    if counts[3] and query[-11:-8] == b"\0\0\x29":
        return max(512, struct.unpack_from(">H", query, len(query) - 8)[0])
    return 512


def serve(address, resolver):
    """Starts both servers in threads of this process and returns them."""
    class Udp(socketserver.BaseRequestHandler):
        def handle(self):
            query, sock = self.request
            sock.sendto(resolver.answer(query, udp_limit(query)), self.client_address)

    class Tcp(socketserver.StreamRequestHandler):
        def handle(self):
            while head := self.rfile.read(2):
                reply = resolver.answer(self.rfile.read(struct.unpack(">H", head)[0]), 65535)
                self.wfile.write(struct.pack(">H", len(reply)) + reply)

    socketserver.TCPServer.allow_reuse_address = True
    servers = [socketserver.ThreadingUDPServer(address, Udp), socketserver.ThreadingTCPServer(address, Tcp)]
    for server in servers:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    return servers


def split_address(text):
    host, port = text.rsplit(":", 1)
    return host, int(port)


def main():
    zones = dict(argument.split("=") for argument in sys.argv[2:])
    serve(split_address(sys.argv[1]), Resolver({z: split_address(a) for z, a in zones.items()}))
    print("resolver: ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
