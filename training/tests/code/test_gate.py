"""The gate: every line is said, one that fails refuses."""

import pytest
from duly_training.gate import AgainstChampion, verdict_of
from duly_training.intervals import Interval
from duly_training.slices import Slice

METRICS = {"ece_late5": 0.012, "ece_by_chance_late5": 0.003, "slope_late5": 1.1}
GAINS = {name: Interval(0.02, 0.01, 0.03) for name in ("constant", "debtor_rate", "logistic")}
NO_CHAMPION = AgainstChampion(0, None, None)


def part(invoices: int = 900, late: int = 50, logloss: float = 0.1) -> Slice:
    return Slice("cold", invoices, late, 0.9, logloss, 0.1, 0.01)


def verdict(metrics=METRICS, gains=GAINS, slices=(), checks=None, champion=NO_CHAMPION):
    return verdict_of(metrics, gains, slices, checks or {"monotone": ""}, champion)


def test_a_model_that_holds_everywhere_is_promoted():
    assert verdict().promote
    assert verdict().reason == ""
    assert len(verdict().lines) == 8


@pytest.mark.parametrize(
    ("changed", "line"),
    [
        ({"gains": GAINS | {"logistic": Interval(0.02, -0.001, 0.04)}}, "logloss gain over logistic"),
        ({"gains": {}}, "logloss gain over constant"),
        ({"metrics": METRICS | {"ece_late5": 0.0231}}, "calibration error (ECE) beyond chance"),
        ({"metrics": METRICS | {"slope_late5": 1.26}}, "calibration slope"),
        ({"metrics": METRICS | {"slope_late5": 0.79}}, "calibration slope"),
        ({"metrics": {}}, "calibration slope"),
        ({"slices": (part(logloss=0.103),)}, "slices"),
        ({"checks": {"golden rows": "bytes differ"}}, "golden rows"),
        ({"champion": AgainstChampion(500, 0.1021, 0.1)}, "logloss against the champion"),
    ],
)
def test_one_line_refuses_and_says_why(changed, line):
    refused = verdict(**changed)
    assert not refused.promote
    assert line in [one.name for one in refused.failed]
    assert line in refused.reason
    assert {one["name"]: one["passed"] for one in refused.to_json()["lines"]}[line] is False


def test_a_slice_too_small_to_see_two_per_cent_refuses_nobody():
    assert verdict(slices=(part(invoices=499, logloss=0.2), part(late=29, logloss=0.2))).promote


def test_a_champion_may_be_missed_by_a_thousandth():
    assert verdict(champion=AgainstChampion(500, 0.1009, 0.1)).promote
