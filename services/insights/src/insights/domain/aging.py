"""Open amounts by days past due. Buckets of `domain.md` section 5; amounts of two currencies never meet."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date

BUCKETS = ("current", "1-30", "31-60", "61-90", "90+")


@dataclass(frozen=True, slots=True)
class OpenInvoice:
    invoice_id: str
    due_date: date
    currency: str
    open_minor: int


@dataclass(slots=True)
class Aging:
    """One currency, minor units. buckets: by the names of BUCKETS."""

    currency: str
    unapplied_minor: int = 0
    buckets: dict[str, int] = field(default_factory=lambda: dict.fromkeys(BUCKETS, 0))

    @property
    def open_minor(self) -> int:
        return sum(self.buckets.values())


def bucket_of(due_date: date, business_date: date) -> str:
    dpd = (business_date - due_date).days
    if dpd <= 0:
        return "current"
    if dpd <= 30:
        return "1-30"
    if dpd <= 60:
        return "31-60"
    return "61-90" if dpd <= 90 else "90+"


def aging(invoices: Collection[OpenInvoice], unapplied: Mapping[str, int], business_date: date) -> tuple[Aging, ...]:
    """By currency, sorted; a currency appears if anything of it is open or unapplied."""
    found: dict[str, Aging] = {}
    for invoice in invoices:
        row = found.setdefault(invoice.currency, Aging(invoice.currency))
        row.buckets[bucket_of(invoice.due_date, business_date)] += invoice.open_minor
    for currency, minor in unapplied.items():
        found.setdefault(currency, Aging(currency)).unapplied_minor = minor
    return tuple(found[currency] for currency in sorted(found))
