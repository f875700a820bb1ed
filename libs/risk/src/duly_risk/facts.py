"""What the fold reads: ledger facts and ticks as frozen data, free of protobuf. `codec.decode_event` makes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


# One per event: a named tuple costs a third of a frozen dataclass to make.
class Position(NamedTuple):
    """Where an event stands in `ledger-events`."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Tick:
    """`calendar.business_date_advanced` for the debtor's slice."""

    day: int


@dataclass(frozen=True, slots=True)
class InvoiceStated:
    """`invoice.issued` or `invoice.revised`: the whole state of an invoice at a source version."""

    invoice_id: str
    issue_day: int
    due_day: int
    total_minor: int
    currency: str
    source_version: str


@dataclass(frozen=True, slots=True)
class InvoiceVoided:
    invoice_id: str
    on_day: int


@dataclass(frozen=True, slots=True)
class DisputeStated:
    """`invoice.disputed` (resolved False) or `invoice.dispute_resolved`."""

    invoice_id: str
    amount_minor: int
    on_day: int
    resolved: bool
    source_version: str


@dataclass(frozen=True, slots=True)
class InvoiceWrittenOff:
    """loss: bad debt or a settlement, as opposed to a tolerated small difference, a fee or an exchange difference."""

    write_off_id: str
    invoice_id: str
    amount_minor: int
    on_day: int
    loss: bool


@dataclass(frozen=True, slots=True)
class SourceReceived:
    """`payment.received` or `credit_note.issued`: money or credit that can be allocated."""

    source_id: str
    credit_note: bool
    amount_minor: int
    currency: str
    day: int


@dataclass(frozen=True, slots=True)
class PaymentReversed:
    reversal_id: str
    payment_id: str
    amount_minor: int
    on_day: int


@dataclass(frozen=True, slots=True)
class CreditNoteVoided:
    credit_note_id: str
    on_day: int


@dataclass(frozen=True, slots=True)
class AllocationApplied:
    allocation_id: str
    invoice_id: str
    source_id: str
    credit_note: bool
    amount_minor: int
    discount_minor: int
    on_day: int


@dataclass(frozen=True, slots=True)
class AllocationRemoved:
    allocation_id: str
    invoice_id: str


@dataclass(frozen=True, slots=True)
class NoBalanceChange:
    """A fact that is counted and moves nothing the model reads: party and drift facts."""


@dataclass(frozen=True, slots=True)
class EventDismissed(NoBalanceChange):
    """A person's word, under the id of an event, that nothing is left to apply of it."""


Fact = (
    InvoiceStated
    | InvoiceVoided
    | DisputeStated
    | InvoiceWrittenOff
    | SourceReceived
    | PaymentReversed
    | CreditNoteVoided
    | AllocationApplied
    | AllocationRemoved
    | NoBalanceChange
)


class RiskEvent(NamedTuple):
    """One record of `ledger-events` for one debtor.

    name: short event name (`payment.received`). business_day: the tenant's day when ledger-sync recorded it,
    0 = unknown. backfill: history; it folds but is never scored.
    """

    event_id: str
    name: str
    business_day: int
    backfill: bool
    body: Fact | Tick

    @property
    def is_tick(self) -> bool:
        return isinstance(self.body, Tick)
