"""The ledger's rules, one by one."""

from __future__ import annotations

import hashlib

import pytest
from ledger_sync.domain.facts import Aspect, Fact, FactKey, version_key
from ledger_sync.domain.ledger import Effect, FactRejected, Ledger, release

P1, N1 = FactKey(Aspect.PAYMENT, "P"), FactKey(Aspect.CREDIT_NOTE, "N")


def fact(aspect: Aspect, thing: str, version: int = 1, minor: int = 0, **more: object) -> Fact:
    digest = hashlib.sha256(repr((aspect, thing, minor, sorted(more.items(), key=repr))).encode()).digest()
    currency = str(more.pop("currency", "EUR" if minor else ""))
    return Fact(aspect, thing, str(version), digest, amount_minor=minor, currency=currency, **more)  # type: ignore[arg-type]


def invoice(minor: int = 100, version: int = 1, thing: str = "I", currency: str = "EUR") -> Fact:
    return fact(Aspect.INVOICE, thing, version, minor, invoice_id=thing, currency=currency)


def payment(minor: int = 100, version: int = 1, thing: str = "P") -> Fact:
    return fact(Aspect.PAYMENT, thing, version, minor)


def allocation(thing: str = "A", minor: int = 100, source: FactKey = P1, on: str = "I", **more: object) -> Fact:
    return fact(Aspect.ALLOCATION, thing, 1, minor, source=source, invoice_id=on, **more)


def removal(thing: str = "A") -> Fact:
    return fact(Aspect.ALLOCATION_REMOVAL, thing)


def reversal(thing: str = "R", minor: int = 100) -> Fact:
    return fact(Aspect.PAYMENT_REVERSAL, thing, 1, minor, source=P1)


def void(thing: str = "I") -> Fact:
    return fact(Aspect.INVOICE_VOID, thing, 2, invoice_id=thing)


def ledger(*facts: Fact) -> Ledger:
    result = Ledger()
    for item in facts:
        result.apply(item)
    return result


def rejected(book: Ledger, item: Fact) -> str:
    before = book.facts()
    with pytest.raises(FactRejected) as caught:
        book.apply(item)
    assert book.facts() == before
    return caught.value.code


def test_an_invoice_is_open_until_allocations_discount_and_write_offs_reach_its_total() -> None:
    book = ledger(invoice(), payment(90), allocation(minor=60, discount_minor=5))
    assert book.invoices()[0].open == 35
    book.apply(fact(Aspect.WRITE_OFF, "W", 1, 35, invoice_id="I"))
    balance = book.invoices()[0]
    assert (balance.allocated, balance.discount, balance.written_off, balance.open) == (60, 5, 35, 0)
    assert book.sources()[0].unapplied == 30


def test_more_than_the_invoice_or_than_the_payment_is_rejected_and_leaves_no_trace() -> None:
    book = ledger(invoice(), payment(500), allocation(minor=60))
    assert rejected(book, allocation("B", 41)) == "over_allocated"
    assert rejected(book, fact(Aspect.WRITE_OFF, "W", 1, 41, invoice_id="I")) == "over_allocated"
    assert rejected(book, invoice(59, version=2)) == "over_allocated"
    assert rejected(book, payment(59, version=2)) == "source_over_allocated"
    assert rejected(book, reversal(minor=501)) == "over_reversed"
    assert rejected(book, reversal(minor=441)) == "source_over_allocated"


def test_currencies_never_meet() -> None:
    book = ledger(invoice(), payment())
    assert rejected(book, allocation(currency="USD")) == "currency_foreign"
    book.apply(allocation())
    assert rejected(book, invoice(100, 2, currency="USD")) == "currency_foreign"
    assert rejected(book, fact(Aspect.DISPUTE, "I", 1, 5, invoice_id="I", currency="USD")) == "currency_foreign"


@pytest.mark.parametrize(
    "item, code",
    [
        (allocation(), "invoice_missing"),
        (void(), "invoice_missing"),
        (fact(Aspect.WRITE_OFF, "W", 1, 5, invoice_id="I"), "invoice_missing"),
        (fact(Aspect.DISPUTE, "I", 1, 5, invoice_id="I"), "invoice_missing"),
        (reversal(), "source_missing"),
        (fact(Aspect.CREDIT_NOTE_VOID, "N", source=N1), "source_missing"),
        (removal(), "allocation_missing"),
    ],
)
def test_a_fact_about_something_unknown_waits(item: Fact, code: str) -> None:
    with pytest.raises(FactRejected) as caught:
        Ledger().apply(item)
    assert caught.value.code == code
    assert caught.value.waits


@pytest.mark.parametrize("undo", [removal(), reversal()])
def test_a_removal_or_a_reversal_restores_what_was_open_to_the_minor_unit(undo: Fact) -> None:
    book = ledger(invoice(101), payment(), allocation(minor=100, discount_minor=1))
    assert book.invoices()[0].open == 0
    book.apply(undo)
    assert book.invoices()[0].open == 101


def test_a_voided_invoice_owes_nothing_and_frees_its_cash() -> None:
    book = ledger(invoice(), payment(), allocation(), void())
    assert book.invoices()[0].open == 0
    assert book.sources()[0].unapplied == 100


def test_a_voided_credit_note_settles_nothing() -> None:
    note = fact(Aspect.CREDIT_NOTE, "N", 1, 40)
    book = ledger(invoice(), note, allocation(minor=40, source=N1))
    assert book.invoices()[0].open == 60
    book.apply(fact(Aspect.CREDIT_NOTE_VOID, "N", source=N1))
    assert book.invoices()[0].open == 100
    assert book.sources()[0].unapplied == 0


def test_a_dispute_moves_no_money_and_never_exceeds_what_is_open() -> None:
    book = ledger(invoice(), payment(), fact(Aspect.DISPUTE, "I", 1, 100, invoice_id="I"))
    assert (book.invoices()[0].open, book.invoices()[0].disputed) == (100, 100)
    book.apply(allocation(minor=70))
    assert book.invoices()[0].disputed == 30
    book.apply(fact(Aspect.DISPUTE, "I", 2, invoice_id="I", rank=1))
    assert book.invoices()[0].disputed == 0


def test_the_version_decides_and_a_repetition_is_stale() -> None:
    book = ledger(invoice(100, version=10))
    assert book.apply(invoice(100, version=10)) is Effect.STALE
    assert book.apply(invoice(50, version=9)) is Effect.STALE
    assert book.apply(invoice(100, version=11)) is Effect.UNCHANGED
    assert book.apply(invoice(120, version=12)) is Effect.APPLIED
    assert rejected(book, invoice(130, version=12)) == "version_reused"


def test_versions_compare_as_numbers() -> None:
    ordered = ["0", "2", "10", "1930132800000000", "2031030123595950"]
    assert sorted(["10", "2031030123595950", "0", "1930132800000000", "2"], key=version_key) == ordered
    assert version_key("007") == version_key("7")


def test_held_facts_that_only_fit_together_are_taken_in_together() -> None:
    book = ledger(invoice(), payment(), allocation())
    halves = [reversal("R-1", 50), reversal("R-2", 50)]
    assert {rejected(book, half) for half in halves} == {"source_over_allocated"}
    done = release(book, halves)
    assert [effect for _, effect in done.taken] == [Effect.APPLIED, Effect.APPLIED]
    assert done.left == []
    assert book.invoices()[0].open == 100


def test_what_still_does_not_fit_is_left_with_its_newest_reason() -> None:
    book = ledger(payment(500))
    done = release(book, [allocation("A"), allocation("B"), invoice()])
    assert [item.thing_id for item, _ in done.taken] == ["I", "A"]
    assert [(item.thing_id, reason.code) for item, reason in done.left] == [("B", "over_allocated")]
