"""The HTTP edge over fakes of the log and the calendar: codes, problems, order of append and answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from duly_contracts.envelope import Envelope
from duly_runtime.auth import TokenVerifier
from duly_runtime.metrics import Metrics
from duly_testing.clock import FakeClock
from google.protobuf.message import Message
from ledger_sync.application.advance_business_date import Calendar
from ledger_sync.application.cloudevents import BODY_BYTES_MAX
from ledger_sync.application.ports import RawUnavailable, TickLeft
from ledger_sync.application.receive_delivery import Ingress
from ledger_sync.domain.calendar import Tick
from ledger_sync.entrypoints.http import http_app

KEY = Ed25519PrivateKey.generate()
JSON = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}


class FakeRawLog:
    def __init__(self) -> None:
        self.kept: list[tuple[Message, bytes, Envelope]] = []
        self.down = False

    def append(self, message: Message, key: bytes, envelope: Envelope) -> None:
        if self.down:
            raise RawUnavailable("down")
        self.kept.append((message, key, envelope))


class FakeCalendar:
    def __init__(self) -> None:
        self.tick: Tick | None = None
        self.emitted: list[Message] = []

    @contextmanager
    def unit(self) -> Iterator[FakeCalendar]:
        yield self

    def last_tick(self, tenant: str) -> Tick | None:
        return self.tick

    def left(self, tenant: str) -> TickLeft:
        return TickLeft()

    def save_tick(self, tenant: str, tick: Tick, left: TickLeft) -> None:
        self.tick = tick

    def debtors(self, tenant: str) -> int:
        return 0

    def doubt_waiting(self, tenant: str, limit: int) -> list[Any]:
        return []

    def emit(self, message: Message, key: bytes, envelope: Envelope, partition: int | None = None) -> None:
        self.emitted.append(message)


class NoQuarantine:
    def newest(self, tenant: str, limit: int) -> list[Any]:
        return []


def bearer(tenant: str = "demo", scope: str = "ledger:write", minutes: int = 5) -> dict[str, str]:
    claims = {
        "iss": "duly", "aud": "duly", "sub": "erp", "tenant": tenant, "scope": scope,
        "exp": datetime.now(UTC) + timedelta(minutes=minutes),
    }  # fmt: skip
    return {"authorization": f"Bearer {jwt.encode(claims, KEY, 'EdDSA', headers={'kid': 'k'})}"}


class AppClient:
    """Calls the application in this process, without a socket."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://edge") as client:
                return await client.request(method, path, **arguments)

        return asyncio.run(call())

    def get(self, path: str, **arguments: Any) -> httpx.Response:
        return self.request("GET", path, **arguments)

    def post(self, path: str, **arguments: Any) -> httpx.Response:
        return self.request("POST", path, **arguments)


class Edge:
    def __init__(self, simulated: bool = True) -> None:
        self.raw, self.calendar = FakeRawLog(), FakeCalendar()
        jwk = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(KEY.public_key())) | {"kid": "k", "alg": "EdDSA"}
        clock = FakeClock()
        app = http_app(
            Ingress(self.raw, clock),
            Calendar(self.calendar.unit, lambda: 12, simulated, 100),
            NoQuarantine(),
            TokenVerifier({"keys": [jwk]}),
            clock,
            Metrics(),
        )
        self.client = AppClient(app)

    def post(self, body: Any, headers: dict[str, str], token: dict[str, str] | None = None) -> Any:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        token = bearer() if token is None else token
        return self.client.post("/v1/events", content=content, headers=headers | token)


@pytest.fixture
def edge() -> Edge:
    return Edge()


def test_a_batch_is_kept_before_it_is_answered_with_one_result_per_event(edge: Edge, events: Any) -> None:
    response = edge.post([events.invoice(), events.invoice(minor=-1)], BATCH)
    assert response.status_code == 202
    assert [(row["id"], row["status"], row["reason"]) for row in response.json()["results"]] == [
        ("e-1", "accepted", ""),
        ("e-2", "rejected", "money_invalid"),
    ]
    ((message, key, envelope),) = edge.raw.kept
    assert key == f"demo|erp|{response.json()['delivery_id']}".encode()
    assert envelope.tenant == "demo"
    assert "authorization" not in message.headers  # type: ignore[attr-defined]


def test_a_single_event_in_each_framing_is_accepted(edge: Edge, events: Any) -> None:
    event = events.invoice()
    assert edge.post(event, JSON).status_code == 202
    headers = {f"ce-{name}": value for name, value in event.items() if name != "data"}
    assert edge.post(event["data"], headers | {"content-type": "application/json"}).status_code == 202


@pytest.mark.parametrize(
    "body, status, code",
    [
        (b"{", 400, "json_malformed"),
        ({"specversion": "1.0"}, 400, "attribute_missing"),
        ({"hello": 1}, 400, "not_a_cloudevent"),
    ],
)
def test_what_is_no_cloudevent_is_a_problem_and_still_kept(edge: Edge, body: Any, status: int, code: str) -> None:
    response = edge.post(body, JSON)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert len(edge.raw.kept) == 1


def test_invalid_data_of_a_single_event_is_422_and_of_another_tenant_403(edge: Edge, events: Any) -> None:
    invalid = edge.post(events.invoice(minor=0), JSON)
    assert (invalid.status_code, invalid.json()["code"]) == (422, "money_invalid")
    foreign = edge.post(events.invoice(source="/tenants/other/ledgers/erp"), JSON)
    assert (foreign.status_code, foreign.json()["code"]) == (403, "source_foreign")
    assert {envelope.tenant for _, _, envelope in edge.raw.kept} == {"demo"}


def test_no_token_a_bad_token_and_a_token_without_the_scope_keep_nothing(edge: Edge, events: Any) -> None:
    event = events.invoice()
    missing = edge.client.post("/v1/events", content=json.dumps(event), headers=JSON)
    assert (missing.status_code, missing.headers["www-authenticate"]) == (401, "Bearer")
    assert edge.post(event, JSON, {"authorization": "Bearer x.y.z"}).status_code == 401
    assert edge.post(event, JSON, bearer(minutes=-5)).status_code == 401
    assert edge.post(event, JSON, bearer(scope="debtors:read")).status_code == 403
    assert edge.raw.kept == []


def test_a_huge_body_another_media_type_and_a_bad_delivery_id_are_not_kept(edge: Edge, events: Any) -> None:
    assert edge.post(b" " * (BODY_BYTES_MAX + 1), JSON).status_code == 413
    assert edge.post(b"<x/>", {"content-type": "text/xml"}).status_code == 415
    assert edge.post(events.invoice(), JSON | {"x-duly-delivery": "a b"}).status_code == 400
    assert edge.raw.kept == []


def test_more_than_500_events_are_413(edge: Edge) -> None:
    assert edge.post([{}] * 501, BATCH).status_code == 413


def test_a_log_that_does_not_answer_is_503_with_a_time_to_come_back(edge: Edge, events: Any) -> None:
    edge.raw.down = True
    response = edge.post(events.invoice(), JSON)
    assert (response.status_code, response.headers["retry-after"]) == (503, "30")


def test_the_same_delivery_again_has_the_same_id_and_another_content_another_one(edge: Edge, events: Any) -> None:
    event, other = events.invoice(), events.invoice()
    for body in (event, event, other):
        edge.post(body, JSON | {"x-duly-delivery": "run-7"})
    ids = [envelope.id for _, _, envelope in edge.raw.kept]
    assert ids[0] == ids[1] != ids[2]
    assert {envelope.subject for _, _, envelope in edge.raw.kept} == {"run-7"}
    first, again = edge.post(event, JSON), edge.post(event, JSON)
    assert first.json()["delivery_id"] == again.json()["delivery_id"]


def test_the_senders_trace_goes_on_in_the_log(edge: Edge, events: Any) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    edge.post(events.invoice(), JSON | {"traceparent": trace})
    assert edge.raw.kept[0][2].traceparent.split("-")[1] == trace.split("-")[1]


def test_a_tick_moves_the_calendar_once(edge: Edge) -> None:
    tick = {"tenant": "demo", "business_date": "2031-03-01", "instant": "2031-03-01T00:00:00Z"}
    first = edge.client.post("/v1/ticks", json=tick, headers=bearer())
    again = edge.client.post("/v1/ticks", json=tick, headers=bearer())
    assert [(r.status_code, r.json()["advanced"]) for r in (first, again)] == [(202, True), (202, False)]
    assert len(edge.calendar.emitted) == 12
    stands = "demo stands at 2031-03-01 (2031-03-01T00:00:00Z)"
    assert [r.json()["detail"].partition(" already")[0] for r in (first, again)] == [stands, stands]
    assert "nothing was changed" in again.json()["detail"]


def test_a_tick_far_ahead_is_refused_with_the_newest_date_unless_it_is_said_to_be_meant(edge: Edge) -> None:
    def tick(day: str, **more: bool) -> httpx.Response:
        body = {"tenant": "demo", "business_date": day, "instant": f"{day}T10:00:00Z", **more}
        return edge.client.post("/v1/ticks", json=body, headers=bearer())

    assert tick("2031-03-01").status_code == 202  # the first may be of any day
    far = tick("2041-03-01")
    assert (far.status_code, far.json()["code"]) == (409, "tick_too_far")
    assert "2041-03-01 is 3653 days after 2031-03-01" in far.json()["detail"]
    assert len(edge.calendar.emitted) == 12
    assert [tick(day).status_code for day in ("2031-04-01", "2031-05-03")] == [202, 409]  # 31 days, 32 days
    assert tick("2031-05-03", jump=True).json()["business_date"] == "2031-05-03"
    assert tick("2035-01-01", backfill=True).status_code == 202  # the last day of an imported history


def test_a_tick_of_another_tenant_backwards_malformed_or_in_real_time_is_refused(edge: Edge) -> None:
    tick = {"tenant": "demo", "business_date": "2031-03-02", "instant": "2031-03-02T00:00:00Z"}
    assert edge.client.post("/v1/ticks", json=tick, headers=bearer("other")).status_code == 403
    everywhere = bearer("ops", "ledger:write tenants:all")
    assert edge.client.post("/v1/ticks", json=tick, headers=everywhere).status_code == 202
    back = tick | {"business_date": "2031-03-01", "instant": "2031-03-02T01:00:00Z"}
    assert edge.client.post("/v1/ticks", json=back, headers=bearer()).status_code == 409
    torn = tick | {"business_date": "2031-03-03"}
    assert edge.client.post("/v1/ticks", json=torn, headers=bearer()).json()["code"] == "tick_backwards"
    elsewhere = tick | {"instant": "2041-03-02T00:00:00Z"}
    assert edge.client.post("/v1/ticks", json=elsewhere, headers=bearer()).status_code == 422
    naive = tick | {"instant": "2031-03-02T00:00:00"}
    assert edge.client.post("/v1/ticks", json=naive, headers=bearer()).status_code == 422
    far = tick | {"business_date": "2160-01-01", "instant": "2160-01-01T00:00:00Z"}
    assert edge.client.post("/v1/ticks", json=far, headers=bearer()).status_code == 422
    real = Edge(simulated=False).client.post("/v1/ticks", json=tick, headers=bearer())
    assert (real.status_code, real.json()["code"]) == (409, "ticks_not_allowed")


def test_the_quarantine_needs_the_scope_and_a_bounded_page(edge: Edge) -> None:
    assert edge.client.get("/v1/quarantine", headers=bearer()).json() == {"events": []}
    assert edge.client.get("/v1/quarantine", headers=bearer(scope="")).status_code == 403
    assert edge.client.get("/v1/quarantine?limit=501", headers=bearer()).status_code == 422


def test_the_contract_is_published(edge: Edge) -> None:
    document = edge.client.get("/openapi.json").json()
    assert set(document["paths"]) == {"/v1/events", "/v1/ticks", "/v1/quarantine"}
