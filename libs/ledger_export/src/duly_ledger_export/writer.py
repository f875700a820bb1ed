"""`write_ledger`: records to a directory of the format, the same records giving the same bytes."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import yaml
from duly_contracts.envelope import format_instant
from duly_contracts.money import Money, currency_exponent

from duly_ledger_export import records as rec
from duly_ledger_export.records import LedgerRecords, LedgerSettings
from duly_ledger_export.tables import FORMATS

Cells = Mapping[str, str]
_RecordT = TypeVar("_RecordT")


def write_ledger(path: Path, settings: LedgerSettings, records: LedgerRecords) -> None:
    """Writes ledger.yaml and one CSV file per table that has rows: sorted by id, fixed columns, CRLF (RFC 4180).

    Makes the directory; files of an earlier export in it are replaced or removed. Raises OSError.
    """
    path.mkdir(parents=True, exist_ok=True)
    (path / "ledger.yaml").write_text(_settings_text(settings), encoding="utf-8")
    for name, rows in _tables(records).items():
        file = path / f"{name}.csv"
        if rows:
            file.write_bytes(_csv_bytes(FORMATS[name].columns, rows))
        else:
            file.unlink(missing_ok=True)


def _settings_text(settings: LedgerSettings) -> str:
    values = {
        "tenant": settings.tenant,
        "currency": settings.currency,
        "country": settings.country,
        "time_zone": settings.time_zone,
        "source": settings.source,
        "from": _day(settings.from_day),
        "until": _day(settings.until),
    }
    return yaml.safe_dump({name: value for name, value in values.items() if value}, sort_keys=False)


def _csv_bytes(columns: Iterable[str], rows: list[Cells]) -> bytes:
    used = [column for column in columns if any(row.get(column) for row in rows)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(used)
    writer.writerows(sorted([row.get(column, "") for column in used] for row in rows))
    return text.getvalue().encode()


def _tables(records: LedgerRecords) -> dict[str, list[Cells]]:
    return {
        "parties": _rows(records.parties, _party),
        "invoices": _rows(records.invoices, _invoice),
        "instalments": [cells for invoice in records.invoices for cells in _instalments(invoice)],
        "credit_notes": _rows(records.credit_notes, _credit_note),
        "payments": _rows(records.payments, _payment),
        "allocations": _rows(records.allocations, _allocation),
        "write_offs": _rows(records.write_offs, _write_off),
        "disputes": _rows(records.disputes, _dispute),
    }


def _rows(records: Iterable[_RecordT], cells: Callable[[_RecordT], Cells]) -> list[Cells]:
    return [cells(record) for record in records]


def _party(row: rec.Party) -> Cells:
    return {
        "debtor_id": row.debtor_id,
        "kind": row.kind,
        "name": row.name,
        "country": row.country,
        "region": row.region,
        "time_zone": row.time_zone,
        "language": row.language,
        "sector": row.sector,
        "size": row.size,
        "since": _day(row.since),
        "email": row.email,
        "phone": row.phone,
        "recorded_at": _recorded(row.recorded_at),
    }


def _invoice(row: rec.Invoice) -> Cells:
    return {
        "invoice_id": row.invoice_id,
        "debtor_id": row.debtor_id,
        "issue_date": _day(row.issue_date),
        "due_date": _day(row.due_date),
        "total": _amount(row.total),
        "currency": row.total.currency,
        "number": row.number,
        "document_type": row.document_type,
        "agreement_id": row.agreement_id,
        "preceding_invoice_id": row.preceding_invoice_id,
        "remittance_reference": row.remittance_reference,
        "recorded_at": _recorded(row.recorded_at),
        "voided_on": _day(row.voided_on),
    }


def _instalments(invoice: rec.Invoice) -> list[Cells]:
    return [
        {
            "invoice_id": invoice.invoice_id,
            "no": str(part.no),
            "due_date": _day(part.due_date),
            "amount": _amount(part.amount),
        }
        for part in invoice.instalments
    ]


def _credit_note(row: rec.CreditNote) -> Cells:
    return {
        "credit_note_id": row.credit_note_id,
        "debtor_id": row.debtor_id,
        "issue_date": _day(row.issue_date),
        "amount": _amount(row.amount),
        "currency": row.amount.currency,
        "preceding_invoice_id": row.preceding_invoice_id,
        "recorded_at": _recorded(row.recorded_at),
        "voided_on": _day(row.voided_on),
    }


def _payment(row: rec.Payment) -> Cells:
    return {
        "payment_id": row.payment_id,
        "debtor_id": row.debtor_id,
        "booking_date": _day(row.booking_date),
        "amount": _amount(row.amount),
        "currency": row.amount.currency,
        "value_date": _day(row.value_date),
        "method": row.method,
        "bank_reference": row.bank_reference,
        "remittance_reference": row.remittance_reference,
        "recorded_at": _recorded(row.recorded_at),
        "reversed_on": _day(row.reversed_on),
        "reversal_reason": row.reversal_reason,
    }


def _allocation(row: rec.Allocation) -> Cells:
    return {
        "allocation_id": row.allocation_id,
        "source_id": row.source_id,
        "invoice_id": row.invoice_id,
        "amount": _amount(row.amount),
        "on": _day(row.on),
        "source_kind": row.source_kind,
        "discount": _amount(row.discount),
        "instalment_no": str(row.instalment_no or ""),
        "recorded_at": _recorded(row.recorded_at),
        "removed_on": _day(row.removed_on),
    }


def _write_off(row: rec.WriteOff) -> Cells:
    return {
        "write_off_id": row.write_off_id,
        "invoice_id": row.invoice_id,
        "amount": _amount(row.amount),
        "on": _day(row.on),
        "reason": row.reason,
        "recorded_at": _recorded(row.recorded_at),
    }


def _dispute(row: rec.Dispute) -> Cells:
    return {
        "invoice_id": row.invoice_id,
        "opened_on": _day(row.opened_on),
        "resolved_on": _day(row.resolved_on),
        "amount": _amount(row.amount),
        "reason": row.reason,
        "recorded_at": _recorded(row.recorded_at),
    }


def _day(day: date | None) -> str:
    return day.isoformat() if day else ""


def _recorded(recorded: rec.Recorded) -> str:
    if isinstance(recorded, datetime):
        return format_instant(recorded)
    return _day(recorded)


def _amount(money: Money | None) -> str:
    """Decimal text with all decimals of the currency, without grouping."""
    if money is None:
        return ""
    exponent = currency_exponent(money.currency)
    return f"{Decimal(money.amount_minor).scaleb(-exponent):.{exponent}f}"
