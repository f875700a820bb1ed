"""Settings come from the environment and say what is wrong with it."""

import pytest
from duly_policy import Autonomy
from duly_runtime.settings import SettingsInvalid, load_settings
from outreach.bootstrap import policy_of
from outreach.config import Settings

ENV = {"KAFKA_BOOTSTRAP_SERVERS": "k", "DATABASE_URL": "postgresql://d", "DULY_OUTREACH_GATEWAY_TOKEN": "t"}


def test_autonomy_of_an_action_overrides_the_strategys_own():
    settings = load_settings(Settings, "outreach", ENV | {"DULY_OUTREACH_AUTONOMY": "reminder=MANUAL"})

    strategy = policy_of(settings).strategy
    assert strategy.autonomy_of("reminder") is Autonomy.MANUAL
    assert strategy.autonomy_of("call_task") is Autonomy.APPROVE


def test_a_process_has_one_name():
    assert [field for field in Settings.model_fields if "instance" in field] == ["instance_id"]
    named = load_settings(Settings, "outreach", ENV | {"DULY_OUTREACH_INSTANCE_ID": "outreach-1"})
    assert named.instance_id == "outreach-1"


def test_every_fault_is_named_at_once_and_no_secret_has_a_default():
    with pytest.raises(SettingsInvalid) as error:
        load_settings(Settings, "outreach", {"DULY_OUTREACH_AUTONOMY": "reminder=SOMETIMES"})

    text = str(error.value)
    assert "DULY_OUTREACH_GATEWAY_TOKEN" in text
    assert "DULY_OUTREACH_AUTONOMY" in text
