"""One debtor at one moment: who it is, what the score says, what is open and what of it may be asked for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class ContactPoint:
    """channel: EMAIL or PHONE. The address itself stays in the gateway."""

    contact_point_id: str
    channel: str
    verified: bool


@dataclass(frozen=True, slots=True)
class Score:
    """What scoring said last. ledger_version: offset of the last event behind it; band and role by name."""

    score_id: str
    business_date: date
    role: str
    band: str
    ledger_version: int
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Debtor:
    """address_refused: id of the contact point that a provider refused for good.

    degraded: scoring could not use an event of this debtor; unusable_here: outreach itself could not.
    open_treatments: whether a treatment waits to be sent, so that a fact may have to cancel it.
    """

    tenant: str
    debtor_id: str
    kind: str = "UNKNOWN"
    country: str = ""
    zones: tuple[str, ...] = ()
    party_version: str = ""
    contact_points: tuple[ContactPoint, ...] = ()
    address_refused: str = ""
    stopped: bool = False
    drift: bool = False
    degraded: bool = False
    unusable_here: bool = False
    score: Score | None = None
    open_treatments: bool = False

    def contact_point_for(self, channel: str) -> ContactPoint | None:
        """The first verified point for a ladder channel, else the first one; None where none fits."""
        wanted = "EMAIL" if channel == "EMAIL" else "PHONE"
        fitting = [point for point in self.contact_points if point.channel == wanted]
        return next((point for point in fitting if point.verified), fitting[0] if fitting else None)


@dataclass(frozen=True, slots=True)
class OpenInvoice:
    """An invoice with open > 0. disputed_minor: the disputed part of what is open."""

    invoice_id: str
    due_date: date
    currency: str
    open_minor: int
    disputed_minor: int = 0
    step_sent: int = 0
    step_handed: int = 0
    overdue_since: date | None = None
    case_id: str = ""

    def dpd(self, business_date: date) -> int:
        return (business_date - self.due_date).days


def claimable_minor(invoices: Iterable[OpenInvoice], unapplied: Mapping[str, int]) -> dict[str, int]:
    """Claimable by invoice: open - disputed, unapplied cash of the currency taken off the oldest due first."""
    rest = dict(unapplied)
    claimable: dict[str, int] = {}
    for invoice in sorted(invoices, key=lambda invoice: (invoice.due_date, invoice.invoice_id)):
        asked = invoice.open_minor - invoice.disputed_minor
        covered = min(asked, rest.get(invoice.currency, 0))
        rest[invoice.currency] = rest.get(invoice.currency, 0) - covered
        claimable[invoice.invoice_id] = asked - covered
    return claimable
