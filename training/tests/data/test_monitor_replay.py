"""The monitor on a real ledger: it stays calm through 2019 and speaks up before the shock of March 2020 is over.

Needs the folder that DULY_DATA_DIR names; nothing of that data is in this repository.
"""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest
from duly_ledger_export import read_ledger
from duly_risk.days import date_of, day_of
from duly_training.fit import FitSettings
from duly_training.folding import timeline_of
from duly_training.history import read_history
from duly_training.monitor.reference import reference_of
from duly_training.monitor.report import ALL, Level, MonitorReport, monitor
from duly_training.origin import fit_before
from duly_training.timeline import Timeline

_FOLDER = os.environ.get("DULY_DATA_DIR", "")
LEDGER = Path(_FOLDER) / "datarisk-invoices" / "invoices.csv.gz"
UNTIL = date(2020, 3, 16)
# Small: the alarm is about sums of hazards, not about the last thousandth of a logloss.
SETTINGS = FitSettings(1, parallel_trees=1, rounds_max=40, rounds_min=30)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not _FOLDER or not LEDGER.is_file(), reason="DULY_DATA_DIR holds no datarisk-invoices"),
]


@pytest.fixture(scope="module")
def timeline() -> Timeline:
    return timeline_of(read_history(read_ledger(LEDGER), UNTIL))


def looked_at(timeline: Timeline, fitted_until: date, at: date) -> MonitorReport:
    """What a monitor says on `at` of a model fitted on what was known before `fitted_until`."""
    fitted = fit_before(timeline, day_of(fitted_until), SETTINGS)
    reference = reference_of(timeline, fitted.model, day_of(fitted_until))
    return monitor(timeline, fitted.model, reference, "demo", at_day=day_of(at))


def alarms(report: MonitorReport) -> list[date]:
    (overall,) = [one for one in report.payments if one.segment == ALL]
    return sorted(date.fromisoformat(day) for day in (*overall.alarms_behind, *overall.alarms_ahead))


def test_payments_raise_at_most_one_alarm_in_2019_and_one_by_the_middle_of_march_2020(timeline: Timeline) -> None:
    halves = [(date(2019, 1, 1), date(2019, 7, 1)), (date(2019, 7, 1), date(2020, 1, 1))]
    calm = [day for fitted, until in halves for day in alarms(looked_at(timeline, fitted, until))]
    shock = looked_at(timeline, date(2020, 1, 1), UNTIL)
    print(f"2019: {calm}; 2020: {alarms(shock)}; dispersion {shock.dispersion:.2f}, {date_of(timeline.cut_day)}")
    assert len(calm) <= 1
    assert alarms(shock)
    assert shock.level is Level.ALARM
