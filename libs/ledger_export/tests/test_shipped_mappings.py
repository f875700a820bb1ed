"""A foreign CSV file is read when the header fits a shipped mapping, and told apart when it does not."""

from __future__ import annotations

import os
from collections import Counter
from datetime import date
from pathlib import Path

import pytest
from duly_ledger_export import LedgerInvalid, read_ledger

from duly.ledger.v1 import events_pb2 as pb

HEADER = (
    "countrycode,customerID,PaperlessDate,invoiceNumber,InvoiceDate,DueDate,InvoiceAmount,Disputed,SettledDate,"
    "PaperlessBill,DaysToSettle,DaysLate\n"
)
ROWS = (
    "391,AB-1,31/12/2012,100,03/01/2012,02/02/2012,50.39,No,23/01/2012,Paper,20,0\n"
    "391,AB-1,31/12/2012,101,05/01/2012,04/02/2012,10.00,Yes,04/02/2012,Paper,30,0\n"
    "391,CD-2,31/12/2012,102,06/01/2012,05/02/2012,20.00,Yes,20/02/2012,Paper,45,15\n"
)
DATA = Path(os.environ.get("DULY_DATA_DIR", "data"))


def test_the_mapping_turns_one_row_into_invoice_payment_and_dispute(tmp_path: Path) -> None:
    file = tmp_path / "receivables.csv"
    file.write_text(HEADER + ROWS)
    ledger = read_ledger(file)
    assert (ledger.source, ledger.currency, ledger.country, ledger.time_zone) == (
        "ibm-ar",
        "USD",
        "US",
        "America/New_York",
    )
    assert [(str(fact.known_on), fact.event, fact.order[2]) for fact in ledger.facts()] == [
        ("2012-01-03", "party.upserted", "AB-1"),
        ("2012-01-03", "invoice.issued", "100"),
        ("2012-01-05", "invoice.issued", "101"),
        ("2012-01-06", "party.upserted", "CD-2"),
        ("2012-01-06", "invoice.issued", "102"),
        ("2012-01-23", "payment.received", "100-payment"),
        ("2012-01-23", "allocation.applied", "100-allocation"),
        # Invoice 101 was settled on its due date, before a dispute could begin on the day after.
        ("2012-02-04", "payment.received", "101-payment"),
        ("2012-02-04", "allocation.applied", "101-allocation"),
        ("2012-02-06", "invoice.disputed", "102"),
        ("2012-02-20", "payment.received", "102-payment"),
        ("2012-02-20", "allocation.applied", "102-allocation"),
        ("2012-02-20", "invoice.dispute_resolved", "102"),
    ]
    party = next(ledger.facts()).message
    assert isinstance(party, pb.PartyUpserted)
    assert party.kind == pb.PARTY_KIND_BUSINESS
    assert [(point.address, point.verified) for point in party.contact_points] == [("AB-1@debtors.example", True)]


def test_a_directory_with_one_mapped_file_reads_like_the_file(tmp_path: Path) -> None:
    file = tmp_path / "receivables.csv"
    file.write_text(HEADER + ROWS)
    assert read_ledger(tmp_path).fingerprint == read_ledger(file).fingerprint


def test_a_lone_file_of_the_format_is_the_short_form(tmp_path: Path) -> None:
    file = tmp_path / "mine.csv"
    file.write_text("invoice_id,debtor_id,issue_date,due_date,total,currency\nI1,D1,2026-03-01,2026-03-31,5,EUR\n")
    assert read_ledger(file).records.invoices[0].total.amount_minor == 500


def test_findings_name_the_columns_of_the_users_own_file(tmp_path: Path) -> None:
    file = tmp_path / "receivables.csv"
    file.write_text(HEADER + ROWS.replace("03/01/2012", "2012-01-03").replace("20.00", "20,00x"[:5].replace(",", ".")))
    with pytest.raises(LedgerInvalid) as caught:
        read_ledger(file)
    assert str(caught.value.findings[0]) == (
        "receivables.csv, line 2, InvoiceDate: '2012-01-03' is no date of the form %d/%m/%Y"
    )


def test_a_header_that_fits_nothing_lists_the_mappings_and_what_they_miss(tmp_path: Path) -> None:
    file = tmp_path / "receivables.csv"
    file.write_text(HEADER.replace("SettledDate", "Paid") + ROWS)
    with pytest.raises(LedgerInvalid, match="mapping ibm-ar misses the columns SettledDate"):
        read_ledger(file)


def test_a_directory_without_a_ledger_says_so(tmp_path: Path) -> None:
    with pytest.raises(LedgerInvalid, match=r"holds no invoices\.csv, and 0 other CSV files"):
        read_ledger(tmp_path)
    with pytest.raises(LedgerInvalid, match="nowhere: does not exist"):
        read_ledger(tmp_path / "nowhere")


def test_the_whole_sample_file_is_read() -> None:
    folder = DATA / "ibm-ar"
    if not folder.is_dir():
        pytest.skip("the sample file is not shipped; DULY_DATA_DIR names the folder that holds ibm-ar/")
    ledger = read_ledger(folder)
    events = Counter(fact.event for fact in ledger.facts())
    assert events == {
        "party.upserted": 100,
        "invoice.issued": 2466,
        "payment.received": 2466,
        "allocation.applied": 2466,
        "invoice.disputed": 383,
        "invoice.dispute_resolved": 383,
    }
    assert (ledger.first_day, ledger.until) == (date(2012, 1, 3), date(2014, 1, 9))
    assert ledger.median_issue_date() == date(2012, 12, 22)


def test_rows_that_cannot_be_are_left_out(tmp_path: Path) -> None:
    file = tmp_path / "invoices.csv"
    file.write_text(
        "invoice_id,customer_id,issue_date,due_date,paid_date,amount,fee_percent\n"
        "kept-open,7,2020-01-02,2020-01-02,,10.5,4.99\n"
        "kept-paid,7,2020-01-02,2020-06-30,2020-01-02,10.5,4.99\n"
        "no-amount,7,2020-01-02,2020-01-20,2020-01-20,,4.99\n"
        "due-before-issue,7,2020-01-02,2020-01-01,2020-01-20,1,4.99\n"
        "long-term,7,2020-01-02,2020-07-01,2020-01-20,1,4.99\n"
        "paid-before-issue,7,2020-01-02,2020-01-20,2020-01-01,1,4.99\n"
    )
    ledger = read_ledger(file)
    assert [invoice.invoice_id for invoice in ledger.records.invoices] == ["kept-open", "kept-paid"]
    assert [(payment.payment_id, payment.amount.amount_minor) for payment in ledger.records.payments] == [
        ("kept-paid-payment", 1050)
    ]
    assert (ledger.currency, ledger.country) == ("BRL", "BR")


def test_the_real_ledger_is_read_with_its_cleaning_rules() -> None:
    file = DATA / "datarisk-invoices" / "invoices.csv.gz"
    if not file.is_file():
        pytest.skip("the file is not shipped; DULY_DATA_DIR names the folder that holds datarisk-invoices/")
    records = read_ledger(file).records
    assert (len(records.invoices), len(records.payments)) == (62_059, 62_059 - 1_610)
