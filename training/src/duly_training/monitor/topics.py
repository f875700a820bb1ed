"""What the topics of a running system give a monitor: the ledger's facts, and the scores that were recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from duly_contracts.envelope import Envelope
from duly_contracts.events import decode
from duly_contracts.keys import split_key
from duly_risk.days import day_of
from google.protobuf.message import Message

from duly.ledger.v1 import events_pb2 as ledger
from duly.risk.v1 import events_pb2 as risk
from duly_training.monitor.recorded import RecordedScore
from duly_training.topic_reader import TopicReader

LEDGER, SCORES = "ledger-events", "risk-scores"


@dataclass(frozen=True, slots=True)
class KnownFact:
    """A fact as training reads it (`duly_training.history.LedgerFact`)."""

    known_on: date
    debtor_id: str
    event_id: str
    source_version: str
    message: Message


@dataclass(frozen=True, slots=True)
class TopicLedger:
    """`duly_training.history.FactSource` over `ledger-events`: all facts of one tenant, held in memory."""

    all_facts: tuple[KnownFact, ...]

    def facts(self, known_until: date | None = None) -> Iterator[KnownFact]:
        return (fact for fact in self.all_facts if known_until is None or fact.known_on < known_until)

    @property
    def newest(self) -> date | None:
        return max((fact.known_on for fact in self.all_facts), default=None)


def ledger_of(bootstrap_servers: str, tenant: str) -> TopicLedger:
    """Everything in `ledger-events` that the fold can use. Raises KafkaError."""
    with TopicReader(bootstrap_servers) as reader:
        found = [fact for raw in reader.records(LEDGER, _from_the_beginning) if (fact := _fact(raw, tenant))]
    return TopicLedger(tuple(sorted(found, key=lambda fact: fact.known_on)))


def recorded_scores(bootstrap_servers: str, tenant: str, since: date) -> list[RecordedScore]:
    """Scores with business_date >= since, in the order of their partitions. Raises KafkaError."""
    with TopicReader(bootstrap_servers) as reader:
        found = [score for raw in reader.records(SCORES, _from_the_beginning) if (score := _score(raw, tenant))]
    return [score for score in found if score.day >= day_of(since)]


def _from_the_beginning(begin: int, end: int) -> int:
    return begin


def _fact(raw: Any, tenant: str) -> KnownFact | None:
    """None for another tenant, a tick, and what is no event: scoring put it aside as well."""
    try:
        envelope = Envelope.from_headers(raw.headers or ())
        message = decode(envelope.type, raw.value or b"")
    except ValueError:
        return None
    if envelope.tenant != tenant or isinstance(message, ledger.CalendarBusinessDateAdvanced):
        return None
    # History has no business date of its own: the day it happened stands for the day it was known.
    known_on = envelope.time.date() if envelope.backfill or not envelope.business_date else envelope.business_date
    return KnownFact(known_on, split_key(raw.key or b"")[1], envelope.id, envelope.source_version, message)


def _score(raw: Any, tenant: str) -> RecordedScore | None:
    try:
        envelope = Envelope.from_headers(raw.headers or ())
        message = decode(envelope.type, raw.value or b"")
    except ValueError:
        return None
    if envelope.tenant != tenant or not isinstance(message, risk.RiskScoreUpdated):
        return None
    return RecordedScore(
        debtor_id=message.debtor_id,
        ledger_version=message.ledger_version,
        day=day_of(date.fromisoformat(message.business_date)),
        is_shadow=message.role == risk.MODEL_ROLE_SHADOW,
        version=f"{message.model_name} {message.model_version}",
        band=_band(message.risk_band),
        previous_band=_band(message.previous_band),
        risk=message.risk,
    )


def _band(number: risk.RiskBand.ValueType) -> str:
    return "NONE" if number == risk.RISK_BAND_UNSPECIFIED else risk.RiskBand.Name(number).removeprefix("RISK_BAND_")
