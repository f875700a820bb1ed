"""Closed invoices leave the open book: the newest are packed, older ones become counts.

Hardly any event touches a closed invoice, yet a charge-back may re-open one. So the newest 64 to 80 are kept as bytes
beside the few figures that features need of them. A fact that names one of them, or a payment of theirs, unpacks them
all, changes the records and packs again what is still closed; every other fact leaves them alone. An invoice that
closes is added at the end; `packed` gives the same bytes for the same records by the long way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from duly_risk.balances import counts, settle, unapplied_minor
from duly_risk.digests import digest, holds
from duly_risk.state import Archive, Closed, Closing, DebtorState, Invoice, Settlement, Source, replaced
from duly_risk.wire import closed_bytes, closed_from

CLOSED_KEPT = 64
# Above this the oldest become counts, down to CLOSED_KEPT: not at every payment.
CLOSED_MAX = 80
DELAY_MIN, DELAY_MAX = -60, 120
DAYS_TO_PAY_MAX = 365
SOURCES_KEPT = 512
PENDING_KEPT = 256
DIGESTS_KEPT = 4096
_ARCHIVED_BYTES = 8
_NAMED_BYTES = 4

_Row = tuple[tuple[int, int, str], Invoice, Settlement]


def clipped_delay(paid_day: int, due_day: int) -> int:
    """paid - due in days, clipped to -60..120."""
    return max(DELAY_MIN, min(DELAY_MAX, paid_day - due_day))


def clipped_days_to_pay(paid_day: int, issue_day: int) -> int:
    """paid - issue in days, clipped to 0..365."""
    return max(0, min(DAYS_TO_PAY_MAX, paid_day - issue_day))


def is_archived(archive: Archive, invoice_id: str) -> bool:
    """Whether an invoice closed so long ago that only counts are left of it (the newest 4,096 of them are known)."""
    return holds(archive.invoice_digests, digest(invoice_id, _ARCHIVED_BYTES))


def names(closed: Closed, some_id: str) -> bool:
    """Whether a packed invoice may have this id, or an allocation from this payment: never a wrong no, and one wrong
    yes in millions, which costs an unpacking and changes nothing."""
    return holds(closed.named, digest(some_id, _NAMED_BYTES))


def unpacked(state: DebtorState) -> DebtorState:
    """The state with all kept records in `invoices` and `sources`."""
    if not state.closed.count:
        return state
    invoices, sources = closed_from(state.closed.packed)
    everything = {source.source_id: replaced(source, settled_minor=0) for source in state.sources.values()}
    everything |= {source.source_id: source for source in sources}
    return replaced(
        state,
        invoices={**state.invoices, **{invoice.invoice_id: invoice for invoice in invoices}},
        sources=everything,
        closed=Closed(),
    )


def packed(state: DebtorState) -> DebtorState:
    """An unpacked state with its closed invoices packed, and the payments that only they have used up."""
    rows = sorted(_closed_rows(state.invoices.values(), state.sources), key=_key)
    if len(rows) > CLOSED_MAX:
        state = _archived(state, rows[:-CLOSED_KEPT])
        rows = rows[-CLOSED_KEPT:]
    closed_ids = {invoice.invoice_id for _, invoice, _ in rows}
    live = {invoice_id: one for invoice_id, one in state.invoices.items() if invoice_id not in closed_ids}
    settled: dict[str, int] = {}
    last_user: dict[str, int] = {}
    for index, (_, invoice, _) in enumerate(rows):
        for allocation in invoice.allocations:
            last_user[allocation.source_id] = index
        _add_settled(settled, invoice, state.sources)
    in_live = _allocated_sources(live.values())
    beside: list[list[Source]] = [[] for _ in rows]
    sources: dict[str, Source] = {}
    for source_id, source in state.sources.items():
        used = settled.get(source_id, 0)
        if source_id in last_user and source_id not in in_live and _is_spent(source, used):
            beside[last_user[source_id]].append(source)
        else:
            sources[source_id] = _with_settled(source, used)
    closed = Closed()
    for (_, invoice, settlement), used_up in zip(rows, beside, strict=True):
        closed = _added(closed, invoice, settlement, used_up)
    return replaced(state, invoices=live, sources=sources, closed=closed)


def with_closed_packed(state: DebtorState, candidates: Iterable[Invoice]) -> DebtorState:
    """A state of which at most the candidates among the open invoices have closed since it was packed."""
    rows = _closed_rows(candidates, state.sources)
    if not rows:
        return state
    [first, *more] = rows
    if more or first[0] <= state.closed.last or state.closed.count >= CLOSED_MAX:
        return packed(unpacked(state))
    return _with_one_packed(state, first[1], first[2])


def bounded(state: DebtorState) -> DebtorState:
    """The state with at most 256 invoices that were never stated, and 512 payments that are not used up."""
    if len(state.invoices) > PENDING_KEPT:
        state = _drop_pending(state)
    if len(state.sources) > SOURCES_KEPT:
        state = _drop_oldest_sources(state)
    return state


def _key(row: _Row) -> tuple[int, int, str]:
    return row[0]


def _closed_rows(invoices: Iterable[Invoice], sources: Mapping[str, Source]) -> list[_Row]:
    rows: list[_Row] = []
    for invoice in invoices:
        settlement = settle(invoice, sources)
        if settlement.closing is not None:
            rows.append(((settlement.closed_day, invoice.issue_day, invoice.invoice_id), invoice, settlement))
    return rows


def _with_one_packed(state: DebtorState, invoice: Invoice, settlement: Settlement) -> DebtorState:
    """`packed` for one invoice that comes after all packed ones."""
    live = {invoice_id: one for invoice_id, one in state.invoices.items() if invoice_id != invoice.invoice_id}
    settled: dict[str, int] = {}
    _add_settled(settled, invoice, state.sources)
    in_live = _allocated_sources(live.values())
    sources, used_up = dict(state.sources), []
    for source_id in {allocation.source_id for allocation in invoice.allocations} & sources.keys():
        source = sources[source_id]
        used = source.settled_minor + settled.get(source_id, 0)
        if source_id not in in_live and _is_spent(source, used):
            used_up.append(replaced(source, settled_minor=0))
            del sources[source_id]
        else:
            sources[source_id] = _with_settled(source, used)
    closed = _added(state.closed, invoice, settlement, used_up)
    return replaced(state, invoices=live, sources=sources, closed=closed)


def _add_settled(settled: dict[str, int], invoice: Invoice, sources: Mapping[str, Source]) -> None:
    for allocation in invoice.allocations:
        if counts(allocation, sources):
            settled[allocation.source_id] = settled.get(allocation.source_id, 0) + allocation.amount_minor


def _is_spent(source: Source, settled_minor: int) -> bool:
    undisturbed = source.known and not source.voided and not source.reversals
    return undisturbed and source.amount_minor <= source.archived_minor + settled_minor


def _with_settled(source: Source, settled_minor: int) -> Source:
    return source if source.settled_minor == settled_minor else replaced(source, settled_minor=settled_minor)


def _added(closed: Closed, invoice: Invoice, settlement: Settlement, used_up: Sequence[Source]) -> Closed:
    day = settlement.closed_day
    by_id = sorted(used_up, key=lambda source: source.source_id)
    closed = replaced(
        closed,
        packed=closed.packed + closed_bytes(invoice, day, by_id),
        named=closed.named + b"".join(digest(one, _NAMED_BYTES) for one in _ids_in(invoice)),
        count=closed.count + 1,
        last=(day, invoice.issue_day, invoice.invoice_id),
    )
    if settlement.closing is Closing.VOIDED:
        return closed
    closed = replaced(
        closed,
        invoices=closed.invoices + 1,
        first_issue_day=min(closed.first_issue_day or invoice.issue_day, invoice.issue_day),
        last_issue_day=max(closed.last_issue_day, invoice.issue_day),
        billed=_billed(closed.billed, invoice),
    )
    if settlement.closing is not Closing.PAID:
        return closed
    return replaced(
        closed,
        delays=(*closed.delays, clipped_delay(day, invoice.due_day)),
        days_to_pay_sum=closed.days_to_pay_sum + clipped_days_to_pay(day, invoice.issue_day),
        last_paid_day=max(closed.last_paid_day, day),
    )


def _ids_in(invoice: Invoice) -> list[str]:
    return [invoice.invoice_id, *sorted({allocation.source_id for allocation in invoice.allocations})]


def _billed(billed: Mapping[str, tuple[int, int]], invoice: Invoice) -> dict[str, tuple[int, int]]:
    minor, count = billed.get(invoice.currency, (0, 0))
    return {**billed, invoice.currency: (minor + invoice.total_minor, count + 1)}


def _archived(state: DebtorState, leaving: Sequence[_Row]) -> DebtorState:
    """An unpacked state without some closed invoices: counts are left of them."""
    archive, sources, invoices = state.archive, dict(state.sources), dict(state.invoices)
    for _, invoice, settlement in leaving:
        del invoices[invoice.invoice_id]
        archive = _counted(archive, invoice, settlement)
        for allocation in invoice.allocations:
            source = sources.get(allocation.source_id)
            if source is not None and counts(allocation, sources):
                used = source.archived_minor + allocation.amount_minor
                sources[source.source_id] = replaced(source, archived_minor=used)
    in_use = _allocated_sources(invoices.values())
    kept = {
        source_id: source
        for source_id, source in sources.items()
        # Payments that are used up and that no kept invoice refers to are not needed any more.
        if source_id in in_use
        or not source.known
        or source.amount_minor > source.reversed_minor + source.archived_minor
    }
    return replaced(state, invoices=invoices, sources=kept, archive=archive)


def _counted(archive: Archive, invoice: Invoice, settlement: Settlement) -> Archive:
    digests = (archive.invoice_digests + digest(invoice.invoice_id, _ARCHIVED_BYTES))[-DIGESTS_KEPT * _ARCHIVED_BYTES :]
    if settlement.closing is Closing.VOIDED:
        return replaced(archive, invoice_digests=digests)
    archive = replaced(
        archive,
        invoice_digests=digests,
        invoices=archive.invoices + 1,
        first_issue_day=min(archive.first_issue_day or invoice.issue_day, invoice.issue_day),
        last_issue_day=max(archive.last_issue_day, invoice.issue_day),
        billed=_billed(archive.billed, invoice),
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


def _allocated_sources(invoices: Iterable[Invoice]) -> set[str]:
    return {allocation.source_id for invoice in invoices for allocation in invoice.allocations}


def _drop_oldest_sources(state: DebtorState) -> DebtorState:
    """Beyond 512 payments the oldest ones in no kept invoice leave; their rest stays unapplied in the archive."""
    in_use = _allocated_sources(state.invoices.values())
    free = sorted(
        (source.day, source.source_id)
        for source in state.sources.values()
        if source.source_id not in in_use and not names(state.closed, source.source_id)
    )
    leaving = {source_id for _, source_id in free[: len(state.sources) - SOURCES_KEPT]}
    staying = {source_id: source for source_id, source in state.sources.items() if source_id not in leaving}
    rest = unapplied_minor(
        replaced(state, sources={source_id: state.sources[source_id] for source_id in leaving}, invoices={})
    )
    return replaced(state, sources=staying, archive=replaced(state.archive, unapplied=rest))


def _drop_pending(state: DebtorState) -> DebtorState:
    pending = sorted(invoice.invoice_id for invoice in state.invoices.values() if not invoice.known)
    if len(pending) <= PENDING_KEPT:
        return state
    leaving = set(pending[:-PENDING_KEPT])
    invoices = {invoice_id: invoice for invoice_id, invoice in state.invoices.items() if invoice_id not in leaving}
    return replaced(state, invoices=invoices)
