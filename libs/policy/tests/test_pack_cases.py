"""Every rule of every released pack and strategy, in its firing and non-firing cases."""

from datetime import date

import pytest
from duly_policy import Band, LadderDebt, LadderInput, Strategy, evaluate, load_packs, next_step
from duly_policy.canonical import gate_input_from_mapping
from duly_policy.loader import cases, released

PACK_NAMES = sorted({name for area, name, _ in released() if area == "packs"})


def _cases(area, name):
    files = cases(area, name)
    for rule_id, document in files.items():
        if rule_id != "base":
            for case in document["cases"]:
                yield pytest.param(
                    name, rule_id, {**files["base"], **case["input"]}, case, id=f"{rule_id}: {case['name']}"
                )


@pytest.mark.parametrize(
    ("pack", "rule_id", "raw", "case"), [case for name in PACK_NAMES for case in _cases("packs", name)]
)
def test_each_rule_fires_exactly_where_its_case_says(pack, rule_id, raw, case, at):
    decision = evaluate(gate_input_from_mapping(raw), load_packs(pack))

    assert (rule_id in decision.rule_ids) is case["fires"]
    assert decision.answer == case["answer"]
    assert decision.until == (at(case["until"]) if "until" in case else None)
    assert decision.not_before == (at(case["not_before"]) if "not_before" in case else None)


@pytest.mark.parametrize(("name", "rule_id", "raw", "case"), list(_cases("strategies", "reminder-ladder")))
def test_each_step_is_due_exactly_where_its_case_says(name, rule_id, raw, case, ladder: Strategy):
    debts = tuple(LadderDebt(**{**debt, "due_date": date.fromisoformat(debt["due_date"])}) for debt in raw["debts"])
    asked = LadderInput(date.fromisoformat(raw["business_date"]), Band(raw["band"]), debts)

    assert (rule_id in next_step(asked, ladder).rule_ids) is case["fires"]
