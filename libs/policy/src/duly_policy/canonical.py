"""Canonical JSON: one byte sequence per question or decision, so that evidence can be hashed, stored and replayed.

Keys sorted, no blanks, ASCII only; instants as UTC with six decimals and Z, dates as ISO, enums by value.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime
from typing import Any

from duly_policy.decisions import GateDecision
from duly_policy.inputs import (
    Autonomy,
    Channel,
    DebtorKind,
    DebtView,
    GateInput,
    InvalidGateInput,
    PastAttempt,
    Phase,
)

_PLAIN_TYPES = {"str": str, "int": int, "bool": bool}


def canonical_json(gate_input: GateInput) -> str:
    """The normalised input. `gate_input_from_json` gives it back; both evaluate to equal bytes."""
    return _dumps(gate_input.normalised())


def canonical_decision_json(decision: GateDecision) -> str:
    return _dumps(decision)


def gate_input_from_json(text: str) -> GateInput:
    """Raises InvalidGateInput for a missing, unknown or unreadable field: a replay must not guess."""
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidGateInput(f"not JSON: {error}") from error
    return gate_input_from_mapping(raw)


def gate_input_from_mapping(raw: Mapping[str, Any]) -> GateInput:
    if not isinstance(raw, Mapping):
        raise InvalidGateInput("the input is not an object")
    _same_fields("input", raw, GateInput)
    try:
        return GateInput(
            **{
                **raw,
                "phase": Phase(raw["phase"]),
                "kind": DebtorKind(raw["kind"]),
                "channel": Channel(raw["channel"]),
                "autonomy": Autonomy(raw["autonomy"]),
                "zones": tuple(raw["zones"]),
                "debts": tuple(_debt(debt) for debt in raw["debts"]),
                "attempts": tuple(_attempt(past) for past in raw["attempts"]),
                "content_amounts": _amounts(raw["content_amounts"]),
                "not_before": _instant(raw["not_before"]),
                "not_after": _instant(raw["not_after"]),
                "now": _instant(raw["now"]),
            }
        )
    except InvalidGateInput:
        raise
    except (TypeError, ValueError, AttributeError) as error:
        raise InvalidGateInput(f"unreadable value: {error}") from error


def _debt(raw: Mapping[str, Any]) -> DebtView:
    _same_fields("debt", raw, DebtView)
    return DebtView(**{**raw, "due_date": date.fromisoformat(raw["due_date"])})


def _attempt(raw: Mapping[str, Any]) -> PastAttempt:
    _same_fields("attempt", raw, PastAttempt)
    return PastAttempt(**{**raw, "at": _instant(raw["at"]), "channel": Channel(raw["channel"])})


def _amounts(raw: list[list[Any]] | None) -> tuple[tuple[str, int], ...] | None:
    return None if raw is None else tuple((str(currency), int(amount_minor)) for currency, amount_minor in raw)


def _instant(raw: str | None) -> datetime | None:
    return None if raw is None else datetime.fromisoformat(raw)


def _same_fields(what: str, raw: Mapping[str, Any], shape: type[GateInput | DebtView | PastAttempt]) -> None:
    expected = {field.name for field in fields(shape)}
    if set(raw) != expected:
        raise InvalidGateInput(f"{what}: unexpected or missing fields {sorted(set(raw) ^ expected)}")
    for field in fields(shape):
        wanted = _PLAIN_TYPES.get(str(field.type))
        if wanted is not None and type(raw[field.name]) is not wanted:
            raise InvalidGateInput(f"{what}.{field.name}: not a {field.type}")


def _dumps(value: object) -> str:
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    if isinstance(value, date):
        return value.isoformat()
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value
