"""One way to ask a model: from the last landmark, read from t0 on, closed days closed."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from duly_risk.asking import hazards_of
from duly_risk.book import Terms, book_of
from duly_risk.closed_days import HAZARD_LEFT, ClosedRule
from duly_risk.curves import HORIZON_DAYS
from duly_risk.days import day_of
from duly_risk.features import schema_sha256
from duly_risk.measures import Measures, invoice_measures, stacked
from duly_risk.model import CurveDays, FeatureFrame, Hazards, ModelInfo, Role, Rows
from duly_risk.state import DebtorState

CHRISTMAS = day_of(date(2024, 12, 25))
FRAME = FeatureFrame({"EUR": 100.0}, closed_rules=(ClosedRule("day", 12, 25, 0),))


class DayNumber:
    """Answers with the number of the day on its curve, so that a test sees which day was read: 0.001 .. 0.182."""

    info = ModelInfo("test", "1", Role.CHAMPION, schema_sha256(), FeatureFrame({"EUR": 100.0}))

    def curves(self, static: Rows, days: CurveDays) -> Hazards:
        return np.tile(np.arange(1, HORIZON_DAYS + 1, dtype=np.float32) / 1000, (len(static), 1))


class Closing(DayNumber):
    info = replace(DayNumber.info, frame=FRAME)


def invoice(as_of: int, issue: int, due: int) -> Measures:
    return invoice_measures(book_of(DebtorState()), Terms("I", issue, due, 100, "EUR"), as_of)[np.newaxis]


def read(as_of: int, issue: int, due: int, model: DayNumber | None = None) -> list[int]:
    [hazards] = hazards_of(model or DayNumber(), invoice(as_of, issue, due))
    return np.rint(hazards * 1000).astype(int).tolist()


def test_a_curve_asked_at_a_landmark_is_read_from_its_first_day():
    assert read(20_000, 20_000, 20_030) == list(range(1, 183))


def test_a_curve_asked_days_after_a_landmark_goes_on_where_it_stands():
    days = read(20_000, 19_995, 20_030)
    assert days[:177] == list(range(6, 183))
    # Beyond the horizon as the week before.
    assert days[177:] == [176, 177, 178, 179, 180]


@pytest.mark.parametrize("skipped", [181, 182, 183, 188, 189, 190, 500, 3_000])
def test_a_debt_older_than_the_horizon_lives_in_its_last_week(skipped):
    due = 20_000 - 30 - skipped
    days = read(20_000, due - 30, due)
    assert days[0] == (182 if skipped == 181 else 176 + (skipped - 182) % 7)
    assert days[7:] == days[:-7]
    # One day later the same days stand one place earlier.
    assert read(20_001, due - 30, due)[:-1] == days[1:]


def test_closed_days_lie_on_the_days_of_the_curve_whenever_it_was_asked():
    for as_of in (CHRISTMAS - 30, CHRISTMAS - 3):
        plain, closed = (
            hazards_of(one, invoice(as_of, CHRISTMAS - 30, CHRISTMAS))[0] for one in (DayNumber(), Closing())
        )
        at = CHRISTMAS - as_of - 1
        assert closed[at] == plain[at] * np.float32(HAZARD_LEFT)
        assert np.delete(closed, at).tobytes() == np.delete(plain, at).tobytes()


def test_another_frame_may_stand_in_for_the_models_own():
    row = invoice(CHRISTMAS - 3, CHRISTMAS - 30, CHRISTMAS)
    assert hazards_of(DayNumber(), row, FRAME).tobytes() == hazards_of(Closing(), row).tobytes()
    assert hazards_of(DayNumber(), row).tobytes() != hazards_of(Closing(), row).tobytes()


def test_an_invoice_alone_and_among_others_has_equal_bytes():
    rows = [invoice(CHRISTMAS - 40 + n, CHRISTMAS - 60, CHRISTMAS - 300 + 20 * n) for n in range(30)]
    together = hazards_of(Closing(), stacked(rows))
    assert b"".join(hazards_of(Closing(), row).tobytes() for row in rows) == together.tobytes()
