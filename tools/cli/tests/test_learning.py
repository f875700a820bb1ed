"""`duly train` and `duly evaluate` through the command line, on a ledger that is not shipped (fabricated by IBM)."""

from __future__ import annotations

import os
from datetime import date
from pathlib import Path

import pytest
from duly_cli.errors import CommandFailed
from duly_cli.learning import _groups
from duly_cli.ledgers import LedgerChoice
from duly_cli.main import EXIT_FAULT, EXIT_NOT_HELD, run
from duly_cli.with_running import prepared_history

IBM_AR = Path(os.environ.get("DULY_DATA_DIR", "data")) / "ibm-ar"


@pytest.fixture
def ibm_ar() -> str:
    if not IBM_AR.is_dir():
        pytest.skip("the sample file is not shipped; DULY_DATA_DIR names the folder that holds ibm-ar/")
    return str(IBM_AR)


# Half a minute of one core, and minutes on a busy one.
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_on_the_fabricated_ledger_the_gate_refuses_the_fitted_model(ibm_ar, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    arguments = ["train", "--ledger", ibm_ar, "--tracking-uri", f"sqlite:///{tmp_path}/mlflow.db"]
    assert run([*arguments, "--report", str(tmp_path / "report.md")]) == EXIT_NOT_HELD
    said = capsys.readouterr().out
    assert "The gate refuses version 1:" in said
    assert "logloss gain over logistic" in said
    assert "What may serve instead: version 2 (debtor_rate)" in said
    report = (tmp_path / "report.md").read_text()
    assert "## Verdict: REFUSED" in report
    assert "| classifier |" in report


def test_training_without_a_stack_asks_for_a_registry(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert run(["train", "--state", str(tmp_path)]) == EXIT_FAULT
    assert "Nothing runs" in capsys.readouterr().err


@pytest.mark.parametrize("known", [(), ("--until", "2025-01-01")])
def test_a_ledger_too_thin_to_judge_is_refused_in_one_sentence(tmp_path, capsys, known):
    (tmp_path / "invoices.csv").write_text(
        "invoice_id,debtor_id,issue_date,due_date,total,currency,paid_on\n"
        "I1,D,2026-01-01,2026-02-01,5,USD,2026-02-02\nI2,D,2026-03-01,2026-04-01,5,USD,2026-06-02\n"
    )
    assert run(["evaluate", "--ledger", str(tmp_path), "--months", "2", *known]) == EXIT_FAULT
    assert "too thin" in capsys.readouterr().err


def test_a_report_that_cannot_be_written_is_told_before_any_work(tmp_path, capsys):
    for report in (tmp_path, tmp_path / "missing" / "x.md"):
        assert run(["train", "--tracking-uri", f"sqlite:///{tmp_path}/m.db", "--report", str(report)]) == EXIT_FAULT
        assert "must name a file in a folder that exists" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("debtor_id\nD1\n", "the header lacks group"),
        ("", "the header lacks debtor_id, group"),
        ("debtor_id,group\nD1,a\nD2\n", "line 3 has another number of fields"),
        ("debtor_id,group\nD1,a,b\n", "line 2 has another number of fields"),
        (f"debtor_id,group\nD1,{'x' * 131_073}\n", "field larger than field limit"),
        ("debtor_id,group\nD\udcff,a\n", "can't decode byte"),
    ],
)
def test_groups_that_cannot_be_read_are_told_before_the_fit(tmp_path, rows, said):
    file = tmp_path / "groups.csv"
    file.write_text(rows, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(CommandFailed, match=f"groups.csv must be a CSV file .*{said}"):
        _groups(file)


def test_groups_are_read_by_debtor(tmp_path):
    (tmp_path / "groups.csv").write_text("\ufeffgroup,debtor_id\na,D1\n,D2\n", encoding="utf-8")
    assert _groups(tmp_path / "groups.csv") == {"D1": "a", "D2": ""}


def test_a_registry_that_is_away_is_told_before_the_ledger_is_read(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    assert run(["train", "--ledger", str(tmp_path / "none"), "--tracking-uri", "http://127.0.0.1:1"]) == EXIT_FAULT
    assert "The model registry does not answer" in capsys.readouterr().err


def test_an_import_of_the_simulated_history_names_the_option_that_was_typed():
    with pytest.raises(CommandFailed, match="--until is for a ledger of your own"):
        prepared_history(None, LedgerChoice(known_until=date(2026, 1, 1)))
