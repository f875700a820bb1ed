"""What scoring sends: scores, degraded and restored debtors, dead letters. Everything follows from the cause alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from typing import NamedTuple

from duly_contracts.envelope import Envelope
from duly_contracts.events import encode, event_of
from duly_contracts.ids import derived_id, named_id
from duly_contracts.keys import split_key
from duly_contracts.topics import dlq_of
from duly_risk.days import date_of
from duly_risk.facts import RiskEvent
from duly_risk.model import ModelInfo
from duly_risk.score import ScoreUpdated, Segment
from duly_risk.score_codec import encode_score
from duly_risk.segments import RULE_VERSION
from duly_risk.state import DebtorState
from duly_runtime.dlq import dead_letter_of
from google.protobuf.message import Message

from duly.risk.v1 import events_pb2 as risk
from scoring.application.decode_record import Poison, Usable

SERVICE = "scoring"
TOPIC = "risk-scores"
SCORE_UPDATED = event_of(risk.RiskScoreUpdated())


class Output(NamedTuple):
    """One record to send; its partition follows from the key. id: `ce_id`, or the dead letter's own."""

    id: str
    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]

    @property
    def size(self) -> int:
        """Bytes of the record: key, value and headers."""
        return len(self.key) + len(self.value) + sum(len(name) + len(value) for name, value in self.headers)


def score_id_of(key: bytes, event: RiskEvent) -> str:
    """A debtor's score follows from one cause; its id is also the id of the event that carries it."""
    return derived_id(event.event_id, SCORE_UPDATED.type, key)


def shadow_id_of(key: bytes, event: RiskEvent, challenger: ModelInfo) -> str:
    """A challenger's score of the same cause is another event, and another challenger's yet another one."""
    return derived_id(event.event_id, f"{SCORE_UPDATED.type}/shadow/{challenger.version}", key)


def score_output(cause: Usable, key: bytes, score: ScoreUpdated) -> Output:
    """`risk.score_updated`."""
    business_date = date_of(score.business_day)
    envelope = _envelope(cause.envelope, SCORE_UPDATED.type, score.score_id, score.debtor_id, business_date)
    return Output(score.score_id, TOPIC, key, encode_score(score), tuple(envelope.to_headers()))


def score_outputs(cause: Usable, key: bytes, score: ScoreUpdated) -> list[Output]:
    """The score, and `risk.segment_changed` where it moved the debtor."""
    outputs = [score_output(cause, key, score)]
    if score.segment_before is not None:
        message = _segment_changed(score, score.segment_before)
        outputs.append(_event(cause.envelope, key, score.debtor_id, date_of(score.business_day), message))
    return outputs


def _segment_changed(score: ScoreUpdated, before: Segment) -> risk.RiskSegmentChanged:
    return risk.RiskSegmentChanged(
        debtor_id=score.debtor_id,
        before=_segment(before),
        after=_segment(score.segment),
        business_date=date_of(score.business_day).isoformat(),
        rule_version=RULE_VERSION,
        score_id=score.score_id,
    )


def _segment(segment: Segment) -> risk.Segment:
    return risk.Segment(
        risk_band=risk.RiskBand.ValueType(segment.band),
        value_tier=risk.ValueTier.ValueType(segment.tier),
        behaviour=risk.Behaviour.ValueType(segment.behaviour),
    )


def restored_output(cause: Usable, key: bytes, debtor_id: str, state: DebtorState) -> Output:
    """`risk.debtor_restored`: the last event that could not be used has folded after all."""
    return _event(cause.envelope, key, debtor_id, _day_of(state), risk.RiskDebtorRestored(debtor_id=debtor_id))


def degraded_output(poison: Poison, key: bytes, state: DebtorState) -> Output:
    """`risk.debtor_degraded`, with the newest event ids that the debtor waits for."""
    tenant, _ = split_key(key)
    cause = poison.envelope or Envelope(
        id=poison.event_id, type="", source=SERVICE, subject="", time=_midnight(_day_of(state)), tenant=tenant
    )
    ids = state.degraded_event_ids
    day = _day_of(state) if state.business_day or cause.business_date is None else cause.business_date
    message = risk.RiskDebtorDegraded(debtor_id=poison.debtor_id, event_ids=ids, reason=poison.reason)
    return _event(cause, key, poison.debtor_id, day, message)


def dead_letter_output(poison: Poison) -> Output:
    """The record as it came, with where it was and why nobody could use it."""
    record = poison.record
    place = (record.topic, str(record.partition), str(record.offset), poison.debtor_id)
    letter = dead_letter_of(record, SERVICE, poison.reason, poison.detail, poison.debtor_id)
    letter_id = named_id("dlq", SERVICE, *place)
    return Output(letter_id, dlq_of(record.topic), letter.key, letter.value, tuple(letter.headers))


def _event(cause: Envelope, key: bytes, debtor_id: str, business_date: date, message: Message) -> Output:
    event_type = event_of(message).type
    event_id = derived_id(cause.id, event_type, key)
    envelope = _envelope(cause, event_type, event_id, debtor_id, business_date)
    return Output(envelope.id, TOPIC, key, encode(message), tuple(envelope.to_headers()))


def _envelope(cause: Envelope, event_type: str, event_id: str, debtor_id: str, business_date: date) -> Envelope:
    return Envelope(
        id=event_id,
        type=event_type,
        source=SERVICE,
        subject=debtor_id,
        time=cause.time,
        tenant=cause.tenant,
        business_date=business_date,
        correlation_id=cause.correlation_id or cause.id,
        causation_id=cause.id,
        traceparent=cause.traceparent,
    )


def _day_of(state: DebtorState) -> date:
    return date_of(state.business_day)


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), UTC)
