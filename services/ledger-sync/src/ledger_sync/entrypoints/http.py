"""The HTTP edge: authenticate, hand over, answer. What a delivery means is decided elsewhere."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Protocol, Self

from duly_contracts.dates import FIRST_DATE, LAST_DATE
from duly_runtime.auth import Principal, TokenVerifier
from duly_runtime.clock import Clock
from duly_runtime.database import TRANSIENT_ERRORS
from duly_runtime.log import SendFailed
from duly_runtime.metrics import INGRESS_DELIVERIES, INGRESS_SECONDS, Metrics
from duly_runtime.tracing import consumer_span, current_traceparent
from fastapi import FastAPI, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from ledger_sync.application.advance_business_date import SCOPE, Calendar
from ledger_sync.application.cloudevents import BODY_BYTES_MAX
from ledger_sync.application.delivery import Framing, Rejection
from ledger_sync.application.receive_delivery import DeliveryRefused, Ingress, Receipt
from ledger_sync.domain.calendar import Tick, words
from ledger_sync.entrypoints.problems import ERROR_STATUS, FAULT_STATUS, Problem, problem_of


class EventResult(BaseModel):
    """What becomes of one event. accepted: kept and well-formed; the mirror may still hold it back (see quarantine)."""

    id: str
    status: str
    reason: str = ""
    detail: str = ""


class DeliveryAccepted(BaseModel):
    """The delivery is in the log."""

    delivery_id: str
    results: list[EventResult]


class TickRequest(BaseModel):
    """A business date and the instant it stands for. jump: also more than a month after the newest date."""

    model_config = ConfigDict(extra="forbid")

    tenant: str = Field(min_length=1, max_length=100, pattern=r"^[^|/]+$")
    business_date: date = Field(ge=FIRST_DATE, le=LAST_DATE)
    instant: AwareDatetime
    backfill: bool = False
    jump: bool = False

    @model_validator(mode="after")
    def _instant_of_that_day(self) -> Self:
        """In every zone a day's instants are, in UTC, of that date or of one beside it."""
        if abs(self.instant.astimezone(UTC).date() - self.business_date) > timedelta(days=1):
            raise ValueError(f"instant {self.instant.isoformat()} is not of the business date {self.business_date}")
        return self


class TickAccepted(BaseModel):
    """advanced: False when the calendar had already come so far. business_date, instant: where it stands now."""

    advanced: bool
    business_date: date
    instant: datetime
    detail: str


class Quarantined(BaseModel):
    """One event that is not in the mirror."""

    state: str
    delivery_id: str
    event_id: str
    event_type: str
    debtor_id: str
    code: str
    text: str
    received_at: datetime


class QuarantinePage(BaseModel):
    """Newest first."""

    events: list[Quarantined]


class QuarantineReader(Protocol):
    """What the edge shows of the quarantine."""

    def newest(self, tenant: str, limit: int) -> Any: ...


def http_app(
    ingress: Ingress,
    calendar: Calendar,
    quarantine: QuarantineReader,
    verifier: TokenVerifier,
    clock: Clock,
    metrics: Metrics,
) -> FastAPI:
    """The application; opens and starts nothing."""
    app = FastAPI(title="Duly ledger-sync", version="1", docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    _handle_errors(app)

    def caller(request: Request) -> Principal:
        return verifier.verify(request.headers.get("authorization"))

    @app.post("/v1/events", status_code=202, response_model=DeliveryAccepted, openapi_extra=_EVENTS_BODY)
    async def receive_events(request: Request) -> Response:
        """Take CloudEvents: one (structured, or binary with `ce-*` headers) or a batch of up to 500."""
        started = clock.monotonic()
        principal = caller(request)
        body = await _bounded_body(request)
        headers = {name.lower(): value for name, value in request.headers.items()}
        response = await run_in_threadpool(_deliver, ingress, body, headers, principal)
        metrics.count(INGRESS_DELIVERIES, answer=str(response.status_code))
        metrics.observe(INGRESS_SECONDS, clock.monotonic() - started)
        return response

    @app.post("/v1/ticks", status_code=202, response_model=TickAccepted)
    def receive_tick(request: Request, tick: TickRequest) -> TickAccepted:
        """Move a tenant's business date; only where time is simulated."""
        moment = Tick(tick.business_date, tick.instant)
        done = calendar.tick(caller(request), tick.tenant, moment, tick.backfill, tick.jump)
        stands = f"{tick.tenant} stands at {words(done.newest)}"
        why = "" if done.moved else f" already: {words(moment)} is not after it, so nothing was changed"
        return TickAccepted(
            advanced=done.moved,
            business_date=done.newest.business_date,
            instant=done.newest.instant,
            detail=f"{stands}{why}",
        )

    @app.get("/v1/quarantine", response_model=QuarantinePage)
    def list_quarantine(request: Request, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> QuarantinePage:
        """What was put aside for the token's tenant, and why."""
        principal = caller(request)
        principal.require(principal.tenant, SCOPE)
        events = quarantine.newest(principal.tenant, limit)
        return QuarantinePage(events=[Quarantined.model_validate(asdict(event)) for event in events])

    return app


def _deliver(ingress: Ingress, body: bytes, headers: dict[str, str], principal: Principal) -> JSONResponse:
    with consumer_span("POST /v1/events", headers.get("traceparent", ""), headers.get("x-duly-delivery", "")):
        receipt = ingress.deliver(body, headers, principal, current_traceparent())
    return answer(receipt)


def answer(receipt: Receipt) -> JSONResponse:
    """202 with one result per event; a problem for a single event, or a whole body, that is none."""
    first = receipt.results[0] if receipt.results else None
    whole = isinstance(first, Rejection) and (receipt.framing is not Framing.BATCH or first.unreadable)
    if isinstance(first, Rejection) and whole:
        extra: dict[str, object] = {"delivery_id": receipt.delivery_id, "id": first.event_id}
        return Problem(FAULT_STATUS[first.fault], first.code, first.text, extra).response()
    results = [
        EventResult(id=result.event_id, status="rejected", reason=result.code, detail=result.text)
        if isinstance(result, Rejection)
        else EventResult(id=result.event_id, status="accepted")
        for result in receipt.results
    ]
    accepted = DeliveryAccepted(delivery_id=receipt.delivery_id, results=results)
    return JSONResponse(accepted.model_dump(), status_code=202)


async def _bounded_body(request: Request) -> bytes:
    """The body, given up as soon as it is too large: a declared length is only a promise."""
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > BODY_BYTES_MAX:
            raise DeliveryRefused("body_too_large", f"a delivery has at most {BODY_BYTES_MAX} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _handle_errors(app: FastAPI) -> None:
    def known(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        assert problem is not None
        return problem.response()

    def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        return Problem(422, "request_invalid", "; ".join(faults)[:500]).response()

    def unavailable(request: Request, error: Exception) -> Response:
        return Problem(503, "unavailable", "a server this service needs does not answer").response()

    for error in (*ERROR_STATUS, DeliveryRefused):
        app.add_exception_handler(error, known)
    app.add_exception_handler(RequestValidationError, invalid)
    for transient in (*TRANSIENT_ERRORS, SendFailed):
        app.add_exception_handler(transient, unavailable)


_EVENTS_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/cloudevents+json": {"schema": {"type": "object"}},
            "application/cloudevents-batch+json": {"schema": {"type": "array", "maxItems": 500}},
            "application/json": {"schema": {"type": "object"}},
        },
    }
}
