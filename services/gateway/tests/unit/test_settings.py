"""What cannot work together is refused at start, by the name of its variable."""

from __future__ import annotations

import pytest
from duly_policy import Channel
from duly_runtime.settings import SettingsInvalid, load_settings
from gateway.bootstrap import _channels
from gateway.config import Settings

NEEDED = {"KAFKA_BOOTSTRAP_SERVERS": "k:1", "DATABASE_URL": "postgresql://x", "DULY_GATEWAY_JWKS_FILE": "keys"}


def load(**fields: str) -> Settings:
    return load_settings(Settings, "gateway", NEEDED | {f"DULY_GATEWAY_{k.upper()}": v for k, v in fields.items()})


def test_the_defaults_fit_together():
    assert load().lease_seconds == 30


@pytest.mark.parametrize(
    "fields", [{"lease_seconds": "25"}, {"smtp_timeout_seconds": "6"}, {"lease_seconds": "5", "smtp_host": ""}]
)
def test_a_lease_that_a_slow_hand_over_outlives_is_refused(fields):
    with pytest.raises(SettingsInvalid, match=r"DULY_GATEWAY_LEASE_SECONDS: .*more than 5 times smtp_timeout_seconds"):
        load(**fields)


def test_a_lease_may_be_short_where_the_mail_server_is_waited_for_less():
    assert load(lease_seconds="6", smtp_timeout_seconds="1").lease_seconds == 6


def test_only_email_is_on_until_another_channel_is_asked_for():
    for fields, expected in (
        ({}, {Channel.EMAIL}),
        ({"channels": "NOOP, CONSOLE"}, {Channel.NOOP, Channel.CONSOLE}),
        ({"channels": "EMAIL,NOOP", "smtp_host": ""}, {Channel.NOOP}),
    ):
        channels = _channels(load(**fields))
        assert set(channels) == expected
        for sender in channels.values():
            sender.close()


def test_a_channel_nobody_knows_is_refused():
    with pytest.raises(SettingsInvalid, match="DULY_GATEWAY_CHANNELS"):
        load(channels="EMAIL,PIGEON")
