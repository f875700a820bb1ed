"""When two runs are equal, and what an attempt of unknown outcome excuses."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime

import pytest
from duly_cli.chaos import KILLS_PER_SERVICE, plan_kills
from duly_cli.checks.comparison import compare
from duly_cli.checks.digest import digest_of, unknown_since
from duly_cli.stack.services import SERVICE_NAMES

from duly.contact.v1 import events_pb2 as contact


def entry(debtor="D-1", day="2026-03-04", **value):
    return {"debtor": debtor, "day": day, "value": value}


def compared(left, right, left_unknown=None, right_unknown=None):
    return compare({"emails": left}, {"emails": right}, left_unknown or {}, right_unknown or {})


def test_equal_runs_are_equal(evidence):
    comparison = compare(digest_of(evidence), digest_of(evidence), {}, {})
    assert comparison.equal
    assert comparison.compared["emails"] == 1
    assert comparison.compared["mirror"] == 4


def test_a_missing_an_additional_and_a_changed_entry_are_named():
    comparison = compared({"a": entry(to="x"), "b": entry()}, {"a": entry(to="y"), "c": entry()})
    assert comparison.count == 3
    assert comparison.differences == (
        "emails: a of D-1: to was 'x', is 'y'",
        "emails: b of D-1 is only in the undisturbed run",
        "emails: c of D-1 is only in the disturbed run",
    )


@pytest.mark.parametrize("side", [0, 1])
def test_a_debtor_with_an_unknown_attempt_is_compared_up_to_it(side):
    unknown = [{}, {}]
    unknown[side] = {"D-1": "2026-03-05"}
    before = {"a": entry(day="2026-03-04", to="x")}
    assert compared(before, {**before, "b": entry(day="2026-03-05"), "c": entry(day="")}, *unknown).equal
    assert not compared(before, {"a": entry(day="2026-03-04", to="y")}, *unknown).equal


def test_an_unknown_attempt_excuses_no_other_debtor():
    comparison = compared({}, {"a": entry(debtor="D-2")}, {}, {"D-1": "2026-01-01"})
    assert not comparison.equal
    assert comparison.unknown == {"D-1": "2026-01-01"}


def test_the_earlier_of_two_unknown_days_counts():
    comparison = compared({}, {}, {"D-1": "2026-03-05"}, {"D-1": "2026-03-02"})
    assert comparison.unknown == {"D-1": "2026-03-02"}


def test_offsets_and_ledger_versions_are_no_difference(world, made, evidence):
    world.events["risk-scores"] = []
    world.add(made.score(version=8), "score-1", "D-1", "tick")
    other = made.with_state(world.evidence(), "D-1", moved(made.state("D-1", 5)))
    assert compare(digest_of(evidence), digest_of(other), {}, {}).equal


@pytest.mark.parametrize("changed", ["mirror", "states", "mails", "scores"])
def test_every_section_notices_a_change(evidence, world, made, changed):
    match changed:
        case "mirror":
            other = made.with_invoice(evidence, "INV-1", open_minor=1)
        case "states":
            other = made.with_state(evidence, "D-1", made.state("D-1", 6))
        case "mails":
            other = made.with_mails(evidence, [replace(made.mail("contact-1"), body_sha256="other")])
        case _:
            world.events["risk-scores"][0].message.risk = 0.5
            reference = digest_of(evidence)
            world.events["risk-scores"][0].message.risk = 0.6
            assert not compare(reference, digest_of(world.evidence()), {}, {}).equal
            return
    assert not compare(digest_of(evidence), digest_of(other), {}, {}).equal


def test_a_second_email_of_a_contact_is_a_difference(evidence, made):
    other = made.with_mails(evidence, [made.mail("contact-1"), made.mail("contact-1")])
    assert compare(digest_of(evidence), digest_of(other), {}, {}).count == 1


def test_unknown_attempts_are_listed_from_their_first_day(world):
    for number, day in enumerate((date(2026, 3, 6), date(2026, 3, 5))):
        message = contact.ContactUnknown(contact_id=f"c-{number}", attempt_id="a", debtor_id="D-1")
        message.at.FromDatetime(datetime(2026, 3, 5, tzinfo=UTC))
        world.add(message, f"unknown-{number}", "D-1", day=day)
    assert unknown_since(world.evidence()) == {"D-1": "2026-03-05"}


def test_a_kill_plan_follows_from_its_seed_and_hits_each_service_twice():
    plan = plan_kills(7, date(2026, 3, 1), 90)
    assert plan == plan_kills(7, date(2026, 3, 1), 90)
    assert plan != plan_kills(8, date(2026, 3, 1), 90)
    for service in SERVICE_NAMES:
        days = [kill.day for kill in plan if kill.service == service]
        assert len(set(days)) == KILLS_PER_SERVICE
    assert all(date(2026, 3, 1) <= kill.day <= date(2026, 5, 29) for kill in plan)


def moved(message):
    message.applied.offset += 1
    return message
