"""Keeps a blob bounded: closed invoices beyond the newest 64 become counts, spent payments leave."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

from duly_risk.balances import counts, settle, unapplied_minor
from duly_risk.state import CLOSED_KEPT, Archive, Closing, DebtorState, Invoice, Settlement, Source

DELAY_MIN, DELAY_MAX = -60, 120
DAYS_TO_PAY_MAX = 365
SOURCES_KEPT = 512
PENDING_KEPT = 256
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
    digest = _digest(invoice_id)
    at = archive.invoice_digests.find(digest)
    while at >= 0 and at % _DIGEST_BYTES:
        at = archive.invoice_digests.find(digest, at + 1)
    return at >= 0


def trimmed(state: DebtorState) -> DebtorState:
    """The state within its bounds: closed invoices, spent payments and pending records beyond them leave."""
    if len(state.invoices) > CLOSED_KEPT:
        state = _archive_closed(state)
        state = _drop_pending(state)
    if len(state.sources) > SOURCES_KEPT:
        state = _drop_oldest_sources(state)
    return state


def _archive_closed(state: DebtorState) -> DebtorState:
    closed: list[tuple[int, int, str, Settlement]] = []
    for invoice in state.invoices.values():
        settlement = settle(invoice, state.sources)
        if settlement.closing is not None:
            closed.append((settlement.closed_day, invoice.issue_day, invoice.invoice_id, settlement))
    if len(closed) <= CLOSED_KEPT:
        return state
    closed.sort(key=lambda row: row[:3])
    archive, sources, invoices = state.archive, dict(state.sources), dict(state.invoices)
    for _, _, invoice_id, settlement in closed[:-CLOSED_KEPT]:
        invoice = invoices.pop(invoice_id)
        archive = _counted(archive, invoice, settlement)
        for allocation in invoice.allocations:
            source = sources.get(allocation.source_id)
            if source is not None and counts(allocation, sources):
                used = source.archived_minor + allocation.amount_minor
                sources[source.source_id] = replace(source, archived_minor=used)
    kept = _without_spent(sources, _allocated_sources(invoices))
    return replace(state, invoices=invoices, sources=kept, archive=archive)


def _counted(archive: Archive, invoice: Invoice, settlement: Settlement) -> Archive:
    digests = (archive.invoice_digests + _digest(invoice.invoice_id))[-DIGESTS_KEPT * _DIGEST_BYTES :]
    if settlement.closing is Closing.VOIDED:
        return replace(archive, invoice_digests=digests)
    minor, count = archive.billed.get(invoice.currency, (0, 0))
    archive = replace(
        archive,
        invoice_digests=digests,
        invoices=archive.invoices + 1,
        first_issue_day=min(archive.first_issue_day or invoice.issue_day, invoice.issue_day),
        last_issue_day=max(archive.last_issue_day, invoice.issue_day),
        billed={**archive.billed, invoice.currency: (minor + invoice.total_minor, count + 1)},
    )
    if settlement.closing is not Closing.PAID:
        return archive
    delay = clipped_delay(settlement.closed_day, invoice.due_day)
    return replace(
        archive,
        delays={**archive.delays, delay: archive.delays.get(delay, 0) + 1},
        days_to_pay_sum=archive.days_to_pay_sum + clipped_days_to_pay(settlement.closed_day, invoice.issue_day),
        last_paid_day=max(archive.last_paid_day, settlement.closed_day),
    )


def _allocated_sources(invoices: Mapping[str, Invoice]) -> set[str]:
    return {allocation.source_id for invoice in invoices.values() for allocation in invoice.allocations}


def _without_spent(sources: Mapping[str, Source], in_use: set[str]) -> dict[str, Source]:
    """Payments that are used up and that no kept invoice refers to are not needed any more."""
    return {
        source_id: source
        for source_id, source in sources.items()
        if source_id in in_use
        or not source.known
        or source.amount_minor > source.reversed_minor + source.archived_minor
    }


def _drop_oldest_sources(state: DebtorState) -> DebtorState:
    """Beyond 512 payments the oldest ones in no kept invoice leave; their rest stays unapplied in the archive."""
    in_use = _allocated_sources(state.invoices)
    free = sorted((s.day, s.source_id) for s in state.sources.values() if s.source_id not in in_use)
    leaving = {source_id for _, source_id in free[: len(state.sources) - SOURCES_KEPT]}
    staying = {source_id: source for source_id, source in state.sources.items() if source_id not in leaving}
    rest = unapplied_minor(
        replace(state, sources={source_id: state.sources[source_id] for source_id in leaving}, invoices={})
    )
    return replace(state, sources=staying, archive=replace(state.archive, unapplied=rest))


def _drop_pending(state: DebtorState) -> DebtorState:
    pending = sorted(invoice.invoice_id for invoice in state.invoices.values() if not invoice.known)
    if len(pending) <= PENDING_KEPT:
        return state
    leaving = set(pending[:-PENDING_KEPT])
    invoices = {invoice_id: invoice for invoice_id, invoice in state.invoices.items() if invoice_id not in leaving}
    return replace(state, invoices=invoices)


def _digest(invoice_id: str) -> bytes:
    return hashlib.blake2b(invoice_id.encode(), digest_size=_DIGEST_BYTES).digest()
