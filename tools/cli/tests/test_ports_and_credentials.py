"""The port table and what a run's credentials are worth."""

from __future__ import annotations

import json
import re
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from duly_cli.credentials import SCOPES, SERVICE_SCOPES, Credentials, ScopeUnknown
from duly_cli.errors import CommandFailed
from duly_cli.ports import PORTS, BasePortInvalid, Ports, markdown
from duly_runtime.auth import PermissionDenied, TokenVerifier, Unauthenticated

NOW = datetime.now(UTC)


@pytest.fixture
def credentials(tmp_path):
    made = Credentials(tmp_path / "credentials")
    made.make(NOW, "demo")
    return made


def verifier(credentials):
    return TokenVerifier(json.loads(credentials.jwks_file.read_text()))


def test_no_two_uses_share_an_offset():
    assert len({use.offset for use in PORTS}) == len(PORTS)
    assert len({use.name for use in PORTS}) == len(PORTS)


def test_a_port_is_the_base_plus_its_offset():
    ports = Ports(28000)
    assert (ports.of("gateway", "rest"), ports.of("kafka", "clients")) == (28041, 28000)
    assert ports.numbers(("scoring",)) == {"scoring admin": 28021}


def test_the_addresses_a_person_is_told_are_those_of_the_table():
    addresses = Ports(28000).addresses()
    assert addresses["REST"].startswith("http://127.0.0.1:28041/")
    assert addresses["Events"] == "http://127.0.0.1:28010/v1/events"
    assert addresses["gRPC"].startswith("127.0.0.1:28040 ")
    assert addresses["MLflow"] == "http://127.0.0.1:28003"


def test_every_address_in_the_examples_is_one_of_the_default_ports():
    root = Path(__file__).resolve().parents[3]
    pages = [root / "README.md", *root.glob("services/*/README.md"), root / "tools" / "cli" / "README.md"]
    named = [
        (page.parent.name, int(port)) for page in pages for port in re.findall(r"127\.0\.0\.1:(\d+)", page.read_text())
    ]
    assert named
    assert {port for _, port in named} <= set(Ports().numbers().values())


def test_a_base_without_room_is_refused_in_words():
    for base in (80, 65_500):
        with pytest.raises(BasePortInvalid, match="must lie in"):
            Ports(base)


def test_the_readme_table_names_every_port():
    lines = markdown(18000).splitlines()
    assert len(lines) == len(PORTS) + 2
    assert "| 18041 | gateway | rest |" in lines


def test_the_readme_of_this_tool_holds_the_table_as_it_is(request):
    readme = (request.config.rootpath / "tools" / "cli" / "README.md").read_text()
    assert markdown() in readme


def test_secrets_are_for_their_owner_only(credentials):
    assert stat.S_IMODE(credentials.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in credentials.folder.iterdir()} == {0o600}


def test_no_two_passwords_are_equal_and_a_second_run_has_others(credentials, tmp_path):
    other = Credentials(tmp_path / "other")
    other.make(NOW, "demo")
    names = ("postgres", "gateway", "outreach")
    assert len({held.password(name) for held in (credentials, other) for name in names}) == 6


def test_making_again_keeps_keys_and_passwords(credentials):
    key, password = credentials.key_file.read_bytes(), credentials.password("gateway")
    credentials.make(NOW, "demo")
    assert (credentials.key_file.read_bytes(), credentials.password("gateway")) == (key, password)


def test_a_token_opens_what_its_scopes_name_and_nothing_else(credentials):
    token = credentials.sign("person", "demo", ["debtors:read"], NOW, timedelta(hours=1))
    principal = verifier(credentials).verify(f"Bearer {token}")
    principal.require("demo", "debtors:read")
    for tenant, scope in (("demo", "ledger:write"), ("other", "debtors:read")):
        with pytest.raises(PermissionDenied):
            principal.require(tenant, scope)


def test_an_expired_token_and_one_of_another_run_are_refused(credentials, tmp_path):
    other = Credentials(tmp_path / "other")
    other.make(NOW, "demo")
    expired = credentials.sign("person", "demo", ["debtors:read"], NOW - timedelta(hours=3), timedelta(hours=1))
    foreign = other.sign("person", "demo", ["debtors:read"], NOW, timedelta(hours=1))
    for token in (expired, foreign):
        with pytest.raises(Unauthenticated):
            verifier(credentials).verify(f"Bearer {token}")


def test_services_act_for_all_tenants_and_clients_only_for_their_own(credentials):
    check = verifier(credentials)
    check.verify(f"Bearer {credentials.token('outreach')}").require("any", "contacts:write")
    with pytest.raises(PermissionDenied):
        check.verify(f"Bearer {credentials.token('player')}").require("any", "ledger:write")


def test_every_service_scope_is_a_known_one():
    assert {scope for scopes in SERVICE_SCOPES.values() for scope in scopes} <= set(SCOPES)


def test_an_unknown_scope_and_a_missing_key_are_told_in_words(credentials, tmp_path):
    with pytest.raises(ScopeUnknown, match="No such scope: money:print"):
        credentials.sign("person", "demo", ["money:print"], NOW, timedelta(hours=1))
    with pytest.raises(CommandFailed, match="start the stack first"):
        Credentials(tmp_path).sign("person", "demo", ["debtors:read"], NOW, timedelta(hours=1))
