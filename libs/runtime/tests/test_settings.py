"""Settings: everything wrong at once, secrets never shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from duly_runtime.settings import ServiceSettings, SettingsInvalid, load_settings, variable_of
from pydantic import Field


class Settings(ServiceSettings):
    http_port: int = Field(8080, ge=1, le=65535)


GOOD = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092", "DATABASE_URL": "postgresql://u:secret@h/d"}


def test_the_environment_configures_a_service() -> None:
    settings = load_settings(Settings, "ledger-sync", {**GOOD, "DULY_LEDGER_SYNC_HTTP_PORT": "9"})
    assert settings.http_port == 9
    assert settings.time_mode == "real"


def test_every_fault_is_named_with_its_variable_in_one_message() -> None:
    env = {"DULY_LEDGER_SYNC_HTTP_PORT": "x", "DULY_TIME": "tomorrow"}
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(Settings, "ledger-sync", env)
    for variable in ("KAFKA_BOOTSTRAP_SERVERS", "DATABASE_URL", "DULY_LEDGER_SYNC_HTTP_PORT", "DULY_TIME"):
        assert variable in str(caught.value)


def test_a_secret_is_never_printed() -> None:
    settings = load_settings(Settings, "ledger-sync", GOOD)
    assert "secret" not in repr(settings)
    with pytest.raises(SettingsInvalid) as caught:
        load_settings(Settings, "ledger-sync", {**GOOD, "DULY_LEDGER_SYNC_HTTP_PORT": "x"})
    assert "secret" not in str(caught.value)


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "dsn"
    file.write_text("postgresql://from-file\n")
    env = {"KAFKA_BOOTSTRAP_SERVERS": "k", "DATABASE_URL_FILE": str(file)}
    assert load_settings(Settings, "x", env).database_url.get_secret_value() == "postgresql://from-file"


def test_a_missing_secret_file_is_named() -> None:
    env = {"KAFKA_BOOTSTRAP_SERVERS": "k", "DATABASE_URL_FILE": "/nowhere/dsn"}
    with pytest.raises(SettingsInvalid, match="DATABASE_URL_FILE"):
        load_settings(Settings, "x", env)


def test_a_setting_is_named_after_its_service() -> None:
    assert variable_of("ledger-sync", "http_port") == "DULY_LEDGER_SYNC_HTTP_PORT"
    assert variable_of("ledger-sync", "database_url") == "DATABASE_URL"
