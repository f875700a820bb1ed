"""The rows of an export as typed records: one class per file of the format."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo

from duly_contracts.money import Money

# When a row became known: a day (known at its end), an instant, or None = the row's own business date.
Recorded = date | datetime | None


class PartyKind(StrEnum):
    BUSINESS = "BUSINESS"
    SOLE_TRADER = "SOLE_TRADER"
    CONSUMER = "CONSUMER"
    UNKNOWN = "UNKNOWN"


class AllocationSource(StrEnum):
    PAYMENT = "PAYMENT"
    CREDIT_NOTE = "CREDIT_NOTE"


class WriteOffReason(StrEnum):
    BAD_DEBT = "BAD_DEBT"
    SMALL_BALANCE = "SMALL_BALANCE"
    SETTLEMENT = "SETTLEMENT"
    FX = "FX"
    FEE = "FEE"


@dataclass(frozen=True, slots=True)
class LedgerSettings:
    """`ledger.yaml`. currency, country, time_zone are defaults for rows; source: slug that names the ledger in ids."""

    tenant: str = "demo"
    currency: str = ""
    country: str = ""
    time_zone: str = "UTC"
    source: str = "ledger-export"
    from_day: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True)
class Party:
    debtor_id: str
    kind: PartyKind = PartyKind.UNKNOWN
    name: str = ""
    country: str = ""
    region: str = ""
    time_zone: str = ""
    language: str = ""
    sector: str = ""
    size: str = ""
    since: date | None = None
    email: str = ""
    phone: str = ""
    recorded_at: Recorded = None


@dataclass(frozen=True, slots=True)
class Instalment:
    no: int
    due_date: date
    amount: Money


@dataclass(frozen=True, slots=True)
class Invoice:
    invoice_id: str
    debtor_id: str
    issue_date: date
    due_date: date
    total: Money
    number: str = ""
    document_type: str = "380"
    agreement_id: str = ""
    preceding_invoice_id: str = ""
    remittance_reference: str = ""
    instalments: tuple[Instalment, ...] = ()
    recorded_at: Recorded = None
    voided_on: date | None = None


@dataclass(frozen=True, slots=True)
class CreditNote:
    credit_note_id: str
    debtor_id: str
    issue_date: date
    amount: Money
    preceding_invoice_id: str = ""
    recorded_at: Recorded = None
    voided_on: date | None = None


@dataclass(frozen=True, slots=True)
class Payment:
    payment_id: str
    debtor_id: str
    booking_date: date
    amount: Money
    value_date: date | None = None
    method: str = ""
    bank_reference: str = ""
    remittance_reference: str = ""
    recorded_at: Recorded = None
    reversed_on: date | None = None
    reversal_reason: str = ""


@dataclass(frozen=True, slots=True)
class Allocation:
    """amount and discount are in the invoice's currency."""

    allocation_id: str
    source_kind: AllocationSource
    source_id: str
    invoice_id: str
    amount: Money
    on: date
    discount: Money | None = None
    instalment_no: int = 0
    recorded_at: Recorded = None
    removed_on: date | None = None


@dataclass(frozen=True, slots=True)
class WriteOff:
    write_off_id: str
    invoice_id: str
    amount: Money
    on: date
    reason: WriteOffReason
    recorded_at: Recorded = None


@dataclass(frozen=True, slots=True)
class Dispute:
    """amount None = the whole invoice."""

    invoice_id: str
    opened_on: date
    resolved_on: date | None = None
    amount: Money | None = None
    reason: str = ""
    recorded_at: Recorded = None


@dataclass(frozen=True, slots=True)
class LedgerRecords:
    """A whole export in memory."""

    parties: list[Party] = field(default_factory=list)
    invoices: list[Invoice] = field(default_factory=list)
    credit_notes: list[CreditNote] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    allocations: list[Allocation] = field(default_factory=list)
    write_offs: list[WriteOff] = field(default_factory=list)
    disputes: list[Dispute] = field(default_factory=list)

    def known_before(self, day: date, zone: ZoneInfo) -> LedgerRecords:
        """What was known before `day` (of `zone`): rows recorded before it; what was undone later is not undone."""
        return LedgerRecords(
            parties=list(self.parties),
            invoices=[
                replace(row, voided_on=_before(row.voided_on, day))
                for row in self.invoices
                if _known(row.recorded_at, zone, row.issue_date) < day
            ],
            credit_notes=[
                replace(row, voided_on=_before(row.voided_on, day))
                for row in self.credit_notes
                if _known(row.recorded_at, zone, row.issue_date) < day
            ],
            payments=[
                replace(row, reversed_on=_before(row.reversed_on, day))
                for row in self.payments
                if _known(row.recorded_at, zone, row.booking_date) < day
            ],
            allocations=[
                replace(row, removed_on=_before(row.removed_on, day))
                for row in self.allocations
                if _known(row.recorded_at, zone, row.on) < day
            ],
            write_offs=[row for row in self.write_offs if _known(row.recorded_at, zone, row.on) < day],
            disputes=[
                replace(row, resolved_on=_before(row.resolved_on, day))
                for row in self.disputes
                if _known(row.recorded_at, zone, row.opened_on) < day
            ],
        )


def _known(recorded: Recorded, zone: ZoneInfo, own: date) -> date:
    if recorded is None:
        return own
    return recorded.astimezone(zone).date() if isinstance(recorded, datetime) else recorded


def _before(on: date | None, day: date) -> date | None:
    return on if on is not None and on < day else None
