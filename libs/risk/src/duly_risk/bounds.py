"""How much a state may hold of what no open or kept invoice needs."""

from __future__ import annotations

from duly_risk.balances import allocated_sources, unapplied_minor
from duly_risk.packing import names
from duly_risk.state import DebtorState, replaced

SOURCES_KEPT = 512
PENDING_KEPT = 256


def bounded(state: DebtorState) -> DebtorState:
    """The state with at most 256 invoices that were never stated, and 512 payments that are not used up."""
    if len(state.invoices) > PENDING_KEPT:
        state = _drop_pending(state)
    if len(state.sources) > SOURCES_KEPT:
        state = _drop_oldest_sources(state)
    return state


def _drop_oldest_sources(state: DebtorState) -> DebtorState:
    """Beyond 512 payments the oldest ones in no kept invoice leave; their rest stays unapplied in the archive."""
    in_use = allocated_sources(state.invoices.values())
    free = sorted(
        (source.day, source.source_id)
        for source in state.sources.values()
        if source.source_id not in in_use and not names(state.closed, source.source_id)
    )
    leaving = {source_id for _, source_id in free[: len(state.sources) - SOURCES_KEPT]}
    staying = {source_id: source for source_id, source in state.sources.items() if source_id not in leaving}
    rest = unapplied_minor(
        state._replace(sources={source_id: state.sources[source_id] for source_id in leaving}, invoices={})
    )
    return state._replace(sources=staying, archive=replaced(state.archive, unapplied=rest))


def _drop_pending(state: DebtorState) -> DebtorState:
    pending = sorted(invoice.invoice_id for invoice in state.invoices.values() if not invoice.known)
    if len(pending) <= PENDING_KEPT:
        return state
    leaving = set(pending[:-PENDING_KEPT])
    invoices = {invoice_id: invoice for invoice_id, invoice in state.invoices.items() if invoice_id not in leaving}
    return state._replace(invoices=invoices)
