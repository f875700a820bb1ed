"""What a debtor owes as the fold of `ledger-events` shows it, and what of it may be claimed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date

from duly_policy import DebtView

from gateway.domain.contact import Amounts


@dataclass(frozen=True, slots=True)
class InvoicePosition:
    """One open invoice. disputed_minor: the disputed part, at most open_minor (I12)."""

    invoice_id: str
    number: str
    due_date: date
    currency: str
    total_minor: int
    open_minor: int
    disputed_minor: int


@dataclass(frozen=True, slots=True)
class Claim:
    """One requested invoice with the part that may be asked for: open - disputed - its share of unapplied cash."""

    position: InvoicePosition
    claimable_minor: int


def claims(
    positions: Collection[InvoicePosition],
    unapplied: Mapping[str, int],
    invoice_ids: Collection[str],
    business_date: date,
) -> tuple[Claim, ...]:
    """Claims of the requested invoices, oldest due date first; of one that is not overdue on `business_date`, nothing.

    Cash that is not put against an invoice yet (minor units by currency) covers the debtor's oldest invoices first,
    requested or not: money that is in the house is never asked for again.
    """
    rest = dict(unapplied)
    found = []
    for position in sorted(positions, key=lambda p: (p.due_date, p.invoice_id)):
        undisputed = max(0, position.open_minor - position.disputed_minor)
        covered = min(undisputed, rest.get(position.currency, 0))
        rest[position.currency] = rest.get(position.currency, 0) - covered
        if position.invoice_id in invoice_ids:
            overdue = position.due_date < business_date  # it may have been revised since the contact was planned
            found.append(Claim(position, undisputed - covered if overdue else 0))
    return tuple(found)


def debt_views(of: Collection[Claim]) -> tuple[DebtView, ...]:
    """The claims as the gate sees them."""
    return tuple(
        DebtView(
            invoice_id=claim.position.invoice_id,
            currency=claim.position.currency,
            open_minor=claim.position.open_minor,
            claimable_minor=claim.claimable_minor,
            disputed=claim.position.disputed_minor > 0,
            due_date=claim.position.due_date,
        )
        for claim in of
    )


def totals(of: Collection[Claim]) -> Amounts:
    """Claimable sums by currency; currencies with nothing to claim are left out."""
    sums: dict[str, int] = {}
    for claim in of:
        sums[claim.position.currency] = sums.get(claim.position.currency, 0) + claim.claimable_minor
    return tuple(sorted((currency, amount) for currency, amount in sums.items() if amount > 0))
