"""What may be claimed."""

from __future__ import annotations

from datetime import date

from gateway.domain.debts import InvoicePosition, claims, debt_views, totals
from hypothesis import given
from hypothesis import strategies as st

TODAY = date(2031, 3, 4)


def position(name: str, open_minor: int, due: str = "2031-02-01", disputed: int = 0, currency: str = "USD"):
    return InvoicePosition(name, name, date.fromisoformat(due), currency, open_minor, open_minor, disputed)


def test_unapplied_cash_covers_the_oldest_invoice_first_requested_or_not():
    positions = [position("new", 500, "2031-02-10"), position("old", 300, "2031-01-10")]
    assert totals(claims(positions, {"USD": 350}, {"new"}, TODAY)) == (("USD", 450),)
    assert totals(claims(positions, {"USD": 800}, {"new", "old"}, TODAY)) == ()


def test_the_disputed_part_is_never_claimed_and_is_said_to_the_gate():
    found = claims([position("A", 500, disputed=200)], {}, {"A"}, TODAY)
    assert totals(found) == (("USD", 300),)
    assert debt_views(found)[0].disputed


def test_currencies_are_never_added():
    found = claims([position("A", 500), position("B", 700, currency="EUR")], {"EUR": 100}, {"A", "B"}, TODAY)
    assert totals(found) == (("EUR", 600), ("USD", 500))


def test_an_invoice_that_is_not_open_is_no_claim():
    assert claims([position("A", 500)], {}, {"paid-long-ago"}, TODAY) == ()


def test_what_is_due_today_or_later_is_not_claimed_but_its_dispute_is_said():
    positions = [
        position("late", 500, "2031-03-03"),
        position("today", 700, "2031-03-04"),
        position("later", 900, "2031-04-01", disputed=100),
    ]
    found = claims(positions, {"USD": 200}, {"late", "today", "later"}, TODAY)
    assert [claim.claimable_minor for claim in found] == [300, 0, 0]
    assert [view.disputed for view in debt_views(found)] == [False, False, True]


@given(st.lists(st.tuples(st.integers(1, 10**9), st.integers(0, 10**9)), max_size=8), st.integers(0, 10**10))
def test_no_cent_is_claimed_that_is_paid_or_disputed(rows, unapplied):
    positions = [position(f"I{n}", minor, disputed=min(minor, disputed)) for n, (minor, disputed) in enumerate(rows)]
    found = claims(positions, {"USD": unapplied}, {p.invoice_id for p in positions}, TODAY)
    undisputed = sum(p.open_minor - p.disputed_minor for p in positions)
    assert sum(claim.claimable_minor for claim in found) == max(0, undisputed - unapplied)
    assert all(0 <= claim.claimable_minor <= claim.position.open_minor for claim in found)
