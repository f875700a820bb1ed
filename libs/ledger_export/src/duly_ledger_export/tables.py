"""Files to rows of text: CSV (plain or gzip), one `Row` per record with the line it came from."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from duly_ledger_export.findings import FindingLog


@dataclass(frozen=True, slots=True)
class TableFormat:
    """Columns of one file of the format. read_over: known columns that no fact carries yet."""

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...] = ()
    read_over: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        return f"{self.name}.csv"

    @property
    def columns(self) -> tuple[str, ...]:
        return self.required + self.optional


# docs/reference/ledger-export.md; the order is the order of `LedgerRecords`.
FORMATS: Mapping[str, TableFormat] = {
    table.name: table
    for table in (
        TableFormat(
            "parties",
            ("debtor_id",),
            (
                "kind",
                "name",
                "country",
                "region",
                "time_zone",
                "language",
                "sector",
                "size",
                "since",
                "email",
                "phone",
                "recorded_at",
            ),
        ),
        TableFormat(
            "invoices",
            ("invoice_id", "debtor_id", "issue_date", "due_date", "total"),
            (
                "number",
                "currency",
                "document_type",
                "agreement_id",
                "preceding_invoice_id",
                "remittance_reference",
                "recorded_at",
                "voided_on",
                "paid_on",
                "paid_amount",
            ),
        ),
        TableFormat("instalments", ("invoice_id", "no", "due_date", "amount")),
        TableFormat(
            "credit_notes",
            ("credit_note_id", "debtor_id", "issue_date", "amount"),
            ("currency", "preceding_invoice_id", "recorded_at", "voided_on"),
        ),
        TableFormat(
            "payments",
            ("payment_id", "debtor_id", "booking_date", "amount"),
            (
                "currency",
                "value_date",
                "method",
                "bank_reference",
                "remittance_reference",
                "recorded_at",
                "reversed_on",
                "reversal_reason",
            ),
        ),
        TableFormat(
            "allocations",
            ("allocation_id", "source_id", "invoice_id", "amount", "on"),
            ("source_kind", "discount", "instalment_no", "recorded_at", "removed_on"),
            ("ledger_amount",),
        ),
        TableFormat("write_offs", ("write_off_id", "invoice_id", "amount", "on", "reason"), ("recorded_at",)),
        TableFormat("disputes", ("invoice_id", "opened_on"), ("resolved_on", "amount", "reason", "recorded_at")),
    )
}
# Files of the format that become no fact in this version.
READ_OVER_FILES = ("party_attributes", "activities")


@dataclass(frozen=True, slots=True)
class Row:
    """One record. cells: field -> text; columns: field -> the column's name in the file, where a mapping renamed it."""

    file: str
    line: int
    cells: Mapping[str, str]
    columns: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sheet:
    """One CSV file: its header and its records as column -> text."""

    file: str
    header: tuple[str, ...]
    rows: tuple[Row, ...]


def read_sheet(path: Path, log: FindingLog) -> Sheet:
    """All records of a CSV file. What cannot be read becomes a finding; records of a wrong length are left out."""
    text = _text_of(path, log)
    if text is None:
        return Sheet(path.name, (), ())
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: tuple[str, ...] = ()
    rows: list[Row] = []
    try:
        for cells in reader:
            if not header:
                header = _header(path, cells, log)
            elif cells and len(cells) != len(header):
                message = f"has {len(cells)} cells where the header names {len(header)} columns"
                log.add(path.name, reader.line_num, "", "", message)
            elif cells:
                rows.append(Row(path.name, reader.line_num, dict(zip(header, map(str.strip, cells), strict=True))))
    except csv.Error as error:
        log.add(path.name, reader.line_num, "", "", f"is no CSV: {error}")
    if not header and not text.strip():
        log.add(path.name, 0, "", "", "is empty: a header row is needed")
    return Sheet(path.name, header, tuple(rows))


def table_rows(sheet: Sheet, table: TableFormat, log: FindingLog) -> tuple[Row, ...]:
    """The sheet's rows as rows of that table; a missing required column is a finding and there are no rows."""
    # A sheet without a header has its finding already.
    missing = [column for column in table.required if column not in sheet.header] if sheet.header else []
    unknown = ", ".join(unknown_columns(sheet, table))
    for column in missing:
        there = f"; not known are {unknown}" if unknown else ""
        log.add(sheet.file, 1, column, "", f"is a required column and missing{there}")
    return () if missing else sheet.rows


def unknown_columns(sheet: Sheet, table: TableFormat) -> Iterator[str]:
    """Columns nobody reads. `x_*` columns are the user's own and not reported."""
    for column in sheet.header:
        if column not in table.columns and not column.startswith("x_"):
            yield column


def _text_of(path: Path, log: FindingLog) -> str | None:
    """The file's text; None with a finding where it cannot be read."""
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        log.add(path.name, 0, "", "", f"is not UTF-8: byte {error.start} cannot be read")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        log.add(path.name, 0, "", "", f"is no gzip file: {error}")
    except OSError as error:
        log.add(path.name, 0, "", "", f"cannot be read: {error.strerror}")
    return None


def _header(path: Path, cells: list[str], log: FindingLog) -> tuple[str, ...]:
    header = tuple(cell.strip() for cell in cells)
    for column in sorted({column for column in header if header.count(column) > 1}):
        log.add(path.name, 1, column, "", "stands twice in the header")
    return header
