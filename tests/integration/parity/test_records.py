"""Commands and scoring tell usable records of `ledger-events` from dead letters alike."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pytest
from duly_contracts.envelope import Envelope
from duly_contracts.events import encode, event_of
from duly_contracts.keys import KEY_BYTES_MAX, debtor_key
from duly_contracts.money import AMOUNT_MAX_MINOR
from duly_runtime.log import Record
from duly_training.ledger_records import read_record
from google.protobuf.message import Message
from scoring.application.decode_record import Usable, decode_record

from duly.ledger.v1 import events_pb2 as ledger
from duly.money.v1 import money_pb2
from duly.risk.v1 import events_pb2 as risk

NOW, DAY, KEY = datetime(2031, 5, 1, tzinfo=UTC), date(2031, 5, 1), debtor_key("acme", "D")


def payment(minor: int = 1, currency: str = "EUR", booked: str = "2031-05-01") -> Message:
    amount = money_pb2.Money(amount_minor=minor, currency=currency)
    return ledger.PaymentReceived(payment_id="P", amount=amount, booking_date=booked)


def tick(business_date: str = "2031-05-01", slices: int = 1) -> Message:
    return ledger.CalendarBusinessDateAdvanced(business_date=business_date, slices=slices)


def record(message: Message, key: bytes = KEY, day: date | None = DAY, **changed: Any) -> Record:
    envelope = Envelope("e", event_of(message).type, "/x", "s", NOW, "acme", business_date=day)
    value, headers = changed.get("value", encode(message)), envelope.to_headers() + changed.get("headers", [])
    return Record("ledger-events", 0, 0, key, value, tuple(headers))


USABLE = [
    record(payment()),
    record(payment(), day=None),
    record(payment(AMOUNT_MAX_MINOR, booked="1970-01-01"), day=date(2159, 12, 31)),
    record(tick(), debtor_key("acme", "")),
    record(ledger.PartyUpserted(debtor_id="D"), value=b""),
]
PUT_ASIDE = [
    record(payment(currency="")),
    record(payment(AMOUNT_MAX_MINOR + 1)),
    record(payment(booked="1950-01-01")),
    record(payment(booked="soon")),
    record(payment(), day=date(9999, 12, 31)),
    record(payment(), day=date(1969, 12, 31)),
    record(payment(), value=b"\xff"),
    record(payment(), debtor_key("acme", "")),
    record(payment(), debtor_key("other", "D")),
    record(payment(), b"acme|\xff"),
    record(payment(), debtor_key("acme", "D" * KEY_BYTES_MAX)),
    record(payment(), headers=[("ce_businessdate", b"2031-02-30")]),
    record(payment(), headers=[("ce_type", b"nobody.knows.v1")]),
    record(tick("9999-12-31"), debtor_key("acme", "")),
    record(tick(slices=-1), debtor_key("acme", "")),
    record(risk.RiskScoreUpdated(debtor_id="D")),
]


@pytest.mark.parametrize("one", USABLE)
def test_what_scoring_folds_a_command_reads(one: Record) -> None:
    decoded, (envelope, read) = decode_record(one), read_record(one)
    assert isinstance(decoded, Usable)
    assert (envelope, read.debtor_id, read.event) == (decoded.envelope, decoded.debtor_id, decoded.event)


@pytest.mark.parametrize("one", PUT_ASIDE)
def test_what_scoring_puts_aside_a_command_passes_over(one: Record) -> None:
    assert not isinstance(decode_record(one), Usable)
    with pytest.raises(ValueError, match=r"\w"):
        read_record(one)
