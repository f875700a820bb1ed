"""Where the image's health check asks, from the service's own settings. Needs no engine."""

from __future__ import annotations

import pytest
from duly_runtime.health import admin_address, main


@pytest.mark.parametrize(
    "env, address",
    [
        ({"DULY_SERVICE": "scoring"}, ("127.0.0.1", 9100)),
        ({"DULY_SERVICE": "ledger-sync", "DULY_LEDGER_SYNC_ADMIN_PORT": "18011"}, ("127.0.0.1", 18011)),
        ({"DULY_SERVICE": "gateway", "DULY_GATEWAY_ADMIN_HOST": "0.0.0.0"}, ("127.0.0.1", 9100)),
        ({"DULY_SERVICE": "gateway", "DULY_GATEWAY_ADMIN_HOST": "10.1.2.3"}, ("10.1.2.3", 9100)),
    ],
)
def test_it_asks_where_the_service_listens(env, address):
    assert admin_address(env) == address


@pytest.mark.parametrize("env", [{}, {"DULY_SERVICE": "scoring", "DULY_SCORING_ADMIN_PORT": "none"}])
def test_without_a_usable_address_it_is_not_alive(env, capsys):
    assert main(env) == 1
    assert "health:" in capsys.readouterr().err
