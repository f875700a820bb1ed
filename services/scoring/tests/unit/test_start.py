"""What `main` says before it touches a broker."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from scoring import bootstrap
from scoring.bootstrap import main
from scoring.config import Settings


def test_wrong_settings_are_all_named_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], env={"DULY_SCORING_ADMIN_PORT": "99999"}) == 78
    said = capsys.readouterr().err
    assert all(name in said for name in ("KAFKA_BOOTSTRAP_SERVERS", "DULY_SCORING_DATA_DIR", "DULY_SCORING_ADMIN_PORT"))


def test_it_is_called_with_run_or_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["migrate"], env={}) == 64
    assert "usage: scoring [run]" in capsys.readouterr().err


def test_a_start_of_models_that_fails_in_no_known_way_ends_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    ended: list[tuple[int, str, str]] = []
    monkeypatch.setattr(bootstrap, "end_process", lambda code, event, error: ended.append((code, event, error)))
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: None).add_done_callback(bootstrap.end_if_failed)  # type: ignore[arg-type]
        thread.submit(lambda: 1 / 0).add_done_callback(bootstrap.end_if_failed)  # type: ignore[arg-type]
    assert ended == [(70, "scoring.models_failed", "ZeroDivisionError: division by zero")]


def test_by_default_a_worker_is_the_first_of_its_set_and_waits_for_nobody(tmp_path: Path) -> None:
    settings = Settings(kafka_bootstrap_servers="127.0.0.1:1", data_dir=tmp_path)
    assert (settings.instance_id, settings.store, settings.recovery_delay_seconds) == ("scoring-0", "memory", 0.0)
