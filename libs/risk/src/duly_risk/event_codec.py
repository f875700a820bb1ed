"""Ledger messages -> facts. With `codec`, the only modules of this package that know the generated stubs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from typing import Any, ClassVar

from duly_contracts.dates import in_range
from duly_contracts.keys import SLICES_MAX
from duly_contracts.money import AMOUNT_MAX_MINOR, currency_exponent
from google.protobuf.message import Message

from duly.ledger.v1 import events_pb2 as ledger
from duly.money.v1 import money_pb2
from duly_risk.days import day_of
from duly_risk.facts import (
    AllocationApplied,
    AllocationRemoved,
    CreditNoteVoided,
    DisputeStated,
    EventDismissed,
    Fact,
    InvoiceStated,
    InvoiceVoided,
    InvoiceWrittenOff,
    NoBalanceChange,
    PaymentReversed,
    RiskEvent,
    SourceReceived,
    Tick,
)
from duly_risk.state import WHOLE


class EventUnusable(ValueError):
    """A ledger event the fold cannot use: not one of its kinds, a malformed date, an id missing, no
    currency, a date, an amount or a tick's slice beyond all bounds (`duly_contracts`). Goes to the DLQ."""

    code: ClassVar[str] = "event_unusable"


def decode_event(
    *,
    event_id: str,
    name: str,
    business_date: date | None,
    backfill: bool,
    message: Message,
    source_version: str = "",
) -> RiskEvent:
    """The event the fold reads, from an envelope's attributes and the decoded ledger message.

    name: short event name (`invoice.issued`). Raises EventUnusable.
    """
    read = _READERS.get(type(message))
    if read is None:
        raise EventUnusable(f"{name}: {type(message).__name__} is no ledger event of the fold")
    try:
        body: Fact | Tick = read(message, source_version)
        business_day = day_of(in_range(business_date)) if business_date else 0
    except ValueError as error:
        raise EventUnusable(f"{name}: {error}") from error
    return RiskEvent(event_id, name, business_day, backfill, body)


def _day(text: str) -> int:
    return day_of(in_range(date.fromisoformat(text)))


def _minor(money: money_pb2.Money) -> int:
    if not 0 <= money.amount_minor <= AMOUNT_MAX_MINOR:
        raise ValueError(f"an amount of {money.amount_minor} minor units is not in 0..{AMOUNT_MAX_MINOR}")
    return money.amount_minor


def _currency(money: money_pb2.Money) -> str:
    currency_exponent(money.currency)
    return money.currency


def _id(text: str) -> str:
    if not text:
        raise ValueError("an id is empty")
    return text


def _tick(message: ledger.CalendarBusinessDateAdvanced, version: str) -> Tick:
    if not 0 <= message.slice < max(message.slices, 1) <= SLICES_MAX or message.slices < 0:
        raise ValueError(f"slice {message.slice} of {message.slices} is none of 0..{SLICES_MAX}")
    return Tick(_day(message.business_date))


def _invoice(message: ledger.InvoiceIssued | ledger.InvoiceRevised, version: str) -> InvoiceStated:
    total = message.total
    issue, due = _day(message.issue_date), _day(message.due_date)
    return InvoiceStated(_id(message.invoice_id), issue, due, _minor(total), _currency(total), version)


def _voided(message: ledger.InvoiceVoided, version: str) -> InvoiceVoided:
    return InvoiceVoided(_id(message.invoice_id), _day(message.on))


def _disputed(message: ledger.InvoiceDisputed, version: str) -> DisputeStated:
    # No amount = the whole invoice.
    amount = _minor(message.amount) or WHOLE
    return DisputeStated(_id(message.invoice_id), amount, _day(message.on), False, version)


def _resolved(message: ledger.InvoiceDisputeResolved, version: str) -> DisputeStated:
    return DisputeStated(_id(message.invoice_id), 0, _day(message.on), True, version)


def _written_off(message: ledger.InvoiceWrittenOff, version: str) -> InvoiceWrittenOff:
    loss = message.reason in (ledger.WRITE_OFF_REASON_BAD_DEBT, ledger.WRITE_OFF_REASON_SETTLEMENT)
    amount = _minor(message.amount)
    return InvoiceWrittenOff(_id(message.write_off_id), _id(message.invoice_id), amount, _day(message.on), loss)


def _credit_note(message: ledger.CreditNoteIssued, version: str) -> SourceReceived:
    amount = message.amount
    return SourceReceived(
        _id(message.credit_note_id), True, _minor(amount), _currency(amount), _day(message.issue_date)
    )


def _credit_note_voided(message: ledger.CreditNoteVoided, version: str) -> CreditNoteVoided:
    return CreditNoteVoided(_id(message.credit_note_id), _day(message.on))


def _payment(message: ledger.PaymentReceived, version: str) -> SourceReceived:
    amount = message.amount
    return SourceReceived(_id(message.payment_id), False, _minor(amount), _currency(amount), _day(message.booking_date))


def _reversed(message: ledger.PaymentReversed, version: str) -> PaymentReversed:
    amount = _minor(message.amount)
    # Sources without ids of their own for reversals reverse a payment once.
    reversal_id = message.reversal_id or message.payment_id
    return PaymentReversed(reversal_id, _id(message.payment_id), amount, _day(message.on))


def _allocation(message: ledger.AllocationApplied, version: str) -> AllocationApplied:
    return AllocationApplied(
        _id(message.allocation_id),
        _id(message.invoice_id),
        message.source_id,
        message.source_kind == ledger.ALLOCATION_SOURCE_CREDIT_NOTE,
        _minor(message.amount),
        _minor(message.discount),
        _day(message.on),
    )


def _allocation_removed(message: ledger.AllocationRemoved, version: str) -> AllocationRemoved:
    return AllocationRemoved(_id(message.allocation_id), _id(message.invoice_id))


def _no_change(message: Message, version: str) -> NoBalanceChange:
    return NoBalanceChange()


def _dismissed(message: Message, version: str) -> EventDismissed:
    return EventDismissed()


# Any: each reader takes its own message class; the table is the edge where that is known.
_READERS: dict[type[Message], Callable[[Any, str], Fact | Tick]] = {
    ledger.CalendarBusinessDateAdvanced: _tick,
    ledger.InvoiceIssued: _invoice,
    ledger.InvoiceRevised: _invoice,
    ledger.InvoiceVoided: _voided,
    ledger.InvoiceDisputed: _disputed,
    ledger.InvoiceDisputeResolved: _resolved,
    ledger.InvoiceWrittenOff: _written_off,
    ledger.CreditNoteIssued: _credit_note,
    ledger.CreditNoteVoided: _credit_note_voided,
    ledger.PaymentReceived: _payment,
    ledger.PaymentReversed: _reversed,
    ledger.AllocationApplied: _allocation,
    ledger.AllocationRemoved: _allocation_removed,
    ledger.PartyUpserted: _no_change,
    ledger.LedgerDriftDetected: _no_change,
    ledger.LedgerDriftCleared: _no_change,
    ledger.LedgerEventDismissed: _dismissed,
}
