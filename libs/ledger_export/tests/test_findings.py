"""Every bad value of an export directory becomes one finding with its place."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from duly_ledger_export import LedgerInvalid, read_ledger
from duly_ledger_export.findings import MAX_FINDINGS

SETTINGS = "currency: EUR\ncountry: DE\ntime_zone: Europe/Berlin\nsource: books\n"
INVOICES = "invoice_id,debtor_id,issue_date,due_date,total\n"


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        file = folder / (name.replace("__", ".") if "__" in name else f"{name}.csv")
        file.write_text(text)
    return folder


def refused(path: Path) -> list[str]:
    with pytest.raises(LedgerInvalid) as caught:
        read_ledger(path)
    return [str(finding) for finding in caught.value.findings]


def test_every_bad_value_is_one_finding_with_its_place(tmp_path: Path) -> None:
    write(
        tmp_path,
        ledger__yaml=SETTINGS,
        parties="debtor_id,kind,email,time_zone\nD1,PERSON,nobody,Mars/Base\n",
        invoices=INVOICES
        + "I1,D1,31.03.2026,2026-03-31,5\nI2,D1,2026-03-31,2026-03-31,1.234\nI2,,2026-03-31,2026-03-31,-1\n",
        payments="payment_id,debtor_id,booking_date,amount\nP1,D2,2026-03-30,0\nP2,D2,2026-03-30,7\n",
        allocations="allocation_id,source_id,invoice_id,amount,on\nA1,P1,I1,5,2026-03-30\nA2,P9,I9,5,2026-03-30\n",
    )
    assert refused(tmp_path) == [
        "parties.csv, line 2, email: 'nobody' is no e-mail address",
        "parties.csv, line 2, kind: 'PERSON' is none of BUSINESS, SOLE_TRADER, CONSUMER, UNKNOWN",
        "parties.csv, line 2, time_zone: 'Mars/Base' is no IANA time zone",
        "invoices.csv, line 2, issue_date: '31.03.2026' is no date (2026-03-31)",
        "invoices.csv, line 3, total: '1.234' has more than 2 decimals, the minor unit of EUR",
        "invoices.csv, line 4, debtor_id: must not be empty",
        "invoices.csv, line 4, total: '-1' must not be negative",
        "payments.csv, line 2, amount: '0' must be greater than 0",
        "invoices.csv, line 4, invoice_id: 'I2' stands twice: line 3 has it too",
        "allocations.csv, line 3, invoice_id: 'I9' names nothing in this export",
        "allocations.csv, line 3, source_id: 'P9' names no PAYMENT in this export",
    ]


def test_dates_and_amounts_beyond_all_bounds_are_findings(tmp_path: Path) -> None:
    write(
        tmp_path,
        ledger__yaml=SETTINGS,
        invoices="invoice_id,debtor_id,issue_date,due_date,total,recorded_at\n"
        "I1,D1,1969-12-31,9999-12-31,5,\nI2,D1,2026-03-01,2159-12-31,10000000000001,9999-12-31T23:59:59Z\n",
    )
    beyond = "is not between 1970-01-01 and 2159-12-31"
    assert refused(tmp_path) == [
        f"invoices.csv, line 2, issue_date: '1969-12-31' {beyond}",
        f"invoices.csv, line 2, due_date: '9999-12-31' {beyond}",
        f"invoices.csv, line 3, total: '10000000000001' is too large: at most {10**15} minor units",
        f"invoices.csv, line 3, recorded_at: '9999-12-31T23:59:59Z' {beyond}",
    ]


def test_a_payment_cannot_settle_another_debtors_invoice(tmp_path: Path) -> None:
    write(
        tmp_path,
        ledger__yaml=SETTINGS,
        invoices=INVOICES + "I1,D1,2026-03-31,2026-03-31,5\n",
        payments="payment_id,debtor_id,booking_date,amount\nP1,D2,2026-03-30,5\n",
        allocations="allocation_id,source_id,invoice_id,amount,on\nA1,P1,I1,5,2026-03-30\n",
    )
    assert refused(tmp_path) == [
        "allocations.csv, line 2, source_id: 'P1' belongs to debtor D2, invoice I1 to D1",
    ]


def test_findings_are_bounded_and_the_rest_counted(tmp_path: Path) -> None:
    write(tmp_path, ledger__yaml=SETTINGS, invoices=INVOICES + "".join(f"I{n},D1,x,2026-03-31,5\n" for n in range(250)))
    with pytest.raises(LedgerInvalid) as caught:
        read_ledger(tmp_path)
    assert (len(caught.value.findings), caught.value.omitted) == (MAX_FINDINGS, 150)
    assert str(caught.value).endswith("and 150 more")


@pytest.mark.parametrize(
    "text, finding",
    [
        ("", "invoices.csv: is empty: a header row is needed"),
        (
            "invoice_id,debtor_id,issue_date,due_date\n",
            "invoices.csv, line 1, total: is a required column and missing",
        ),
        (INVOICES + "I1,D1\n", "invoices.csv, line 2: has 2 cells where the header names 5 columns"),
        (INVOICES[:-1] + ",total\n", "invoices.csv, line 1, total: stands twice in the header"),
        (INVOICES + '"I1"x,D1,a,b,c\n', "invoices.csv, line 2: is no CSV: ',' expected after '\"'"),
    ],
)
def test_a_file_that_is_no_table_says_where_it_breaks(tmp_path: Path, text: str, finding: str) -> None:
    write(tmp_path, ledger__yaml=SETTINGS, invoices=text)
    assert refused(tmp_path) == [finding]


def test_damaged_bytes_are_findings(tmp_path: Path) -> None:
    (tmp_path / "invoices.csv").write_bytes(INVOICES.encode() + b"I1,D\xff,")
    assert refused(tmp_path) == ["invoices.csv: is not UTF-8: byte 51 cannot be read"]
    (tmp_path / "invoices.csv").unlink()
    (tmp_path / "invoices.csv.gz").write_bytes(gzip.compress(INVOICES.encode())[:-9])
    assert refused(tmp_path)[0].startswith("invoices.csv.gz: is no gzip file")


def test_unknown_columns_and_unused_files_are_reported_and_ignored(tmp_path: Path) -> None:
    write(
        tmp_path,
        ledger__yaml=SETTINGS,
        invoices="invoice_id,debtor_id,issue_date,due_date,total,mood,x_region\nI1,D1,2026-03-01,2026-03-31,5,good,north\n",
        activities="debtor_id,at,channel\n",
    )
    assert read_ledger(tmp_path).notes == (
        "invoices.csv: column mood is unknown and not used",
        "activities.csv is not used by this version",
    )


@pytest.mark.parametrize(
    "text, finding",
    [
        ("curency: EUR\n", "ledger.yaml, curency: 'EUR' is none of tenant, currency, country"),
        ("currency: Euro\n", "ledger.yaml, currency: 'Euro' is no ISO 4217 currency code"),
        ("time_zone: Nowhere\n", "ledger.yaml, time_zone: 'Nowhere' is no IANA time zone"),
        ("tenant: a|b\n", "ledger.yaml, tenant: 'a|b' must be letters, digits, dots and dashes (at most 64)"),
        ("until: soon\n", "ledger.yaml, until: 'soon' is no date (2026-03-31)"),
        ("- EUR\n", "ledger.yaml: must be a list of `name: value` lines"),
    ],
)
def test_settings_that_cannot_be_meant_are_findings(tmp_path: Path, text: str, finding: str) -> None:
    write(tmp_path, ledger__yaml=text, invoices=INVOICES)
    assert refused(tmp_path)[0].startswith(finding)


def test_a_row_without_any_currency_is_a_finding(tmp_path: Path) -> None:
    write(tmp_path, invoices=INVOICES + "I1,D1,2026-03-01,2026-03-31,5\n")
    assert refused(tmp_path) == [
        "invoices.csv, line 2, currency: is missing: neither the row nor ledger.yaml names one"
    ]


def test_disputes_of_one_invoice_must_not_overlap(tmp_path: Path) -> None:
    write(
        tmp_path,
        ledger__yaml=SETTINGS,
        invoices=INVOICES + "I1,D1,2026-03-01,2026-03-31,5\n",
        disputes="invoice_id,opened_on,resolved_on\nI1,2026-04-01,2026-04-10\nI1,2026-04-10,2026-04-12\n",
    )
    assert refused(tmp_path) == [
        "disputes.csv, opened_on: '2026-04-10' invoice I1 is disputed again before the dispute until 2026-04-10 ended"
    ]


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ("until: 2026-02-30", "ledger.yaml, until: '2026-02-30' is no date (2026-03-31)"),
        ("until: 9999-12-31", "ledger.yaml, until: '9999-12-31' is not between 1970-01-01 and 2159-12-31"),
        ("from: 1900-01-01", "ledger.yaml, from: '1900-01-01' is not between 1970-01-01 and 2159-12-31"),
        ("currency: eur", "ledger.yaml, currency: 'eur' is no ISO 4217 currency code"),
        ("until: " + "[" * 5_000, "ledger.yaml: is nested too deeply: it must be a list of `name: value` lines"),
    ],
)
def test_settings_that_cannot_be_are_findings(tmp_path: Path, settings: str, found: str) -> None:
    write(tmp_path, ledger__yaml=settings, invoices=INVOICES)
    assert refused(tmp_path) == [found]


@pytest.mark.parametrize("recorded", ["1970-01-01T00:00:00+01:00", "1970-01-01T05:00:00Z", "2159-12-31T23:59:59-05:00"])
def test_an_instant_that_falls_out_of_the_calendar_in_some_zone_is_a_finding(tmp_path: Path, recorded: str) -> None:
    row = f"I1,D1,2026-03-01,2026-03-31,5,{recorded}\n"
    write(tmp_path, ledger__yaml=SETTINGS, invoices=INVOICES.replace("\n", ",recorded_at\n") + row)
    assert refused(tmp_path) == [
        f"invoices.csv, line 2, recorded_at: '{recorded}' is not between 1970-01-01 and 2159-12-31"
    ]


def test_a_finding_names_a_value_once_and_a_missing_column_those_that_are_there_instead(tmp_path: Path) -> None:
    write(tmp_path, ledger__yaml=SETTINGS, invoices=INVOICES + "I1,D1,2026-03-01,2026-03-31,1 000\n")
    assert refused(tmp_path) == ["invoices.csv, line 2, total: '1 000' is no amount such as 1234.50"]
    write(tmp_path, invoices=INVOICES.replace("total", "Betrag"), payments="payment_id\n")
    assert refused(tmp_path)[0] == (
        "invoices.csv, line 1, total: is a required column and missing; not known are Betrag"
    )
