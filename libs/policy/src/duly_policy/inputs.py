"""What the contact gate is asked with. Frozen values only: whatever is not in here cannot influence an answer.

The words are those of the glossary: open, claimable, contact, attempt. Instants are aware datetimes, money is
in minor units.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from enum import StrEnum


class Phase(StrEnum):
    """When the gate is asked: while a contact is planned, or inside the transaction that claims its send."""

    PLAN = "PLAN"
    SEND = "SEND"


class DebtorKind(StrEnum):
    BUSINESS = "BUSINESS"
    SOLE_TRADER = "SOLE_TRADER"
    CONSUMER = "CONSUMER"
    UNKNOWN = "UNKNOWN"


class Channel(StrEnum):
    EMAIL = "EMAIL"
    SMS = "SMS"
    VOICE = "VOICE"
    LETTER = "LETTER"
    CONSOLE = "CONSOLE"
    NOOP = "NOOP"


class Autonomy(StrEnum):
    MANUAL = "MANUAL"
    APPROVE = "APPROVE"
    AUTO = "AUTO"


class InvalidGateInput(ValueError):
    """The question itself is broken (a naive instant, an empty id): nothing can be answered."""

    code = "policy.invalid_gate_input"


@dataclass(frozen=True, slots=True)
class DebtView:
    """One requested debt as the ledger fold shows it at the moment of asking."""

    invoice_id: str
    currency: str
    open_minor: int
    claimable_minor: int
    disputed: bool
    due_date: date


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """One hand-over to a provider. It counts against the caps unless its outcome is 'refused' or 'cancelled'."""

    contact_id: str
    at: datetime
    channel: Channel
    outcome: str

    def __post_init__(self) -> None:
        _require_aware("attempts.at", self.at)


@dataclass(frozen=True, slots=True)
class GateInput:
    """Everything the gate may look at.

    zones: IANA candidates; empty or unknown names widen to all zones of `country`.
    kill_switch: None = it could not be read, which denies.
    content_amounts: (currency, minor units) as the rendered text claims them; None while planning.
    attempts: of the last 30 days, of other contacts and earlier attempts of this one.
    not_before, not_after: the window the contact was planned for; after not_after it has expired.
    """

    tenant: str
    contact_id: str
    debtor_id: str
    phase: Phase
    kind: DebtorKind
    country: str
    zones: tuple[str, ...]
    debts: tuple[DebtView, ...]
    channel: Channel
    purpose: str
    action: str
    autonomy: Autonomy
    approved: bool
    address_verified: bool
    suppressed: bool
    stopped: bool
    degraded: bool
    drift: bool
    kill_switch: bool | None
    ledger_fresh: bool
    content_amounts: tuple[tuple[str, int], ...] | None
    attempts: tuple[PastAttempt, ...]
    promise_open: bool
    care: bool
    not_before: datetime | None
    not_after: datetime | None
    now: datetime

    def __post_init__(self) -> None:
        for name in ("tenant", "contact_id", "debtor_id"):
            if not getattr(self, name):
                raise InvalidGateInput(f"{name} is empty")
        for name in ("not_before", "not_after", "now"):
            _require_aware(name, getattr(self, name))

    def normalised(self) -> GateInput:
        """The same question in UTC and with every list in one order: the order of database rows changes no byte."""
        attempts = (replace(past, at=past.at.astimezone(UTC)) for past in self.attempts)
        return replace(
            self,
            country=self.country.upper(),
            zones=tuple(sorted(set(self.zones))),
            debts=tuple(sorted(self.debts, key=lambda debt: (debt.invoice_id, debt.currency, repr(debt)))),
            attempts=tuple(sorted(attempts, key=lambda past: (past.at, past.contact_id, past.channel, past.outcome))),
            content_amounts=None if self.content_amounts is None else tuple(sorted(self.content_amounts)),
            not_before=_utc(self.not_before),
            not_after=_utc(self.not_after),
            now=self.now.astimezone(UTC),
        )


def _require_aware(name: str, instant: datetime | None) -> None:
    if instant is not None and instant.tzinfo is None:
        raise InvalidGateInput(f"{name} is a naive datetime; instants are aware UTC")


def _utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.astimezone(UTC)
