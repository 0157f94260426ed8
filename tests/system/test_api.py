"""The HTTP API: what a SaaS developer does with it, and what he may not do."""
import time

import pytest
from api import Client, make_token
from installation import BY_CNAME, DELEGATED

HELLO = {"from": "News <%s>" % DELEGATED.address, "to": "reader@receiver.example", "subject": "Grüße", "text": "Hallo\n"}


@pytest.fixture(scope="module")
def alpha(behalf):
    return Client(make_token(behalf, DELEGATED.name))


@pytest.fixture(scope="module")
def beta(behalf):
    return Client(make_token(behalf, BY_CNAME.name))


@pytest.fixture(scope="module")
def operator(behalf):
    return Client(make_token(behalf))


def wait_for_state(client, message, state, seconds=30):
    end = time.monotonic() + seconds
    while True:
        answer = client.get("/v1/emails/" + message)
        states = {r["state"] for r in answer.json["recipients"]} if answer.status == 200 else set()
        if states == {state} or time.monotonic() > end:
            assert states == {state}, answer
            return answer.json
        time.sleep(0.1)


def test_a_message_is_sent_and_followed(alpha):
    answer = alpha.post("/v1/emails", HELLO)
    assert answer.status == 202, answer
    message = wait_for_state(alpha, answer.json["id"], "delivered")
    assert message["from_domain"] == DELEGATED.domain
    assert answer.headers["X-Request-Id"].startswith("req_")


def test_a_key_makes_one_message(alpha):
    key = {"Idempotency-Key": "order-1"}
    first = alpha.post("/v1/emails", HELLO, key)
    again = alpha.post("/v1/emails", HELLO, key)
    other = alpha.post("/v1/emails", {**HELLO, "subject": "another"}, key)
    assert first.status == again.status == 202 and first.json["id"] == again.json["id"], (first, again)
    assert other.status == 422 and other.json["code"] == "idempotency_key", other


def test_a_batch_is_all_or_nothing_or_permissive(alpha):
    wrong = {**HELLO, "from": "ceo@receiver.example"}
    strict = alpha.post("/v1/emails/batch", {"emails": [HELLO, wrong]})
    assert strict.status == 422 and "/emails/1" in strict.json["errors"][0]["pointer"], strict
    permissive = alpha.post("/v1/emails/batch", {"emails": [HELLO, wrong, HELLO], "mode": "permissive"})
    assert permissive.status == 202, permissive
    data = permissive.json["data"]
    assert "id" in data[0] and "id" in data[2] and data[1]["error"]["code"] == "identity", data


def test_a_dry_run_says_why(alpha):
    good, bad = alpha.post("/v1/emails/validate", HELLO), alpha.post("/v1/emails/validate", {**HELLO, "from": "a@gmail.com"})
    assert good.status == 200 and good.json["valid"] and good.json["from_domain"] == DELEGATED.domain, good
    assert bad.status == 200 and not bad.json["valid"] and bad.json["error"]["detail"], bad


def test_a_large_attachment_and_mime(alpha):
    import base64
    import os
    data = base64.b64encode(os.urandom(300000)).decode()
    answer = alpha.post("/v1/emails", {**HELLO, "attachments": [{"filename": "Übersicht.pdf", "content": data}]})
    assert answer.status == 202, answer
    wait_for_state(alpha, answer.json["id"], "delivered")
    raw = "From: %s\nTo: reader@receiver.example\nSubject: raw\n\nbody\n" % DELEGATED.address
    answer = alpha.post("/v1/emails/mime", {"raw": raw, "recipients": ["reader@receiver.example"]})
    assert answer.status == 202, answer


def test_who_has_no_right_gets_none(behalf, alpha, beta, operator):
    sent = alpha.post("/v1/emails", HELLO).json["id"]
    assert Client().get("/v1/domains").status == 401
    assert Client("bh_live_nonsense").get("/v1/domains").status == 401
    assert beta.get("/v1/emails/" + sent).status == 404
    assert beta.get("/v1/domains/" + DELEGATED.domain).status == 404
    assert beta.post("/v1/emails", HELLO).status == 422
    assert beta.get("/v1/customers").status == 403
    assert operator.get("/v1/customers").status == 200
    reader = Client(make_token(behalf, DELEGATED.name, ("read",)))
    assert reader.post("/v1/emails", HELLO).status == 403
    assert reader.get("/v1/domains").status == 200
    elsewhere = Client(make_token(behalf, DELEGATED.name, address="192.0.2.1"))
    assert elsewhere.get("/v1/domains").status == 403
    slow = Client(make_token(behalf, DELEGATED.name, rate=2))
    assert 429 in [slow.get("/v1/domains").status for _ in range(5)]


def test_a_revoked_token_ends(behalf):
    client = Client(make_token(behalf, DELEGATED.name))
    assert client.get("/v1/domains").status == 200
    tokens = client.get("/v1/tokens").json["data"]
    newest = max(t["id"] for t in tokens if not t["revoked_at"])
    assert client.delete("/v1/tokens/%d" % newest).status == 204
    assert client.get("/v1/domains").status == 401


def test_events_are_paged_by_cursor(alpha, beta):
    first = alpha.get("/v1/events?limit=2")
    assert first.status == 200 and len(first.json["data"]) == 2 and first.json["has_more"], first
    second = alpha.get("/v1/events?limit=2&after=" + first.json["next"])
    assert second.json["data"][0]["cursor"] != first.json["data"][1]["cursor"]
    mine = {e.get("customer_id") for e in alpha.get("/v1/events?limit=100").json["data"]}
    his = {e.get("customer_id") for e in beta.get("/v1/events?limit=100").json["data"]}
    assert len(mine) == 1 and not mine & his, (mine, his)


def test_https_serves_the_same(behalf, alpha):
    import ssl
    import urllib.request
    from world import SUBMISSION
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    ask = urllib.request.Request("https://%s/v1/domains" % SUBMISSION, headers={"Authorization": "Bearer " + alpha.token})
    with urllib.request.urlopen(ask, timeout=10, context=context) as answer:
        assert answer.status == 200


def test_every_change_is_in_the_audit_log(alpha):
    alpha.post("/v1/credentials", {})
    entry = alpha.get("/v1/audit-log").json["data"][0]
    assert entry["command"] == "credential add" and entry["outcome"] == "ok" and entry["token_id"] > 0, entry
