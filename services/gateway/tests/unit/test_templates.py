"""What the shipped templates say."""

from __future__ import annotations

from datetime import date
from importlib.resources import files

import pytest
from gateway.adapters.templates.library import TemplateLibrary
from gateway.application.ports import Letter, RenderFailed
from gateway.domain.contact import ContactId
from gateway.domain.debts import InvoicePosition, claims, totals

LIBRARY = TemplateLibrary()
NAMES = ("reminder-firm", "reminder-friendly", "reminder-neutral")


def letter(name: str = "Jane & Sons <b>", currency: str = "USD") -> Letter:
    positions = [
        InvoicePosition("I1", "2031/7", date(2031, 2, 1), currency, 24000, 24000, 0),
        InvoicePosition("I2", "2031/9", date(2031, 2, 9), "EUR", 150, 150, 0),
    ]
    found = claims(positions, {}, {"I1", "I2"}, date(2031, 3, 4))
    return Letter(ContactId("C-1"), name, "Acme Supplies", found, totals(found))


@pytest.mark.parametrize("name", NAMES)
def test_text_and_html_state_the_same_facts_and_how_to_stop(name):
    rendered = LIBRARY.render(name, LIBRARY.version_of(name, ""), letter())
    for fact in ("2031/7", "2031-02-01", "240.00 USD", "1.50 EUR", "reply STOP", "Acme Supplies", "C-1"):
        assert fact in rendered.text
        assert fact in rendered.html
    assert "<b>" in rendered.text
    assert "&lt;b&gt;" in rendered.html
    assert "\n" not in rendered.subject
    assert not {"debt", "overdue", "unpaid"} & set(rendered.subject.lower().split())


def test_money_is_formatted_by_its_own_minor_unit():
    assert "24,000 JPY" in LIBRARY.render("reminder-firm", "2026.11.1", letter(currency="JPY")).text


def test_the_same_letter_gives_the_same_hash_and_another_amount_another_one():
    first = LIBRARY.render("reminder-firm", "2026.11.1", letter())
    assert first == LIBRARY.render("reminder-firm", "2026.11.1", letter())
    assert first.content_sha256 != LIBRARY.render("reminder-firm", "2026.11.1", letter(currency="JPY")).content_sha256


def test_only_known_templates_and_versions_can_be_used():
    assert LIBRARY.version_of("reminder-firm", "2026.11.1") == "2026.11.1"
    assert LIBRARY.version_of("reminder-firm", "1") is None
    assert LIBRARY.version_of("../secrets", "") is None
    with pytest.raises(RenderFailed):
        LIBRARY.render("reminder-firm", "9.9.9", letter())


def test_every_template_has_all_its_parts():
    folder = files("gateway.adapters.templates").joinpath("files")
    assert tuple(sorted(entry.name for entry in folder.iterdir() if entry.is_dir())) == NAMES
