"""What the projections are written to, and what the queries read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from duly.ledger.v1 import events_pb2 as ledger
from duly.risk.v1 import events_pb2 as risk
from insights.domain.aging import OpenInvoice
from insights.domain.sentences import Line


@dataclass(frozen=True, slots=True)
class EventOrigin:
    """Where an event comes from. debtor_id '' = it concerns no debtor. business_date None = the tenant's newest."""

    tenant: str
    debtor_id: str
    event_id: str
    event: str
    version: str
    at: datetime
    business_date: date | None
    causation_id: str
    correlation_id: str


class ReadModels(Protocol):
    """One batch of changes, in one transaction."""

    def add_line(self, origin: EventOrigin, line: Line) -> None: ...

    def advance_day(self, tenant: str, business_date: date) -> None: ...

    def put_debtor(self, origin: EventOrigin) -> None: ...

    def put_invoice(self, origin: EventOrigin, invoice: ledger.InvoiceIssued | ledger.InvoiceRevised) -> None: ...

    def void_invoice(self, origin: EventOrigin, invoice_id: str) -> None: ...

    def put_write_off(self, origin: EventOrigin, write_off_id: str, invoice_id: str, amount_minor: int) -> None: ...

    def put_source(self, origin: EventOrigin, source_id: str, amount_minor: int, currency: str) -> None: ...

    def void_source(self, origin: EventOrigin, source_id: str) -> None: ...

    def put_reversal(self, origin: EventOrigin, reversal_id: str, payment_id: str, amount_minor: int) -> None: ...

    def put_allocation(self, origin: EventOrigin, allocation: ledger.AllocationApplied) -> None: ...

    def remove_allocation(self, origin: EventOrigin, allocation_id: str, invoice_id: str) -> None: ...

    def put_score(self, origin: EventOrigin, score: risk.RiskScoreUpdated) -> None: ...

    def open_case(self, origin: EventOrigin, case_id: str) -> None: ...

    def close_case(self, origin: EventOrigin, case_id: str) -> None: ...

    def count_contact(self, origin: EventOrigin) -> None: ...


@dataclass(frozen=True, slots=True)
class DebtorRecord:
    """business_date None: no tick was read yet. unapplied: minor units by currency."""

    debtor_id: str
    business_date: date | None
    risk_band: str
    risk: float
    model_version: str
    model_role: str
    score_id: str
    open_case_id: str
    contacts_sent: int
    invoices: Sequence[OpenInvoice]
    unapplied: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class StoryLine:
    event_id: str
    event: str
    business_date: date
    at: datetime
    text: str
    causation_id: str
    correlation_id: str
    because: tuple[str, ...]
    seq: int


class Queries(Protocol):
    """Reads what is committed."""

    def debtor(self, tenant: str, debtor_id: str) -> DebtorRecord | None: ...

    def story(self, tenant: str, debtor_id: str, after: tuple[date, int] | None, limit: int) -> Sequence[StoryLine]:
        """By business date, then as they became known; those beyond `after`."""
