"""All that the gate may look at of one debtor, read fresh under the debtor's lock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from duly_policy import DebtorKind, PastAttempt

from gateway.domain.contact import ContactId
from gateway.domain.debts import InvoicePosition


@dataclass(frozen=True, slots=True)
class ContactPoint:
    contact_point_id: str
    address: str
    verified: bool


@dataclass(frozen=True, slots=True)
class CountedAttempt:
    """An attempt of the last 30 days; reserved ones are a claim on the cap of their own contact."""

    past: PastAttempt
    contact_id: ContactId
    reserved: bool


@dataclass(frozen=True, slots=True)
class DebtorPicture:
    """contact_point: the one the contact would use; None where the debtor has none for the channel.

    ledger_version: offset of the debtor's last folded fact. unapplied: minor units by currency.
    """

    kind: DebtorKind
    name: str
    country: str
    zones: tuple[str, ...]
    contact_point: ContactPoint | None
    degraded: bool
    drift: bool
    stopped: bool
    suppressed: bool
    kill_switch: bool
    positions: tuple[InvoicePosition, ...]
    unapplied: Mapping[str, int]
    attempts: tuple[CountedAttempt, ...]
    ledger_version: int
    business_date: date | None
