"""Laws of the gate, over generated questions."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from duly_policy import (
    Answer,
    Autonomy,
    Channel,
    DebtorKind,
    DebtView,
    GateInput,
    InvalidGateInput,
    PastAttempt,
    Phase,
    canonical_decision_json,
    canonical_json,
    deferred_by_fault,
    evaluate,
    gate_input_from_json,
    load_packs,
)
from duly_policy.calendars import easter_sunday
from hypothesis import given, settings
from hypothesis import strategies as st

PACKS = load_packs("duly-default")
ZONES = ["America/New_York", "America/Los_Angeles", "Europe/London", "Asia/Kolkata", "Pacific/Auckland", "Nowhere/None"]
INSTANTS = st.datetimes(datetime(2025, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC))
LAWS = settings(max_examples=150, deadline=None)
# what makes a question stricter, one change at a time; the second value is never laxer than the first
STRICTER = {
    "suppressed": True,
    "stopped": True,
    "degraded": True,
    "drift": True,
    "care": True,
    "promise_open": True,
    "ledger_fresh": False,
    "address_verified": False,
    "kill_switch": None,
    "autonomy": Autonomy.MANUAL,
    "approved": False,
}


@st.composite
def questions(draw, now=INSTANTS):
    at = draw(now)
    debts = draw(st.lists(st.integers(-100, 9000), min_size=1, max_size=3))
    ages = draw(st.lists(st.integers(0, 30 * 24 * 60), max_size=4))
    booleans = dict.fromkeys(("suppressed", "stopped", "degraded", "drift", "care", "promise_open"), False)
    flag = draw(st.sampled_from([None, None, None, *booleans]))
    phase = draw(st.sampled_from(Phase))
    return GateInput(
        tenant="t1",
        contact_id="c1",
        debtor_id="d1",
        phase=phase,
        kind=draw(st.sampled_from(DebtorKind)),
        country=draw(st.sampled_from(["US", "GB", "DE", ""])),
        zones=tuple(draw(st.lists(st.sampled_from(ZONES), max_size=2))),
        debts=tuple(DebtView(f"I{n}", "USD", max(m, 0), m, False, date(2025, 1, 1)) for n, m in enumerate(debts)),
        channel=draw(st.sampled_from(Channel)),
        purpose="reminder",
        action=draw(st.sampled_from(["reminder", "call_task", "reply_answer"])),
        autonomy=draw(st.sampled_from([Autonomy.AUTO, Autonomy.APPROVE])),
        approved=draw(st.booleans()),
        **{**booleans, **({flag: True} if flag else {})},
        address_verified=True,
        kill_switch=False,
        ledger_fresh=draw(st.booleans()),
        content_amounts=(("USD", sum(debts)),) if phase is Phase.SEND else None,
        attempts=tuple(
            PastAttempt(f"p{n}", at - timedelta(minutes=m), Channel.SMS, draw(st.sampled_from(["sent", "refused"])))
            for n, m in enumerate(ages)
        ),
        not_before=draw(st.none() | st.just(at + timedelta(hours=5))),
        not_after=None,
        now=at,
    )


@given(questions())
@LAWS
def test_the_strictest_effect_of_the_hits_is_the_answer_and_hits_are_sorted(question):
    decision = evaluate(question, PACKS)
    effects = {hit.effect for hit in decision.hits}
    order = [Answer.DENY, Answer.HUMAN, Answer.DEFER]

    assert decision.answer == next((effect for effect in order if effect in effects), Answer.ALLOW)
    assert list(decision.rule_ids) == sorted(decision.rule_ids)
    assert (decision.until is not None) == (decision.answer is Answer.DEFER)


@given(questions(), st.sampled_from(sorted(STRICTER)))
@LAWS
def test_a_further_reason_never_makes_the_answer_laxer(question, reason):
    before = evaluate(question, PACKS)
    after = evaluate(replace(question, **{reason: STRICTER[reason]}), PACKS)

    assert after.answer.strictness >= before.answer.strictness
    assert set(before.rule_ids) <= set(after.rule_ids)


@given(questions(), st.integers(1, 10**6))
@LAWS
def test_until_is_the_first_instant_without_a_defer_rule(question, fraction):
    decision = evaluate(question, PACKS)
    if decision.answer is not Answer.DEFER:
        return
    wait = decision.until - question.now
    earlier = question.now + wait * fraction / (10**6 + 1)

    assert evaluate(_later(question, decision.until), PACKS).answer is Answer.ALLOW
    assert evaluate(_later(question, earlier), PACKS).answer is Answer.DEFER
    assert evaluate(_later(question, decision.until - timedelta(microseconds=1)), PACKS).answer is Answer.DEFER


def _later(question, at):
    """The same question at another instant; a stale ledger has been read again once its five minutes are over."""
    fresh = question.ledger_fresh or at >= question.now + timedelta(minutes=5)
    return replace(question, now=at, ledger_fresh=fresh)


@given(questions())
@LAWS
def test_an_allowed_instant_lies_inside_the_hours_of_every_zone(question):
    decision = evaluate(question, PACKS)
    instant = question.now if decision.answer is Answer.ALLOW else decision.until
    if instant is None:
        return
    closes = 18 if question.kind is DebtorKind.BUSINESS else 20
    for name in question.zones:
        if name in PACKS.zones:
            local = instant.astimezone(PACKS.zones[name])
            assert 8 <= local.hour < closes
            assert local.weekday() < (5 if question.kind is DebtorKind.BUSINESS else 6)


@given(questions())
@LAWS
def test_a_decision_replays_byte_equal_from_the_recorded_input_and_versions(question):
    decision = evaluate(question, PACKS)
    recorded = canonical_json(question)
    replayed = evaluate(gate_input_from_json(recorded), load_packs(*(f"{n}@{v}" for n, v in decision.pack_versions)))

    assert canonical_json(gate_input_from_json(recorded)) == recorded
    assert canonical_decision_json(replayed) == canonical_decision_json(decision)


@given(questions(), st.randoms(use_true_random=False))
@LAWS
def test_the_order_of_rows_changes_nothing(question, random):
    debts, attempts, zones = list(question.debts), list(question.attempts), list(question.zones)
    for rows in (debts, attempts, zones):
        random.shuffle(rows)
    shuffled = replace(question, debts=tuple(debts), attempts=tuple(attempts), zones=tuple(zones))

    assert evaluate(shuffled, PACKS) == evaluate(question, PACKS)


@given(questions())
@LAWS
def test_an_approval_settles_human_rules_and_nothing_else(question):
    without, with_one = (evaluate(replace(question, approved=given), PACKS) for given in (False, True))

    kept = {hit.rule_id for hit in without.hits if hit.effect is not Answer.HUMAN or hit.rule_id == "DULY-NOSLOT"}
    assert set(with_one.rule_ids) == kept


def test_other_inputs_have_other_decision_ids(ask):
    ids = {evaluate(ask(**c), PACKS).decision_id for c in ({}, {"phase": "PLAN"}, {"contact_id": "c2"}, {"care": True})}

    assert len(ids) == 4


def test_the_same_instant_in_another_offset_is_the_same_question(ask):
    assert canonical_json(ask(now="2026-01-15T16:00:00+01:00")) == canonical_json(ask(now="2026-01-15T15:00:00Z"))


def test_a_pack_without_rules_defers_by_fifteen_minutes(ask, at):
    decision = evaluate(ask(), replace(PACKS, rules=()))

    assert (decision.answer, decision.until, decision.rule_ids) == (
        "DEFER",
        at("2026-01-15T15:15:00Z"),
        ("DULY-FAULT",),
    )


def test_a_fault_of_the_evaluation_defers_and_names_itself(ask):
    decision = deferred_by_fault(ask(), PACKS, "caps could not be read")

    assert decision.hits[0].reason == "caps could not be read"


def test_a_naive_instant_is_no_question(ask):
    with pytest.raises(InvalidGateInput, match="now is a naive datetime"):
        ask(now="2026-01-15T15:00:00")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [("{", "not JSON"), ("[]", "not an object"), ("{}", "missing fields"), ('{"tenant":"t","x":1}', "unexpected")],
)
def test_a_recorded_input_that_cannot_be_read_is_refused(text, complaint):
    with pytest.raises(InvalidGateInput, match=complaint):
        gate_input_from_json(text)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"stopped": "no"}, "stopped: not a bool"),
        ({"channel": "FAX"}, "unreadable"),
        ({"tenant": ""}, "tenant is empty"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused(ask, changes, complaint):
    with pytest.raises(InvalidGateInput, match=complaint):
        ask(**changes)


@pytest.mark.parametrize(
    ("year", "day"), [(2024, "03-31"), (2025, "04-20"), (2026, "04-05"), (2027, "03-28"), (2038, "04-25")]
)
def test_easter(year, day):
    assert easter_sunday(year).isoformat() == f"{year}-{day}"
