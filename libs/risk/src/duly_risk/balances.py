"""Balances from kept records: what an invoice still owes, how and when it closed, what a payment has left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from duly_risk.state import Allocation, Closing, DebtorState, Invoice, Settlement, Source


def counts(allocation: Allocation, sources: Mapping[str, Source]) -> bool:
    """Whether an allocation lowers its invoice: applied, not removed, and its payment or credit note stands."""
    if not allocation.applied or allocation.removed:
        return False
    source = sources.get(allocation.source_id)
    return source is None or source.stands


def allocated_sources(invoices: Iterable[Invoice]) -> set[str]:
    """Payments and credit notes that invoices refer to, whether or not they stand."""
    return {allocation.source_id for invoice in invoices for allocation in invoice.allocations}


def settle(invoice: Invoice, sources: Mapping[str, Source]) -> Settlement:
    """Where an invoice stands. An invoice of which only allocations are known is neither open nor closed."""
    if not invoice.known:
        return _PENDING
    if invoice.undisturbed is not None and not invoice.allocations:
        return invoice.undisturbed
    for allocation in invoice.allocations:
        source = sources.get(allocation.source_id)
        if source is not None and (source.voided or source.reversals):
            return _settled(invoice, [one for one in invoice.allocations if counts(one, sources)])
    if invoice.undisturbed is None:
        settlement = _settled(invoice, [one for one in invoice.allocations if one.applied and not one.removed])
        # A memo on a frozen value: a book settles the same closed invoices again with every event.
        object.__setattr__(invoice, "undisturbed", settlement)
        return settlement
    return invoice.undisturbed


_PENDING = Settlement(0)


def _settled(invoice: Invoice, standing: list[Allocation]) -> Settlement:
    if invoice.voided:
        return Settlement(0, Closing.VOIDED, invoice.voided_day)
    if invoice.total_minor > 0 and not standing and not invoice.write_offs:
        return Settlement(invoice.total_minor)  # most of an open book
    lowered = [(a.on_day, a.allocation_id, a.amount_minor + a.discount_minor) for a in standing]
    lowered += [(off.on_day, off.write_off_id, off.amount_minor) for off in invoice.write_offs]
    open_minor = invoice.total_minor - sum(amount for _, _, amount in lowered)
    if open_minor > 0:
        return Settlement(open_minor)
    return Settlement(0, _closing(invoice, standing), _closed_day(invoice, lowered))


def _closing(invoice: Invoice, standing: list[Allocation]) -> Closing:
    if any(off.loss for off in invoice.write_offs):
        return Closing.WRITTEN_OFF
    if any(not allocation.credit_note and allocation.amount_minor > 0 for allocation in standing):
        return Closing.PAID
    return Closing.CREDITED if standing or not invoice.write_offs else Closing.WRITTEN_OFF


def _closed_day(invoice: Invoice, lowered: list[tuple[int, str, int]]) -> int:
    """The day on which the invoice reached zero, in the order of the facts' own dates."""
    rest = invoice.total_minor
    for on_day, _, amount in sorted(lowered):
        rest -= amount
        if rest <= 0:
            return on_day
    return invoice.issue_day


def disputed_minor(invoice: Invoice, open_minor: int) -> int:
    """The disputed part of what is open (I12)."""
    return 0 if invoice.dispute_resolved else min(invoice.disputed_minor, open_minor)


def unapplied_minor(state: DebtorState) -> dict[str, int]:
    """Money and credit received and not put against an invoice, by currency; never below 0 per payment."""
    rest = {source_id: source.amount_minor - source.reversed_minor - source.archived_minor - source.settled_minor
            for source_id, source in state.sources.items() if source.known and source.stands}  # fmt: skip
    for invoice in state.invoices.values():
        for allocation in invoice.allocations:
            if allocation.source_id in rest and counts(allocation, state.sources):
                rest[allocation.source_id] -= allocation.amount_minor
    totals = dict(state.archive.unapplied)
    for source_id, amount in rest.items():
        if amount > 0:
            currency = state.sources[source_id].currency
            totals[currency] = totals.get(currency, 0) + amount
    return totals
