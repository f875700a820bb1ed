"""Learns on which days nobody pays from the days on which nobody paid: public holidays without a list of countries.

A weekday without payments between weeks that had them is empty. Empty days that a rule explains (a day of the year,
days from Easter, the n-th weekday of a month) close the rule's days in every year.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from duly_risk.closed_days import ClosedRule, rules_of_day
from duly_risk.curves import WEEK
from duly_risk.days import date_of, weekdays_of
from numpy.typing import NDArray
from scipy.stats import poisson  # type: ignore[import-untyped]

from duly_training.timeline import NEVER, Days

# A day is judged by the same weekday of four weeks on either side; both sides must have been busy.
_WEEKS_BESIDE = 4
_BUSY = 4.0
_EMPTY_SHARE = 0.25
# Chance that days as busy as usual were as empty as a rule's: of hundreds of days and rules none may be there by luck.
_CHANCE_MAX = 1e-6
# Of rules that explain as much, the earlier kind: few days are some days from Easter by chance.
_KINDS = ("easter", "day", "nth")


def closed_rules(paid: Days) -> tuple[ClosedRule, ...]:
    """Few rules that explain the empty days: each time the one that explains most. paid: (n,) days of payments, NEVER =
    none."""
    paid = paid[paid < NEVER]
    if not len(paid):
        return ()
    first = int(paid.min())
    counts = np.bincount(paid - first)
    usual = {first + place: value for place, value in _usual(counts, first).items()}
    empty = {day for day, value in usual.items() if counts[day - first] <= _EMPTY_SHARE * value}
    explained = {}
    for rule in {rule for day in empty for rule in rules_of_day(day)}:
        told = {day for day in map(rule.in_year, {date_of(day).year for day in usual}) if day in usual}
        paid_then = sum(int(counts[day - first]) for day in told)
        if told <= empty and poisson.cdf(paid_then, sum(usual[day] for day in told)) <= _CHANCE_MAX:
            explained[rule] = told
    rules = []
    while explained:
        rule = max(explained, key=lambda one: (len(explained[one] & empty), _preference(one)))
        if not explained[rule] & empty:
            break
        rules.append(rule)
        empty -= explained.pop(rule)
    return tuple(sorted(rules))


def closed_words(rules: Sequence[ClosedRule]) -> str:
    """Rules as a person names them."""
    return ", ".join(rule.words for rule in rules) or "none learnt"


def _usual(counts: NDArray[np.int64], first: int) -> dict[int, float]:
    """Place in `counts` -> usual payments of that weekday, where the weeks before and after it were busy."""
    reach = WEEK * _WEEKS_BESIDE
    around = np.pad(counts, reach)
    before, after = (
        np.median([around[reach + side * WEEK * n :][: len(counts)] for n in range(1, _WEEKS_BESIDE + 1)], axis=0)
        for side in (-1, 1)
    )
    workday = weekdays_of(first + np.arange(len(counts))) < 5
    busy = np.flatnonzero(workday & (np.minimum(before, after) >= _BUSY))
    return dict(zip(busy.tolist(), ((before + after) / 2)[busy].tolist(), strict=True))


def _preference(rule: ClosedRule) -> tuple[int, ...]:
    return (-_KINDS.index(rule.kind), *(-number for number in rule[1:]))
