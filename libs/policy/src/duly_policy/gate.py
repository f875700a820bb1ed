"""The contact gate. Pure: no clock, no I/O; the same question and packs give the same bytes, at any time, anywhere.

Asked twice: phase PLAN when a contact is planned, phase SEND inside the transactions that reserve and claim the send.

How an answer is made:

1. The rules in force on the debtor-local date and in scope are asked at `now`; every one that fires is a hit.
2. Each DEFER hit says when it falls silent. The gate jumps to the latest of these instants and asks all DEFER rules
   again, until none fires: that is `until`. No such instant in 30 days is a hit of its own, DULY-NOSLOT, for a person.
3. The strictest effect wins: DENY > HUMAN > DEFER > ALLOW. HUMAN keeps the DEFER time as `not_before`.

A person's approval settles HUMAN rules (they stay silent once `approved`), never DENY or DEFER, nor the missing slot,
which is a DEFER that never ends. No zone known = DULY-QUIET never ends = DULY-NOSLOT: a person finds out where the
debtor lives. If no rule at all is in force, the answer is that of an evaluator fault: DEFER by 15 minutes.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta

from duly_policy.canonical import canonical_json
from duly_policy.decisions import Answer, GateDecision, Hit, strictest
from duly_policy.inputs import GateInput
from duly_policy.packs import NoSlot, Packs, Rule
from duly_policy.predicates import Situation, check

EVALUATOR_VERSION = "1"
FAULT_RULE_ID = "DULY-FAULT"
NO_SLOT_RULE_ID = "DULY-NOSLOT"
FAULT_DELAY = timedelta(minutes=15)
SLOT_SEARCH = timedelta(days=30)
SLOT_STEPS_MAX = 2000  # each step moves to a later window or expiry; a bound, never reached by a sane pack
DECISION_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "urn:duly:gate-decision")


def evaluate(gate_input: GateInput, packs: Packs) -> GateDecision:
    """ALLOW, DEFER(until), DENY or HUMAN(not_before), with every rule that fires at `gate_input.now`."""
    asked = gate_input.normalised()
    situation = Situation.of(asked, packs)
    rules = situation.rules_at(asked.now)
    if not rules:
        return deferred_by_fault(asked, packs, "no rule is in force")
    hits = [hit for rule in rules if (hit := _hit(rule, situation)) is not None]
    slot = _first_slot(situation, asked.now)
    if slot is None:
        hits.append(_no_slot_hit(rules))
    return _decision(asked, packs, hits, slot)


def deferred_by_fault(gate_input: GateInput, packs: Packs, reason: str) -> GateDecision:
    """The answer for a caller whose evaluation failed: DEFER by 15 minutes. The caller raises the alarm."""
    asked = gate_input.normalised()
    until = asked.now + FAULT_DELAY
    return _decision(asked, packs, [Hit(FAULT_RULE_ID, EVALUATOR_VERSION, Answer.DEFER, until, reason)], until)


def _hit(rule: Rule, situation: Situation) -> Hit | None:
    asked = situation.asked
    if rule.effect is Answer.HUMAN and asked.approved:
        return None
    firing = check(rule, situation, asked.now)
    if firing is None:
        return None
    until = _first_slot(situation, asked.now, rule.id) if rule.effect is Answer.DEFER else None
    return Hit(rule.id, rule.pack_version, rule.effect, until, f"{rule.reason}: {firing.detail}")


def _first_slot(situation: Situation, start: datetime, only_rule_id: str | None = None) -> datetime | None:
    """First instant from `start` at which no DEFER rule (or not the named one) fires; None if beyond the search."""
    search = _slot_search(situation.rules)
    at = start
    for _ in range(SLOT_STEPS_MAX):
        rules = (rule for rule in situation.rules_at(at) if rule.effect is Answer.DEFER)
        rules = (rule for rule in rules if only_rule_id in (None, rule.id))
        firings = [firing for rule in rules if (firing := check(rule, situation, at)) is not None]
        if not firings:
            return at
        ends = [firing.until for firing in firings if firing.until is not None]
        if len(ends) < len(firings) or max(ends) <= at or max(ends) - start > search:
            return None
        at = max(ends)
    return None


def _slot_search(rules: Iterable[Rule]) -> timedelta:
    days = [rule.params.days for rule in rules if isinstance(rule.params, NoSlot)]
    return timedelta(days=min(days)) if days else SLOT_SEARCH


def _no_slot_hit(rules: Iterable[Rule]) -> Hit:
    for rule in rules:
        if isinstance(rule.params, NoSlot):
            reason = f"{rule.reason}: within {rule.params.days} days"
            return Hit(rule.id, rule.pack_version, Answer.HUMAN, None, reason)
    reason = f"no allowed instant: within {SLOT_SEARCH.days} days"
    return Hit(NO_SLOT_RULE_ID, EVALUATOR_VERSION, Answer.HUMAN, None, reason)


def _decision(asked: GateInput, packs: Packs, hits: Iterable[Hit], slot: datetime | None) -> GateDecision:
    ordered = tuple(sorted(hits, key=lambda hit: (hit.rule_id, hit.pack_version)))
    answer = strictest(tuple(hit.effect for hit in ordered))
    delayed_to = slot if slot != asked.now else None
    sha256 = hashlib.sha256(canonical_json(asked).encode()).hexdigest()
    subject = f"{asked.tenant}|{asked.contact_id}|{asked.phase}|{sha256}"
    return GateDecision(
        answer=answer,
        until=delayed_to if answer is Answer.DEFER else None,
        not_before=delayed_to if answer is Answer.HUMAN else None,
        hits=ordered,
        phase=asked.phase,
        evaluated_at=asked.now,
        pack_versions=packs.versions_for(asked.country),
        evaluator_version=EVALUATOR_VERSION,
        tzdata_version=packs.tzdata_version,
        input_sha256=sha256,
        decision_id=str(uuid.uuid5(DECISION_NAMESPACE, subject)),
    )
