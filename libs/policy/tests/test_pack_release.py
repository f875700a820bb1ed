"""What may be released: the lint, the lock, effective dates."""

import copy
from dataclasses import replace
from datetime import date

import pytest
from duly_policy import UnknownPack, evaluate, load_packs, load_strategy
from duly_policy.__main__ import main
from duly_policy.lint import lint_calendar, lint_pack, lint_released, lint_strategy, lock_faults
from duly_policy.loader import lock_lines, locked_lines, released_document
from duly_policy.packs import InvalidPack
from duly_policy.schema import parse_rules

RULE = {
    "id": "X-1",
    "effective": {"from": date(2026, 1, 1)},
    "predicate": "state_present",
    "params": {"states": ["care"]},
    "effect": "DENY",
    "cite": "a law",
    "mark": "V",
    "reason": "because",
}
BOTH_SIDES = {"X-1": {"cases": [{"fires": True}, {"fires": False}]}}


def _pack(*rules):
    return {"pack": "x", "version": "2026.1.1", "rules": list(rules)}


def test_everything_packaged_passes_the_lint():
    assert lint_released() == ()


def test_every_released_file_is_recorded_as_it_is():
    assert lock_lines() == locked_lines()


def test_a_sound_rule_has_no_faults():
    assert lint_pack(_pack(RULE), BOTH_SIDES) == ()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"cite": None}, "X-1: missing cite"),
        ({"mark": "?"}, "X-1: mark must be one of ['K', 'P', 'V']"),
        ({"effective": {}}, "X-1: missing effective.from"),
        ({"effective": {"from": date(2026, 1, 1), "to": date(2025, 1, 1)}}, "X-1: unusable"),
        ({"predicate": "python"}, "X-1: unknown predicate python"),
        ({"colour": "red"}, "X-1: unknown field colour"),
        ({"params": {"states": ["care"], "also": 1}}, "X-1: unusable"),
        ({"params": {"states": ["happy"]}}, "X-1: unusable"),
        ({"effect": "ALLOW"}, "X-1: unusable"),
        ({"scope": {"channel": ["FAX"]}}, "X-1: unusable"),
        ({"scope": {"debt": ["Z"]}}, "X-1: unusable"),
    ],
)
def test_the_lint_names_what_a_rule_lacks(change, fault):
    faults = lint_pack(_pack({**RULE, **change}), BOTH_SIDES)

    assert any(found.startswith(fault) for found in faults), faults


@pytest.mark.parametrize(("sides", "fault"), [([True], "no non-firing case"), ([False], "no firing case")])
def test_a_rule_needs_a_case_on_each_side(sides, fault):
    cases = {"X-1": {"cases": [{"fires": fires} for fires in sides]}}

    assert lint_pack(_pack(RULE), cases) == (f"X-1: {fault}",)


def test_cases_of_a_rule_that_does_not_exist_are_a_fault():
    assert lint_pack(_pack(RULE), {**BOTH_SIDES, "X-9": {"cases": []}}) == (
        "X-9: cases for a rule that does not exist",
    )


def test_intervals_of_one_id_must_not_overlap():
    first = {**RULE, "effective": {"from": date(2026, 1, 1), "to": date(2026, 6, 1)}}
    touching, overlapping = ({**RULE, "effective": {"from": date(2026, m, d)}} for m, d in ((6, 1), (5, 31)))

    assert lint_pack(_pack(first, touching), BOTH_SIDES) == ()
    assert lint_pack(_pack(first, overlapping), BOTH_SIDES) == ("X-1: overlapping effective intervals",)


def test_a_changed_a_new_and_a_vanished_file_are_named():
    assert lock_faults(("b  p/1.yaml", "c  p/2.yaml"), ("a  p/1.yaml", "d  p/0.yaml")) == (
        "not as recorded in packs.lock: b  p/1.yaml",
        "not as recorded in packs.lock: c  p/2.yaml",
        "recorded in packs.lock but gone: p/0.yaml",
    )


def test_a_pack_with_faults_is_not_loaded():
    with pytest.raises(InvalidPack, match="missing cite; X-1: missing mark"):
        parse_rules(_pack({**RULE, "cite": "", "mark": ""}))


def test_the_rule_version_is_the_one_of_the_debtor_local_date(ask):
    """At 02:00 UTC on 1 September it is still 31 August in New York, so the older version holds."""
    older = {**RULE, "effective": {"from": date(2020, 1, 1), "to": date(2026, 9, 1)}, "params": {"states": ["drift"]}}
    newer = {**RULE, "effective": {"from": date(2026, 9, 1)}, "params": {"states": ["care"]}}
    packs = replace(load_packs("duly-default"), rules=parse_rules(_pack(older, newer)))

    assert evaluate(ask(care=True, now="2026-09-01T02:00:00Z"), packs).answer == "ALLOW"
    assert evaluate(ask(care=True, now="2026-09-01T12:00:00Z"), packs).answer == "DENY"


def test_until_knows_rules_that_start_while_waiting(ask, at):
    """A contact planned for 1 September meets the quiet hours that begin on that day."""
    hours = {"days": ["MON", "TUE", "WED", "THU", "FRI"], "from": "10:00", "to": "12:00"}
    later = {
        **RULE,
        "effective": {"from": date(2026, 9, 1)},
        "predicate": "time_window",
        "params": {"windows": {"B": hours, "C": hours}, "holidays": False},
        "effect": "DEFER",
    }
    planned = {**RULE, "id": "X-2", "predicate": "contact_window", "params": {"bound": "not_before"}, "effect": "DEFER"}
    packs = replace(load_packs("duly-default"), rules=parse_rules(_pack(later, planned)))
    decision = evaluate(ask(now="2026-08-31T15:00:00Z", not_before="2026-09-01T12:00:00Z"), packs)

    assert (decision.until, decision.rule_ids) == (at("2026-09-01T14:00:00Z"), ("X-2",))


@pytest.mark.parametrize("name", ["us-moon", "duly-default@1999.1.1", "calendar/XX@2026.11.1"])
def test_an_unknown_pack_is_refused(name):
    with pytest.raises(UnknownPack):
        load_packs(name)


def test_an_unknown_strategy_is_refused():
    with pytest.raises(UnknownPack):
        load_strategy("shouting")


def test_a_calendar_needs_a_citation():
    assert "cite" in lint_calendar({"calendar": "XX", "version": "1", "holidays": []})[0]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda doc: doc.pop("cite"), "missing cite"),
        (lambda doc: doc.update(colour="red"), "unknown field colour"),
        (lambda doc: doc["effective"].clear(), "missing effective"),
        (lambda doc: doc["timing_dpd"]["LOW"].pop(), "LOW: one dpd per step"),
        (lambda doc: doc["timing_dpd"].update(LOW=[5, 5, 6, 7]), "LOW: dpd start at 1 and rise from step to step"),
        (lambda doc: doc["timing_dpd"].pop("HIGH"), "timing_dpd names exactly"),
        (lambda doc: doc["steps"][0].update(step=2), "steps are numbered"),
        (lambda doc: doc["steps"][0].pop("tone"), "step LADDER-1: fields are"),
        (lambda doc: doc.update(stage="NEVER"), "unusable"),
    ],
)
def test_the_lint_names_what_a_strategy_lacks(change, fault):
    document = copy.deepcopy(released_document("strategies", "reminder-ladder", "2026.11.1"))
    change(document)

    assert any(found.startswith(fault) for found in lint_strategy(document, {}))


def test_the_command_prints_faults_and_lock(capsys):
    assert (main(["lint"]), main(["lock"]), main([])) == (0, 0, 2)
    assert "no faults" in capsys.readouterr().out
