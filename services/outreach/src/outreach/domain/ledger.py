"""The debtor's ledger as outreach needs it: a pure, idempotent fold of facts into invoices and payments.

Each fact may come twice and in any order (I3); versions decide, a removal and a void stand for good.
Money is in minor units of the record's own currency.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

_INSTANT = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True, slots=True)
class Allocation:
    """Part of a payment or credit note put against an invoice. Counts while applied, not removed, and paid for."""

    source_id: str = ""
    amount_minor: int = 0
    discount_minor: int = 0
    credit_note: bool = False
    applied: bool = False
    removed: bool = False
    source_stands: bool = True

    @property
    def uses_source(self) -> bool:
        return self.applied and not self.removed

    @property
    def counts(self) -> bool:
        return self.uses_source and self.source_stands


@dataclass(frozen=True, slots=True)
class WriteOff:
    """loss: money given up, as opposed to a tolerated small difference."""

    amount_minor: int
    loss: bool


@dataclass(frozen=True, slots=True)
class Invoice:
    """known: False while only other facts about it have come; then nothing is open.

    step_sent: highest ladder step that was really sent; step_handed: highest that was given to a person.
    overdue_since: business date on which `invoice.overdue` was said; None = not said since it was last open.
    """

    invoice_id: str
    known: bool = False
    due_date: date | None = None
    currency: str = ""
    total_minor: int = 0
    source_version: str = ""
    voided: bool = False
    disputed_minor: int = 0
    dispute_on: str = ""
    dispute_version: str = ""
    dispute_resolved: bool = False
    allocations: Mapping[str, Allocation] = field(default_factory=dict)
    write_offs: Mapping[str, WriteOff] = field(default_factory=dict)
    step_sent: int = 0
    step_handed: int = 0
    overdue_since: date | None = None

    @property
    def open_minor(self) -> int:
        """total - standing allocations - write-offs, never below 0 (I1)."""
        if not self.known or self.voided:
            return 0
        lowered = sum(a.amount_minor + a.discount_minor for a in self.allocations.values() if a.counts)
        lowered += sum(off.amount_minor for off in self.write_offs.values())
        return max(0, self.total_minor - lowered)

    @property
    def disputed_open_minor(self) -> int:
        """The disputed part of what is open (I12)."""
        return 0 if self.dispute_resolved else min(self.disputed_minor, self.open_minor)

    @property
    def is_paid(self) -> bool:
        """Closed by money: not by a void, a loss or a credit note alone."""
        if not self.known or self.voided or self.open_minor > 0:
            return False
        if any(off.loss for off in self.write_offs.values()):
            return False
        return any(a.counts and not a.credit_note and a.amount_minor > 0 for a in self.allocations.values())


@dataclass(frozen=True, slots=True)
class Source:
    """A payment or a credit note. used_minor: what standing allocations take from it."""

    source_id: str
    known: bool = False
    currency: str = ""
    amount_minor: int = 0
    voided: bool = False
    reversals: Mapping[str, int] = field(default_factory=dict)
    used_minor: int = 0

    @property
    def stands(self) -> bool:
        """Its allocations count: not voided and not wholly reversed."""
        reversed_minor = sum(self.reversals.values())
        return not self.voided and not (self.known and reversed_minor > 0 and reversed_minor >= self.amount_minor)

    @property
    def unapplied_minor(self) -> int:
        """amount - reversed - used, never below 0 (I2)."""
        if not self.known or not self.stands:
            return 0
        return max(0, self.amount_minor - sum(self.reversals.values()) - self.used_minor)


def is_older(version: str, than: str) -> bool:
    """Whether a source version is older than another. Counters and ISO 8601 stamps have an order, a hash has none."""
    if version.isdecimal() and than.isdecimal():
        return int(version) < int(than)
    if _INSTANT.match(version) and _INSTANT.match(than):
        return version < than
    return False


def stated(invoice: Invoice, due_date: date, currency: str, total_minor: int, version: str) -> Invoice:
    """An invoice was issued or revised: its whole new state, unless a newer one is known."""
    if invoice.known and is_older(version, invoice.source_version):
        return invoice
    moved = invoice.known and due_date != invoice.due_date
    return replace(
        invoice,
        known=True,
        due_date=due_date,
        currency=currency,
        total_minor=total_minor,
        source_version=version,
        overdue_since=None if moved else invoice.overdue_since,
    )


def disputed(invoice: Invoice, amount_minor: int, on: str, version: str, resolved: bool) -> Invoice:
    """A dispute was opened or resolved; of two words on it the newer version, then the later day counts."""
    if is_older(version, invoice.dispute_version):
        return invoice
    same_version = not is_older(invoice.dispute_version, version)
    if same_version and (on, resolved) < (invoice.dispute_on, invoice.dispute_resolved):
        return invoice
    return replace(
        invoice, disputed_minor=amount_minor, dispute_on=on, dispute_version=version, dispute_resolved=resolved
    )


def written_off(invoice: Invoice, write_off_id: str, off: WriteOff) -> Invoice:
    return replace(invoice, write_offs={**invoice.write_offs, write_off_id: off})


def with_allocation(invoice: Invoice, allocation_id: str, allocation: Allocation) -> Invoice:
    return replace(invoice, allocations={**invoice.allocations, allocation_id: allocation})


def allocation_of(invoice: Invoice, allocation_id: str) -> Allocation:
    return invoice.allocations.get(allocation_id, Allocation())


def with_source_standing(invoice: Invoice, source_id: str, stands: bool) -> Invoice:
    """A payment or credit note was undone: what it had paid is open again (I4)."""
    allocations = {
        key: replace(a, source_stands=stands) if a.source_id == source_id else a
        for key, a in invoice.allocations.items()
    }
    return replace(invoice, allocations=allocations)
