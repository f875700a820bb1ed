"""State blobs and score messages. With `event_codec`, the only modules here that know the generated stubs."""

from __future__ import annotations

from google.protobuf.message import DecodeError

from duly.money.v1 import money_pb2
from duly.risk.v1 import events_pb2 as risk
from duly.risk.v1 import state_pb2 as pb
from duly_risk.days import date_of
from duly_risk.event_codec import EventUnusable, decode_event
from duly_risk.facts import Position
from duly_risk.model import Role
from duly_risk.score import Band, InvoiceScore, ScoreUpdated
from duly_risk.state import (
    FORMAT_VERSION,
    Allocation,
    Archive,
    DebtorState,
    Invoice,
    Reversal,
    Source,
    Standing,
    WriteOff,
)

__all__ = [
    "EventUnusable",
    "StateUnreadable",
    "decode_event",
    "decode_state",
    "encode_score",
    "encode_state",
    "score_message",
]


class StateUnreadable(ValueError):
    """A blob that is no state of this or the previous format version."""

    code = "state_unreadable"


def encode_state(state: DebtorState) -> bytes:
    """The blob of a state: equal states give equal bytes."""
    message = pb.DebtorState(
        format_version=FORMAT_VERSION,
        business_day=state.business_day,
        tick_day=state.tick_day,
        facts_applied=state.facts_applied,
        invoices=[_invoice_out(state.invoices[invoice_id]) for invoice_id in sorted(state.invoices)],
        sources=[_source_out(state.sources[source_id]) for source_id in sorted(state.sources)],
        archive=_archive_out(state.archive),
        recent_facts=state.recent_facts,
        standing=_standing_out(state.standing),
        degraded_event_ids=state.degraded_event_ids,
    )
    if state.applied is not None:
        message.applied.partition = state.applied.partition
        message.applied.offset = state.applied.offset
    return message.SerializeToString(deterministic=True)


def decode_state(blob: bytes) -> DebtorState:
    """The state of a blob. Raises StateUnreadable."""
    message = pb.DebtorState()
    try:
        message.ParseFromString(blob)
    except DecodeError as error:
        raise StateUnreadable(f"no state blob: {error}") from error
    if message.format_version != FORMAT_VERSION:
        raise StateUnreadable(f"state format {message.format_version} is not known to this version ({FORMAT_VERSION})")
    return DebtorState(
        applied=Position(message.applied.partition, message.applied.offset) if message.HasField("applied") else None,
        business_day=message.business_day,
        tick_day=message.tick_day,
        facts_applied=message.facts_applied,
        invoices={invoice.invoice_id: _invoice_in(invoice) for invoice in message.invoices},
        sources={source.source_id: _source_in(source) for source in message.sources},
        archive=_archive_in(message.archive),
        recent_facts=message.recent_facts,
        standing=_standing_in(message.standing),
        degraded_event_ids=tuple(message.degraded_event_ids),
    )


def encode_score(score: ScoreUpdated) -> bytes:
    """The value of a `risk.score_updated` record: equal scores give equal bytes."""
    return score_message(score).SerializeToString(deterministic=True)


def score_message(score: ScoreUpdated) -> risk.RiskScoreUpdated:
    """The contract message of a score."""
    return risk.RiskScoreUpdated(
        score_id=score.score_id,
        debtor_id=score.debtor_id,
        business_date=date_of(score.business_day).isoformat(),
        ledger_version=score.ledger_version,
        model_name=score.model_name,
        model_version=score.model_version,
        role=_ROLES[score.role],
        risk_band=_band(score.band),
        previous_band=_band(score.previous_band),
        risk=score.risk,
        amount_at_risk=[_money(amount, currency) for currency, amount in score.amount_at_risk_minor],
        invoices=[_invoice_score_out(invoice) for invoice in score.invoices],
        expected_cash=[
            risk.ExpectedCash(
                week_start=date_of(cash.week_start_day).isoformat(), amount=_money(cash.amount_minor, cash.currency)
            )
            for cash in score.expected_cash
        ],
        reasons=[
            risk.ScoreReason(
                feature=reason.feature,
                direction=risk.ReasonDirection.ValueType(reason.direction),
                contribution=reason.contribution,
                text=reason.text,
            )
            for reason in score.reasons
        ],
    )


_ROLES = {
    Role.CHAMPION: risk.MODEL_ROLE_CHAMPION,
    Role.CHALLENGER: risk.MODEL_ROLE_CHALLENGER,
    Role.SHADOW: risk.MODEL_ROLE_SHADOW,
    Role.FALLBACK: risk.MODEL_ROLE_FALLBACK,
}


def _band(band: Band) -> risk.RiskBand.ValueType:
    return risk.RiskBand.ValueType(band)


def _money(amount_minor: int, currency: str) -> money_pb2.Money:
    return money_pb2.Money(amount_minor=amount_minor, currency=currency)


def _invoice_score_out(score: InvoiceScore) -> risk.InvoiceScore:
    days = (score.pay_day_p10, score.pay_day_p50, score.pay_day_p90)
    p10, p50, p90 = (date_of(day).isoformat() if day else "" for day in days)
    return risk.InvoiceScore(
        invoice_id=score.invoice_id,
        p_unpaid_1=score.p_unpaid_1,
        p_unpaid_5=score.p_unpaid_5,
        p_unpaid_30=score.p_unpaid_30,
        p_unpaid_60=score.p_unpaid_60,
        p_unpaid_90=score.p_unpaid_90,
        pay_date_p10=p10,
        pay_date_p50=p50,
        pay_date_p90=p90,
        expected_days=score.expected_days,
    )


def _invoice_out(invoice: Invoice) -> pb.InvoiceState:
    return pb.InvoiceState(
        invoice_id=invoice.invoice_id,
        known=invoice.known,
        issue_day=invoice.issue_day,
        due_day=invoice.due_day,
        total_minor=invoice.total_minor,
        currency=invoice.currency,
        source_version=invoice.source_version,
        voided=invoice.voided,
        voided_day=invoice.voided_day,
        disputed_minor=invoice.disputed_minor,
        dispute_day=invoice.dispute_day,
        dispute_version=invoice.dispute_version,
        dispute_resolved=invoice.dispute_resolved,
        allocations=[_allocation_out(allocation) for allocation in invoice.allocations],
        write_offs=[
            pb.WriteOffState(
                write_off_id=off.write_off_id, amount_minor=off.amount_minor, on_day=off.on_day, loss=off.loss
            )
            for off in invoice.write_offs
        ],
    )


def _invoice_in(message: pb.InvoiceState) -> Invoice:
    return Invoice(
        invoice_id=message.invoice_id,
        known=message.known,
        issue_day=message.issue_day,
        due_day=message.due_day,
        total_minor=message.total_minor,
        currency=message.currency,
        source_version=message.source_version,
        voided=message.voided,
        voided_day=message.voided_day,
        disputed_minor=message.disputed_minor,
        dispute_day=message.dispute_day,
        dispute_version=message.dispute_version,
        dispute_resolved=message.dispute_resolved,
        allocations=tuple(_allocation_in(allocation) for allocation in message.allocations),
        write_offs=tuple(
            WriteOff(off.write_off_id, off.amount_minor, off.on_day, off.loss) for off in message.write_offs
        ),
    )


def _allocation_out(allocation: Allocation) -> pb.AllocationState:
    return pb.AllocationState(
        allocation_id=allocation.allocation_id,
        source_id=allocation.source_id,
        amount_minor=allocation.amount_minor,
        discount_minor=allocation.discount_minor,
        on_day=allocation.on_day,
        credit_note=allocation.credit_note,
        applied=allocation.applied,
        removed=allocation.removed,
    )


def _allocation_in(message: pb.AllocationState) -> Allocation:
    return Allocation(
        message.allocation_id,
        message.source_id,
        message.amount_minor,
        message.discount_minor,
        message.on_day,
        message.credit_note,
        message.applied,
        message.removed,
    )


def _source_out(source: Source) -> pb.SourceState:
    return pb.SourceState(
        source_id=source.source_id,
        credit_note=source.credit_note,
        known=source.known,
        amount_minor=source.amount_minor,
        currency=source.currency,
        day=source.day,
        voided=source.voided,
        reversals=[
            pb.ReversalState(reversal_id=reversal.reversal_id, amount_minor=reversal.amount_minor)
            for reversal in source.reversals
        ],
        archived_minor=source.archived_minor,
    )


def _source_in(message: pb.SourceState) -> Source:
    return Source(
        message.source_id,
        message.credit_note,
        message.known,
        message.amount_minor,
        message.currency,
        message.day,
        message.voided,
        tuple(Reversal(reversal.reversal_id, reversal.amount_minor) for reversal in message.reversals),
        message.archived_minor,
    )


def _archive_out(archive: Archive) -> pb.ArchiveState:
    delays = sorted(archive.delays)
    return pb.ArchiveState(
        invoices=archive.invoices,
        delays=delays,
        delay_counts=[archive.delays[delay] for delay in delays],
        days_to_pay_sum=archive.days_to_pay_sum,
        first_issue_day=archive.first_issue_day,
        last_issue_day=archive.last_issue_day,
        last_paid_day=archive.last_paid_day,
        billed=[
            pb.CurrencyTotal(
                currency=currency, amount_minor=archive.billed[currency][0], count=archive.billed[currency][1]
            )
            for currency in sorted(archive.billed)
        ],
        invoice_digests=archive.invoice_digests,
        unapplied=[
            pb.CurrencyTotal(currency=currency, amount_minor=archive.unapplied[currency])
            for currency in sorted(archive.unapplied)
        ],
        late_facts=archive.late_facts,
    )


def _archive_in(message: pb.ArchiveState) -> Archive:
    return Archive(
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


def _standing_out(standing: Standing) -> pb.StandingState:
    return pb.StandingState(
        band=_band(standing.band),
        ticks_below=standing.ticks_below,
        stepped_down_day=standing.stepped_down_day,
        last_score_id=standing.last_score_id,
        model_version=standing.model_version,
    )


def _standing_in(message: pb.StandingState) -> Standing:
    medium, high, critical = message.ticks_below or (0, 0, 0)
    return Standing(
        band=Band(message.band),
        ticks_below=(medium, high, critical),
        stepped_down_day=message.stepped_down_day,
        last_score_id=message.last_score_id,
        model_version=message.model_version,
    )
