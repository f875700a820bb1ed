"""What the topics of a running system give a monitor: the ledger's facts, and the scores that were recorded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

from duly_contracts.dates import in_range
from duly_contracts.envelope import Envelope
from duly_contracts.events import decode
from duly_risk.days import day_of
from google.protobuf.message import Message

from duly.risk.v1 import events_pb2 as risk
from duly_training.ledger_records import is_of, read_record
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
    """`duly_training.history.FactSource` over `ledger-events`: all facts of one tenant, held in memory.

    passed_over: how many of its records are no facts to look at, as they were put aside or tell no day.
    """

    all_facts: tuple[KnownFact, ...]
    passed_over: int = 0

    @staticmethod
    def of(records: Iterable[Any], tenant: str) -> TopicLedger:
        """From records in the order of their partitions; those of other tenants are left out."""
        found: list[KnownFact] = []
        passed_over = 0
        for raw in records:
            if not is_of(raw, tenant):
                continue
            try:
                fact = _fact(raw)
            except ValueError:  # scoring has put it aside too: the fold must not stumble over it
                passed_over += 1
            else:
                found += [fact] if fact else []
        return TopicLedger(tuple(sorted(found, key=lambda fact: fact.known_on)), passed_over)

    def facts(self, known_until: date | None = None) -> Iterator[KnownFact]:
        return (fact for fact in self.all_facts if known_until is None or fact.known_on < known_until)

    @property
    def newest(self) -> date | None:
        return max((fact.known_on for fact in self.all_facts), default=None)


def ledger_of(bootstrap_servers: str, tenant: str) -> TopicLedger:
    """Everything in `ledger-events` that the fold can use. Raises KafkaError."""
    with TopicReader(bootstrap_servers) as reader:
        return TopicLedger.of(reader.records(LEDGER), tenant)


def recorded_scores(bootstrap_servers: str, tenant: str, since: date) -> Iterator[RecordedScore]:
    """Scores with business_date >= since, in the order of their partitions. Raises KafkaError.

    All that the topic keeps is read, one record at a time: its timestamps are no business dates to begin at.
    """
    first = day_of(since)
    with TopicReader(bootstrap_servers) as reader:
        for raw in reader.records(SCORES):
            score = _usable_score(raw, tenant)
            if score is not None and score.day >= first:
                yield score


def _fact(raw: Any) -> KnownFact | None:
    """None for a tick. Raises ValueError, also where the day it was known on is none that a ledger may name."""
    envelope, record = read_record(raw)
    if record.event.is_tick:
        return None
    # History has no business date of its own: the day it happened stands for the day it was known.
    known_on = envelope.time.date() if envelope.backfill or not envelope.business_date else envelope.business_date
    return KnownFact(in_range(known_on), record.debtor_id, envelope.id, envelope.source_version, record.message)


def _usable_score(raw: Any, tenant: str) -> RecordedScore | None:
    """None also for what is no event of ours, or is malformed: services put it aside as well."""
    try:
        return _score(raw, tenant)
    except ValueError:
        return None


def _score(raw: Any, tenant: str) -> RecordedScore | None:
    """None for another tenant and another event. Raises ValueError."""
    envelope = Envelope.of_record(raw.key or b"", raw.headers or ())
    if envelope.tenant != tenant:
        return None
    message = decode(envelope.type, raw.value or b"")
    if not isinstance(message, risk.RiskScoreUpdated):
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
