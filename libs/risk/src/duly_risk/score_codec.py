"""The bytes of `risk.score_updated`, written field by field: a message object would cost more than the score itself.

Tags come from the contract's descriptor; a test compares every byte with the protobuf library's own.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from google.protobuf.descriptor import Descriptor

from duly.money.v1 import money_pb2
from duly.risk.v1 import events_pb2 as risk
from duly_risk.curves import CASH_WEEKS, WEEK
from duly_risk.days import date_of
from duly_risk.model import Role
from duly_risk.score import InvoiceScore, Reason, ScoreUpdated, Segment

_VARINT, _DOUBLE, _BYTES = 0, 1, 2
# Tag and value of one, two and four doubles.
_ONE_DOUBLE, _LATER, _UNPAID = struct.Struct("<Bd"), struct.Struct("<BdBd"), struct.Struct("<BdBdBdBd")
_ROLES = {
    Role.CHAMPION: risk.MODEL_ROLE_CHAMPION,
    Role.CHALLENGER: risk.MODEL_ROLE_CHALLENGER,
    Role.SHADOW: risk.MODEL_ROLE_SHADOW,
    Role.FALLBACK: risk.MODEL_ROLE_FALLBACK,
}


def _tags(message: Descriptor, wire_types: dict[str, int]) -> dict[str, bytes]:
    return {name: _varint(message.fields_by_name[name].number << 3 | wire) for name, wire in wire_types.items()}


def encode_score(score: ScoreUpdated) -> bytes:
    """The value of a `risk.score_updated` record: fields in rising order, as deterministic protobuf has them."""
    parts = [
        _text(_SCORE["score_id"], score.score_id),
        _text(_SCORE["debtor_id"], score.debtor_id),
        _SCORE["business_date"] + _iso(score.business_day),
        _number(_SCORE["ledger_version"], score.ledger_version),
        _text(_SCORE["model_name"], score.model_name),
        _text(_SCORE["model_version"], score.model_version),
        _number(_SCORE["role"], _ROLES[score.role]),
        _number(_SCORE["risk_band"], score.band),
        _double(_SCORE["risk"][0], score.risk),
    ]
    for currency, minor in score.amount_at_risk_minor:
        parts += _nested(_SCORE["amount_at_risk"], _money(minor, _currency(currency)))
    for invoice in score.invoices:
        parts += _nested(_SCORE["invoices"], _invoice(invoice))
    parts += _cash(score)
    for reason in score.reasons:
        parts += _nested(_SCORE["reasons"], _reason(reason))
    parts.append(_number(_SCORE["previous_band"], score.previous_band))
    parts += _nested(_SCORE["segment"], _segment(score.segment))
    return b"".join(parts)


def _invoice(score: InvoiceScore) -> bytes:
    invoice_id, p1, p5, p30, p60, p90, days, pay10, pay50, pay90 = score
    if p90 and days:  # p_unpaid falls in k: none of them is 0
        unpaid = _UNPAID.pack(_P1, p1, _P30, p30, _P60, p60, _P90, p90)
        later = _LATER.pack(_P5, p5, _DAYS, days)
    else:
        unpaid = _double(_P1, p1) + _double(_P30, p30) + _double(_P60, p60) + _double(_P90, p90)
        later = _double(_P5, p5) + _double(_DAYS, days)
    return b"".join((_text(_ID, invoice_id), unpaid, _pay_dates(pay10, pay50, pay90), later))


@lru_cache(maxsize=16_384)
def _pay_dates(pay10: int, pay50: int, pay90: int) -> bytes:
    """Debtors are many, days few: most of these come again."""
    days = {"pay_date_p10": pay10, "pay_date_p50": pay50, "pay_date_p90": pay90}
    return b"".join([_INVOICE[name] + _iso(day) for name, day in days.items() if day])


def _cash(score: ScoreUpdated) -> list[bytes]:
    """By week and currency."""
    parts: list[bytes] = []
    columns = [
        (_cash_heads(score.business_day, currency), weeks, _currency(currency))
        for currency, weeks in score.expected_cash_minor
    ]
    for week in range(CASH_WEEKS) if columns else ():
        for heads, weeks, currency in columns:
            minor = weeks[week]
            number = _varint(minor) if minor else b""
            parts += (heads[len(number)][week], number, currency)
    return parts


@lru_cache(maxsize=256)
def _cash_heads(business_day: int, currency: str) -> tuple[tuple[bytes, ...], ...]:
    """What stands before the minor units: by how many bytes these take (0: they are 0 and left out), by week."""
    return tuple(
        tuple(_cash_head(business_day + 1 + WEEK * week, size, len(_currency(currency))) for week in range(CASH_WEEKS))
        for size in range(_VARINT_BYTES_MAX + 1)
    )


def _cash_head(week_start: int, number_bytes: int, currency_bytes: int) -> bytes:
    minor_tag = _MONEY["amount_minor"] if number_bytes else b""
    money_bytes = len(minor_tag) + number_bytes + currency_bytes
    start = _CASH["week_start"] + _iso(week_start) + _CASH["amount"] + _varint(money_bytes)
    return _SCORE["expected_cash"] + _varint(len(start) + money_bytes) + start + minor_tag


def _reason(reason: Reason) -> bytes:
    return b"".join(
        (
            _text(_REASON["feature"], reason.feature),
            _number(_REASON["direction"], reason.direction),
            _double(_REASON["contribution"][0], reason.contribution),
            _text(_REASON["text"], reason.text),
        )
    )


def _segment(segment: Segment) -> bytes:
    return b"".join(
        (
            _number(_SEGMENT["risk_band"], segment.band),
            _number(_SEGMENT["value_tier"], segment.tier),
            _number(_SEGMENT["behaviour"], segment.behaviour),
        )
    )


# ---- the wire format; a field with its default value is left out ----

# Every score has dozens of lengths and amounts: two bytes at a time come out of a table.
_TABLED = 1 << 14
_VARINT_BYTES_MAX = 10
_VARINTS = tuple(bytes((n,)) if n < 0x80 else bytes((n & 0x7F | 0x80, n >> 7)) for n in range(_TABLED))
_BEFORE_MORE = tuple(bytes((n & 0x7F | 0x80, n >> 7 | 0x80)) for n in range(_TABLED))


def _varint(number: int) -> bytes:
    """Raises ValueError for a negative number."""
    if 0 <= number < _TABLED:
        return _VARINTS[number]
    if number < 0:
        raise ValueError(f"{number} is negative")
    return _BEFORE_MORE[number & _TABLED - 1] + _varint(number >> 14)


def _number(tag: bytes, number: int) -> bytes:
    """Raises ValueError for what is no int64."""
    if not -(1 << 63) <= number < 1 << 63:
        raise ValueError(f"{number} does not fit into 64 bits")
    # A negative number is written as its 64-bit two's complement.
    return tag + _varint(number & 0xFFFF_FFFF_FFFF_FFFF) if number else b""


def _double(tag: int, number: float) -> bytes:
    """tag: of one byte."""
    return _ONE_DOUBLE.pack(tag, number) if number else b""


def _text(tag: bytes, text: str) -> bytes:
    raw = text.encode()
    return tag + _varint(len(raw)) + raw if raw else b""


def _nested(tag: bytes, body: bytes) -> tuple[bytes, bytes, bytes]:
    return tag, _varint(len(body)), body


def _money(minor: int, currency: bytes) -> bytes:
    return _number(_MONEY["amount_minor"], minor) + currency


@lru_cache(maxsize=256)
def _currency(currency: str) -> bytes:
    """The field of a Money."""
    return _text(_MONEY["currency"], currency)


@lru_cache(maxsize=4096)
def _iso(day: int) -> bytes:
    """Length and ISO text of a date."""
    raw = date_of(day).isoformat().encode()
    return _varint(len(raw)) + raw


_SCORE = _tags(
    risk.RiskScoreUpdated.DESCRIPTOR,
    {
        **dict.fromkeys(("score_id", "debtor_id", "business_date", "model_name", "model_version"), _BYTES),
        **dict.fromkeys(("amount_at_risk", "invoices", "expected_cash", "reasons", "segment"), _BYTES),
        **dict.fromkeys(("ledger_version", "role", "risk_band", "previous_band"), _VARINT),
        "risk": _DOUBLE,
    },
)
_INVOICE = _tags(
    risk.InvoiceScore.DESCRIPTOR,
    {
        **dict.fromkeys(("invoice_id", "pay_date_p10", "pay_date_p50", "pay_date_p90"), _BYTES),
        **dict.fromkeys(("p_unpaid_1", "p_unpaid_5", "p_unpaid_30", "p_unpaid_60", "p_unpaid_90"), _DOUBLE),
        "expected_days": _DOUBLE,
    },
)
_P1, _P5, _P30, _P60, _P90 = (_INVOICE[f"p_unpaid_{k}"][0] for k in (1, 5, 30, 60, 90))
_ID, _DAYS = _INVOICE["invoice_id"], _INVOICE["expected_days"][0]
_CASH = _tags(risk.ExpectedCash.DESCRIPTOR, {"week_start": _BYTES, "amount": _BYTES})
_REASON = _tags(
    risk.ScoreReason.DESCRIPTOR, {"feature": _BYTES, "direction": _VARINT, "contribution": _DOUBLE, "text": _BYTES}
)
_MONEY = _tags(money_pb2.Money.DESCRIPTOR, {"amount_minor": _VARINT, "currency": _BYTES})
_SEGMENT = _tags(risk.Segment.DESCRIPTOR, dict.fromkeys(("risk_band", "value_tier", "behaviour"), _VARINT))
