"""The fold: any order, any repetition, the same records; what is taken back is restored."""

import itertools
import math
from dataclasses import replace

import pytest
from duly_risk.balances import settle, unapplied_minor
from duly_risk.book import book_of
from duly_risk.codec import decode_state, encode_state
from duly_risk.degraded import EARLIER_KEPT, IDS_KEPT
from duly_risk.facts import (
    AllocationApplied,
    AllocationRemoved,
    CreditNoteVoided,
    DisputeStated,
    EventDismissed,
    Fact,
    InvoiceStated,
    InvoiceVoided,
    InvoiceWrittenOff,
    NoBalanceChange,
    PaymentReversed,
    Position,
    RiskEvent,
    SourceReceived,
    Tick,
)
from duly_risk.ledger import apply_records
from duly_risk.packing import CLOSED_KEPT, CLOSED_MAX, packed, unpacked
from duly_risk.plan import plan_of
from duly_risk.reasons import explain
from duly_risk.state import Closing, DebtorState, Settlement
from duly_risk.step import degrade, fold
from hypothesis import given, settings
from hypothesis import strategies as st

DAY = 20_000


def event(body: Fact | Tick, event_id: str = "", day: int = DAY, backfill: bool = False) -> RiskEvent:
    return RiskEvent(event_id or repr(body), type(body).__name__, day, backfill, body)


def folded(*bodies: Fact | Tick, state: DebtorState | None = None) -> DebtorState:
    after = state or DebtorState()
    start = after.applied.offset + 1 if after.applied else 0
    for offset, body in enumerate(bodies, start):
        after = fold(after, event(body), Position(0, offset)).state
    return after


def invoice(name: str = "I1", total: int = 100_00, due: int = DAY + 14, version: str = "1") -> InvoiceStated:
    return InvoiceStated(name, DAY, due, total, "EUR", version)


def payment(name: str = "P1", amount: int = 100_00) -> SourceReceived:
    return SourceReceived(name, False, amount, "EUR", DAY + 15)


def allocation(name: str = "A1", to: str = "I1", of: str = "P1", amount: int = 100_00, on: int = DAY + 15) -> Fact:
    return AllocationApplied(name, to, of, False, amount, 0, on)


def open_minor(state: DebtorState, name: str = "I1") -> int:
    return settlement(state, name).open_minor


def settlement(state: DebtorState, name: str = "I1") -> Settlement:
    everything = unpacked(state)
    return settle(everything.invoices[name], everything.sources)


def records(state: DebtorState) -> DebtorState:
    """The state without what must depend on the order: positions and the ring of recent ids."""
    return state._replace(applied=None, recent_facts=b"", earlier_facts=b"")


STORY: tuple[Fact, ...] = (
    invoice("I1", version="1"),
    invoice("I1", total=120_00, version="2"),
    invoice("I2", due=DAY + 30),
    payment("P1", 150_00),
    allocation("A1", "I1", "P1", 120_00),
    allocation("A2", "I2", "P1", 30_00),
    AllocationRemoved("A2", "I2"),
    SourceReceived("C1", True, 20_00, "EUR", DAY + 3),
    AllocationApplied("A3", "I2", "C1", True, 20_00, 0, DAY + 3),
    CreditNoteVoided("C1", DAY + 4),
    DisputeStated("I2", 50_00, DAY + 20, False, ""),
    DisputeStated("I2", 0, DAY + 25, True, ""),
    payment("P2", 40_00),
    allocation("A4", "I2", "P2", 40_00, on=DAY + 29),
    PaymentReversed("R1", "P2", 40_00, DAY + 33),
    InvoiceWrittenOff("W1", "I2", 10_00, DAY + 90, True),
    invoice("I3"),
    InvoiceVoided("I3", DAY + 2),
    NoBalanceChange(),
)


@settings(max_examples=200, deadline=None)
@given(st.permutations(STORY), st.lists(st.sampled_from(STORY), max_size=10))
def test_any_order_and_any_repetition_of_the_facts_give_the_same_records(order, repeated):
    expected = folded(*STORY)
    assert records(folded(*order, *repeated)) == records(expected)
    assert expected.facts_applied == len(STORY)
    assert open_minor(expected, "I1") == 0
    assert open_minor(expected, "I2") == 90_00
    assert unapplied_minor(expected) == {"EUR": 30_00}


@given(st.integers(0, len(STORY) - 1))
def test_a_repeated_offset_changes_nothing_at_all(cut):
    state = folded(*STORY)
    again = fold(state, event(STORY[cut]), Position(0, cut))
    assert again.state is state
    assert not again.changed
    assert not again.rescore


def test_the_same_fact_at_a_later_offset_is_counted_once_and_not_scored_again():
    state = folded(invoice())
    again = fold(state, event(invoice()), Position(0, 7))
    assert again.state == state._replace(applied=Position(0, 7))
    assert not again.changed
    assert not again.rescore


def test_a_reversed_payment_restores_the_open_amount_to_the_minor_unit():
    before = folded(invoice())
    paid = folded(payment(), allocation(), state=before)
    assert settlement(paid).closing is Closing.PAID
    assert book_of(paid).history.settled == 1
    restored = folded(PaymentReversed("R1", "P1", 100_00, DAY + 20), state=paid)
    assert open_minor(restored) == open_minor(before) == 100_00
    assert book_of(restored).history == book_of(before).history
    assert unapplied_minor(restored) == {}


def test_a_removed_allocation_reopens_the_invoice_and_frees_the_payment():
    state = folded(invoice(), payment(), allocation(), AllocationRemoved("A1", "I1"))
    assert open_minor(state) == 100_00
    assert unapplied_minor(state) == {"EUR": 100_00}


def test_a_part_reversal_leaves_allocations_to_the_facts_that_name_them():
    state = folded(invoice(), payment(), allocation(), PaymentReversed("R1", "P1", 30_00, DAY + 20))
    assert open_minor(state) == 0
    assert open_minor(folded(AllocationRemoved("A1", "I1"), state=state)) == 100_00


@pytest.mark.parametrize(
    ("facts", "closing", "day"),
    [
        ((payment(), allocation(on=DAY + 15)), Closing.PAID, DAY + 15),
        (
            (allocation("A1", amount=40_00, on=DAY + 20), allocation("A2", amount=60_00, on=DAY + 9)),
            Closing.PAID,
            DAY + 20,
        ),
        ((AllocationApplied("A1", "I1", "C1", True, 100_00, 0, DAY + 1),), Closing.CREDITED, DAY + 1),
        ((AllocationApplied("A1", "I1", "P1", False, 98_00, 2_00, DAY + 1),), Closing.PAID, DAY + 1),
        ((InvoiceWrittenOff("W1", "I1", 100_00, DAY + 99, True),), Closing.WRITTEN_OFF, DAY + 99),
        ((allocation(amount=99_90), InvoiceWrittenOff("W1", "I1", 10, DAY + 16, False)), Closing.PAID, DAY + 16),
        (
            (allocation(amount=50_00), InvoiceWrittenOff("W1", "I1", 50_00, DAY + 99, True)),
            Closing.WRITTEN_OFF,
            DAY + 99,
        ),
        ((InvoiceVoided("I1", DAY + 5),), Closing.VOIDED, DAY + 5),
    ],
)
def test_how_an_invoice_closes_decides_whether_it_counts_as_paid(facts, closing, day):
    state = folded(invoice(), *facts)
    found = settlement(state)
    assert (found.closing, found.closed_day) == (closing, day)
    assert book_of(state).history.settled == (closing is Closing.PAID)


def test_an_older_revision_that_comes_last_is_ignored():
    state = folded(invoice(total=120_00, version="10"), invoice(total=100_00, version="9"))
    assert open_minor(state) == 120_00


def test_revisions_without_comparable_versions_follow_the_log():
    state = folded(invoice(total=120_00, version="c0ffee"), invoice(total=100_00, version="beef"))
    assert open_minor(state) == 100_00


def test_live_facts_ask_for_a_score_and_history_does_not():
    assert fold(DebtorState(), event(invoice()), Position(0, 1)).rescore
    assert not fold(DebtorState(), event(invoice(), backfill=True), Position(0, 1)).rescore


def test_a_tick_scores_open_debtors_once_a_date():
    state = folded(invoice())
    first = fold(state, event(Tick(DAY + 1)), Position(0, 5))
    assert (first.rescore, first.changed, first.state.tick_day) == (True, False, DAY + 1)
    assert first.state.facts_applied == state.facts_applied
    for later in (DAY + 1, DAY):
        again = fold(first.state, event(Tick(later)), Position(0, 6))
        assert not again.rescore
        assert again.state.business_day == DAY + 1
    paid = folded(payment(), allocation(), state=first.state)
    assert not fold(paid, event(Tick(DAY + 2)), Position(0, 9)).rescore
    assert not fold(state, event(Tick(DAY + 1), backfill=True), Position(0, 5)).rescore


def test_a_debtor_is_degraded_until_the_event_folds_after_all():
    state = degrade(degrade(folded(invoice()), "bad-1", Position(0, 3)), "bad-2", Position(0, 4))
    assert state.degraded_event_ids == ("bad-1", "bad-2")
    first = fold(state, event(payment(), "bad-1"), Position(0, 5))
    assert (first.state.degraded_event_ids, first.restored) == (("bad-2",), False)
    second = fold(first.state, event(allocation(), "bad-2"), Position(0, 6))
    assert (second.state.degraded_event_ids, second.restored) == ((), True)


def test_a_debtor_waits_for_each_of_many_events_and_is_restored_by_the_last_one_only():
    state = folded(invoice())
    for number in range(40):
        state = degrade(state, f"bad-{number}", Position(0, 10 + number))
    assert decode_state(encode_state(state)) == state
    for number in reversed(range(40)):  # the newest first, as `duly dlq replay` may do
        after = fold(state, event(NoBalanceChange(), f"bad-{number}"), Position(0, 100 - number))
        assert after.restored is (number == 0)
        state = after.state
    assert not state.degraded


def test_a_debtor_with_more_missing_events_than_a_blob_may_name_stays_degraded():
    state, missing = DebtorState(), IDS_KEPT + EARLIER_KEPT + 1
    for number in range(missing):
        state = degrade(state, f"bad-{number}", Position(0, number))
    assert len(encode_state(state)) < 16_000
    for number in range(missing):
        after = fold(state, event(NoBalanceChange(), f"bad-{number}"), Position(0, missing + number))
        assert not after.restored
        state = after.state
    assert state.degraded


def test_a_dismissal_says_restored_also_where_nothing_waits_unless_another_event_does():
    state = folded(invoice())
    assert fold(state, event(EventDismissed(), "of before the full replay"), Position(0, 3)).restored
    waiting = degrade(state, "bad-1", Position(0, 3))
    assert not fold(waiting, event(EventDismissed(), "another"), Position(0, 4)).restored
    assert fold(waiting, event(EventDismissed(), "bad-1"), Position(0, 4)).restored


def settled_invoice(i: int) -> tuple[Fact, ...]:
    name = f"I{i:04}"
    terms = InvoiceStated(name, DAY + i, DAY + i + 14, 100_00, "EUR", "1")
    paid = DAY + i + 14 + i % 7
    return (
        terms,
        SourceReceived(f"P{i:04}", False, 100_00, "EUR", paid),
        AllocationApplied(f"A{i:04}", name, f"P{i:04}", False, 100_00, 0, paid),
    )


def test_old_closed_invoices_become_counts_and_the_history_stays_exact():
    n = 200
    state = folded(*itertools.chain.from_iterable(settled_invoice(i) for i in range(n)))
    book = book_of(state)
    assert (state.invoices, state.sources) == ({}, {})
    assert CLOSED_KEPT <= state.closed.count == state.closed.invoices <= CLOSED_MAX
    assert state.archive.invoices == n - state.closed.count
    everything = unpacked(state)
    assert len(everything.invoices) == len(everything.sources) == state.closed.count
    assert book.history.counts == {delay: len([i for i in range(n) if i % 7 == delay]) for delay in range(7)}
    assert book.history.newest == tuple(
        delay for _, delay in sorted(((DAY + i + 14 + i % 7, DAY + i), i % 7) for i in range(n))[:-65:-1]
    )
    assert (book.invoices, book.billed, book.first_issue_day) == (n, {"EUR": (n * 100_00, n)}, DAY)
    assert book.unapplied == {}
    assert state.facts_applied == 3 * n


@pytest.mark.parametrize(("paid", "lost"), [(17, 64), (18, 63), (1, 80)])
def test_a_debtor_of_whose_newest_closed_invoices_hardly_one_was_paid_has_a_history_and_reasons(paid: int, lost: int):
    written_off = [
        (
            InvoiceStated(f"L{i:04}", DAY + 100, DAY + 114, 100_00, "EUR", "1"),
            InvoiceWrittenOff(f"W{i:04}", f"L{i:04}", 100_00, DAY + 300, loss=True),
        )
        for i in range(lost)
    ]
    still_open = InvoiceStated("OPEN", DAY + 310, DAY + 310, 100_00, "EUR", "1")
    settled = [settled_invoice(i) for i in range(paid)]
    state = folded(*itertools.chain.from_iterable([*settled, *written_off]), still_open)
    history = book_of(state).history
    assert history.settled == paid == sum(history.counts.values())
    assert len(history.newest) == max(0, CLOSED_KEPT - lost)
    assert math.isnan(history.last2) == (len(history.newest) < 2)
    assert explain(book_of(state), DAY + 320)
    assert len(plan_of(state).measures) == 1


def test_a_late_fact_about_an_archived_invoice_is_counted_and_does_not_open_it_anew():
    state = folded(*itertools.chain.from_iterable(settled_invoice(i) for i in range(100)))
    after = fold(state, event(replace(settled_invoice(0)[0], source_version="2")), Position(0, 999))
    assert after.changed
    assert book_of(after.state) == book_of(state)
    assert after.state.archive.late_facts == 1


# ---- packing ----


@st.composite
def busy_stories(draw):
    """Facts about a few invoices and payments that touch each other in every way, in any order."""
    names = st.integers(0, 3)
    day = st.integers(DAY, DAY + 9)
    minor = st.sampled_from([10_00, 20_00, 30_00, 60_00])
    fact = st.one_of(
        st.builds(lambda i, d, m: InvoiceStated(f"I{i}", d, d + 14, m, "EUR", "1"), names, day, minor),
        st.builds(lambda i, d: InvoiceVoided(f"I{i}", d), names, day),
        st.builds(lambda i, m, d: SourceReceived(f"P{i}", False, m, "EUR", d), names, minor, day),
        st.builds(lambda i, m, d: PaymentReversed(f"R{i}", f"P{i}", m, d), names, minor, day),
        st.builds(lambda i, d: CreditNoteVoided(f"P{i}", d), names, day),
        st.builds(
            lambda i, p, m, d: AllocationApplied(f"A{i}{p}", f"I{i}", f"P{p}", False, m, 0, d), names, names, minor, day
        ),
        st.builds(lambda i, p: AllocationRemoved(f"A{i}{p}", f"I{i}"), names, names),
        st.builds(lambda i, m, d: InvoiceWrittenOff(f"W{i}", f"I{i}", m, d, True), names, minor, day),
    )
    return draw(st.lists(fact, min_size=4, max_size=30))


@settings(max_examples=300, deadline=None)
@given(busy_stories())
def test_packing_as_it_goes_is_packing_everything_at_the_end(story):
    state, plain = DebtorState(), DebtorState()
    for offset, body in enumerate(story):
        state = fold(state, event(body, event_id=str(offset)), Position(0, offset)).state
        plain = apply_records(plain, body)
        long_way = packed(plain)
        assert (state.invoices, state.sources, state.closed) == (long_way.invoices, long_way.sources, long_way.closed)
        assert packed(unpacked(state)) == state
        assert decode_state(encode_state(state)) == state
        assert unapplied_minor(state) == unapplied_minor(plain)


def test_an_invoice_that_closed_is_bytes_until_a_fact_names_it():
    paid = folded(invoice(), payment(), allocation())
    assert (paid.invoices, paid.sources, paid.closed.count) == ({}, {}, 1)
    other = folded(invoice("I10"), payment("P10"), allocation("A10", "I10", "P10", 1_00), state=paid)
    assert other.closed is paid.closed
    removed = folded(AllocationRemoved("A1", "I1"), state=other)
    assert set(removed.invoices) == {"I1", "I10"}
    assert set(removed.sources) == {"P1", "P10"}
    assert removed.closed == DebtorState().closed


def test_a_payment_of_several_invoices_is_kept_open_until_it_is_used_up():
    state = folded(invoice("I1"), invoice("I2"), payment("P1", 150_00), allocation("A1", "I1", "P1", 100_00))
    assert set(state.sources) == {"P1"}
    assert unapplied_minor(state) == {"EUR": 50_00}
    state = folded(allocation("A2", "I2", "P1", 50_00), state=state)
    assert unapplied_minor(state) == {}
    state = folded(payment("P2", 50_00), allocation("A3", "I2", "P2", 50_00), state=state)
    assert (state.invoices, state.sources, state.closed.count) == ({}, {}, 2)


def test_facts_are_remembered_for_a_week_or_two():
    state = fold(DebtorState(), event(invoice(), day=DAY), Position(0, 0)).state
    for later, known in ((6, True), (7, True), (13, True), (14, False)):
        ticked = fold(state, event(Tick(DAY + later)), Position(0, 1)).state
        again = fold(ticked, event(invoice(), day=DAY + later), Position(0, 2))
        assert again.changed is not known
        assert open_minor(again.state) == 100_00
