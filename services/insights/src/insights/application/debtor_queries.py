"""QueryDebtor and QueryTimeline."""

from __future__ import annotations

import base64
import binascii
from datetime import date, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from duly.insights.v1 import debtor_query_service_pb2 as pb
from duly.insights.v1 import views_pb2 as views
from duly.money.v1 import money_pb2
from insights.application.ports import DebtorRecord, Queries, StoryLine
from insights.domain.aging import Aging, aging

PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 500
SEQ_MAX = 2**63 - 1  # PostgreSQL's bigint


class DebtorNotFound(LookupError):
    """No such debtor here; the same answer for another tenant's id."""

    code = "debtor_not_found"


class InvalidRequest(ValueError):
    """A field is missing or malformed."""

    code = "invalid_request"


class DebtorQueries:
    """Answers from the read models."""

    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    def query_debtor(self, request: pb.QueryDebtorRequest) -> pb.QueryDebtorResponse:
        return pb.QueryDebtorResponse(debtor=_view(self._known(request.tenant_id, request.debtor_id)))

    def query_timeline(self, request: pb.QueryTimelineRequest) -> pb.QueryTimelineResponse:
        if not 0 <= request.page_size <= PAGE_SIZE_MAX:
            raise InvalidRequest(f"page_size: give 1 to {PAGE_SIZE_MAX}, or 0 for {PAGE_SIZE_DEFAULT}")
        size = request.page_size or PAGE_SIZE_DEFAULT
        lines = self._queries.story(request.tenant_id, request.debtor_id, _after(request.page_token), size + 1)
        if not lines:
            self._known(request.tenant_id, request.debtor_id)
        return pb.QueryTimelineResponse(
            entries=[_entry(line) for line in lines[:size]],
            next_page_token=_token(lines[size - 1]) if len(lines) > size else "",
        )

    def _known(self, tenant: str, debtor_id: str) -> DebtorRecord:
        found = self._queries.debtor(tenant, debtor_id)
        if found is None:
            raise DebtorNotFound("no such debtor")
        return found


def _view(record: DebtorRecord) -> views.DebtorView:
    """Without a tick there is no business date: everything counts as not due yet."""
    largest = max(record.invoices, key=lambda i: (i.open_minor, i.invoice_id), default=None)
    rows = aging(record.invoices, record.unapplied, record.business_date or date.min)
    return views.DebtorView(
        debtor_id=record.debtor_id,
        business_date=record.business_date.isoformat() if record.business_date else "",
        aging=[_aging(row) for row in rows],
        risk_band=record.risk_band,
        risk=record.risk,
        model_version=record.model_version,
        model_role=record.model_role,
        score_id=record.score_id,
        open_case_id=record.open_case_id,
        open_invoices=len(record.invoices),
        contacts_sent=record.contacts_sent,
        largest_open=money_pb2.Money(amount_minor=largest.open_minor, currency=largest.currency) if largest else None,
    )


def _aging(row: Aging) -> views.AgingView:
    return views.AgingView(
        currency=row.currency,
        current_minor=row.buckets["current"],
        days_1_30_minor=row.buckets["1-30"],
        days_31_60_minor=row.buckets["31-60"],
        days_61_90_minor=row.buckets["61-90"],
        days_over_90_minor=row.buckets["90+"],
        open_minor=row.open_minor,
        unapplied_minor=row.unapplied_minor,
    )


def _entry(line: StoryLine) -> views.TimelineEntry:
    return views.TimelineEntry(
        event_id=line.event_id,
        event=line.event,
        business_date=line.business_date.isoformat(),
        at=_timestamp(line.at),
        text=line.text,
        causation_id=line.causation_id,
        correlation_id=line.correlation_id,
        because=line.because,
    )


def _timestamp(instant: datetime) -> Timestamp:
    stamp = Timestamp()
    stamp.FromDatetime(instant)
    return stamp


def _token(line: StoryLine) -> str:
    return base64.urlsafe_b64encode(f"{line.business_date.isoformat()} {line.seq}".encode()).decode()


def _after(token: str) -> tuple[date, int] | None:
    if not token:
        return None
    try:
        day, _, number = base64.urlsafe_b64decode(token.encode("ascii")).decode().partition(" ")
        after, seq = date.fromisoformat(day), int(number)
    except (ValueError, binascii.Error) as error:
        raise InvalidRequest("page_token: is not one that was given out") from error
    if not 0 <= seq <= SEQ_MAX:
        raise InvalidRequest("page_token: is not one that was given out")
    return after, seq


def refuse_nul(request: pb.QueryDebtorRequest | pb.QueryTimelineRequest) -> None:
    """PostgreSQL's text holds no NUL. Raises InvalidRequest."""
    for field, value in request.ListFields():
        if isinstance(value, str) and "\x00" in value:
            raise InvalidRequest(f"{field.name}: holds a NUL character")
