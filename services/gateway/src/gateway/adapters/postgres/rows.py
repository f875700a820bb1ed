"""Rows to values and back."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from duly_policy import Channel
from duly_runtime.database import Row
from psycopg.types.json import Jsonb

from gateway.domain.contact import Attempt, AttemptState, Contact, ContactState

CONTACT_COLUMNS = tuple(field.name for field in fields(Contact) if field.name != "seq")
ATTEMPT_COLUMNS = tuple(field.name for field in fields(Attempt))


def contact_from(row: Row) -> Contact:
    return Contact(
        **{
            **{name: row[name] for name in (*CONTACT_COLUMNS, "seq")},
            "treatment_id": row["treatment_id"] or "",
            "invoice_ids": tuple(row["invoice_ids"]),
            "channel": Channel(row["channel"]),
            "state": ContactState(row["state"]),
            "amount_claimed": _amounts(row["amount_claimed"]),
        }
    )


def contact_values(contact: Contact) -> tuple[Any, ...]:
    """In the order of CONTACT_COLUMNS. A contact without a treatment holds null: only treatments are unique."""
    return tuple(_value(contact, name) for name in CONTACT_COLUMNS)


def attempt_from(row: Row) -> Attempt:
    return Attempt(
        **{
            **{name: row[name] for name in ATTEMPT_COLUMNS},
            "channel": Channel(row["channel"]),
            "state": AttemptState(row["state"]),
            "amount_claimed": _amounts(row["amount_claimed"]),
        }
    )


def attempt_values(attempt: Attempt) -> tuple[Any, ...]:
    return tuple(_value(attempt, name) for name in ATTEMPT_COLUMNS)


def _value(of: Contact | Attempt, name: str) -> Any:
    value = getattr(of, name)
    match name:
        case "amount_claimed":
            return Jsonb([list(pair) for pair in value])
        case "invoice_ids":
            return list(value)
        case "treatment_id":
            return value or None
        case _:
            return value


def _amounts(value: list[list[Any]]) -> tuple[tuple[str, int], ...]:
    return tuple((str(currency), int(amount)) for currency, amount in value)
