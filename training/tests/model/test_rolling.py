"""Rolling origins on the small ledger: every month by a model of its own past, one report."""

from datetime import date

import numpy as np
from duly_training.fit import FitSettings
from duly_training.judged import judged_between
from duly_training.origin import known_before
from duly_training.rolling import evaluate, evaluation_report

SETTINGS = FitSettings(7, parallel_trees=1, rounds_max=15, rounds_min=10)


def test_each_origin_is_judged_by_a_model_of_its_own_past(made_up_timeline):
    stages: list[str] = []
    evaluation = evaluate(made_up_timeline, 2, SETTINGS, lambda stage, *_: stages.append(stage))
    assert [one.origin for one in evaluation.origins] == [date(2026, 1, 1), date(2026, 2, 1)]
    whole = [stage for stage in stages if "step" not in stage]
    assert whole == ["origin 2026-01-01", "origin 2026-02-01", "all origins"]
    assert "origin 2026-02-01, step 1 of 30" in stages
    assert evaluation.invoices == sum(one.invoices for one in evaluation.origins)
    assert evaluation.pooled["hazard"]["auc_late5"] > 0.8
    assert evaluation.intervals.gains["constant"].above_zero
    report = evaluation_report(evaluation)
    assert report.count("| 2026-01-01 |") == 4
    assert report.count("| all |") == 4


def test_windows_are_joined_invoice_by_invoice(made_up_timeline):
    cut = made_up_timeline.cut_day
    frame = known_before(made_up_timeline, cut - 90).frame
    parts = [judged_between(made_up_timeline, cut - 90 + start, cut - 90 + start + 20, cut, frame) for start in (0, 20)]
    whole = judged_between(made_up_timeline, cut - 90, cut - 50, cut, frame)
    joined = type(whole).joined(parts)
    assert sorted(joined.invoice.tolist()) == sorted(whole.invoice.tolist())
    assert np.array_equal(np.sort(joined.amount), np.sort(whole.amount))
