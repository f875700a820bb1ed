"""I1, I2, I3, I4, I12 for every history a generator can think of, in every order, with duplicates."""

from __future__ import annotations

import hashlib
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_sync.domain.facts import Aspect, Fact, FactKey
from ledger_sync.domain.ledger import FactRejected, Ledger, release

CURRENCIES = ("EUR", "JPY")


def make(aspect: Aspect, thing: str, version: int, minor: int = 0, currency: str = "EUR", **more: object) -> Fact:
    digest = hashlib.sha256(repr((aspect, thing, version, minor)).encode()).digest()
    return Fact(aspect, thing, str(version), digest, amount_minor=minor, currency=currency, **more)  # type: ignore[arg-type]


def arrive(facts: list[Fact]) -> tuple[Ledger, list[Fact]]:
    """What a recorder does: apply, hold what does not fit, try again after each fact."""
    book, held = Ledger(), []
    for item in facts:
        try:
            book.apply(item)
        except FactRejected:
            held.append(item)
        held = [left for left, _ in release(book, held).left]
    return book, held


def balances(book: Ledger) -> object:
    return book.facts(), book.invoices(), book.sources()


@st.composite
def histories(draw: st.DrawFn) -> list[Fact]:
    """A consistent history: random facts in which those a ledger rejects are left out."""
    rng = random.Random(draw(st.integers(0, 2**32)))
    book, kept = Ledger(), []
    for number in range(draw(st.integers(1, 40))):
        item = _random_fact(rng, number)
        try:
            book.apply(item)
        except FactRejected:
            continue
        kept.append(item)
    return kept


def _random_fact(rng: random.Random, version: int) -> Fact:
    invoice, payment, allocation = (f"{letter}{rng.randrange(3)}" for letter in "IPA")
    kind = rng.choice((Aspect.PAYMENT, Aspect.CREDIT_NOTE))
    source, minor = FactKey(kind, payment), rng.randrange(1, 60)
    match rng.choice([*Aspect, Aspect.INVOICE, Aspect.PAYMENT, Aspect.ALLOCATION, Aspect.ALLOCATION]):
        case Aspect.PARTY:
            return make(Aspect.PARTY, "D", version, currency="")
        case Aspect.INVOICE:
            return make(Aspect.INVOICE, invoice, version, rng.randrange(60, 200), invoice_id=invoice)
        case Aspect.PAYMENT | Aspect.CREDIT_NOTE:
            return make(kind, payment, version, rng.randrange(60, 200))
        case Aspect.ALLOCATION:
            linked = {"source": source, "invoice_id": invoice, "discount_minor": rng.randrange(3)}
            return make(Aspect.ALLOCATION, f"{allocation}-{invoice}-{kind}-{payment}", version, minor, **linked)
        case Aspect.DISPUTE:
            return make(Aspect.DISPUTE, invoice, version, minor, invoice_id=invoice)
        case Aspect.WRITE_OFF:
            return make(Aspect.WRITE_OFF, f"W-{invoice}", version, minor, invoice_id=invoice)
        case Aspect.ALLOCATION_REMOVAL:
            return make(Aspect.ALLOCATION_REMOVAL, f"{allocation}-{invoice}-{kind}-{payment}", version, currency="")
        case Aspect.PAYMENT_REVERSAL:
            return make(Aspect.PAYMENT_REVERSAL, f"R{rng.randrange(9)}-{payment}", version, minor,
                        source=FactKey(Aspect.PAYMENT, payment))  # fmt: skip
        case Aspect.INVOICE_VOID:
            return make(Aspect.INVOICE_VOID, invoice, version, currency="", invoice_id=invoice)
        case Aspect.CREDIT_NOTE_VOID:
            return make(Aspect.CREDIT_NOTE_VOID, payment, version, currency="",
                        source=FactKey(Aspect.CREDIT_NOTE, payment))  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(histories(), st.randoms(use_true_random=False))
def test_any_order_with_duplicates_gives_the_same_ledger_with_nothing_held(
    history: list[Fact], rng: random.Random
) -> None:
    straight, held = arrive(history)
    assert held == []
    shuffled = history + rng.sample(history, rng.randrange(len(history) + 1))
    rng.shuffle(shuffled)
    other, held = arrive(shuffled)
    assert balances(other) == balances(straight)
    assert held == []


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 60))
def test_balances_add_up_whatever_arrives(seed: int, count: int) -> None:
    rng = random.Random(seed)
    book, _ = arrive([_random_fact(rng, number) for number in range(count)])
    for invoice in book.invoices():
        assert invoice.open >= 0
        assert 0 <= invoice.disputed <= invoice.open
        if not invoice.voided:
            assert invoice.allocated + invoice.discount + invoice.written_off + invoice.open == invoice.total
    for source in book.sources():
        assert source.unapplied >= 0
        assert source.allocated + source.unapplied == source.amount - source.reversed


@settings(max_examples=100, deadline=None)
@given(histories(), st.randoms(use_true_random=False))
def test_a_removal_restores_what_was_open_before_the_allocation(history: list[Fact], rng: random.Random) -> None:
    book, _ = arrive(history)
    open_before = {invoice.invoice_id: invoice.open for invoice in book.invoices()}
    targets = [invoice for invoice in book.invoices() if invoice.open > 0]
    if not targets:
        return
    target = rng.choice(targets)
    book.apply(make(Aspect.PAYMENT, "fresh", 1, target.open))
    source = FactKey(Aspect.PAYMENT, "fresh")
    book.apply(make(Aspect.ALLOCATION, "fresh", 1, target.open, source=source, invoice_id=target.invoice_id))
    assert {i.invoice_id: i.open for i in book.invoices()}[target.invoice_id] == 0
    book.apply(make(Aspect.ALLOCATION_REMOVAL, "fresh", 1, currency=""))
    assert {i.invoice_id: i.open for i in book.invoices()} == open_before
