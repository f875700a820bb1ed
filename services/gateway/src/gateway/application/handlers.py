"""What the gateway does with each event it reads. The table at the end is the index.

Facts are stored as they are, keyed by their own ids, and versions decide: any order with duplicates gives the same
view. What an invoice owes is computed when it is asked for (`adapters/postgres/pictures.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Protocol

from google.protobuf.message import Message

from duly.ledger.v1 import events_pb2 as ledger
from duly.risk.v1 import events_pb2 as risk
from gateway.domain.contact import DebtorId, TenantId


@dataclass(frozen=True, slots=True)
class FactOrigin:
    """Whose fact it is, its version at the source ('' = none), and its place in the debtor's log."""

    tenant: TenantId
    debtor_id: DebtorId
    version: str
    offset: int


class LedgerView(Protocol):
    """The gateway's fold of `ledger-events`, within one transaction."""

    def touch(self, origin: FactOrigin) -> None:
        """Take the debtor's lock and note how far its log is folded. A send is claimed before this, or sees it."""

    def put_party(self, origin: FactOrigin, party: ledger.PartyUpserted, kind: str) -> None: ...

    def put_invoice(self, origin: FactOrigin, invoice: ledger.InvoiceIssued | ledger.InvoiceRevised) -> None: ...

    def void_invoice(self, origin: FactOrigin, invoice_id: str) -> None: ...

    def dispute_invoice(self, origin: FactOrigin, invoice_id: str, amount_minor: int) -> None:
        """amount_minor 0 = resolved."""

    def put_write_off(self, origin: FactOrigin, write_off_id: str, invoice_id: str, amount_minor: int) -> None: ...

    def put_source(self, origin: FactOrigin, source_id: str, amount_minor: int, currency: str) -> None: ...

    def void_source(self, origin: FactOrigin, source_id: str) -> None: ...

    def put_reversal(self, origin: FactOrigin, reversal_id: str, payment_id: str, amount_minor: int) -> None: ...

    def put_allocation(self, origin: FactOrigin, allocation: ledger.AllocationApplied) -> None: ...

    def remove_allocation(self, origin: FactOrigin, allocation_id: str, invoice_id: str) -> None: ...

    def set_drift(self, origin: FactOrigin, drift: bool) -> None: ...

    def set_degraded(self, origin: FactOrigin, degraded: bool) -> None: ...

    def advance_day(self, tenant: TenantId, business_date: date, instant: datetime) -> None: ...


Handler = Callable[[Any, FactOrigin, LedgerView], None]


def on_party(fact: ledger.PartyUpserted, origin: FactOrigin, view: LedgerView) -> None:
    kind = ledger.PartyKind.Name(fact.kind).removeprefix("PARTY_KIND_")
    view.put_party(origin, fact, "UNKNOWN" if kind == "UNSPECIFIED" else kind)


def on_invoice(fact: ledger.InvoiceIssued | ledger.InvoiceRevised, origin: FactOrigin, view: LedgerView) -> None:
    view.put_invoice(origin, fact)


def on_invoice_voided(fact: ledger.InvoiceVoided, origin: FactOrigin, view: LedgerView) -> None:
    view.void_invoice(origin, fact.invoice_id)


def on_invoice_disputed(fact: ledger.InvoiceDisputed, origin: FactOrigin, view: LedgerView) -> None:
    view.dispute_invoice(origin, fact.invoice_id, fact.amount.amount_minor)


def on_dispute_resolved(fact: ledger.InvoiceDisputeResolved, origin: FactOrigin, view: LedgerView) -> None:
    view.dispute_invoice(origin, fact.invoice_id, 0)


def on_written_off(fact: ledger.InvoiceWrittenOff, origin: FactOrigin, view: LedgerView) -> None:
    view.put_write_off(origin, fact.write_off_id, fact.invoice_id, fact.amount.amount_minor)


def on_payment(fact: ledger.PaymentReceived, origin: FactOrigin, view: LedgerView) -> None:
    view.put_source(origin, fact.payment_id, fact.amount.amount_minor, fact.amount.currency)


def on_payment_reversed(fact: ledger.PaymentReversed, origin: FactOrigin, view: LedgerView) -> None:
    view.put_reversal(origin, fact.reversal_id, fact.payment_id, fact.amount.amount_minor)


def on_credit_note(fact: ledger.CreditNoteIssued, origin: FactOrigin, view: LedgerView) -> None:
    view.put_source(origin, fact.credit_note_id, fact.amount.amount_minor, fact.amount.currency)


def on_credit_note_voided(fact: ledger.CreditNoteVoided, origin: FactOrigin, view: LedgerView) -> None:
    view.void_source(origin, fact.credit_note_id)


def on_allocation(fact: ledger.AllocationApplied, origin: FactOrigin, view: LedgerView) -> None:
    view.put_allocation(origin, fact)


def on_allocation_removed(fact: ledger.AllocationRemoved, origin: FactOrigin, view: LedgerView) -> None:
    view.remove_allocation(origin, fact.allocation_id, fact.invoice_id)


def on_drift(fact: ledger.LedgerDriftDetected, origin: FactOrigin, view: LedgerView) -> None:
    view.set_drift(origin, True)


def on_drift_cleared(fact: ledger.LedgerDriftCleared, origin: FactOrigin, view: LedgerView) -> None:
    view.set_drift(origin, False)


def on_degraded(fact: risk.RiskDebtorDegraded, origin: FactOrigin, view: LedgerView) -> None:
    view.set_degraded(origin, True)


def on_restored(fact: risk.RiskDebtorRestored, origin: FactOrigin, view: LedgerView) -> None:
    view.set_degraded(origin, False)


def on_tick(fact: ledger.CalendarBusinessDateAdvanced, origin: FactOrigin, view: LedgerView) -> None:
    view.advance_day(origin.tenant, date.fromisoformat(fact.business_date), fact.instant.ToDatetime(UTC))


EVENT_HANDLERS: Mapping[type[Message], Handler] = {
    ledger.PartyUpserted: on_party,
    ledger.InvoiceIssued: on_invoice,
    ledger.InvoiceRevised: on_invoice,
    ledger.InvoiceVoided: on_invoice_voided,
    ledger.InvoiceDisputed: on_invoice_disputed,
    ledger.InvoiceDisputeResolved: on_dispute_resolved,
    ledger.InvoiceWrittenOff: on_written_off,
    ledger.PaymentReceived: on_payment,
    ledger.PaymentReversed: on_payment_reversed,
    ledger.CreditNoteIssued: on_credit_note,
    ledger.CreditNoteVoided: on_credit_note_voided,
    ledger.AllocationApplied: on_allocation,
    ledger.AllocationRemoved: on_allocation_removed,
    ledger.LedgerDriftDetected: on_drift,
    ledger.LedgerDriftCleared: on_drift_cleared,
    ledger.CalendarBusinessDateAdvanced: on_tick,
    risk.RiskDebtorDegraded: on_degraded,
    risk.RiskDebtorRestored: on_restored,
}
