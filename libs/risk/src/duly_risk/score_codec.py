"""The bytes of `risk.score_updated`, written field by field: a message object would cost more than the score itself.

Tags come from the contract's descriptor; a test compares every byte with the protobuf library's own.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from google.protobuf.descriptor import Descriptor

from duly.money.v1 import money_pb2
from duly.risk.v1 import events_pb2 as risk
from duly_risk.curves import WEEK
from duly_risk.days import date_of
from duly_risk.model import Role
from duly_risk.score import InvoiceScore, Reason, ScoreUpdated

_VARINT, _DOUBLE, _BYTES = 0, 1, 2
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
        _double(_SCORE["risk"], score.risk),
    ]
    for currency, minor in score.amount_at_risk_minor:
        parts += _nested(_SCORE["amount_at_risk"], _money(minor, _currency(currency)))
    for invoice in score.invoices:
        parts += _nested(_SCORE["invoices"], _invoice(invoice))
    parts += _cash(score)
    for reason in score.reasons:
        parts += _nested(_SCORE["reasons"], _reason(reason))
    parts.append(_number(_SCORE["previous_band"], score.previous_band))
    return b"".join(parts)


def _invoice(score: InvoiceScore) -> bytes:
    return b"".join(
        (
            _text(_INVOICE["invoice_id"], score.invoice_id),
            _doubles(_UNPAID, (score.p_unpaid_1, score.p_unpaid_30, score.p_unpaid_60, score.p_unpaid_90)),
            _day(_INVOICE["pay_date_p10"], score.pay_day_p10),
            _day(_INVOICE["pay_date_p50"], score.pay_day_p50),
            _day(_INVOICE["pay_date_p90"], score.pay_day_p90),
            _doubles(_LATER, (score.p_unpaid_5, score.expected_days)),
        )
    )


def _cash(score: ScoreUpdated) -> list[bytes]:
    """By week and currency."""
    parts: list[bytes] = []
    columns = [(_currency(currency), weeks) for currency, weeks in score.expected_cash_minor]
    for week in range(len(columns[0][1]) if columns else 0):
        start = _CASH["week_start"] + _iso(score.business_day + 1 + WEEK * week)
        for currency, weeks in columns:
            money = _money(weeks[week], currency)
            size = _varint(len(start) + len(_CASH["amount"]) + 1 + len(money))
            parts += (_SCORE["expected_cash"], size, start, _CASH["amount"], _varint(len(money)), money)
    return parts


def _reason(reason: Reason) -> bytes:
    return b"".join(
        (
            _text(_REASON["feature"], reason.feature),
            _number(_REASON["direction"], reason.direction),
            _double(_REASON["contribution"], reason.contribution),
            _text(_REASON["text"], reason.text),
        )
    )


# ---- the wire format; a field with its default value is left out ----


def _varint(number: int) -> bytes:
    if number < 0x80:
        return bytes((number,))
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _number(tag: bytes, number: int) -> bytes:
    # A negative number is written as its 64-bit two's complement.
    return tag + _varint(number & 0xFFFF_FFFF_FFFF_FFFF) if number else b""


def _double(tag: bytes, number: float) -> bytes:
    return tag + struct.pack("<d", number) if number else b""


def _doubles(tags: tuple[struct.Struct, bytes], numbers: tuple[float, ...]) -> bytes:
    """Doubles of one-byte tags that follow each other: in one go where none of them is 0."""
    layout, single = tags
    if 0.0 in numbers:
        return b"".join(_double(single[at : at + 1], number) for at, number in enumerate(numbers))
    return layout.pack(*[part for pair in zip(single, numbers, strict=True) for part in pair])


def _text(tag: bytes, text: str) -> bytes:
    raw = text.encode()
    return tag + _varint(len(raw)) + raw if raw else b""


def _day(tag: bytes, day: int) -> bytes:
    return tag + _iso(day) if day else b""


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


def _run(tags: dict[str, bytes], *names: str) -> tuple[struct.Struct, bytes]:
    return struct.Struct("<" + "Bd" * len(names)), b"".join(tags[name] for name in names)


_SCORE = _tags(
    risk.RiskScoreUpdated.DESCRIPTOR,
    {
        **dict.fromkeys(("score_id", "debtor_id", "business_date", "model_name", "model_version"), _BYTES),
        **dict.fromkeys(("amount_at_risk", "invoices", "expected_cash", "reasons"), _BYTES),
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
_UNPAID = _run(_INVOICE, "p_unpaid_1", "p_unpaid_30", "p_unpaid_60", "p_unpaid_90")
_LATER = _run(_INVOICE, "p_unpaid_5", "expected_days")
_CASH = _tags(risk.ExpectedCash.DESCRIPTOR, {"week_start": _BYTES, "amount": _BYTES})
_REASON = _tags(
    risk.ScoreReason.DESCRIPTOR, {"feature": _BYTES, "direction": _VARINT, "contribution": _DOUBLE, "text": _BYTES}
)
_MONEY = _tags(money_pb2.Money.DESCRIPTOR, {"amount_minor": _VARINT, "currency": _BYTES})
