"""Splits in time: what is fitted always lies before what judges it."""

from __future__ import annotations

from dataclasses import dataclass

RIPE_DAYS = 30
_TEST_SHARE = 0.3
_VALIDATION_SHARE = 0.15
_TEST_DAYS_MAX = 182
_VALIDATION_DAYS_MAX = 92


@dataclass(frozen=True, slots=True)
class Splits:
    """Days since 1970-01-01. Trees are counted on [validation_from, test_from), the test window is [test_from, cut)."""

    first_day: int
    validation_from: int
    test_from: int
    cut_day: int


def splits_of(first_day: int, cut_day: int) -> Splits:
    """Test: the last 30 % of the history, at most 182 days. Validation: the 15 % before it, at most 92 days."""
    days = cut_day - first_day
    test_from = cut_day - min(_TEST_DAYS_MAX, int(days * _TEST_SHARE))
    validation_from = test_from - min(_VALIDATION_DAYS_MAX, int(days * _VALIDATION_SHARE))
    return Splits(first_day, validation_from, test_from, cut_day)


def is_ripe(due_day: int, k: int, cut_day: int) -> bool:
    """Whether "late by k days" can be judged: due + max(30, k) <= cut, so that quick payers are not all there is."""
    return due_day + max(RIPE_DAYS, k) <= cut_day
