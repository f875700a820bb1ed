"""What commands read of a running system's topics: one tenant's records, and nothing that no worker could use."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from itertools import count
from types import SimpleNamespace
from typing import Any

import kafka
import pytest
from duly_contracts.envelope import Envelope
from duly_contracts.events import encode, event_of
from duly_contracts.keys import debtor_key
from duly_contracts.model_control import CHAMPION, SHADOW
from duly_risk.days import day_of
from duly_runtime.kafka_log import KafkaLog, records_until
from duly_training.control_topic import ControlTopic
from duly_training.history import read_history
from duly_training.monitor.recorded import RecordedScore
from duly_training.monitor.topics import TopicLedger, ledger_of, recorded_scores
from duly_training.promotion import promotion_event, rollback_event
from duly_training.registry import RegisteredModel
from duly_training.topic_reader import TopicReader
from google.protobuf.message import Message
from kafka.errors import KafkaTimeoutError

from duly.ledger.v1 import events_pb2 as ledger
from duly.money.v1 import money_pb2
from duly.risk.v1 import events_pb2 as risk

NOW = datetime(2031, 5, 1, tzinfo=UTC)
IDS = count()
TICK = ledger.CalendarBusinessDateAdvanced(business_date="2031-05-01", calendar_id="c", slice=0, slices=1)

Sent = tuple[str, bytes, bytes, list[tuple[str, bytes]], int | None]


def model(version: str) -> RegisteredModel:
    return RegisteredModel("risk", version, "a" * 64, "b" * 64, "c" * 64, "run")


def record(message: Message, tenant: str, day: date | None = None, at: int | None = None, **to: Any) -> Sent:
    event = event_of(message)
    envelope = Envelope(f"e{next(IDS)}", event.type, "/x", "s", NOW, tenant, business_date=day)
    key = to.get("key", debtor_key(tenant, "D"))
    return event.topic, key, encode(message), envelope.to_headers(), at


def send(log: KafkaLog, records: Iterable[Sent]) -> None:
    producer = log.producer("test")
    for pending in [producer.send(*one) for one in records]:
        pending.result(30)
    producer.close()


@pytest.mark.kafka
def test_a_promotion_begins_after_the_newest_date_of_its_own_tenant_however_much_others_wrote(
    kafka_log: KafkaLog, kafka_bootstrap: str
) -> None:
    control = ControlTopic(kafka_bootstrap)
    assert control.newest_business_date("acme") is None
    ours = [record(TICK, "acme", date(2026, 11, day), at=3) for day in (20, 21)]
    theirs = [record(TICK, "played", date(2031, 5, 1), at=partition) for partition in [3] * 200 + [4]]
    alien = record(TICK, "acme", date(2031, 6, 1), at=4, key=debtor_key("played", "D"))
    send(kafka_log, [*ours, *theirs, record(TICK, "acme", date(2026, 11, 20), at=4), alien])
    assert control.newest_business_date("acme") == date(2026, 11, 21)
    assert control.newest_business_date("played") == date(2031, 5, 1)
    assert control.newest_business_date("nobody") is None


@pytest.mark.kafka
def test_a_dead_letter_does_not_move_a_promotion(kafka_log: KafkaLog, kafka_bootstrap: str) -> None:
    never = record(TICK, "acme", date(9999, 12, 31), at=3)
    no_id = record(ledger.InvoiceIssued(), "acme", date(2140, 1, 1), at=3)
    topic, key, _, headers, at = record(TICK, "acme", date(2140, 1, 1), at=3)
    garbled = (topic, key, b"\xff", headers, at)
    send(kafka_log, [record(TICK, "acme", date(2026, 11, 21), at=3), never, no_id, garbled])
    assert ControlTopic(kafka_bootstrap).newest_business_date("acme") == date(2026, 11, 21)


@pytest.mark.kafka
def test_commands_and_workers_pass_over_the_same_records(kafka_log: KafkaLog, kafka_bootstrap: str) -> None:
    control = ControlTopic(kafka_bootstrap)
    good = promotion_event(model("1"), date(2031, 5, 2), "ann", "")
    no_date = promotion_event(model("2"), None, "ann", "")
    no_date.effective_date = "2031-02-30"
    no_hash = promotion_event(RegisteredModel("risk", "3", "a" * 64, "b" * 64, "", "run"), None, "ann", "")
    no_role = promotion_event(model("4"), None, "ann", "")
    no_role.role = 9  # type: ignore[assignment]
    others = promotion_event(model("5"), None, "ann", "")
    send(kafka_log, [record(one, "acme") for one in (good, no_date, no_hash, no_role)] + [record(others, "other")])
    send(kafka_log, [record(good, "acme", key=b"other|risk|CHAMPION")])
    (only,) = control.history("acme", CHAMPION)
    assert (only.version, only.effective, only.by) == ("1", date(2031, 5, 2), "ann")


@pytest.mark.kafka
def test_a_monitor_reads_past_odd_records(kafka_log: KafkaLog, kafka_bootstrap: str) -> None:
    def score(day: str) -> Message:
        return risk.RiskScoreUpdated(debtor_id="D", business_date=day, model_name="risk", model_version="1")

    fact = ledger.PartyUpserted(debtor_id="D")
    scores = [record(score(day), "acme") for day in ("2031-05-01", "no date", "2031-04-01")]
    facts = [record(fact, "acme"), record(fact, "acme", key=b"\xff"), record(fact, "other"), record(TICK, "acme", at=0)]
    alien = record(score("2031-05-01"), "acme", key=debtor_key("other", "D"))
    send(kafka_log, [*scores, *facts, record(score("2031-05-01"), "other"), alien])
    assert [one.debtor_id for one in recorded_scores(kafka_bootstrap, "acme", date(2031, 4, 2))] == ["D"]
    read = ledger_of(kafka_bootstrap, "acme")
    assert (len(read.all_facts), read.passed_over) == (1, 0)  # a key that is no text is nobody's


def test_one_record_that_was_put_aside_does_not_blind_a_monitor_and_is_counted() -> None:
    def raw(day: date | None, time: datetime = NOW, currency: str = "EUR", tenant: str = "acme") -> Any:
        amount = money_pb2.Money(amount_minor=1, currency=currency)
        paid = ledger.PaymentReceived(payment_id="P", amount=amount, booking_date="2031-05-01")
        envelope = Envelope("e", event_of(paid).type, "/x", "s", time, tenant, business_date=day)
        return SimpleNamespace(key=debtor_key(tenant, "D"), value=encode(paid), headers=envelope.to_headers())

    day = date(2031, 5, 1)
    aside = [raw(day, currency=""), raw(date(1950, 1, 1)), raw(date(9999, 12, 31))]
    # These can be folded: scoring needs no day that they were known on.
    no_day = [raw(None, datetime(9999, 12, 31, tzinfo=UTC)), raw(None, datetime(1969, 12, 31, tzinfo=UTC))]
    tick = SimpleNamespace(key=b"acme|", value=encode(TICK), headers=record(TICK, "acme")[3])
    read = TopicLedger.of([raw(day), *aside, *no_day, tick, raw(day, currency="", tenant="other")], "acme")
    assert (len(read.all_facts), read.passed_over, read.newest) == (1, 5, day)
    assert list(read_history(read, day + timedelta(days=1)).by_debtor) == ["D"]


@pytest.mark.kafka
def test_a_recorded_score_says_whose_it_is_of_which_model_and_how_the_band_moved(
    kafka_log: KafkaLog, kafka_bootstrap: str
) -> None:
    first = risk.RiskScoreUpdated(
        debtor_id="D", ledger_version=7, business_date="2031-05-01", model_name="risk", model_version="3",
        role=risk.MODEL_ROLE_CHAMPION, risk_band=risk.RISK_BAND_LOW, risk=0.25,
    )  # fmt: skip
    second = risk.RiskScoreUpdated()
    second.CopyFrom(first)
    second.role, second.model_version = risk.MODEL_ROLE_SHADOW, "4"
    second.risk_band, second.previous_band, second.risk = risk.RISK_BAND_HIGH, risk.RISK_BAND_LOW, 0.75
    send(kafka_log, [record(one, "acme", at=2) for one in (first, second)])
    day = day_of(date(2031, 5, 1))
    assert list(recorded_scores(kafka_bootstrap, "acme", date(2031, 5, 1))) == [
        RecordedScore("D", 7, day, False, "risk 3", "LOW", "NONE", 0.25),
        RecordedScore("D", 7, day, True, "risk 4", "HIGH", "LOW", 0.75),
    ]
    assert list(recorded_scores(kafka_bootstrap, "acme", date(2031, 5, 2))) == []


@pytest.mark.kafka
def test_a_reader_gives_what_is_there_when_it_looks_partition_by_partition(
    kafka_log: KafkaLog, kafka_bootstrap: str
) -> None:
    ticks = [record(TICK, "acme", at=partition) for partition in (4, 3, 3, 3)]
    send(kafka_log, ticks)
    with TopicReader(kafka_bootstrap) as reader:
        spans = reader.spans("ledger-events")
        assert {partition: span for partition, span in spans.items() if span[1] > span[0]} == {3: (0, 3), 4: (0, 1)}
        send(kafka_log, ticks[:1])
        assert [raw.offset for raw in reader.between("ledger-events", 3, 1, 3)] == [1, 2]
        assert [raw.offset for raw in reader.between("ledger-events", 4, 0, 1)] == [0]
        assert list(reader.between("ledger-events", 3, 3, 3)) == []
        found = [(raw.partition, raw.offset) for raw in reader.records("ledger-events")]
        assert found == [(3, 0), (3, 1), (3, 2), (4, 0), (4, 1)]


@pytest.mark.kafka
def test_a_topic_that_is_not_there_is_empty_and_is_not_made(kafka_log: KafkaLog, kafka_bootstrap: str) -> None:
    with TopicReader(kafka_bootstrap) as reader:
        assert reader.spans("nobody-made-this") == {}
        assert list(reader.records("nobody-made-this")) == []
    with TopicReader(kafka_bootstrap) as reader:
        assert reader.spans("nobody-made-this") == {}


@pytest.mark.kafka
def test_a_promotion_that_is_published_is_the_newest_of_its_tenant_and_role(
    kafka_log: KafkaLog, kafka_bootstrap: str
) -> None:
    control = ControlTopic(kafka_bootstrap)
    assert control.history("acme", CHAMPION) == []
    first = control.publish(promotion_event(model("1"), date(2031, 5, 2), "ann", "why"), "acme", None, NOW)
    (before,) = control.history("acme", CHAMPION)
    assert (before.event_id, before.version, before.effective, before.promoted_at) == (
        first.id,
        "1",
        date(2031, 5, 2),
        NOW,
    )
    again = control.publish(promotion_event(model("1"), date(2031, 5, 2), "ann", "why"), "acme", None, NOW)
    assert again.id == first.id
    control.publish(rollback_event(None, "ann", "too steep"), "acme", before, NOW)
    control.publish(promotion_event(model("2"), None, "ann", "", SHADOW), "acme", None, NOW)
    newest = control.history("acme", CHAMPION)[-1]
    assert (newest.is_rollback, newest.has_model, newest.reason) == (True, False, "too steep")
    assert [one.version for one in control.history("acme", SHADOW)] == ["2"]
    assert control.history("other", CHAMPION) == []


class Leaderless:
    """A reader whose second partition gives nothing."""

    def __init__(self) -> None:
        self.polls, self.at = 0, [0, 5]

    def position(self, tp: kafka.TopicPartition) -> int:
        return self.at[tp.partition]

    def poll(self, **_: Any) -> dict[kafka.TopicPartition, list[str]]:
        self.polls += 1
        if self.at[0] < 30 and self.polls % 40 == 0:  # slow, but it comes
            self.at[0] += 10
            return {kafka.TopicPartition("t", 0): ["a record"]}
        return {}


def test_a_partition_without_a_leader_ends_a_reading_and_a_slow_one_does_not() -> None:
    slow = {kafka.TopicPartition("t", 0): 30, kafka.TopicPartition("t", 1): 5}
    assert list(records_until(Leaderless(), slow)) == ["a record"] * 3  # type: ignore[arg-type]
    with pytest.raises(KafkaTimeoutError, match="t/1 from offset 5: perhaps"):
        list(records_until(Leaderless(), {kafka.TopicPartition("t", 1): 6}))  # type: ignore[arg-type]
