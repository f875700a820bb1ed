"""Closed invoices leave the open book: the newest are packed, older ones become counts.

Hardly any event touches a closed invoice, yet a charge-back may re-open one. So the newest 64 to 80 are kept as bytes
beside the few figures that features need of them. A fact that names one of them, or a payment of theirs, unpacks them
all, changes the records and packs again what is still closed; every other fact leaves them alone. An invoice that
closes is put in its place; `packed` gives the same bytes for the same records by the long way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from duly_risk.balances import counts, settle, unapplied_minor
from duly_risk.digests import digest, holds
from duly_risk.state import Archive, Closed, Closing, DebtorState, Invoice, Settlement, Source, replaced
from duly_risk.wire import closed_bytes, closed_from, with_closed_inserted

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
    for used_up in beside:
        used_up.sort(key=_source_id)
    closed = _closed_of(rows, beside)
    return replaced(state, invoices=live, sources=sources, closed=closed)


def with_closed_packed(state: DebtorState, candidates: Iterable[Invoice]) -> DebtorState:
    """A state of which at most the candidates among the open invoices have closed since it was packed."""
    rows = _closed_rows(candidates, state.sources)
    if not rows:
        return state
    if len(rows) > 1 or state.closed.count >= CLOSED_MAX:
        return packed(unpacked(state))
    return _with_one_packed(state, rows[0])


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


def _with_one_packed(state: DebtorState, row: _Row) -> DebtorState:
    """`packed` for one invoice that has closed, without unpacking the others."""
    invoice = row[1]
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
    used_up.sort(key=_source_id)
    closed = (_appended if row[0] > state.closed.last else _inserted)(state.closed, row, used_up)
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


def _source_id(source: Source) -> str:
    return source.source_id


def _closed_of(rows: Sequence[_Row], used_up: Sequence[Sequence[Source]]) -> Closed:
    """All in their order. used_up: beside each, by id."""
    counted = [row for row in rows if row[2].closing is not Closing.VOIDED]
    paid = [row for row in counted if row[2].closing is Closing.PAID]
    billed: Mapping[str, tuple[int, int]] = {}
    for _, invoice, _ in counted:
        billed = _billed(billed, invoice)
    issued = [invoice.issue_day for _, invoice, _ in counted]
    closed = zip(rows, used_up, strict=True)
    return Closed(
        packed=b"".join(closed_bytes(row[1], row[0][0], row[2].closing is Closing.PAID, used) for row, used in closed),
        named=_sorted_digests(b"", [one for _, invoice, _ in rows for one in _ids_in(invoice)]),
        count=len(rows),
        last=rows[-1][0] if rows else Closed().last,
        delays=tuple(clipped_delay(day, invoice.due_day) for (day, _, _), invoice, _ in paid),
        invoices=len(counted),
        days_to_pay_sum=sum(clipped_days_to_pay(day, issue) for (day, issue, _), _, _ in paid),
        first_issue_day=min(issued, default=0),
        last_issue_day=max(issued, default=0),
        last_paid_day=max((day for (day, _, _), _, _ in paid), default=0),
        billed=billed,
    )


def _sorted_digests(known: bytes, ids: Sequence[str]) -> bytes:
    digests = [known[start : start + _NAMED_BYTES] for start in range(0, len(known), _NAMED_BYTES)]
    digests += [digest(one, _NAMED_BYTES) for one in ids]
    return b"".join(sorted(digests))


def _appended(closed: Closed, row: _Row, used_up: Sequence[Source]) -> Closed:
    """One more, after all others. used_up: by id."""
    key, invoice, settlement = row
    more = closed_bytes(invoice, settlement.closed_day, settlement.closing is Closing.PAID, used_up)
    return _with_figures(closed, row, closed.packed + more, len(closed.delays), key)


def _inserted(closed: Closed, row: _Row, used_up: Sequence[Source]) -> Closed:
    """One more, among the others: a payment that was booked late, or several of a day in no order."""
    _, invoice, settlement = row
    paid = settlement.closing is Closing.PAID
    packed_bytes, at = with_closed_inserted(closed.packed, invoice, settlement.closed_day, paid, used_up)
    return _with_figures(closed, row, packed_bytes, at, closed.last)


def _with_figures(closed: Closed, row: _Row, packed_bytes: bytes, at: int, last: tuple[int, int, str]) -> Closed:
    """at: place of its delay, if it was paid."""
    _, invoice, settlement = row
    day, paid, counted = (
        settlement.closed_day,
        settlement.closing is Closing.PAID,
        settlement.closing is not Closing.VOIDED,
    )
    delay = (clipped_delay(day, invoice.due_day),) if paid else ()
    first = min(closed.first_issue_day or invoice.issue_day, invoice.issue_day) if counted else closed.first_issue_day
    return Closed(
        packed=packed_bytes,
        named=_sorted_digests(closed.named, _ids_in(invoice)),
        count=closed.count + 1,
        last=last,
        delays=(*closed.delays[:at], *delay, *closed.delays[at:]),
        invoices=closed.invoices + counted,
        days_to_pay_sum=closed.days_to_pay_sum + paid * clipped_days_to_pay(day, invoice.issue_day),
        first_issue_day=first,
        last_issue_day=max(closed.last_issue_day, counted * invoice.issue_day),
        last_paid_day=max(closed.last_paid_day, paid * day),
        billed=_billed(closed.billed, invoice) if counted else closed.billed,
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
