"""An SMTP server for tests that can do without what others have: TLS, 8BITMIME, good manners in a handshake."""
import socket
import ssl
import threading


class Sink:
    """Listens on address:25 in a thread; `messages` is what came: (mail_from, rcpt_to, bytes, over TLS, MAIL and RCPT lines).

    certificate: (chain, key) or None: no STARTTLS; broken_tls: the handshake is cut; eight_bit: 8BITMIME is offered;
    chunking: CHUNKING is offered; refuse: the reply to RCPT; dsn: DSN is offered."""

    def __init__(self, address, certificate=None, broken_tls=False, eight_bit=True, chunking=False, refuse=None, dsn=False,
                 name="sink.example", port=25):
        self.address, self.broken_tls, self.refuse, self.name = address, broken_tls, refuse, name
        self.offers = [o for o, on in (("PIPELINING", True), ("8BITMIME", eight_bit), ("CHUNKING", chunking), ("DSN", dsn)) if on]
        self.context = None
        if certificate:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*map(str, certificate))
        self.messages, self.connections = [], 0
        self.socket = socket.create_server((address, port))
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._guarded, args=(connection,), daemon=True).start()

    def _guarded(self, connection):
        try:
            self._serve(connection)
        except (OSError, ValueError):
            pass
        finally:
            connection.close()

    def _serve(self, connection):
        file, over_tls = connection.makefile("rb"), False
        state = {"lines": [], "bytes": b""}

        def say(text):
            connection.sendall(text.encode() + b"\r\n")

        say("220 %s ESMTP" % self.name)
        while True:
            line = file.readline()
            if not line:
                return
            line = line.rstrip(b"\r\n").decode("utf-8", "replace")
            verb = line.upper().split(" ")[0].split(":")[0]
            if verb == "EHLO":
                offers = self.offers + (["STARTTLS"] if (self.context or self.broken_tls) and not over_tls else [])
                say("\r\n".join("250-" + o for o in [self.name] + offers) + "\r\n250 HELP")
            elif verb == "STARTTLS":
                say("220 go")
                if self.broken_tls:
                    return
                connection = self.context.wrap_socket(connection, server_side=True)
                file, over_tls = connection.makefile("rb"), True
            elif verb == "MAIL":
                state = {"lines": [line], "bytes": b""}
                say("250 ok")
            elif verb == "RCPT":
                state["lines"].append(line)
                say(self.refuse or "250 ok")
            elif verb == "DATA":
                if self.refuse:
                    say("554 no")
                    continue
                say("354 go")
                state["bytes"] = b""
                for text in iter(file.readline, b".\r\n"):
                    state["bytes"] += text[1:] if text.startswith(b"..") else text
                self._keep(state, over_tls)
                say("250 kept")
            elif verb == "BDAT":
                size, last = int(line.split()[1]), line.upper().endswith("LAST")
                state["bytes"] += file.read(size)
                state["chunked"] = True
                if last:
                    self._keep(state, over_tls)
                say("250 kept")
            elif verb == "QUIT":
                say("221 bye")
                return
            else:
                say("250 ok")

    def _keep(self, state, over_tls):
        addresses = [line[line.index("<") + 1:line.index(">")] for line in state["lines"]]
        self.messages.append({"mail_from": addresses[0], "to": addresses[-1], "raw": state["bytes"], "tls": over_tls,
                              "lines": state["lines"], "chunked": state.get("chunked", False)})

    def stop(self):
        self.socket.close()
