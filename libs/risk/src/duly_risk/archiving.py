"""What is left of an invoice that closed long ago: counts, and a digest that knows it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from duly_risk.balances import allocated_sources, counts
from duly_risk.digests import digest, holds
from duly_risk.state import Archive, Closing, DebtorState, Invoice, Settlement, replaced

DELAY_MIN, DELAY_MAX = -60, 120
DAYS_TO_PAY_MAX = 365
DIGESTS_KEPT = 4096
_DIGEST_BYTES = 8


def clipped_delay(paid_day: int, due_day: int) -> int:
    """paid - due in days, clipped to -60..120."""
    return max(DELAY_MIN, min(DELAY_MAX, paid_day - due_day))


def clipped_days_to_pay(paid_day: int, issue_day: int) -> int:
    """paid - issue in days, clipped to 0..365."""
    return max(0, min(DAYS_TO_PAY_MAX, paid_day - issue_day))


def is_archived(archive: Archive, invoice_id: str) -> bool:
    """Whether an invoice closed so long ago that only counts are left of it (the newest 4,096 of them are known)."""
    return holds(archive.invoice_digests, digest(invoice_id, _DIGEST_BYTES))


def archived(state: DebtorState, leaving: Sequence[tuple[Invoice, Settlement]]) -> DebtorState:
    """An unpacked state without some closed invoices: counts are left of them."""
    archive, sources, invoices = state.archive, dict(state.sources), dict(state.invoices)
    for invoice, settlement in leaving:
        del invoices[invoice.invoice_id]
        archive = _counted(archive, invoice, settlement)
        for allocation in invoice.allocations:
            source = sources.get(allocation.source_id)
            if source is not None and counts(allocation, sources):
                used = source.archived_minor + allocation.amount_minor
                sources[source.source_id] = replaced(source, archived_minor=used)
    in_use = allocated_sources(invoices.values())
    kept = {
        source_id: source
        for source_id, source in sources.items()
        # Payments that are used up and that no kept invoice refers to are not needed any more.
        if source_id in in_use
        or not source.known
        or source.amount_minor > source.reversed_minor + source.archived_minor
    }
    return state._replace(invoices=invoices, sources=kept, archive=archive)


def _counted(archive: Archive, invoice: Invoice, settlement: Settlement) -> Archive:
    digests = (archive.invoice_digests + digest(invoice.invoice_id, _DIGEST_BYTES))[-DIGESTS_KEPT * _DIGEST_BYTES :]
    if settlement.closing is Closing.VOIDED:
        return replaced(archive, invoice_digests=digests)
    archive = replaced(
        archive,
        invoice_digests=digests,
        invoices=archive.invoices + 1,
        first_issue_day=min(archive.first_issue_day or invoice.issue_day, invoice.issue_day),
        last_issue_day=max(archive.last_issue_day, invoice.issue_day),
        billed=with_billed(archive.billed, invoice),
    )
    if settlement.closing is not Closing.PAID:
        return archive
    delay = clipped_delay(settlement.closed_day, invoice.due_day)
    return replaced(
        archive,
        delays={**archive.delays, delay: archive.delays.get(delay, 0) + 1},
        days_to_pay_sum=archive.days_to_pay_sum + clipped_days_to_pay(settlement.closed_day, invoice.issue_day),
        last_paid_day=max(archive.last_paid_day, settlement.closed_day),
    )


def with_billed(billed: Mapping[str, tuple[int, int]], invoice: Invoice) -> dict[str, tuple[int, int]]:
    """(minor units, invoices) by currency, with one more."""
    minor, count = billed.get(invoice.currency, (0, 0))
    return {**billed, invoice.currency: (minor + invoice.total_minor, count + 1)}
