"""Policy packs in memory: rules with effective dates, scope and typed parameters; calendars; pinned time zones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from zoneinfo import ZoneInfo

from duly_policy.calendars import Calendar
from duly_policy.decisions import Answer
from duly_policy.inputs import Autonomy, DebtorKind, GateInput


class UnknownPack(LookupError):
    """No such pack, version, calendar or strategy is packaged."""

    code = "policy.unknown_pack"


class InvalidPack(ValueError):
    """A pack, calendar or strategy file breaks the schema."""

    code = "policy.invalid_pack"


@dataclass(frozen=True, slots=True)
class DailyWindow:
    """weekdays: 0 = Monday; both bounds inclusive, debtor-local."""

    weekdays: frozenset[int]
    opens: time
    closes: time


@dataclass(frozen=True, slots=True)
class TimeWindow:
    windows: Mapping[str, DailyWindow]
    holidays: bool


@dataclass(frozen=True, slots=True)
class WindowGuard:
    """The last seconds of the windows of other rules: what is claimed there could arrive after closing."""

    of: tuple[str, ...]
    guard_seconds: int


@dataclass(frozen=True, slots=True)
class AttemptLimit:
    max: int
    days: int


@dataclass(frozen=True, slots=True)
class AttemptsInWindow:
    limits: tuple[AttemptLimit, ...]
    per: str
    not_counted: frozenset[str]


@dataclass(frozen=True, slots=True)
class StatePresent:
    states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AmountBasis:
    """Claimable must be positive and, once content is rendered, equal to what it claims."""


@dataclass(frozen=True, slots=True)
class AutonomyLevel:
    needs_approval: frozenset[Autonomy]


@dataclass(frozen=True, slots=True)
class Freshness:
    retry_seconds: int


@dataclass(frozen=True, slots=True)
class ContactWindow:
    bound: str


@dataclass(frozen=True, slots=True)
class NoSlot:
    days: int


Params = (
    TimeWindow
    | WindowGuard
    | AttemptsInWindow
    | StatePresent
    | AmountBasis
    | AutonomyLevel
    | Freshness
    | ContactWindow
    | NoSlot
)


@dataclass(frozen=True, slots=True)
class Scope:
    """Whom a rule binds; an empty set binds all. except_actions are left out."""

    phases: frozenset[str] = frozenset()
    debts: frozenset[str] = frozenset()
    countries: frozenset[str] = frozenset()
    channels: frozenset[str] = frozenset()
    actions: frozenset[str] = frozenset()
    except_actions: frozenset[str] = frozenset()

    def covers(self, asked: GateInput) -> bool:
        action = asked.action.lower()
        return (
            (not self.phases or asked.phase in self.phases)
            and (not self.debts or debt_class(asked.kind) in self.debts)
            and (not self.countries or not asked.country or asked.country in self.countries)
            and (not self.channels or asked.channel in self.channels)
            and (not self.actions or action in self.actions)
            and action not in self.except_actions
        )


@dataclass(frozen=True, slots=True)
class Rule:
    id: str
    pack_version: str
    effective_from: date
    effective_to: date | None  # exclusive
    scope: Scope
    predicate: str
    params: Params
    effect: Answer
    cite: str
    mark: str
    reason: str

    def in_force_on(self, day: date) -> bool:
        return self.effective_from <= day and (self.effective_to is None or day < self.effective_to)


@dataclass(frozen=True, slots=True)
class Packs:
    """Immutable once loaded. versions: (pack, version), sorted."""

    versions: tuple[tuple[str, str], ...]
    rules: tuple[Rule, ...]
    calendars: Mapping[str, Calendar]
    zones: Mapping[str, ZoneInfo]
    country_zones: Mapping[str, tuple[str, ...]]
    tzdata_version: str

    def versions_for(self, country: str) -> tuple[tuple[str, str], ...]:
        """Packs, and the calendar the answer for this country rests on."""
        calendar = self.calendars.get(country)
        used = () if calendar is None else ((f"calendar/{country}", calendar.version),)
        return tuple(sorted(self.versions + used))


def debt_class(kind: DebtorKind) -> str:
    """B for organisations; C for every natural person and for whoever is not known, the stricter reading.

    A sole trader is a natural person (C-634/21 treats them as data subjects), so the consumer hours hold.
    """
    return "B" if kind is DebtorKind.BUSINESS else "C"
