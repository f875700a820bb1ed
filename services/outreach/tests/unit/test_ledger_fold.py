"""The fold of ledger facts: any order and any repetition gives the same balances (I1, I3, I4, I12)."""

from dataclasses import replace
from datetime import date

from hypothesis import given
from hypothesis import strategies as st
from outreach.domain import ledger
from outreach.domain.debtor import OpenInvoice, claimable_minor
from outreach.domain.ledger import Allocation, Invoice, Source, WriteOff

DUE = date(2026, 6, 1)


def issued(invoice, total=1000, version="0000000000000001"):
    return ledger.stated(invoice, DUE, "EUR", total, version)


def applied(invoice, allocation_id, amount, discount=0):
    known = ledger.allocation_of(invoice, allocation_id)
    changed = replace(known, source_id="P-1", amount_minor=amount, discount_minor=discount, applied=True)
    return ledger.with_allocation(invoice, allocation_id, changed)


def removed(invoice, allocation_id):
    return ledger.with_allocation(
        invoice, allocation_id, replace(ledger.allocation_of(invoice, allocation_id), removed=True)
    )


FACTS = (
    issued,
    lambda i: ledger.stated(i, DUE, "EUR", 900, "0000000000000005"),
    lambda i: applied(i, "A", 300, 20),
    lambda i: applied(i, "B", 200),
    lambda i: removed(i, "B"),
    lambda i: ledger.written_off(i, "W", WriteOff(80, loss=False)),
    lambda i: ledger.disputed(i, 400, "2026-06-03", "0000000000000003", resolved=False),
    lambda i: ledger.disputed(i, 0, "2026-06-04", "0000000000000004", resolved=True),
)


@given(st.permutations(FACTS + FACTS))
def test_any_order_with_duplicates_gives_the_same_invoice(order):
    invoice = Invoice("INV-1")
    for fact in order:
        invoice = fact(invoice)

    assert invoice.open_minor == 900 - 320 - 80
    assert invoice.disputed_open_minor == 0
    assert not invoice.allocations["B"].counts


def test_an_undone_payment_restores_the_open_amount_to_the_minor_unit():
    before = issued(Invoice("INV-1"))
    paid = applied(before, "A", 1000)
    assert (paid.open_minor, paid.is_paid) == (0, True)

    undone = ledger.with_source_standing(paid, "P-1", stands=False)
    assert (undone.open_minor, undone.is_paid) == (1000, False)


def test_a_credit_note_or_a_loss_closes_without_being_paid():
    before = issued(Invoice("INV-1"))
    credited = ledger.with_allocation(before, "A", Allocation("C-1", 1000, credit_note=True, applied=True))
    lost = ledger.written_off(applied(before, "A", 500), "W", WriteOff(500, loss=True))

    assert (credited.open_minor, credited.is_paid) == (0, False)
    assert (lost.open_minor, lost.is_paid) == (0, False)


def test_a_part_reversal_keeps_the_allocations_and_lowers_what_is_unapplied():
    source = Source("P-1", known=True, currency="EUR", amount_minor=1000, used_minor=600)
    part = replace(source, reversals={"R-1": 300})
    whole = replace(source, reversals={"R-1": 300, "R-2": 700})

    assert (source.unapplied_minor, part.unapplied_minor, part.stands) == (400, 100, True)
    assert (whole.unapplied_minor, whole.stands) == (0, False)


def test_a_new_due_date_makes_an_invoice_overdue_anew():
    invoice = replace(issued(Invoice("INV-1")), overdue_since=date(2026, 6, 2), step_sent=2)
    later = ledger.stated(invoice, date(2026, 7, 1), "EUR", 1000, "0000000000000009")

    assert (later.overdue_since, later.step_sent) == (None, 2)


def test_of_two_words_on_a_dispute_the_newer_version_counts_whatever_day_it_names():
    resolved = ledger.disputed(issued(Invoice("INV-1")), 0, "2026-06-03", "0000000000000004", resolved=True)
    older = ledger.disputed(resolved, 400, "2026-06-09", "0000000000000003", resolved=False)
    newer = ledger.disputed(resolved, 400, "2026-06-01", "0000000000000005", resolved=False)

    assert older.disputed_open_minor == 0
    assert newer.disputed_open_minor == 400


def test_unapplied_cash_covers_the_oldest_invoices_of_its_currency_first():
    invoices = [
        OpenInvoice("NEW", date(2026, 6, 10), "EUR", 500),
        OpenInvoice("OLD", date(2026, 6, 1), "EUR", 400, disputed_minor=100),
        OpenInvoice("USD", date(2026, 5, 1), "USD", 700),
    ]

    assert claimable_minor(invoices, {"EUR": 450}) == {"OLD": 0, "NEW": 350, "USD": 700}
