"""What should score after a training: the model, the champion that goes on, or the debtor's rate."""

import pytest
from duly_training.fallback import Serves, serves
from duly_training.origin import Kind
from duly_training.registry import GATE_PASSED, GATE_REFUSED, KnownVersion, RegisteredModel


def champion(kind: Kind, gate: str) -> KnownVersion:
    return KnownVersion(RegisteredModel("risk", "1", "a", "s", "g", "run"), {"kind": kind.value, "gate": gate}, {})


@pytest.mark.parametrize("before", [None, champion(Kind.HAZARD, GATE_PASSED), champion(Kind.RATE, GATE_REFUSED)])
def test_a_model_that_its_gate_let_pass_serves_whatever_served_before(before) -> None:
    assert serves(True, before) is Serves.FITTED


def test_a_refused_model_leaves_a_champion_that_passed_where_it_is() -> None:
    assert serves(False, champion(Kind.HAZARD, GATE_PASSED)) is Serves.CHAMPION


@pytest.mark.parametrize("before", [None, champion(Kind.HAZARD, GATE_REFUSED), champion(Kind.RATE, GATE_REFUSED)])
def test_without_one_the_debtors_rate_of_the_newest_data_serves(before) -> None:
    assert serves(False, before) is Serves.RATE
