"""Requests reach an edge that may die at any moment: the same bytes until it answers, and never past a refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime

import httpx
import pytest
from duly_simulator.edge import Edge, EdgeRefused, EdgeUnavailable, content_id
from duly_simulator.erp import BATCH_BYTES_MAX, BATCH_EVENTS_MAX, HttpErp, Rejection, batches, encode_event
from duly_simulator.generate import generate
from duly_simulator.inbox import HttpReplySender, Reply
from duly_simulator.parameters import SimulationSettings
from duly_testing.clock import FakeClock

SMALL = SimulationSettings(debtors=3, history_from=date(2026, 1, 1), play_from=date(2026, 2, 1), play_days=0)
Answer = Callable[[httpx.Request], httpx.Response]


class Server:
    """Answers by script; the last answer stays. Keeps what it was sent."""

    def __init__(self, *answers: Answer | httpx.Response) -> None:
        self.requests: list[httpx.Request] = []
        self._answers = list(answers)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return answer(request) if callable(answer) else answer

    def edge(self, clock: FakeClock) -> Edge:
        client = httpx.Client(base_url="http://edge.test", transport=httpx.MockTransport(self))
        return Edge(client, lambda: f"token-{len(self.requests)}", clock, clock.advance)


def broken(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("connection refused")


def accept_all(request: httpx.Request) -> httpx.Response:
    events = json.loads(request.content)
    results = [{"id": event["id"], "status": "accepted"} for event in events]
    return httpx.Response(202, json={"delivery_id": "d", "results": results})


def test_the_same_request_is_sent_until_it_is_answered(fake_clock: FakeClock) -> None:
    server = Server(
        broken, httpx.Response(503), httpx.Response(429), httpx.Response(202, text='{"cut'), httpx.Response(202)
    )
    assert server.edge(fake_clock).post("/v1/x", b"body", {"X-Duly-Delivery": "d"}) == {}
    assert {request.content for request in server.requests} == {b"body"}
    assert {request.headers["X-Duly-Delivery"] for request in server.requests} == {"d"}
    assert [request.headers["Authorization"] for request in server.requests] == [f"Bearer token-{n}" for n in range(5)]
    assert fake_clock.monotonic() == pytest.approx(0.05 + 0.1 + 0.2 + 0.4)


def test_a_refusal_is_not_repeated(fake_clock: FakeClock) -> None:
    server = Server(httpx.Response(422, text="subject mismatch"))
    with pytest.raises(EdgeRefused, match="POST /v1/x: 422 subject mismatch"):
        server.edge(fake_clock).post("/v1/x", b"", {})
    assert len(server.requests) == 1


def test_patience_ends_at_the_deadline(fake_clock: FakeClock) -> None:
    server = Server(broken)
    with pytest.raises(EdgeUnavailable, match="no answer within 120 s, last: ConnectError connection refused"):
        server.edge(fake_clock).post("/v1/x", b"", {})
    assert 110 < fake_clock.monotonic() <= 120
    assert len(server.requests) < 70


def test_facts_go_out_as_one_cloudevents_batch_with_a_delivery_id_of_its_content(fake_clock: FakeClock) -> None:
    server = Server(accept_all)
    facts = [fact for fact in generate(SMALL).facts() if fact.debtor_id == "D0001"]
    erp = HttpErp(server.edge(fake_clock), "demo", "simulator")
    assert erp.send(facts, backfill=True) == []
    (request,) = server.requests
    assert (request.url.path, request.headers["Content-Type"]) == ("/v1/events", "application/cloudevents-batch+json")
    assert request.headers["X-Duly-Delivery"] == request.headers["Idempotency-Key"] == content_id(request.content)
    events = json.loads(request.content)
    assert [event["id"] for event in events] == [fact.event_id for fact in facts]
    issued = next(event for event in events if event["type"] == "duly.invoice.issued.v1")
    fact = next(fact for fact in facts if fact.event == "invoice.issued")
    assert issued == {
        "specversion": "1.0",
        "id": fact.event_id,
        "type": "duly.invoice.issued.v1",
        "source": "/tenants/demo/ledgers/simulator",
        "subject": "D0001",
        "time": fact.time.isoformat().replace("+00:00", "Z"),
        "sourceversion": fact.source_version,
        "backfill": "true",
        "datacontenttype": "application/json",
        "data": issued["data"],
    }
    assert issued["data"]["total"] == {"amountMinor": str(fact.message.total.amount_minor), "currency": "USD"}  # type: ignore[attr-defined]


def test_live_facts_carry_no_backfill_mark() -> None:
    fact = next(generate(SMALL).facts())
    assert "backfill" not in json.loads(encode_event(fact, "demo", "simulator", backfill=False))


def test_rejected_events_are_reported_with_their_reason(fake_clock: FakeClock) -> None:
    facts = list(generate(SMALL).facts())[:2]

    def refuse_second(request: httpx.Request) -> httpx.Response:
        results = [
            {"id": facts[0].event_id, "status": "accepted"},
            {"id": facts[1].event_id, "status": "rejected", "reason": "field_missing", "detail": "total: required"},
        ]
        return httpx.Response(202, json={"delivery_id": "d", "results": results})

    erp = HttpErp(Server(refuse_second).edge(fake_clock), "demo", "simulator")
    assert erp.send(facts, backfill=False) == [
        Rejection(facts[1].event_id, facts[1].event, "field_missing: total: required")
    ]


def test_batches_keep_both_limits_and_the_order() -> None:
    small = [b'"%d"' % n for n in range(1_201)]
    sizes = [len(json.loads(batch)) for batch in batches(small)]
    assert sizes == [BATCH_EVENTS_MAX, BATCH_EVENTS_MAX, 201]
    big = [b'"' + b"x" * (BATCH_BYTES_MAX // 3) + b'"' for _ in range(5)]
    made = list(batches(big))
    assert [len(json.loads(batch)) for batch in made] == [2, 2, 1]
    assert all(len(batch) <= BATCH_BYTES_MAX for batch in made)
    assert [event for batch in batches(small) for event in json.loads(batch)] == [str(n) for n in range(1_201)]


def test_a_tick_names_the_date_and_the_instant_it_stands_for(fake_clock: FakeClock) -> None:
    server = Server(httpx.Response(202))
    erp = HttpErp(server.edge(fake_clock), "demo", "simulator")
    erp.tick(date(2026, 3, 31), datetime(2026, 3, 31, 14, tzinfo=UTC), backfill=False)
    (request,) = server.requests
    assert request.url.path == "/v1/ticks"
    assert json.loads(request.content) == {
        "tenant": "demo",
        "business_date": "2026-03-31",
        "instant": "2026-03-31T14:00:00Z",
        "backfill": False,
    }


def test_a_reply_has_one_key_per_contact(fake_clock: FakeClock) -> None:
    server = Server(httpx.Response(200, json={"message_id": "m"}))
    sender = HttpReplySender(server.edge(fake_clock), "demo")
    sender.send(Reply("C1", "D1", "STOP"))
    sender.send(Reply("C2", "D1", "STOP"))
    first, second = (json.loads(request.content) for request in server.requests)
    assert first["idempotency_key"] != second["idempotency_key"]
    assert {name: value for name, value in first.items() if name != "idempotency_key"} == {
        "tenant_id": "demo",
        "contact_id": "C1",
        "debtor_id": "D1",
        "channel": "CHANNEL_EMAIL",
        "body": "STOP",
    }
