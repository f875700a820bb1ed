"""The contact gate, the reminder ladder and their versioned rule packs; pure.

packs = load_packs("duly-default")      # once, at start
decision = evaluate(gate_input, packs)  # ALLOW, DEFER(until), DENY or HUMAN(not_before)
ladder = next_step(ladder_input, load_strategy("reminder-ladder"))
"""

from duly_policy.canonical import canonical_decision_json, canonical_json, gate_input_from_json
from duly_policy.decisions import Answer, GateDecision, Hit
from duly_policy.gate import EVALUATOR_VERSION, deferred_by_fault, evaluate
from duly_policy.inputs import (
    Autonomy,
    Channel,
    DebtorKind,
    DebtView,
    GateInput,
    InvalidGateInput,
    PastAttempt,
    Phase,
)
from duly_policy.ladder import (
    Band,
    LadderDebt,
    LadderDecision,
    LadderInput,
    LadderStep,
    Stage,
    Strategy,
    next_step,
)
from duly_policy.loader import load_packs, load_strategy
from duly_policy.packs import Packs, UnknownPack

__all__ = [
    "EVALUATOR_VERSION",
    "Answer",
    "Autonomy",
    "Band",
    "Channel",
    "DebtView",
    "DebtorKind",
    "GateDecision",
    "GateInput",
    "Hit",
    "InvalidGateInput",
    "LadderDebt",
    "LadderDecision",
    "LadderInput",
    "LadderStep",
    "Packs",
    "PastAttempt",
    "Phase",
    "Stage",
    "Strategy",
    "UnknownPack",
    "canonical_decision_json",
    "canonical_json",
    "deferred_by_fault",
    "evaluate",
    "gate_input_from_json",
    "load_packs",
    "load_strategy",
    "next_step",
]
