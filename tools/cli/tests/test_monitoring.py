"""`duly monitor` on a ledger of one's own."""

from __future__ import annotations

import io
import os
from datetime import date
from typing import Any

import pytest
from duly_cli import monitoring
from duly_cli.errors import CommandFailed
from duly_cli.main import EXIT_FAULT, run
from duly_cli.monitoring import MonitorRequest, monitored
from duly_cli.servers import Servers
from duly_cli.terminal import Terminal
from duly_risk.event_codec import EventUnusable
from duly_training.model_versions import ModelVersions
from duly_training.monitor.topics import KnownFact, TopicLedger
from rich.console import Console

from duly.ledger.v1 import events_pb2 as ledger

HEADER = "invoice_id,debtor_id,issue_date,due_date,total,currency,paid_on\n"


def fail_to_fold(facts: Any, until: Any) -> Any:
    raise EventUnusable("invoice.issued: no currency")


@pytest.fixture
def look(tmp_path, monkeypatch):
    """Monitors a ledger of these rows; what was shown until it failed, and what was said then."""

    def looked(rows: str) -> tuple[str, str]:
        (tmp_path / "invoices.csv").write_text(HEADER + rows)
        monkeypatch.setattr(ModelVersions, "load", lambda versions, version: (None, None))
        shown = io.StringIO()
        servers, request = Servers("", f"sqlite:///{tmp_path}/m.db"), MonitorRequest("demo", "1", tmp_path)
        with pytest.raises(CommandFailed) as failed:
            monitored(servers, request, Terminal(Console(file=shown, width=200)))
        return shown.getvalue(), str(failed.value)

    return looked


def test_an_empty_ledger_is_refused_in_one_sentence_and_ends_its_line(look):
    shown, said = look("")
    assert "The ledger cannot be used: the ledger holds no fact." in said
    assert "FAILED" in shown


def test_a_fact_that_nobody_can_fold_is_refused_in_one_sentence(look, monkeypatch):
    monkeypatch.setattr(monitoring, "read_history", fail_to_fold)
    _, said = look("I1,D,2026-01-01,2026-02-01,5,USD,2026-02-02\n")
    assert said == "The ledger cannot be used: invoice.issued: no currency."


@pytest.mark.parametrize("option", ["--json", "--metrics-file"])
@pytest.mark.parametrize("there", ["pipe", ".", "folder"])
def test_only_a_regular_file_is_replaced_and_that_is_told_before_any_work(tmp_path, capsys, option, there):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    file = "." if there == "." else str(tmp_path / there)
    assert run(["monitor", "--state", str(tmp_path / "state"), option, file]) == EXIT_FAULT
    assert f"{file} cannot be written: it is there and no regular file" in capsys.readouterr().err
    assert (tmp_path / "pipe").is_fifo()


def test_a_report_is_replaced_as_a_whole_or_not_at_all(tmp_path):
    file, pipe = tmp_path / "report.json", tmp_path / "pipe"
    os.mkfifo(pipe)
    for text in ("first", "second"):
        monitoring._write(file, text)
    for cannot in (pipe, tmp_path / "missing" / "report.json"):
        with pytest.raises(CommandFailed, match="cannot be written"):
            monitoring._write(cannot, "third")
    assert sorted(one.name for one in tmp_path.iterdir()) == ["pipe", "report.json"]
    assert (file.read_text(), pipe.is_fifo()) == ("second", True)


def test_how_many_records_were_passed_over_is_told(monkeypatch):
    def stop(*_: Any) -> Any:
        raise CommandFailed("seen enough")

    fact = KnownFact(date(2026, 1, 1), "D", "e", "", ledger.PartyUpserted(debtor_id="D"))
    monkeypatch.setattr(ModelVersions, "load", lambda versions, version: (None, None))
    monkeypatch.setattr(monitoring, "ledger_of", lambda servers, tenant: TopicLedger((fact,), passed_over=3))
    monkeypatch.setattr(monitoring, "recorded_scores", stop)
    shown = io.StringIO()
    with pytest.raises(CommandFailed, match="seen enough"):
        monitored(Servers("", "sqlite://"), MonitorRequest("demo", "1"), Terminal(Console(file=shown, width=200)))
    assert "3 records that cannot be used passed over" in shown.getvalue()
