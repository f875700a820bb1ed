"""Blobs and messages: nothing is lost, equal means equal bytes, garbage is refused by name."""

import base64
from datetime import date

import pytest
from duly_contracts.dates import LAST_DATE
from duly_contracts.keys import SLICES_MAX
from duly_contracts.money import AMOUNT_MAX_MINOR
from duly_risk.balances import unapplied_minor
from duly_risk.batch import Item, apply_batch
from duly_risk.codec import decode_state, encode_state
from duly_risk.days import date_of, day_of
from duly_risk.degraded import no_longer_waiting_for, waits_for
from duly_risk.event_codec import EventUnusable, decode_event
from duly_risk.facts import (
    AllocationApplied,
    DisputeStated,
    InvoiceStated,
    NoBalanceChange,
    PaymentReversed,
    Position,
    RiskEvent,
    SourceReceived,
    Tick,
)
from duly_risk.fallback import RulesModel
from duly_risk.score import Band, Behaviour, Segment, Tier
from duly_risk.score_codec import encode_score
from duly_risk.state import (
    WHOLE,
    Allocation,
    Archive,
    Closed,
    DebtorState,
    Invoice,
    Reversal,
    Source,
    Standing,
    StateUnreadable,
    WriteOff,
    replaced,
)
from duly_risk.step import degrade, fold, has_open_invoices
from hypothesis import given
from hypothesis import strategies as st

from duly.ledger.v1 import events_pb2 as ledger
from duly.money.v1 import money_pb2
from duly.risk.v1 import events_pb2 as risk
from duly.risk.v1 import state_pb2 as pb

ids = st.text(min_size=1, max_size=8)
days = st.integers(0, 40_000)
minors = st.integers(0, 2**53)
allocations = st.builds(Allocation, ids, ids, minors, minors, days, st.booleans(), st.booleans(), st.booleans())
invoices = st.builds(
    Invoice,
    ids,
    st.booleans(),
    days,
    days,
    minors,
    st.sampled_from(["EUR", "JPY"]),
    st.text(max_size=4),
    st.booleans(),
    days,
    st.one_of(minors, st.just(WHOLE)),
    days,
    st.text(max_size=4),
    st.booleans(),
    st.lists(allocations, max_size=3).map(tuple),
    st.lists(st.builds(WriteOff, ids, minors, days, st.booleans()), max_size=2).map(tuple),
)
sources = st.builds(
    Source,
    ids,
    st.booleans(),
    st.booleans(),
    minors,
    st.just("EUR"),
    days,
    st.booleans(),
    st.lists(st.builds(Reversal, ids, minors), max_size=2).map(tuple),
    minors,
    minors,
)
archives = st.builds(
    Archive,
    minors,
    st.dictionaries(st.integers(-60, 120), st.integers(1, 9)),
    minors,
    days,
    days,
    days,
    st.dictionaries(st.sampled_from(["EUR", "JPY"]), st.tuples(minors, minors)),
    st.binary(max_size=16),
    st.dictionaries(st.sampled_from(["EUR", "JPY"]), minors),
    minors,
)
closings = st.builds(
    Closed,
    st.just(b""),
    st.binary(max_size=16),
    st.integers(0, 99),
    st.tuples(days, days, ids),
    st.lists(st.integers(-60, 120), max_size=5).map(tuple),
    minors,
    minors,
    days,
    days,
    days,
    st.dictionaries(st.sampled_from(["EUR", "JPY"]), st.tuples(minors, minors)),
)
below = st.integers(0, 3)
segments = st.builds(Segment, st.sampled_from(Band), st.sampled_from(Tier), st.sampled_from(Behaviour))
standings = st.builds(
    Standing, st.sampled_from(Band), st.tuples(below, below, below), days, ids, ids, segments, st.integers(1, 40_000)
)
states = st.builds(
    DebtorState,
    st.one_of(st.none(), st.builds(Position, st.integers(0, 11), st.integers(0, 2**40))),
    days,
    days,
    minors,
    st.lists(invoices, max_size=4).map(lambda many: {one.invoice_id: one for one in many}),
    st.lists(sources, max_size=4).map(lambda many: {one.source_id: one for one in many}),
    closings,
    archives,
    st.binary(max_size=24),
    st.binary(max_size=24),
    days,
    standings,
    st.lists(ids, max_size=3).map(tuple),
)


@given(states)
def test_a_state_survives_its_blob(state):
    blob = encode_state(state)
    assert decode_state(blob) == state
    assert encode_state(decode_state(blob)) == blob
    # The frame that copies bytes and the readable message are one wire format.
    assert pb.DebtorState.FromString(blob).SerializeToString(deterministic=True) == blob


def test_the_empty_state_is_a_blob_of_its_own():
    assert decode_state(encode_state(DebtorState())) == DebtorState()


def test_garbage_and_foreign_formats_are_refused():
    with pytest.raises(StateUnreadable):
        decode_state(b"\xff\xff\xff")
    with pytest.raises(StateUnreadable, match="format 0"):
        decode_state(b"")


def test_whatever_is_damaged_in_a_blob_is_state_unreadable():
    frame = pb.DebtorStateFrame.FromString(encode_state(folded_states()[-1]))
    for name in ("archive", "closed", "invoices", "sources"):
        damaged = pb.DebtorStateFrame.FromString(frame.SerializeToString())
        spoil = b"\xff\xff\xff"
        if name in ("invoices", "sources"):
            getattr(damaged, name).append(spoil)
        else:
            setattr(damaged, name, spoil)
        with pytest.raises(StateUnreadable):
            decode_state(damaged.SerializeToString())
    frame.standing.band = 99
    with pytest.raises(StateUnreadable):
        decode_state(frame.SerializeToString())
    with pytest.raises(StateUnreadable):
        decode_state(encode_state(DebtorState(archive=Archive(delays={1: 1})))[:-1])


@given(states)
def test_bytes_that_a_later_version_can_read_are_a_state_again_which_waits_for_what_came_since(state):
    blob = encode_state(state)
    unreadable = degrade(DebtorState(unreadable=blob + b"\x08\x63"), "e-1", Position(3, 2**41))
    assert decode_state(encode_state(unreadable)) == unreadable
    assert not has_open_invoices(unreadable)
    with pytest.raises(StateUnreadable):
        fold(unreadable, RiskEvent("e-2", "n", 1, False, NoBalanceChange()), Position(3, 2**41 + 1))
    again = decode_state(encode_state(unreadable._replace(unreadable=blob)))
    assert waits_for(again, "e-1")
    assert no_longer_waiting_for(again, "e-1") == state._replace(applied=Position(3, 2**41))


def test_states_that_several_versions_could_not_read_lie_within_each_other_up_to_a_bound():
    blob = encode_state(folded_states()[-1])
    for offset in range(1_500):
        blob = encode_state(degrade(DebtorState(unreadable=blob), f"e-{offset}", Position(0, offset)))
        if offset == 3:
            assert not decode_state(blob).unreadable
    deep = decode_state(blob)
    assert deep.unreadable
    assert deep.degraded


def test_damaged_closed_invoices_are_state_unreadable_when_a_fact_needs_them():
    state = folded_states()[-1]
    damaged = state._replace(closed=replaced(state.closed, packed=b"\xff" + state.closed.packed))
    fact = PaymentReversed("R", "P1", 1, 20_009)
    with pytest.raises(StateUnreadable):
        fold(damaged, RiskEvent("e", "n", 20_009, False, fact), Position(0, 99))


def folded_states() -> list[DebtorState]:
    """A paid invoice and an open one, fact by fact."""
    facts = [
        InvoiceStated("I1", 20_000, 20_010, 100, "EUR", ""),
        InvoiceStated("I2", 20_000, 20_010, 100, "EUR", ""),
        SourceReceived("P1", False, 100, "EUR", 20_005),
        AllocationApplied("A1", "I1", "P1", False, 100, 0, 20_005),
    ]
    made = [DebtorState()]
    for offset, fact in enumerate(facts):
        made.append(fold(made[-1], RiskEvent(f"e{offset}", "n", 20_005, False, fact), Position(0, offset)).state)
    return made[1:]


def money(minor: int) -> money_pb2.Money:
    return money_pb2.Money(amount_minor=minor, currency="EUR")


def decoded(message, **more):
    return decode_event(event_id="e", name="n", business_date=date(2026, 3, 1), backfill=True, message=message, **more)


def test_messages_become_facts():
    issued = ledger.InvoiceIssued(invoice_id="I", issue_date="2026-03-01", due_date="2026-03-31", total=money(5))
    day = day_of(date(2026, 3, 1))
    event = decoded(issued, source_version="7")
    assert event.body == InvoiceStated("I", day, day + 30, 5, "EUR", "7")
    assert (event.business_day, event.backfill, event.is_tick) == (day, True, False)
    assert decoded(ledger.InvoiceDisputed(invoice_id="I", on="2026-03-01")).body == DisputeStated(
        "I", WHOLE, day, False, ""
    )
    applied = ledger.AllocationApplied(
        allocation_id="A",
        invoice_id="I",
        source_id="C",
        source_kind=ledger.ALLOCATION_SOURCE_CREDIT_NOTE,
        amount=money(3),
        on="2026-03-01",
    )
    assert decoded(applied).body == AllocationApplied("A", "I", "C", True, 3, 0, day)
    credit = ledger.CreditNoteIssued(credit_note_id="C", amount=money(3), issue_date="2026-03-01")
    assert decoded(credit).body == SourceReceived("C", True, 3, "EUR", day)
    assert decoded(ledger.CalendarBusinessDateAdvanced(business_date="2026-03-01")).body == Tick(day)
    for part, parts in ((0, 0), (0, 1), (2, 3), (SLICES_MAX - 1, SLICES_MAX)):
        tick = ledger.CalendarBusinessDateAdvanced(business_date="2026-03-01", slice=part, slices=parts)
        assert decoded(tick).body == Tick(day)
    assert date_of(day) == date(2026, 3, 1)


@pytest.mark.parametrize(
    "message",
    [
        risk.RiskScoreUpdated(),
        ledger.InvoiceIssued(invoice_id="I", issue_date="yesterday", due_date="2026-03-31"),
        ledger.InvoiceVoided(on="2026-03-01"),
        ledger.InvoiceIssued(invoice_id="I", issue_date="1969-12-31", due_date="2026-03-31"),
        ledger.InvoiceIssued(invoice_id="I", issue_date="2026-03-01", due_date="2160-01-01"),
        ledger.CalendarBusinessDateAdvanced(business_date="9999-12-31"),
        ledger.InvoiceIssued(
            invoice_id="I", issue_date="2026-03-01", due_date="2026-03-31", total=money(AMOUNT_MAX_MINOR + 1)
        ),
        ledger.PaymentReceived(payment_id="P", booking_date="2026-03-01", amount=money(-1)),
        *(
            ledger.CalendarBusinessDateAdvanced(business_date="2026-03-01", slice=part, slices=parts)
            for part, parts in ((0, 2**31 - 1), (0, SLICES_MAX + 1), (-1, 3), (0, -5), (-1, 0), (1, 0), (3, 3))
        ),
        *(
            ledger.InvoiceIssued(
                invoice_id="I",
                issue_date="2026-03-01",
                due_date="2026-03-31",
                total=money_pb2.Money(amount_minor=1, currency=currency),
            )
            for currency in ("", "eur", "EUROPEAN", "EU", "€€€")
        ),
        ledger.PaymentReceived(
            payment_id="P", booking_date="2026-03-01", amount=money_pb2.Money(amount_minor=1, currency="euro")
        ),
        ledger.CreditNoteIssued(credit_note_id="C", issue_date="2026-03-01", amount=money_pb2.Money(amount_minor=1)),
        ledger.AllocationApplied(
            allocation_id="A", invoice_id="I", on="2026-03-01", amount=money(1), discount=money(2**62)
        ),
    ],
)
def test_a_message_the_fold_cannot_use_is_refused_by_name(message):
    with pytest.raises(EventUnusable, match="n:"):
        decoded(message)


def test_a_business_date_beyond_all_bounds_is_refused():
    message = ledger.LedgerDriftCleared()
    for day in (date(1969, 12, 31), date(2160, 1, 1)):
        with pytest.raises(EventUnusable, match=f"n: {day}"):
            decode_event(event_id="e", name="n", business_date=day, backfill=False, message=message)


def test_the_last_date_and_the_largest_amount_fold_score_and_encode():
    on = LAST_DATE.isoformat()
    issued = ledger.InvoiceIssued(invoice_id="I", issue_date=on, due_date=on, total=money(AMOUNT_MAX_MINOR))
    event = decode_event(event_id="e", name="n", business_date=LAST_DATE, backfill=False, message=issued)
    item = Item(b"t|D", "D", event, Position(0, 1))
    result = apply_batch(
        {}, [item], lambda key, day: RulesModel(), lambda key, event: "score", lambda index, score: score
    )
    score = risk.RiskScoreUpdated.FromString(encode_score(result.told[0]))
    assert 0 < score.amount_at_risk[0].amount_minor <= AMOUNT_MAX_MINOR
    assert decode_state(encode_state(result.states[b"t|D"])) == result.states[b"t|D"]


# Two invoices, one paid in full and one in part by the same payment, as format 1 wrote them.
FORMAT_1 = (
    "CAESBAgDEAQYr5wBKAUyLAoCSTEQARignAEgrpwBKJBOMgNFVVI6ATFyEQoCQTESAlAxGJBOKK+cATgBMiwKAkkyEAEYoJwBIL6c"
    "ASiQTjIDRVVSOgExchEKAkEyEgJQMRjQDyivnAE4AToSCgJQMRgBIJh1KgNFVVIwr5wBQgBKKIQrfZ1Dzd919vxCA5+6N3Yb9B72"
    "/W9vbJ4lGQWm2Y4BcR17Bn8wGLZSBRIDAAAA"
)


def test_a_blob_of_the_format_before_is_read_and_its_closed_invoice_packed():
    state = decode_state(base64.b64decode(FORMAT_1))
    assert (state.applied, state.facts_applied, state.week_day) == (Position(3, 4), 5, state.business_day)
    assert set(state.invoices) == {"I2"}
    assert (state.closed.count, state.closed.delays) == (1, (1,))
    assert unapplied_minor(state) == {"EUR": 30_00}
    blob = encode_state(state)
    assert blob[:2] == b"\x08\x02"
    assert decode_state(blob) == state
