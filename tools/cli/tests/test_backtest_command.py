"""`duly backtest` on ledgers nobody prepared: a valid file or one clear error, always."""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from duly_cli.main import EXIT_FAULT, run

HEADER = "invoice_id,debtor_id,issue_date,due_date,total,currency,paid_on"
PREDICTIONS = (
    "invoice_id,debtor_id,as_of,p_late_1d,p_late_5d,p_late_30d,expected_days,median_date,q10_date,q90_date,"
    "model_version,role"
)
CASH = "snapshot,week_start,currency,expected,q10,q90,open_book_only"


def invoices(n: int, paid: bool = True, currencies: tuple[str, ...] = ("EUR",), debtors: int = 3) -> list[str]:
    lines = [HEADER]
    for i in range(n):
        issued = date(2024, 1, 1) + timedelta(days=3 * i)
        due = issued + timedelta(days=30)
        paid_on = (due + timedelta(days=i % 7 - 1)).isoformat() if paid and i % 11 else ""
        lines.append(f"I{i:03},D{i % debtors},{issued},{due},{100 + i},{currencies[i % len(currencies)]},{paid_on}")
    return lines


@pytest.fixture
def ledger(tmp_path) -> Path:
    folder = tmp_path / "ledger"
    folder.mkdir()
    return folder


def write(ledger: Path, lines: list[str], name: str = "invoices.csv") -> None:
    (ledger / name).write_text("\n".join(lines) + "\n")


def backtest(ledger: Path, *more: str, until: str = "2024-05-01") -> tuple[int, Path]:
    out = ledger.parent / "out" / "predictions.csv"
    options = ["--ledger", str(ledger), "--state", str(ledger.parent / "state"), "--out", str(out)]
    return run(["backtest", *options, "--known-until", until, *more]), out


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


class TestWhatIsRefusedBeforeAnyWork:
    @pytest.mark.parametrize("name", ["invoices.csv", "deeper/new.csv"])
    def test_a_file_in_the_ledgers_folder_is_not_written(self, ledger, name, capsys):
        write(ledger, invoices(10))
        before = (ledger / "invoices.csv").read_bytes()
        assert backtest(ledger, "--out", str(ledger / name))[0] == EXIT_FAULT
        assert "would be written into the ledger" in capsys.readouterr().err
        assert [file.read_bytes() for file in ledger.rglob("*")] == [before]

    def test_a_ledger_of_one_file_is_spared_by_the_forecast_of_cash_too(self, ledger, capsys):
        write(ledger, invoices(10), "cash.csv")
        for out in ("cash.csv", "predictions.csv"):
            assert backtest(ledger / "cash.csv", "--out", str(ledger / out))[0] == EXIT_FAULT
        assert (ledger / "cash.csv").read_text().startswith(HEADER)

    @pytest.mark.parametrize(
        ("option", "said"),
        [
            (("--snapshots", "2026-13-01"), "'2026-13-01' is no date"),
            (("--snapshots", "9999-12-31"), "must lie between"),
            (("--snapshots", "2024-01-01"), "lies before --known-until"),
            (("--predict-to", "2024-01-01"), "lies before --predict-from"),
        ],
    )
    def test_bad_days_are_told_before_the_ledger_is_read(self, ledger, option, said, capsys):
        assert backtest(ledger / "missing", *option)[0] == EXIT_FAULT
        told = capsys.readouterr()
        assert said in told.err
        assert "Read" not in told.out + told.err

    def test_days_are_counted_from_the_last_fact_that_is_no_stray(self, ledger, capsys):
        write(ledger, [*invoices(60), "X,D1,2150-01-01,2150-01-31,5,EUR,"])
        assert backtest(ledger, "--predict-to", "2150-01-06")[0] == EXIT_FAULT
        assert "the ledger's last fact is of 2024-" in capsys.readouterr().err

    @pytest.mark.parametrize("option", [("--snapshots", "2150-01-06"), ("--predict-to", "2150-01-06")])
    def test_days_long_after_the_last_fact_are_refused(self, ledger, option, capsys):
        write(ledger, invoices(60))
        assert backtest(ledger, *option)[0] == EXIT_FAULT
        assert "at most 400 days after" in capsys.readouterr().err

    @pytest.mark.parametrize("name", ["predictions.csv", "cash.csv"])
    def test_only_a_regular_file_is_replaced(self, ledger, name, capsys):
        write(ledger, invoices(10))
        pipe = ledger.parent / "out" / name
        pipe.parent.mkdir()
        os.mkfifo(pipe)
        assert backtest(ledger)[0] == EXIT_FAULT
        assert f"{pipe} cannot be written: it is there and no regular file" in capsys.readouterr().err
        assert [file.name for file in pipe.parent.iterdir()] == [name]
        assert pipe.is_fifo()


class TestLedgersOfAllKinds:
    @pytest.mark.parametrize(
        "lines",
        [
            invoices(1),
            invoices(60, paid=False),
            invoices(60, currencies=("JPY", "KWD", "USD"), debtors=7),
        ],
        ids=["one invoice", "no payment", "three currencies"],
    )
    def test_both_files_are_there_with_their_columns(self, ledger, lines, capsys):
        write(ledger, lines)
        code, out = backtest(ledger, "--predict-to", "2024-06-30", "--snapshots", "2024-05-06")
        assert code == 0
        assert out.read_text().splitlines()[0] == PREDICTIONS
        assert (out.parent / "cash.csv").read_text().splitlines()[0] == CASH
        assert "debtor-rate-1" in capsys.readouterr().err

    def test_a_zipped_file_reads_as_the_plain_one(self, ledger):
        write(ledger, invoices(60))
        _, out = backtest(ledger)
        plain = out.read_bytes()
        (ledger / "invoices.csv.gz").write_bytes(gzip.compress((ledger / "invoices.csv").read_bytes()))
        (ledger / "invoices.csv").unlink()
        assert backtest(ledger)[0] == 0
        assert out.read_bytes() == plain

    def test_instalments_disputes_voids_credit_notes_and_losses_are_taken_as_they_come(self, ledger):
        write(ledger, [*(line.rsplit(",", 1)[0] for line in invoices(60))])
        write(
            ledger, ["invoice_id,no,due_date,amount", "I001,1,2024-02-01,50", "I001,2,2024-03-01,51"], "instalments.csv"
        )
        write(ledger, ["invoice_id,opened_on,resolved_on", "I002,2024-03-01,2024-05-20"], "disputes.csv")
        write(
            ledger,
            ["credit_note_id,debtor_id,issue_date,amount,currency", "C1,D0,2024-04-01,20,EUR"],
            "credit_notes.csv",
        )
        write(ledger, ["write_off_id,invoice_id,amount,on,reason", "W1,I005,105,2024-05-10,BAD_DEBT"], "write_offs.csv")
        payments = ["payment_id,debtor_id,booking_date,amount,currency,reversed_on"]
        parts = ["allocation_id,source_id,invoice_id,amount,on,source_kind", "X,C1,I000,20,2024-04-02,CREDIT_NOTE"]
        for i in range(40):
            on = date(2024, 2, 1) + timedelta(days=3 * i)
            back = on + timedelta(days=4) if i == 7 else ""
            payments.append(f"P{i},D{i % 3},{on},{50 + i // 2},EUR,{back}")
            parts.append(f"A{i},P{i},I{i:03},{50 + i // 2},{on},PAYMENT")
        write(ledger, payments, "payments.csv")
        write(ledger, parts, "allocations.csv")
        code, out = backtest(ledger, "--predict-to", "2024-06-30")
        assert code == 0
        assert {row["role"] for row in rows(out)} == {"FALLBACK"}
        assert rows(out.parent / "cash.csv")


class TestWhatIsWritten:
    def test_the_last_day_to_predict_is_inside(self, ledger):
        write(ledger, invoices(60))
        _, out = backtest(ledger, "--predict-from", "2024-05-03", "--predict-to", "2024-05-09")
        assert [row["as_of"] for row in rows(out)] == ["2024-05-03", "2024-05-06", "2024-05-09"]

    def test_a_median_beyond_the_horizon_is_the_horizons_last_date(self, ledger):
        lines = invoices(60, paid=False)
        lines.append("LONG,D1,2024-05-02,2025-05-02,10,EUR,")
        write(ledger, lines)
        _, out = backtest(ledger)
        (long,) = [row for row in rows(out) if row["invoice_id"] == "LONG"]
        assert long["q90_date"] == (date(2024, 5, 2) + timedelta(days=182)).isoformat()

    def test_one_invoice_dated_far_ahead_moves_no_date(self, ledger, capsys):
        write(ledger, invoices(60))
        _, out = backtest(ledger)
        usual = out.read_bytes()
        write(ledger, [*invoices(60), "X,D1,2150-01-01,2150-01-31,5,EUR,"])
        code, out = backtest(ledger)
        assert (code, out.read_bytes()) == (0, usual)
        told = capsys.readouterr()
        assert "left out as known more than 182 days after all others: 1 of its facts" in told.out + told.err

    def test_named_snapshots_and_an_amount_without_decimals(self, ledger):
        write(ledger, invoices(60, currencies=("JPY",)))
        _, out = backtest(ledger, "--snapshots", "2024-05-08,2024-05-15")
        cash = rows(out.parent / "cash.csv")
        assert sorted({row["snapshot"] for row in cash}) == ["2024-05-08", "2024-05-15"]
        assert cash[0]["week_start"] == "2024-05-09"
        assert all(row["expected"].isdigit() for row in cash)

    def test_a_second_run_gives_the_same_bytes(self, ledger):
        write(ledger, invoices(60))
        _, out = backtest(ledger)
        first = out.read_bytes(), (out.parent / "cash.csv").read_bytes()
        backtest(ledger)
        assert (out.read_bytes(), (out.parent / "cash.csv").read_bytes()) == first
        assert not list(out.parent.glob(".*.part"))

    def test_the_cash_of_another_back_test_is_replaced_but_not_in_silence(self, ledger, capsys):
        write(ledger, invoices(60))
        _, out = backtest(ledger)
        backtest(ledger)
        assert "will be replaced" not in capsys.readouterr().err
        assert backtest(ledger, "--out", str(out.with_name("another.csv")))[0] == 0
        assert "cash.csv is of another --out and will be replaced" in capsys.readouterr().err


class TestNothingToAnswer:
    @pytest.mark.parametrize(
        ("lines", "more", "told"),
        [
            (invoices(0), (), "holds no invoice"),
            (invoices(60), ("--known-until", "2024-01-01"), "Nothing was known before --known-until 2024-01-01"),
            (invoices(10), (), "Nothing is there to predict from 2024-05-01 on: the ledger's last fact is of 2024-0"),
            (
                invoices(60),
                ("--predict-from", "2024-05-02", "--predict-to", "2024-05-02"),
                "No invoice was issued from 2024-05-02 to 2024-05-02, and no snapshot day",
            ),
        ],
        ids=["no invoice", "before the first fact", "after the last fact", "a day without invoice or snapshot"],
    )
    def test_two_empty_files_are_one_error_instead(self, ledger, lines, more, told, capsys):
        write(ledger, lines)
        code, out = backtest(ledger, *more)
        assert code == EXIT_FAULT
        assert told in capsys.readouterr().err
        assert not out.exists()
        assert not (out.parent / "cash.csv").exists()

    def test_the_cash_of_a_ledgers_open_invoices_is_forecast_from_its_end_on(self, ledger, capsys):
        write(ledger, invoices(10))
        code, out = backtest(ledger, "--snapshots", "2024-04-30")
        assert (code, rows(out)) == (0, [])
        assert rows(out.parent / "cash.csv")
        assert "No invoice was issued" in capsys.readouterr().err


class TestErrors:
    @pytest.mark.parametrize(
        ("more", "told"),
        [
            (("--predict-from", "2024-04-01"), "--predict-from 2024-04-01 lies before --known-until"),
            (("--predict-to", "2024-04-01"), "--predict-to 2024-04-01 lies before"),
            (("--snapshots", "2024-13-01"), "'2024-13-01' is no date"),
            (("--snapshots", "2024-01-01"), "snapshot 2024-01-01 lies before --known-until"),
            (("--out", "cash.csv"), "must name a file"),
        ],
    )
    def test_a_question_that_makes_no_sense_is_one_sentence(self, ledger, more, told, capsys):
        write(ledger, invoices(20))
        code, out = backtest(ledger, *more)
        assert code == EXIT_FAULT
        assert told in capsys.readouterr().err
        assert not out.exists()

    def test_a_ledger_that_is_not_there_is_told(self, ledger, capsys):
        code, _ = backtest(ledger / "missing")
        assert code == EXIT_FAULT
        assert "does not exist" in capsys.readouterr().err

    def test_a_due_date_that_means_never_is_told_with_its_invoice(self, ledger, capsys):
        write(ledger, [*invoices(5), "X,D1,2024-01-01,9999-12-31,10,EUR,"])
        code, _ = backtest(ledger)
        assert code == EXIT_FAULT
        assert "line 7, due_date: '9999-12-31'" in capsys.readouterr().err

    def test_a_payment_at_the_end_of_time_is_told_with_its_id(self, ledger, capsys):
        write(ledger, [*invoices(5), "X,D1,2024-01-01,2024-02-01,10,EUR,9999-12-31"])
        assert backtest(ledger)[0] == EXIT_FAULT
        assert "line 7, paid_on: '9999-12-31'" in capsys.readouterr().err

    def test_a_fit_that_cannot_be_kept_is_told(self, ledger, capsys):
        write(ledger, invoices(60))
        (ledger.parent / "state").mkdir()
        (ledger.parent / "state" / "backtests").touch()
        assert backtest(ledger)[0] == EXIT_FAULT
        assert "The fit cannot be kept" in capsys.readouterr().err

    def test_no_ledger_is_asked_for(self, ledger, capsys, monkeypatch):
        monkeypatch.delenv("LEDGER", raising=False)
        out = str(ledger / "p.csv")
        assert run(["backtest", "--known-until", "2024-01-01", "--out", out, "--state", str(ledger)]) == EXIT_FAULT
        assert "--ledger" in capsys.readouterr().err

    def test_a_place_that_cannot_be_written_is_told(self, ledger, capsys):
        write(ledger, invoices(60))
        (ledger.parent / "file").touch()
        code, _ = backtest(ledger, "--out", str(ledger.parent / "file" / "predictions.csv"))
        assert code == EXIT_FAULT
        assert "cannot be written" in capsys.readouterr().err


class TestWhatCameOfIt:
    """`duly judge` on what `duly backtest` wrote."""

    @pytest.fixture
    def predicted(self, ledger) -> Path:
        write(ledger, invoices(60))
        _, out = backtest(ledger, "--predict-to", "2024-06-30")
        return out

    def judge(self, ledger: Path, predictions: Path, *more: str) -> int:
        return run(["judge", "--ledger", str(ledger), "--predictions", str(predictions), *more])

    def test_the_figures_are_one_document(self, ledger, predicted, capsys):
        capsys.readouterr()
        assert self.judge(ledger, predicted) == 0
        figures = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
        assert figures["predictions"]["invoices"] == len(rows(predicted))
        assert figures["cash"].keys() == {"all cash EUR", "open book EUR"}

    def test_nothing_predicted_is_judged_too(self, ledger, capsys):
        write(ledger, invoices(10))
        _, out = backtest(ledger, "--snapshots", "2024-05-06")
        assert "No invoice was issued from 2024-05-01 to 2024-05-01" in capsys.readouterr().err
        (out.parent / "cash.csv").write_text(f"{CASH}\n")
        assert self.judge(ledger, out) == 0
        assert json.loads(capsys.readouterr().out) == {"predictions": {"invoices": 0, "ripe": 0}, "cash": {}}

    def test_damaged_files_and_foreign_ledgers_are_one_clear_error(self, ledger, predicted, capsys):
        good = predicted.read_text()
        for bad, said in [
            (good.replace("p_late_5d", "late"), "lacks p_late_5d"),
            (re.sub(r"0\.\d+", "nan", good, count=1), "predictions.csv, line 2: p_late_1d 'nan' is no number"),
            (good.replace("I0", "X0"), "does not know"),
        ]:
            predicted.write_text(bad)
            assert self.judge(ledger, predicted) == EXIT_FAULT
            assert said in capsys.readouterr().err
        predicted.write_text(good)
        (predicted.parent / "cash.csv").unlink()
        assert self.judge(ledger, predicted) == EXIT_FAULT
        assert "cash.csv cannot be read" in capsys.readouterr().err
        assert self.judge(ledger, predicted, "--weeks", "14") == EXIT_FAULT

    def test_a_ledger_that_cannot_be_read_is_told(self, ledger, predicted, tmp_path, capsys):
        assert self.judge(tmp_path / "nothing", predicted) == EXIT_FAULT
        assert "cannot be used" in capsys.readouterr().err
