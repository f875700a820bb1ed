"""A company's history, played with nobody reminding anybody."""

from __future__ import annotations

from datetime import date, timedelta

from duly_ledger_export.ledger import Ledger

from duly_simulator.books import Books
from duly_simulator.parameters import SimulationSettings


def play_history(settings: SimulationSettings) -> Books:
    """The company on the eve of `play_from`.

    Nobody was contacted before: debtors paid by themselves. It is the simplest honest history, and a model trained on
    it learns what debtors do without Duly.
    """
    books = Books(settings)
    for day in days(settings.history_from, settings.play_from):
        books.facts_of_day(day, {})
    return books


def generate(settings: SimulationSettings) -> Ledger:
    """History and played days without any contact, as one ledger. Equal settings, equal ledger."""
    books = play_history(settings)
    for day in days(settings.play_from, settings.play_until + timedelta(days=1)):
        books.facts_of_day(day, {})
    return ledger_of(books)


def ledger_of(books: Books) -> Ledger:
    """What has happened in the books so far, as an export would show it."""
    return Ledger(books.ledger_settings(), books.records())


def days(first: date, end: date) -> list[date]:
    """Every day from `first` on, before `end`."""
    return [first + timedelta(days=n) for n in range((end - first).days)]
