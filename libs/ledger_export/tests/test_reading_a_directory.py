"""An export directory becomes facts in known order."""

from __future__ import annotations

import gzip
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from duly_ledger_export import DatedFact, Ledger, LedgerInvalid, read_ledger

from duly.ledger.v1 import events_pb2 as pb

D = date.fromisoformat
SETTINGS = "currency: EUR\ncountry: DE\ntime_zone: Europe/Berlin\nsource: books\n"
INVOICES = "invoice_id,debtor_id,issue_date,due_date,total\n"


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        file = folder / (name.replace("__", ".") if "__" in name else f"{name}.csv")
        file.write_text(text)
    return folder


def story(ledger: Ledger) -> list[tuple[str, str]]:
    return [(fact.known_on.isoformat(), fact.event) for fact in ledger.facts()]


def refused(path: Path) -> list[str]:
    with pytest.raises(LedgerInvalid) as caught:
        read_ledger(path)
    return [str(finding) for finding in caught.value.findings]


def only(ledger: Ledger, event: str) -> DatedFact:
    (fact,) = [fact for fact in ledger.facts() if fact.event == event]
    return fact


def test_the_short_form_makes_one_payment_and_one_allocation(tmp_path: Path) -> None:
    write(
        tmp_path,
        ledger__yaml=SETTINGS,
        invoices="invoice_id,debtor_id,issue_date,due_date,total,paid_on\nI1,D1,2026-03-01,2026-03-31,240.00,2026-04-02\n"
        "I2,D1,2026-03-05,2026-04-05,10.50,\n",
    )
    ledger = read_ledger(tmp_path)
    assert story(ledger) == [
        ("2026-03-01", "party.upserted"),
        ("2026-03-01", "invoice.issued"),
        ("2026-03-05", "invoice.issued"),
        ("2026-04-02", "payment.received"),
        ("2026-04-02", "allocation.applied"),
    ]
    payment = only(ledger, "payment.received").message
    assert isinstance(payment, pb.PaymentReceived)
    assert (payment.amount.amount_minor, payment.amount.currency, payment.debtor_id) == (24000, "EUR", "D1")
    allocation = only(ledger, "allocation.applied").message
    assert isinstance(allocation, pb.AllocationApplied)
    assert (allocation.invoice_id, allocation.source_id) == ("I1", payment.payment_id)
    party = only(ledger, "party.upserted").message
    assert isinstance(party, pb.PartyUpserted)
    assert (party.kind, party.country, list(party.zones)) == (pb.PARTY_KIND_UNKNOWN, "DE", ["Europe/Berlin"])


def test_an_overpaid_short_form_leaves_the_rest_unallocated(tmp_path: Path) -> None:
    write(
        tmp_path,
        ledger__yaml=SETTINGS,
        invoices="invoice_id,debtor_id,issue_date,due_date,total,paid_on,paid_amount\n"
        "I1,D1,2026-03-01,2026-03-31,240.00,2026-04-02,250.00\n",
    )
    ledger = read_ledger(tmp_path)
    assert ledger.records.payments[0].amount.amount_minor == 25000
    assert ledger.records.allocations[0].amount.amount_minor == 24000


def test_facts_of_one_moment_stand_in_the_order_of_the_format(tmp_path: Path) -> None:
    write(
        tmp_path,
        ledger__yaml=SETTINGS,
        parties="debtor_id,kind,email\nD1,BUSINESS,d1@debtors.example\n",
        invoices=INVOICES + "I1,D1,2026-03-01,2026-03-01,100\n",
        credit_notes="credit_note_id,debtor_id,issue_date,amount\nC1,D1,2026-03-01,10\n",
        payments="payment_id,debtor_id,booking_date,amount,reversed_on\nP1,D1,2026-03-01,50,2026-03-01\n",
        allocations="allocation_id,source_id,invoice_id,amount,on,source_kind\n"
        "A1,P1,I1,50,2026-03-01,\nA2,C1,I1,10,2026-03-01,CREDIT_NOTE\n",
        disputes="invoice_id,opened_on,resolved_on\nI1,2026-03-01,2026-03-01\n",
        write_offs="write_off_id,invoice_id,amount,on,reason\nW1,I1,90,2026-03-01,BAD_DEBT\n",
    )
    assert [event for _, event in story(read_ledger(tmp_path))] == [
        "party.upserted",
        "invoice.issued",
        "credit_note.issued",
        "payment.received",
        "allocation.applied",
        "allocation.applied",
        "invoice.disputed",
        "invoice.dispute_resolved",
        "invoice.written_off",
        "allocation.removed",
        "payment.reversed",
    ]


def test_what_is_recorded_later_is_known_later(tmp_path: Path) -> None:
    write(
        tmp_path,
        ledger__yaml=SETTINGS,
        invoices="invoice_id,debtor_id,issue_date,due_date,total,recorded_at\nI1,D1,2026-03-01,2026-03-31,5,\n"
        # 23:30 UTC is the next day in Berlin.
        "I2,D1,2026-03-01,2026-03-31,5,2026-03-04T23:30:00Z\nI3,D1,2026-03-05,2026-04-01,5,\n",
    )
    ledger = read_ledger(tmp_path)
    known = [(fact.known_on, fact.message.invoice_id) for fact in ledger.facts() if fact.event == "invoice.issued"]  # type: ignore[attr-defined]
    assert known == [(D("2026-03-01"), "I1"), (D("2026-03-05"), "I2"), (D("2026-03-05"), "I3")]
    late = next(fact for fact in ledger.facts() if fact.order[2] == "I2")
    assert late.time == datetime(2026, 3, 4, 23, 30, tzinfo=UTC)


def test_the_end_of_what_was_known_is_exclusive(tmp_path: Path) -> None:
    write(
        tmp_path,
        ledger__yaml=SETTINGS,
        invoices=INVOICES + "I1,D1,2026-03-01,2026-03-31,5\nI2,D1,2026-03-02,2026-04-01,5\n",
    )
    ledger = read_ledger(tmp_path)
    before = list(ledger.facts(known_until=D("2026-03-02")))
    rest = list(ledger.facts(known_from=D("2026-03-02")))
    assert [fact.event for fact in before] == ["party.upserted", "invoice.issued"]
    assert [fact.order[2] for fact in rest] == ["I2"]
    assert before + rest == list(ledger.facts())


def test_later_states_of_one_thing_have_greater_versions(tmp_path: Path) -> None:
    write(
        tmp_path,
        ledger__yaml=SETTINGS,
        invoices="invoice_id,debtor_id,issue_date,due_date,total,voided_on\nI1,D1,2026-03-01,2026-03-31,5,2026-05-01\n",
        disputes="invoice_id,opened_on,resolved_on\nI1,2026-04-02,2026-04-02\nI1,2026-04-05,\n",
    )
    facts = [fact for fact in read_ledger(tmp_path).facts() if fact.order[2] == "I1"]
    versions = [fact.source_version for fact in facts]
    assert len(set(versions)) == 5
    assert versions == sorted(versions) == sorted(versions, key=int)
    assert len({fact.event_id for fact in facts}) == 5


def test_a_reversed_payment_takes_its_allocations_back(tmp_path: Path) -> None:
    write(
        tmp_path,
        ledger__yaml=SETTINGS,
        invoices=INVOICES + "I1,D1,2026-03-01,2026-03-31,5\n",
        payments="payment_id,debtor_id,booking_date,amount,reversed_on,reversal_reason\nP1,D1,2026-03-30,5,2026-04-03,returned\n",
        allocations="allocation_id,source_id,invoice_id,amount,on\nA1,P1,I1,5,2026-03-30\n",
    )
    assert story(read_ledger(tmp_path))[-2:] == [
        ("2026-04-03", "allocation.removed"),
        ("2026-04-03", "payment.reversed"),
    ]


def test_nothing_is_undone_before_it_was_known(tmp_path: Path) -> None:
    write(
        tmp_path,
        ledger__yaml=SETTINGS,
        invoices="invoice_id,debtor_id,issue_date,due_date,total,recorded_at,voided_on\n"
        "I1,D1,2026-03-01,2026-03-31,5,2026-04-20,2026-04-01\n",
        payments="payment_id,debtor_id,booking_date,amount,recorded_at,reversed_on\n"
        "P1,D1,2026-03-30,5,2026-04-21,2026-04-03\n",
        allocations="allocation_id,source_id,invoice_id,amount,on,recorded_at\nA1,P1,I1,5,2026-03-30,2026-04-22\n",
    )
    assert story(read_ledger(tmp_path)) == [
        ("2026-04-20", "party.upserted"),
        ("2026-04-20", "invoice.issued"),
        ("2026-04-20", "invoice.voided"),
        ("2026-04-21", "payment.received"),
        ("2026-04-21", "payment.reversed"),
        ("2026-04-22", "allocation.applied"),
        ("2026-04-22", "allocation.removed"),
    ]


def test_instalments_come_with_their_invoice_and_must_add_up(tmp_path: Path) -> None:
    write(
        tmp_path,
        ledger__yaml=SETTINGS,
        invoices=INVOICES + "I1,D1,2026-03-01,2026-03-31,5\n",
        instalments="invoice_id,no,due_date,amount\nI1,2,2026-04-30,2\nI1,1,2026-03-31,3\n",
    )
    invoice = only(read_ledger(tmp_path), "invoice.issued").message
    assert isinstance(invoice, pb.InvoiceIssued)
    assert [(part.no, part.due_date, part.amount.amount_minor) for part in invoice.instalments] == [
        (1, "2026-03-31", 300),
        (2, "2026-04-30", 200),
    ]
    write(tmp_path, instalments="invoice_id,no,due_date,amount\nI1,2,2026-04-30,2\n")
    assert refused(tmp_path) == [
        "instalments.csv, invoice_id: 'I1' the instalments do not add up to the invoice's total 5.00 EUR"
    ]


def test_gzipped_files_a_byte_order_mark_and_any_row_order_read_alike(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain", tmp_path / "packed"
    plain.mkdir()
    packed.mkdir()
    rows = ["I1,D1,2026-03-01,2026-03-31,5\n", "I2,D2,2026-03-01,2026-03-31,7\n"]
    write(plain, ledger__yaml=SETTINGS, invoices=INVOICES + "".join(rows))
    write(packed, ledger__yaml=SETTINGS)
    (packed / "invoices.csv.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + (INVOICES + "".join(rows[::-1])).encode()))
    assert read_ledger(plain).fingerprint == read_ledger(packed).fingerprint


def test_the_median_issue_date_is_an_issue_date(tmp_path: Path) -> None:
    dates = ["2026-01-01", "2026-02-01", "2026-03-01", "2026-09-01"]
    write(tmp_path, ledger__yaml=SETTINGS, invoices=INVOICES + "".join(f"I{d},D1,{d},{d},5\n" for d in dates))
    ledger = read_ledger(tmp_path)
    assert ledger.median_issue_date() == D("2026-02-01")
    assert (ledger.first_day, ledger.until, ledger.debtors()) == (D("2026-01-01"), D("2026-09-01"), ("D1",))


def test_the_callers_tenant_wins_and_changes_every_id(tmp_path: Path) -> None:
    write(tmp_path, ledger__yaml=SETTINGS, invoices=INVOICES + "I1,D1,2026-03-01,2026-03-31,5\n")
    ours, other = read_ledger(tmp_path), read_ledger(tmp_path, tenant="other")
    assert (ours.tenant, other.tenant) == ("demo", "other")
    assert {fact.event_id for fact in ours.facts()}.isdisjoint(fact.event_id for fact in other.facts())


def test_a_country_is_read_as_it_is_written(tmp_path: Path) -> None:
    write(tmp_path, ledger__yaml="country: NO\nuntil: ~\n", invoices=INVOICES)
    assert read_ledger(tmp_path).settings.country == "NO"
