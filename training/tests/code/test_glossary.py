"""Every column of a report is explained where it stands."""

import re

import numpy as np
import pytest
from duly_training import plots, report, rolling
from duly_training.fallback import RATE_CURVE
from duly_training.glossary import GLOSSARY, ROWS, glossary_lines
from duly_training.judged import judged_between
from duly_training.origin import known_before
from duly_training.predictions import Predictions
from matplotlib.figure import Figure


@pytest.mark.parametrize("column", [*report._LATE, "gain in logloss", *report._DAYS, "C on delay", *rolling._SHOWN])
def test_a_column_has_a_line_of_words(column):
    assert re.search(rf"^- \*\*{re.escape(column)}\*\*: \w.{{10,}}", "\n".join(glossary_lines([column])), re.M)


@pytest.mark.parametrize("row", [*rolling._LOSSES, "classifier", *rolling._DAYS, "days_mean", "days_ewm", RATE_CURVE])
def test_a_compared_model_has_a_line_of_words(row):
    assert f"- **{row}**: {ROWS[row]}" in list(glossary_lines([], [row]))


def test_only_what_is_shown_is_explained():
    lines = "\n".join(glossary_lines(["auc"], ["hazard"]))
    assert "**auc**" in lines
    assert not any(f"**{name}**" in lines for name in {**GLOSSARY, **ROWS} if name not in ("auc", "hazard"))


def test_every_picture_has_a_title_and_words_on_both_axes(tmp_path, monkeypatch, made_up_timeline):
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, *_, **__: drawn.append(figure))
    cut = made_up_timeline.cut_day
    judged = judged_between(made_up_timeline, cut - 90, cut, cut, known_before(made_up_timeline, cut - 90).frame)
    said = Predictions({5: np.linspace(0, 1, len(judged))})
    plots.write_gain(tmp_path / "gain.png", {"a": 0.7, "b": 0.3})
    plots.write_reliability(tmp_path / "r.png", judged, {"hazard": said})
    plots.write_weekly_money(tmp_path / "m.png", plots.WeeklyMoney(20_000, judged.amount[:9], judged.amount[:9]))
    assert len(drawn) == 3
    for figure in drawn:
        (axes,) = figure.axes
        assert all((axes.get_title(), axes.get_xlabel(), axes.get_ylabel()))
