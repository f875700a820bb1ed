"""Which model serves: the promoted one on its dates, or the one before it; and how that is shown."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from duly_contracts.model_control import AT_ONCE, Promotion
from duly_risk.model import Role
from scoring.adapters import model_store

Promote = Callable[..., Promotion]
MakeDesk = Callable[..., Any]
RULES = "risk-rules rules-1 FALLBACK"


def test_without_a_promotion_the_rules_serve_and_say_so(desk: MakeDesk) -> None:
    at = desk()
    at.run()
    assert at.serving(99) == RULES
    assert at.models.status()["model"] == RULES


def test_a_promoted_version_serves_from_its_date_and_the_one_before_it_until_then(
    desk: MakeDesk, promote: Promote
) -> None:
    at = desk(promote("1", 10))
    at.run()
    at.control.send(promote("2", 20))
    assert at.models.follow(0)
    assert (at.serving(9), at.serving(19), at.serving(20)) == (RULES, "risk 1 CHAMPION", "risk 2 CHAMPION")
    assert at.files.downloads == ["1", "2"]


def test_a_batch_keeps_the_choice_it_began_with(desk: MakeDesk, promote: Promote) -> None:
    at = desk(promote("1", 10))
    at.run()
    batch = at.models.current()
    at.control.send(promote("2", 10))
    at.models.follow(0)
    assert batch.serving("acme", 15).info.version == "1"
    assert at.serving(15) == "risk 2 CHAMPION"


def test_a_roll_back_needs_no_download(desk: MakeDesk, promote: Promote) -> None:
    at = desk(promote("1", 10), promote("2", 20))
    at.run()
    at.files.up = False
    at.control.send(promote("1", AT_ONCE, back=True))
    at.models.follow(0)
    assert (at.serving(15), at.serving(30)) == ("risk 1 CHAMPION", "risk 1 CHAMPION")


def test_a_roll_back_to_no_model_lets_the_rules_score(desk: MakeDesk, promote: Promote) -> None:
    at = desk(promote("1", 10), promote("", AT_ONCE, back=True))
    at.run()
    assert at.serving(30) == RULES


def test_a_restart_takes_its_models_from_the_disk(desk: MakeDesk, promote: Promote) -> None:
    promotions = [promote("1", 10), promote("2", 20)]
    at = desk(*promotions)
    at.run()
    at.files.up = False
    at.restart(*promotions)
    at.run()
    assert (at.serving(15), at.serving(25)) == ("risk 1 CHAMPION", "risk 2 CHAMPION")


def test_a_version_of_the_same_number_from_another_registry_is_not_taken_from_the_disk(
    desk: MakeDesk, promote: Promote
) -> None:
    at = desk(promote("1", 10))
    at.run()
    at.files.broken.add("1")
    at.control.send(promote("1", 20, artifact_sha256=hashlib.sha256(b"another model").hexdigest()))
    at.models.follow(0)
    assert at.files.downloads == ["1", "1"]
    assert at.serving(25) == "risk 1 CHAMPION"  # no Booster at all, so the first one stays


def test_more_models_than_are_kept_are_loaded_again_from_the_disk(desk: MakeDesk, promote: Promote) -> None:
    at = desk(*[promote(str(number), 10 * number) for number in range(1, 8)])
    at.run()
    assert [at.serving(10 * number) for number in range(1, 8)] == [f"risk {n} CHAMPION" for n in range(1, 8)]
    assert sorted(at.files.downloads) == [str(number) for number in range(1, 8)]


def test_a_challenger_is_a_shadow_until_it_is_what_serves(desk: MakeDesk, promote: Promote) -> None:
    at = desk(promote("1", 10), promote("2", 15, role=Role.SHADOW), promote("2", 20))
    at.run()
    shadows = [at.models.current().shadow("acme", day) for day in (14, 15, 20)]
    assert [shadow and (shadow.info.version, shadow.info.role) for shadow in shadows] == [
        None,
        ("2", Role.SHADOW),
        None,
    ]


def test_what_serves_can_be_read_off_the_metrics(desk: MakeDesk, promote: Promote) -> None:
    at = desk(promote("1", 10), promote("2", 20))
    at.run()
    at.serving(15)
    at.serving(20)
    value = at.metrics.registry.get_sample_value
    assert value("duly_model_info", {"version": "1", "role": "CHAMPION"}) == 0
    assert value("duly_model_info", {"version": "2", "role": "CHAMPION"}) == 1


def test_each_tenant_has_the_age_of_its_own_newest_usable_promotion(desk: MakeDesk, promote: Promote) -> None:
    first = replace(promote("1"), promoted_at=datetime(2031, 2, 1, tzinfo=UTC))
    refused = replace(promote("2", artifact_sha256="0" * 64), promoted_at=datetime(2031, 3, 1, tzinfo=UTC))
    at = desk(first, refused, replace(promote("1"), tenant="other"))
    at.run()
    assert at.promoted("acme") == datetime(2031, 2, 1, tzinfo=UTC).timestamp()
    assert at.promoted("other") == datetime(2031, 1, 1, tzinfo=UTC).timestamp()


def test_a_tenant_that_went_back_to_the_rules_has_no_promotion_to_grow_old(desk: MakeDesk, promote: Promote) -> None:
    at = desk(promote("1"), replace(promote("1"), tenant="other"))
    at.run()
    assert at.promoted("acme") is not None
    at.control.send(promote("", AT_ONCE, back=True))
    at.run()
    assert at.promoted("acme") is None
    assert at.promoted("other") is not None


def test_the_state_of_the_newest_promotion_is_shown_as_long_as_it_lasts(desk: MakeDesk, promote: Promote) -> None:
    at = desk(promote("1"))
    at.run()
    assert at.state() == ["ready"]
    at.files.up = False
    at.control.send(promote("2"))
    at.models.follow(0)
    at.models.try_again()
    assert at.state() == ["unreachable"]
    at.files.up = True
    at.models.try_again()
    assert at.state() == ["ready"]
    at.control.send(promote("3", artifact_sha256="0" * 64))
    at.models.follow(0)
    at.models.try_again()
    assert at.state() == ["refused"]
    at.control.send(promote("2", back=True))
    at.models.follow(0)
    assert at.state() == ["ready"]


def test_a_restart_without_the_registry_has_every_version_in_force_on_the_disk(
    desk: MakeDesk, promote: Promote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_store, "_FOLDERS_KEPT", 2)
    promotions = [promote(str(number), 10 * number) for number in range(1, 13)]
    at = desk(promotions[0])
    at.run()
    for promotion in promotions[1:]:
        at.control.send(promotion)
        at.models.follow(0)
        assert at.serving(10) == "risk 1 CHAMPION"
    assert len(list(at.folder.iterdir())) < 10
    at.files.up = False
    at.restart(*promotions)
    at.run()
    assert (at.serving(10), at.serving(125)) == ("risk 1 CHAMPION", "risk 12 CHAMPION")
