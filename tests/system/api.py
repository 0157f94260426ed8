"""A client of the HTTP API for the tests: what an application would do with any HTTP library."""
import http.client
import json

from installation import API


class Answer:
    def __init__(self, response, body):
        self.status, self.headers, self.body = response.status, dict(response.getheaders()), body

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return "%d %s" % (self.status, self.body[:600].decode("utf-8", "replace"))


class Client:
    """Requests with one token, on a connection that is kept."""

    def __init__(self, token=None, address=API):
        self.token, self.address, self.connection = token, address, None

    def request(self, method, path, body=None, headers=None):
        fields = {}
        if self.token:
            fields["Authorization"] = "Bearer " + self.token
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            fields["Content-Type"] = "application/json"
        fields.update(headers or {})
        for last in (False, True):
            if self.connection is None:
                self.connection = http.client.HTTPConnection(*self.address, timeout=60)
            try:
                self.connection.request(method, path, body, fields)
                response = self.connection.getresponse()
                return Answer(response, response.read())
            except (http.client.RemoteDisconnected, ConnectionError):
                self.connection = None
                if last:
                    raise
        raise AssertionError("not reached")

    def get(self, path, **fields):
        return self.request("GET", path, headers=fields.get("headers"))

    def post(self, path, body=None, headers=None):
        return self.request("POST", path, body, headers)

    def delete(self, path):
        return self.request("DELETE", path)


def make_token(behalf, customer=None, scopes=("send", "read", "admin"), **more):
    args = ["--customer", customer] if customer else ["--operator"]
    args += ["--scope", ",".join(scopes)]
    for name, value in more.items():
        args += ["--" + name, str(value)]
    return behalf.json("token", "add", *args)["token"]
