"""The pack schema: from a parsed YAML document to rules and calendars. Strict: a misread rule contacts somebody.

A rule has the fields of RULE_FIELDS and nothing else; its predicate belongs to the closed set PREDICATES, its params to
that predicate. Every fault is reported at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date, time
from typing import Any

from duly_policy.calendars import Calendar, EasterOffset, FixedDay, Holiday, HolidayRule, NthWeekday
from duly_policy.decisions import Answer
from duly_policy.inputs import Autonomy, Channel, Phase
from duly_policy.packs import (
    AmountBasis,
    AttemptLimit,
    AttemptsInWindow,
    AutonomyLevel,
    ContactWindow,
    DailyWindow,
    Freshness,
    InvalidPack,
    NoSlot,
    Params,
    Rule,
    Scope,
    StatePresent,
    TimeWindow,
    WindowGuard,
)
from duly_policy.predicates import STATES

RULE_FIELDS = frozenset({"id", "effective", "scope", "predicate", "params", "effect", "cite", "mark", "reason"})
RULE_FIELDS_REQUIRED = RULE_FIELDS - {"scope"}
MARKS = {"V": "wording verified", "K": "known, to be re-read", "P": "product rule, no law behind it"}
WEEKDAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")

Raw = Mapping[str, Any]


def parse_rules(document: Raw) -> tuple[Rule, ...]:
    """Raises InvalidPack with every fault of the document."""
    faults = pack_faults(document)
    if faults:
        raise InvalidPack("; ".join(faults))
    return tuple(_rule(raw, str(document["version"])) for raw in document["rules"])


def pack_faults(document: Raw) -> list[str]:
    faults = [f"pack: missing {name}" for name in ("pack", "version", "rules") if not document.get(name)]
    faults += [f"pack: unknown field {name}" for name in sorted(set(document) - {"pack", "version", "rules"})]
    rules = document.get("rules") or []
    for raw in rules:
        faults += [f"{raw.get('id', '(no id)')}: {fault}" for fault in rule_faults(raw)]
    return faults + _overlaps(rules)


def rule_faults(raw: Raw) -> list[str]:
    faults = [f"missing {name}" for name in sorted(RULE_FIELDS_REQUIRED) if raw.get(name) in (None, "")]
    faults += [f"unknown field {name}" for name in sorted(set(raw) - RULE_FIELDS)]
    if not isinstance(_interval(raw)[0], date):
        faults.append("missing effective.from")
    if raw.get("mark") not in MARKS:
        faults.append(f"mark must be one of {sorted(MARKS)}")
    if raw.get("predicate") not in PREDICATES:
        faults.append(f"unknown predicate {raw.get('predicate')}")
    if not faults:
        try:
            _rule(raw, "0")
        except (KeyError, TypeError, ValueError) as error:
            faults.append(f"unusable: {error!r}")
    return faults


def _interval(raw: Raw) -> tuple[Any, Any]:
    effective = raw.get("effective")
    return (effective.get("from"), effective.get("to")) if isinstance(effective, Mapping) else (None, None)


def _overlaps(rules: list[Raw]) -> list[str]:
    """Two versions of one id must never hold on the same day; `to` is exclusive, an empty `to` is open."""
    faults = []
    dated = [raw for raw in rules if isinstance(_interval(raw)[0], date)]
    for place, one in enumerate(dated):
        for other in dated[place + 1 :]:
            (start, end), (other_start, other_end) = _interval(one), _interval(other)
            if one.get("id") == other.get("id") and start < (other_end or date.max) and other_start < (end or date.max):
                faults.append(f"{one.get('id')}: overlapping effective intervals")
    return faults


def _rule(raw: Raw, version: str) -> Rule:
    start, end = _interval(raw)
    _only(raw["effective"], {"from", "to"})
    effect = Answer(raw["effect"])
    if effect is Answer.ALLOW:
        raise ValueError("a rule cannot ALLOW")
    if end is not None and end <= start:
        raise ValueError("effective.to is not after effective.from")
    return Rule(
        id=raw["id"],
        pack_version=version,
        effective_from=start,
        effective_to=end,
        scope=_scope(raw.get("scope") or {}),
        predicate=raw["predicate"],
        params=PREDICATES[raw["predicate"]](raw["params"]),
        effect=effect,
        cite=raw["cite"],
        mark=raw["mark"],
        reason=raw["reason"],
    )


def _scope(raw: Raw) -> Scope:
    _only(raw, {"phase", "debt", "country", "channel", "action", "except_action"})
    scope = Scope(
        phases=frozenset(Phase(phase) for phase in raw.get("phase", ())),
        debts=frozenset(raw.get("debt", ())),
        countries=frozenset(raw.get("country", ())),
        channels=frozenset(Channel(channel) for channel in raw.get("channel", ())),
        actions=frozenset(raw.get("action", ())),
        except_actions=frozenset(raw.get("except_action", ())),
    )
    if not scope.debts <= {"B", "C"}:
        raise ValueError("scope.debt is a list of B, C")
    return scope


def _time_window(raw: Raw) -> Params:
    _only(raw, {"windows", "holidays"})
    if set(raw["windows"]) != {"B", "C"}:
        raise ValueError("windows are given for B and for C")
    return TimeWindow({kind: _daily_window(window) for kind, window in raw["windows"].items()}, bool(raw["holidays"]))


def _daily_window(raw: Raw) -> DailyWindow:
    _only(raw, {"days", "from", "to"})
    opens, closes = time.fromisoformat(raw["from"]), time.fromisoformat(raw["to"])
    if closes <= opens:
        raise ValueError("a window closes after it opens")
    return DailyWindow(frozenset(WEEKDAYS.index(day) for day in raw["days"]), opens, closes)


def _window_guard(raw: Raw) -> Params:
    _only(raw, {"of", "guard_seconds"})
    return WindowGuard(tuple(raw["of"]), _positive(raw["guard_seconds"]))


def _attempts_in_window(raw: Raw) -> Params:
    _only(raw, {"limits", "per", "not_counted"})
    if raw["per"] != "debtor":
        raise ValueError("attempts are counted per debtor")
    limits = []
    for limit in raw["limits"]:
        _only(limit, {"max", "days"})
        limits.append(AttemptLimit(max=_positive(limit["max"]), days=_positive(limit["days"])))
    return AttemptsInWindow(tuple(limits), raw["per"], frozenset(raw["not_counted"]))


def _state_present(raw: Raw) -> Params:
    _only(raw, {"states"})
    unknown = set(raw["states"]) - set(STATES)
    if unknown or not raw["states"]:
        raise ValueError(f"states are from {STATES}")
    return StatePresent(tuple(sorted(raw["states"])))


def _amount_basis(raw: Raw) -> Params:
    _only(raw, {"check"})
    if raw["check"] != "claimable":
        raise ValueError("amount_basis checks claimable")
    return AmountBasis()


def _autonomy(raw: Raw) -> Params:
    _only(raw, {"needs_approval"})
    return AutonomyLevel(frozenset(Autonomy(level) for level in raw["needs_approval"]))


def _freshness(raw: Raw) -> Params:
    _only(raw, {"retry_seconds"})
    return Freshness(_positive(raw["retry_seconds"]))


def _contact_window(raw: Raw) -> Params:
    _only(raw, {"bound"})
    if raw["bound"] not in ("not_before", "not_after"):
        raise ValueError("bound is not_before or not_after")
    return ContactWindow(raw["bound"])


def _no_slot(raw: Raw) -> Params:
    _only(raw, {"days"})
    return NoSlot(_positive(raw["days"]))


PREDICATES: Mapping[str, Callable[[Raw], Params]] = {
    "amount_basis": _amount_basis,
    "attempts_in_window": _attempts_in_window,
    "autonomy": _autonomy,
    "contact_window": _contact_window,
    "freshness": _freshness,
    "no_slot": _no_slot,
    "state_present": _state_present,
    "time_window": _time_window,
    "window_guard": _window_guard,
}


def parse_calendar(document: Raw) -> Calendar:
    """Raises InvalidPack."""
    try:
        _only(document, {"calendar", "version", "cite", "mark", "holidays"})
        if not document["cite"] or document["mark"] not in MARKS:
            raise ValueError("a calendar needs cite and mark")
        holidays = tuple(_holiday(raw) for raw in document["holidays"])
        return Calendar(document["calendar"], str(document["version"]), holidays)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidPack(f"calendar {document.get('calendar')}: {error!r}") from error


def _holiday(raw: Raw) -> Holiday:
    _only(raw, {"name", "effective", "fixed", "nth", "easter"})
    return Holiday(raw["name"], raw["effective"]["from"], _holiday_rule(raw))


def _holiday_rule(raw: Raw) -> HolidayRule:
    if "fixed" in raw:
        return FixedDay(raw["fixed"]["month"], raw["fixed"]["day"], bool(raw["fixed"]["observed"]))
    if "nth" in raw:
        return NthWeekday(raw["nth"]["month"], WEEKDAYS.index(raw["nth"]["weekday"]), raw["nth"]["nth"])
    return EasterOffset(raw["easter"]["days"])


def _only(raw: Raw, allowed: set[str]) -> None:
    if unknown := set(raw) - allowed:
        raise ValueError(f"unknown field {sorted(unknown)}")


def _positive(number: Any) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or number <= 0:
        raise ValueError(f"{number!r} is not a positive whole number")
    return number
