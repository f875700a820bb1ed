"""The sub-ledger as ledger-sync's database holds it, in neutral words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class MirrorInvoice:
    """One invoice of the mirror; amounts in minor units."""

    invoice_id: str
    debtor_id: str
    currency: str
    total_minor: int
    open_minor: int
    disputed_minor: int
    allocated_minor: int
    written_off_minor: int
    due_date: str
    voided: bool


@dataclass(frozen=True, slots=True)
class MirrorSource:
    """A payment or credit note of the mirror."""

    source_id: str
    debtor_id: str
    currency: str
    amount_minor: int
    reversed_minor: int
    allocated_minor: int
    unapplied_minor: int
    credit_note: bool


@dataclass(frozen=True)
class Mirror:
    """The whole of it, by id. quarantined: events that were put aside with a reason."""

    invoices: Mapping[str, MirrorInvoice] = field(default_factory=dict)
    sources: Mapping[str, MirrorSource] = field(default_factory=dict)
    quarantined: int = 0
