"""The closed set of predicates. A pack names one and gives it parameters; packs hold no code.

Each answers for one instant: None (silent), or a Firing with the first instant at which it falls silent by itself
(None = not within any horizon).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import assert_never
from zoneinfo import ZoneInfo

from duly_policy.calendars import Calendar
from duly_policy.inputs import GateInput
from duly_policy.localtime import closing, day_begins, local_date, opening
from duly_policy.packs import (
    AmountBasis,
    AttemptsInWindow,
    AutonomyLevel,
    ContactWindow,
    DailyWindow,
    Freshness,
    NoSlot,
    Packs,
    Rule,
    StatePresent,
    TimeWindow,
    WindowGuard,
    debt_class,
)

OPENING_SEARCH_DAYS = 40  # longer than the 30 days in which a slot is looked for

STATES = (
    "address_unverified",
    "care",
    "degraded",
    "disputed",
    "drift",
    "kill_switch",
    "promise_open",
    "stopped",
    "suppressed",
)


@dataclass(frozen=True, slots=True)
class Firing:
    detail: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Situation:
    """The question, with the debtor's candidate places resolved.

    zones: empty when no place is known at all; counting_zones then brackets the globe (UTC-12, UTC+14).
    """

    asked: GateInput
    rules: tuple[Rule, ...]
    zones: tuple[ZoneInfo, ...]
    counting_zones: tuple[ZoneInfo, ...]
    calendar: Calendar | None

    @classmethod
    def of(cls, asked: GateInput, packs: Packs) -> Situation:
        zones = tuple(packs.zones[name] for name in candidate_zones(asked, packs))
        return cls(
            asked=asked,
            rules=packs.rules,
            zones=zones,
            counting_zones=zones or (packs.zones["Etc/GMT+12"], packs.zones["Etc/GMT-14"]),
            calendar=packs.calendars.get(asked.country),
        )

    def rules_at(self, at: datetime) -> tuple[Rule, ...]:
        """Rules that bind this contact if it leaves at `at`: the debtor-local date picks the version."""
        days = {local_date(zone, at) for zone in self.counting_zones}
        return tuple(r for r in self.rules if any(map(r.in_force_on, days)) and r.scope.covers(self.asked))


def candidate_zones(asked: GateInput, packs: Packs) -> tuple[str, ...]:
    """The stated zones; all zones of the country when none is stated or one of them is unknown; else nothing."""
    known = [name for name in asked.zones if name in packs.zones]
    if known and len(known) == len(asked.zones):
        return tuple(known)
    of_country = packs.country_zones.get(asked.country, ())
    return tuple(sorted({*known, *of_country})) if of_country else ()


def check(rule: Rule, situation: Situation, at: datetime) -> Firing | None:
    """Does this rule fire if the contact leaves at `at`?"""
    params, asked = rule.params, situation.asked
    match params:
        case TimeWindow():
            return _outside_window(params, situation, at)
        case WindowGuard():
            return _near_closing(params, situation, at)
        case AttemptsInWindow():
            return _cap_reached(params, situation, at)
        case StatePresent():
            present = [state for state in params.states if _state(state, asked)]
            return Firing(", ".join(present)) if present else None
        case AmountBasis():
            return _amount_fault(asked)
        case AutonomyLevel():
            return Firing(f"level {asked.autonomy}") if asked.autonomy in params.needs_approval else None
        case Freshness():
            return _stale(params, asked, at)
        case ContactWindow():
            return _outside_contact_window(params, asked, at)
        case NoSlot():
            return None  # decided by the gate itself, once the DEFER rules have been asked
    assert_never(params)


def _state(state: str, asked: GateInput) -> bool:
    match state:
        case "kill_switch":
            return asked.kill_switch is not False  # None: unreadable counts as on
        case "disputed":
            return any(debt.disputed for debt in asked.debts)
        case "address_unverified":
            return not asked.address_verified
        case _:
            return bool(getattr(asked, state))


def _amount_fault(asked: GateInput) -> Firing | None:
    if not any(debt.claimable_minor > 0 for debt in asked.debts):
        return Firing("nothing is claimable")
    if asked.content_amounts is None:
        return Firing("the content's amounts are not known") if asked.phase == "SEND" else None
    claimable: Counter[str] = Counter()
    for debt in asked.debts:
        claimable[debt.currency] += debt.claimable_minor
    claimed: Counter[str] = Counter()
    for currency, amount_minor in asked.content_amounts:
        claimed[currency] += amount_minor
    if claimed == claimable:  # counters: a currency at zero equals one that is not there
        return None
    return Firing(f"content claims {_money(claimed)}, the ledger {_money(claimable)}")


def _money(amounts: Counter[str]) -> str:
    return " + ".join(f"{amount} {currency}" for currency, amount in sorted(amounts.items())) or "nothing"


def _stale(params: Freshness, asked: GateInput, at: datetime) -> Firing | None:
    until = asked.now + timedelta(seconds=params.retry_seconds)
    return Firing("read again first", until) if not asked.ledger_fresh and at < until else None


def _outside_contact_window(params: ContactWindow, asked: GateInput, at: datetime) -> Firing | None:
    if params.bound == "not_before":
        planned = asked.not_before
        return Firing("planned for later", planned) if planned is not None and at < planned else None
    return Firing("to be planned anew") if asked.not_after is not None and at > asked.not_after else None


def _cap_reached(params: AttemptsInWindow, situation: Situation, at: datetime) -> Firing | None:
    """An attempt on local day d counts until day d + days begins, in every candidate zone; today is one of the days."""
    counted = [past.at for past in situation.asked.attempts if past.outcome.lower() not in params.not_counted]
    full: list[tuple[datetime, str]] = []
    for zone in situation.counting_zones:
        days_of_attempts = [local_date(zone, instant) for instant in counted]
        for limit in params.limits:
            ends = (day_begins(zone, day + timedelta(days=limit.days)) for day in days_of_attempts)
            live = sorted(end for end in ends if at < end)
            if len(live) >= limit.max:
                detail = f"{len(live)} in {limit.days} local day(s), at most {limit.max}"
                full.append((live[len(live) - limit.max], detail))
    if not full:
        return None
    until, detail = max(full)
    return Firing(detail, until)


def _outside_window(params: TimeWindow, situation: Situation, at: datetime) -> Firing | None:
    if not situation.zones:
        return Firing("no time zone of the debtor is known")
    window = params.windows[debt_class(situation.asked.kind)]
    calendar = situation.calendar if params.holidays else None
    shut = [zone for zone in situation.zones if _closes_after(window, calendar, zone, at) is None]
    if not shut:
        return None
    zone = min(shut, key=lambda candidate: candidate.key)
    local = at.astimezone(zone)
    holiday = calendar.holiday_on(local.date()) if calendar else None
    clock = f"{local:%a %H:%M} in {zone.key}" + (f", {holiday}" if holiday else "")
    return Firing(clock, _latest([_next_opening(window, calendar, candidate, at) for candidate in shut]))


def _near_closing(params: WindowGuard, situation: Situation, at: datetime) -> Firing | None:
    guarded = [rule.params for rule in situation.rules_at(at) if rule.id in params.of]
    reopenings: list[datetime | None] = []
    for window_params in guarded:
        if not isinstance(window_params, TimeWindow):
            continue
        window = window_params.windows[debt_class(situation.asked.kind)]
        calendar = situation.calendar if window_params.holidays else None
        for zone in situation.zones:
            closes = _closes_after(window, calendar, zone, at)
            if closes is not None and at > closes - timedelta(seconds=params.guard_seconds):
                reopenings.append(_next_opening(window, calendar, zone, at))
    return Firing(f"less than {params.guard_seconds} s left", _latest(reopenings)) if reopenings else None


def _latest(instants: list[datetime | None]) -> datetime | None:
    """The latest instant; None as soon as one of them never comes."""
    known = [instant for instant in instants if instant is not None]
    return max(known) if len(known) == len(instants) else None


def _is_open_day(window: DailyWindow, calendar: Calendar | None, day: date) -> bool:
    return day.weekday() in window.weekdays and (calendar is None or calendar.holiday_on(day) is None)


def _closes_after(window: DailyWindow, calendar: Calendar | None, zone: ZoneInfo, at: datetime) -> datetime | None:
    """The closing of the window that `at` lies in; None outside of any."""
    day = local_date(zone, at)
    if not _is_open_day(window, calendar, day):
        return None
    closes = closing(zone, day, window.closes)
    return closes if opening(zone, day, window.opens) <= at <= closes else None


def _next_opening(window: DailyWindow, calendar: Calendar | None, zone: ZoneInfo, at: datetime) -> datetime | None:
    first = local_date(zone, at)
    for offset in range(OPENING_SEARCH_DAYS):
        day = first + timedelta(days=offset)
        if _is_open_day(window, calendar, day) and (opens := opening(zone, day, window.opens)) > at:
            return opens
    return None
