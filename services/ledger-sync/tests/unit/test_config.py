"""Settings come from the environment and say what is wrong."""

from __future__ import annotations

import pytest
from duly_runtime.settings import SettingsInvalid, load_settings
from ledger_sync.config import Settings

GOOD = {
    "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
    "DATABASE_URL": "postgresql://u:secret@127.0.0.1/x",
    "DULY_LEDGER_SYNC_JWKS_FILE": "/run/jwks.json",
}


def test_tenants_are_read_from_json_and_secrets_are_not_printed() -> None:
    tenants = '[{"tenant": "demo", "zone": "Europe/Berlin"}]'
    settings = load_settings(Settings, "ledger-sync", GOOD | {"DULY_LEDGER_SYNC_TENANTS": tenants})
    assert [(row.tenant, row.zone) for row in settings.tenants] == [("demo", "Europe/Berlin")]
    assert "secret" not in repr(settings)


@pytest.mark.parametrize("tenants", ["demo", '[{"tenant": "a|b", "zone": "UTC"}]', '[{"tenant": "a", "zone": "Mars"}]'])
def test_a_calendar_that_is_none_is_named(tenants: str) -> None:
    with pytest.raises(SettingsInvalid, match="DULY_LEDGER_SYNC_TENANTS"):
        load_settings(Settings, "ledger-sync", GOOD | {"DULY_LEDGER_SYNC_TENANTS": tenants})
