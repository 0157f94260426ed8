"""Every operation of the OpenAPI document: valid, invalid and hostile requests; another customer's token."""
import json
import random

import pytest
from api import Client, make_token
from installation import BY_CNAME, DELEGATED

HOSTILE_TEXTS = ["", " ", "\u0000", "\r\nBcc: x@example.net", "a" * 70000, "../../../etc/passwd", "' OR 1=1 --", "%00", "\U0001f600" * 500,
                 "xn--", "-", ".", "a@b@c", "{{7*7}}", "\ud800", "*" * 300, "msg_" + "a" * 13, "9" * 40]
HOSTILE_VALUES = [None, True, 0, -1, 2 ** 63, 1e308, [], {}, [[]], {"a": {"b": {}}}, ["x"] * 2000]
HOSTILE_BODIES = [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"a":1,"a":2}', b"[" * 5000, b'{"x":' * 40 + b"1" + b"}" * 40, b"nul", b"\x00" * 100]


class Operations:
    def __init__(self, document, client):
        self.document, self.client = document, client
        self.values = {}

    def __iter__(self):
        for path, item in self.document["paths"].items():
            for method, operation in item.items():
                yield method.upper(), path, operation

    def resolve(self, schema):
        while "$ref" in schema:
            where = self.document
            for name in schema["$ref"][2:].split("/"):
                where = where[name]
            schema = where
        return schema

    def parameters(self, operation, where):
        return [p for p in map(self.resolve, operation.get("parameters", [])) if p["in"] == where]

    def schema(self, operation):
        content = operation.get("requestBody", {}).get("content", {})
        return self.resolve(content["application/json"]["schema"]) if content else None

    def example(self, schema, name="", depth=0):
        """A value that the schema allows, with required members only."""
        schema = self.resolve(schema)
        if "anyOf" in schema:
            return self.example(schema["anyOf"][0], name, depth)
        if "enum" in schema:
            return schema["enum"][0]
        kind = schema.get("type")
        if kind == "object":
            return {k: self.example(schema["properties"][k], k, depth + 1) for k in schema.get("required", [])}
        if kind == "array":
            return [self.example(schema["items"], name, depth + 1)] * schema.get("minItems", 0)
        if kind == "integer":
            return schema.get("minimum", 1)
        if kind == "boolean":
            return False
        return self.values.get(name, {"from": DELEGATED.address, "to": "reader@receiver.example"}.get(name, "example"))

    def path(self, path, operation):
        for p in self.parameters(operation, "path"):
            path = path.replace("{%s}" % p["name"], str(self.values.get(path.split("/")[2] + "." + p["name"], self.values.get(p["name"], "1"))))
        return path


@pytest.fixture(scope="module")
def operations(behalf):
    client = Client(make_token(behalf, DELEGATED.name, rate=100000))
    document = client.get("/v1/openapi.json").json
    made = Operations(document, client)
    domain = "operations.alpha.example"
    assert client.post("/v1/domains", {"name": domain, "approach": "delegation"}).status == 201
    sent = client.post("/v1/emails", {"from": DELEGATED.address, "to": "reader@receiver.example", "text": "x"}).json["id"]
    user = client.post("/v1/credentials", {}).json["username"]
    made.values = {"domain": domain, "emails.id": sent, "id": "1", "username": user, "customer": DELEGATED.name, "pool": "default",
                   "destination": "nowhere.example", "name": "preview.example", "text": "www A 192.0.2.1", "raw": "From: a@b.example\n\nx",
                   "recipients": "reader@receiver.example", "address": "192.0.2.77", "host": "192.0.2.78"}
    return made


def call(client, method, path, body=None):
    if isinstance(body, bytes):
        return client.request(method, path, body, {"Content-Type": "application/json"})
    return client.request(method, path, body)


def test_every_operation_has_what_tools_need(operations):
    ids = [operation["operationId"] for _, _, operation in operations]
    assert len(ids) == len(set(ids)) and len(ids) > 50
    for method, path, operation in operations:
        names = {p["name"] for p in operations.parameters(operation, "path")}
        assert names == {part[1:-1] for part in path.split("/") if part.startswith("{")}, path
        assert operation["summary"] and "default" in operation["responses"]


def test_nobody_calls_without_a_token(operations):
    for method, path, operation in operations:
        if operation["x-behalf"]["scope"] != "none":
            answer = call(Client(), method, operations.path(path, operation))
            assert answer.status == 401, (method, path, answer)


def last(operation):
    return operation["operationId"] in ("removeDomain", "stopFlatten", "revokeCredential", "revokeToken")


def test_valid_requests_are_understood(operations, behalf):
    """No 5xx, and an operation that is the customer's is not refused for its form."""
    other = Client(make_token(behalf, rate=100000))
    for method, path, operation in sorted(operations, key=lambda o: last(o[2])):
        if operation["operationId"] in ("revokeToken", "rerouteQueue", "pauseQueue"):
            continue
        schema = operations.schema(operation)
        body = operations.example(schema) if schema else None
        for client in (operations.client, other):
            answer = call(client, method, operations.path(path, operation), body)
            assert answer.status < 500, (method, path, body, answer)
            assert answer.status != 400 and answer.status != 415, (method, path, body, answer)
            if "(operator)" in operation["summary"] and client is operations.client and operation["x-behalf"]["scope"] != "none":
                assert answer.status == 403, (method, path, answer)


def test_another_customers_token_finds_nothing(operations, behalf):
    """B on an object of A's: as if it were not there."""
    client = Client(make_token(behalf, BY_CNAME.name, rate=100000))
    operations.values["username"] = operations.client.post("/v1/credentials", {}).json["username"]
    operations.values["domain"] = DELEGATED.domain
    tokens = operations.client.get("/v1/tokens").json["data"]
    operations.values["tokens.id"] = str(max(t["id"] for t in tokens))
    tried = 0
    for method, path, operation in operations:
        if not operations.parameters(operation, "path"):
            continue
        schema = operations.schema(operation)
        answer = call(client, method, operations.path(path, operation), operations.example(schema) if schema else None)
        if operation["x-behalf"].get("list") and answer.status == 200:
            assert answer.json["data"] == [], (method, path, answer)
        else:
            assert answer.status == (403 if "(operator)" in operation["summary"] else 404), (method, path, answer)
        tried += 1
    assert tried > 20
    assert operations.client.get("/v1/domains/" + DELEGATED.domain).status == 200
    for path in ("/v1/domains", "/v1/events?limit=100", "/v1/credentials", "/v1/tokens", "/v1/emails", "/v1/customer", "/v1/notices"):
        text = client.get(path).body.decode()
        assert DELEGATED.domain not in text and '"%s"' % DELEGATED.name not in text, (path, text)


def mutations(operations, schema, random_):
    """The example with one thing wrong."""
    good = operations.example(schema)
    yield {**good, "no_such_member": 1}
    yield from ({k: v for k, v in good.items() if k != gone} for gone in good)
    names = list(schema.get("properties", {}))
    for name in names:
        for value in random_.sample(HOSTILE_VALUES, 4) + random_.sample(HOSTILE_TEXTS, 5):
            yield {**good, name: value}
            yield {**good, name: [value]}


def test_hostile_requests_do_no_harm(operations):
    """No 5xx for whatever is sent, and the service is there afterwards."""
    random_ = random.Random(20261122)
    sent = 0
    for method, path, operation in operations:
        if operation["operationId"] in ("revokeToken", "removeDomain"):
            continue
        schema = operations.schema(operation)
        bodies = list(mutations(operations, schema, random_)) + HOSTILE_BODIES if schema else [b"{}", b"["]
        for body in bodies:
            if not isinstance(body, bytes):
                body = json.dumps(body).encode("utf-8", "surrogatepass")
            answer = call(operations.client, method, operations.path(path, operation), body)
            assert answer.status < 500, (method, path, body[:300], answer)
            sent += 1
        for text in random_.sample(["%00", "%ff", "a" * 300, "%2e%2e", "~", "%F0%9F%98%80", "x" * 8000], 4):
            target = path
            for p in operations.parameters(operation, "path"):
                target = target.replace("{%s}" % p["name"], text)
            for query in ("", "?limit=-1", "?after=%00", "?limit=99999999999999999999", "?x=1&x=2", "?" + "a" * 5000):
                answer = call(operations.client, method, target + query, None)
                assert answer.status < 500, (method, target, query, answer)
                sent += 1
    assert operations.client.get("/readyz").status == 200
    print("%d hostile requests" % sent)
