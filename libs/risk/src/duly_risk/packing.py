"""Closed invoices leave the open book: the newest are packed, older ones become counts.

Hardly any event touches a closed invoice, yet a charge-back may re-open one. So the newest 64 to 80 are kept as bytes
beside the few figures that features need of them. A fact that names one of them, or a payment of theirs, unpacks them
all, changes the records and packs again what is still closed; every other fact leaves them alone. An invoice that
closes is put in its place; `packed` gives the same bytes for the same records by the long way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from duly_risk.archiving import archived, clipped_days_to_pay, clipped_delay, with_billed
from duly_risk.balances import allocated_sources, counts, settle
from duly_risk.digests import digest, holds
from duly_risk.state import Closed, Closing, DebtorState, Invoice, Settlement, Source, replaced
from duly_risk.wire import closed_bytes, closed_from, with_closed_inserted

CLOSED_KEPT = 64
# Above this the oldest become counts, down to CLOSED_KEPT: not at every payment.
CLOSED_MAX = 80
_NAMED_BYTES = 4

_Row = tuple[tuple[int, int, str], Invoice, Settlement]


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
    return state._replace(
        invoices={**state.invoices, **{invoice.invoice_id: invoice for invoice in invoices}},
        sources=everything,
        closed=Closed(),
    )


def packed(state: DebtorState) -> DebtorState:
    """An unpacked state with its closed invoices packed, and the payments that only they have used up."""
    rows = sorted(_closed_rows(state.invoices.values(), state.sources), key=_key)
    if len(rows) > CLOSED_MAX:
        state = archived(state, [(invoice, settlement) for _, invoice, settlement in rows[:-CLOSED_KEPT]])
        rows = rows[-CLOSED_KEPT:]
    closed_ids = {invoice.invoice_id for _, invoice, _ in rows}
    live = {invoice_id: one for invoice_id, one in state.invoices.items() if invoice_id not in closed_ids}
    settled: dict[str, int] = {}
    last_user: dict[str, int] = {}
    for index, (_, invoice, _) in enumerate(rows):
        for allocation in invoice.allocations:
            last_user[allocation.source_id] = index
        _add_settled(settled, invoice, state.sources)
    in_live = allocated_sources(live.values())
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
    return state._replace(invoices=live, sources=sources, closed=closed)


def with_closed_packed(state: DebtorState, candidates: Iterable[Invoice]) -> DebtorState:
    """A state of which at most the candidates among the open invoices have closed since it was packed."""
    rows = _closed_rows(candidates, state.sources)
    if not rows:
        return state
    if len(rows) > 1 or state.closed.count >= CLOSED_MAX:
        return packed(unpacked(state))
    return _with_one_packed(state, rows[0])


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
    in_live = allocated_sources(live.values())
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
    return state._replace(invoices=live, sources=sources, closed=closed)


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
        billed = with_billed(billed, invoice)
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
        billed=with_billed(closed.billed, invoice) if counted else closed.billed,
    )


def _ids_in(invoice: Invoice) -> list[str]:
    return [invoice.invoice_id, *sorted({allocation.source_id for allocation in invoice.allocations})]
