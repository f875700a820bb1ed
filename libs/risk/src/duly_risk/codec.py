"""State blobs. With `wire`, `score_codec` and `event_codec`, all that knows the generated stubs here."""

from __future__ import annotations

from collections.abc import Mapping

from duly_contracts.dates import LAST_DATE
from google.protobuf.message import DecodeError

from duly.risk.v1 import state_pb2 as pb
from duly_risk.days import day_of
from duly_risk.degraded import waiting_for
from duly_risk.facts import Position
from duly_risk.packing import packed
from duly_risk.score import Band, Behaviour, Segment, Tier
from duly_risk.state import FORMAT_VERSION, Archive, Closed, DebtorState, Standing, StateUnreadable
from duly_risk.wire import invoice_bytes, invoice_from, source_bytes, source_from


def encode_state(state: DebtorState) -> bytes:
    """The blob of a state: equal states give equal bytes. What an event has left alone is not coded again."""
    invoices, sources = state.invoices, state.sources
    frame = pb.DebtorStateFrame(
        format_version=FORMAT_VERSION,
        business_day=state.business_day,
        tick_day=state.tick_day,
        facts_applied=state.facts_applied,
        invoices=[invoice_bytes(invoices[invoice_id]) for invoice_id in sorted(invoices)],
        sources=[source_bytes(sources[source_id]) for source_id in sorted(sources)],
        archive=_archive_bytes(state.archive),
        recent_facts=state.recent_facts,
        degraded_event_ids=state.degraded_event_ids,
        degraded_earlier=state.degraded_earlier,
        unreadable=state.unreadable,
        closed=_closed_bytes(state.closed),
        earlier_facts=state.earlier_facts,
        week_day=state.week_day,
        packed=state.closed.packed,
    )
    if state.applied is not None:
        frame.applied.partition = state.applied.partition
        frame.applied.offset = state.applied.offset
    standing = state.standing
    frame.standing.band = standing.band  # type: ignore[assignment]  # numbers are those of the contract
    frame.standing.ticks_below[:] = standing.ticks_below
    frame.standing.stepped_down_day = standing.stepped_down_day
    frame.standing.last_score_id = standing.last_score_id
    frame.standing.model_version = standing.model_version
    if standing.segment_day:
        segment = standing.segment
        message = frame.standing.segment
        message.risk_band, message.value_tier, message.behaviour = segment.band, segment.tier, segment.behaviour  # type: ignore[assignment]
        frame.standing.segment_day = standing.segment_day
    return frame.SerializeToString(deterministic=True)


_LAST_DAY = day_of(LAST_DATE)
# Versions that each could not read the one before them, one around the other; more than that nobody has written.
_NESTED_MAX = 8


def decode_state(blob: bytes, nested_max: int = _NESTED_MAX) -> DebtorState:
    """The state of a blob of this format version or the one before. Raises StateUnreadable.

    Bytes that an earlier version could not read, and this one can, are a state again, which waits for all since then.
    nested_max: how many such bytes may lie within each other; what lies deeper stays as it is.
    """
    try:
        frame = pb.DebtorStateFrame.FromString(blob)
        if frame.format_version not in (FORMAT_VERSION, FORMAT_VERSION - 1):
            raise StateUnreadable(
                f"state format {frame.format_version} is not known to this version ({FORMAT_VERSION})"
            )
        state = _state(frame)
    except StateUnreadable:
        raise
    except (DecodeError, ValueError) as error:
        raise StateUnreadable(f"no state blob: {error}") from error
    if state.unreadable:
        return _read_after_all(state, nested_max) if nested_max else state
    # Format 1 kept closed invoices among the others, and facts of all times.
    return state if frame.format_version == FORMAT_VERSION else packed(state._replace(week_day=state.business_day))


def _read_after_all(beside: DebtorState, nested_max: int) -> DebtorState:
    """The state in the unreadable bytes; `beside` itself if they still are."""
    try:
        state = decode_state(beside.unreadable, nested_max - 1)
    except StateUnreadable:
        return beside
    earlier = state.degraded_earlier + beside.degraded_earlier
    state = state._replace(applied=beside.applied, degraded_earlier=earlier)
    for event_id in beside.degraded_event_ids:
        state = waiting_for(state, event_id)
    return state


def _state(frame: pb.DebtorStateFrame) -> DebtorState:
    if not (0 <= frame.business_day <= _LAST_DAY and 0 <= frame.tick_day <= _LAST_DAY):
        raise StateUnreadable(f"days {frame.business_day} and {frame.tick_day} are not in 0..{_LAST_DAY}")
    invoices = map(invoice_from, frame.invoices)
    sources = map(source_from, frame.sources)
    return DebtorState(
        applied=Position(frame.applied.partition, frame.applied.offset) if frame.HasField("applied") else None,
        business_day=frame.business_day,
        tick_day=frame.tick_day,
        facts_applied=frame.facts_applied,
        invoices={invoice.invoice_id: invoice for invoice in invoices},
        sources={source.source_id: source for source in sources},
        closed=_closed(frame.closed, frame.packed),
        archive=_archive(frame.archive),
        recent_facts=frame.recent_facts,
        earlier_facts=frame.earlier_facts,
        week_day=frame.week_day,
        standing=_standing_in(frame.standing),
        degraded_event_ids=tuple(frame.degraded_event_ids),
        degraded_earlier=frame.degraded_earlier,
        unreadable=frame.unreadable,
    )


def _archive_bytes(archive: Archive) -> bytes:
    if archive.encoded is None:
        delays = sorted(archive.delays)
        message = pb.ArchiveState(
            invoices=archive.invoices,
            delays=delays,
            delay_counts=[archive.delays[delay] for delay in delays],
            days_to_pay_sum=archive.days_to_pay_sum,
            first_issue_day=archive.first_issue_day,
            last_issue_day=archive.last_issue_day,
            last_paid_day=archive.last_paid_day,
            billed=_billed_out(archive.billed),
            invoice_digests=archive.invoice_digests,
            unapplied=[
                pb.CurrencyTotal(currency=currency, amount_minor=archive.unapplied[currency])
                for currency in sorted(archive.unapplied)
            ],
            late_facts=archive.late_facts,
        )
        object.__setattr__(archive, "encoded", message.SerializeToString(deterministic=True))
    assert archive.encoded is not None
    return archive.encoded


def _archive(encoded: bytes) -> Archive:
    if not encoded:
        return _NO_ARCHIVE
    message = pb.ArchiveState.FromString(encoded)
    archive = Archive(
        invoices=message.invoices,
        delays=dict(zip(message.delays, message.delay_counts, strict=True)),
        days_to_pay_sum=message.days_to_pay_sum,
        first_issue_day=message.first_issue_day,
        last_issue_day=message.last_issue_day,
        last_paid_day=message.last_paid_day,
        billed={total.currency: (total.amount_minor, total.count) for total in message.billed},
        invoice_digests=message.invoice_digests,
        unapplied={total.currency: total.amount_minor for total in message.unapplied},
        late_facts=message.late_facts,
    )
    object.__setattr__(archive, "encoded", encoded)
    return archive


_NO_ARCHIVE = Archive()  # most debtors have none


def _closed_bytes(closed: Closed) -> bytes:
    if closed.encoded is None:
        closed_day, issue_day, invoice_id = closed.last
        message = pb.ClosedState(
            count=closed.count,
            named=closed.named,
            last_closed_day=closed_day,
            last_issue_day=issue_day,
            last_invoice_id=invoice_id,
            delays=closed.delays,
            invoices=closed.invoices,
            days_to_pay_sum=closed.days_to_pay_sum,
            first_issued_day=closed.first_issue_day,
            last_issued_day=closed.last_issue_day,
            last_paid_day=closed.last_paid_day,
            billed=_billed_out(closed.billed),
        )
        object.__setattr__(closed, "encoded", message.SerializeToString(deterministic=True))
    assert closed.encoded is not None
    return closed.encoded


def _closed(encoded: bytes, packed_invoices: bytes) -> Closed:
    message = pb.ClosedState.FromString(encoded)
    closed = Closed(
        packed=packed_invoices,
        count=message.count,
        named=message.named,
        last=(message.last_closed_day, message.last_issue_day, message.last_invoice_id),
        delays=tuple(message.delays),
        invoices=message.invoices,
        days_to_pay_sum=message.days_to_pay_sum,
        first_issue_day=message.first_issued_day,
        last_issue_day=message.last_issued_day,
        last_paid_day=message.last_paid_day,
        billed={total.currency: (total.amount_minor, total.count) for total in message.billed},
    )
    object.__setattr__(closed, "encoded", encoded)
    return closed


def _billed_out(billed: Mapping[str, tuple[int, int]]) -> list[pb.CurrencyTotal]:
    return [
        pb.CurrencyTotal(currency=currency, amount_minor=billed[currency][0], count=billed[currency][1])
        for currency in sorted(billed)
    ]


def _standing_in(message: pb.StandingState) -> Standing:
    medium, high, critical = message.ticks_below or (0, 0, 0)
    segment = message.segment
    return Standing(
        band=Band(message.band),
        ticks_below=(medium, high, critical),
        stepped_down_day=message.stepped_down_day,
        last_score_id=message.last_score_id,
        model_version=message.model_version,
        segment=Segment(Band(segment.risk_band), Tier(segment.value_tier), Behaviour(segment.behaviour)),
        segment_day=message.segment_day,
    )
