"""Checks across rows: ids that stand twice, references that lead nowhere, disputes that overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise

from duly_ledger_export.findings import FindingLog
from duly_ledger_export.records import AllocationSource, LedgerRecords
from duly_ledger_export.tables import Row

_KEYS: Mapping[str, tuple[str, ...]] = {
    "parties": ("debtor_id",),
    "invoices": ("invoice_id",),
    "instalments": ("invoice_id", "no"),
    "credit_notes": ("credit_note_id",),
    "payments": ("payment_id",),
    "allocations": ("allocation_id",),
    "write_offs": ("write_off_id",),
    "disputes": ("invoice_id", "opened_on"),
}
Tables = Mapping[str, Iterable[Row]]


def check_records(records: LedgerRecords, tables: Tables, log: FindingLog) -> None:
    """Adds a finding for each row that repeats an id or names something that is not there.

    Amounts are not weighed against each other here: over-allocation and foreign currency are the mirror's to refuse.
    """
    for name, fields in _KEYS.items():
        _check_unique(tables.get(name, ()), fields, log)
    # Ids of all rows, also of those with a bad value: one fault shall not show as a hundred dangling references.
    invoice_ids = {row.cells.get("invoice_id", "") for row in tables.get("invoices", ())}
    for name in ("instalments", "allocations", "write_offs", "disputes"):
        _check_reference(tables.get(name, ()), "invoice_id", invoice_ids.__contains__, log)
    _check_allocations(records, tables, log)
    _check_disputes(records, log)


def _check_unique(rows: Iterable[Row], fields: tuple[str, ...], log: FindingLog) -> None:
    first: dict[tuple[str, ...], int] = {}
    for row in rows:
        key = tuple(row.cells.get(field, "") for field in fields)
        if key in first:
            _find(row, fields[-1], f"stands twice: line {first[key]} has it too", log)
        first.setdefault(key, row.line)


def _check_reference(rows: Iterable[Row], field: str, is_known: Callable[[str], bool], log: FindingLog) -> None:
    for row in rows:
        value = row.cells.get(field, "")
        if value and not is_known(value):
            _find(row, field, "names nothing in this export", log)


def _check_allocations(records: LedgerRecords, tables: Tables, log: FindingLog) -> None:
    payers = {row.payment_id: row.debtor_id for row in records.payments}
    creditors = {row.credit_note_id: row.debtor_id for row in records.credit_notes}
    owners = {row.invoice_id: row.debtor_id for row in records.invoices}
    # A row whose own values are bad has its finding already; what names it is not at fault.
    named = {
        AllocationSource.PAYMENT: {row.cells.get("payment_id", "") for row in tables.get("payments", ())},
        AllocationSource.CREDIT_NOTE: {row.cells.get("credit_note_id", "") for row in tables.get("credit_notes", ())},
    }
    for row in tables.get("allocations", ()):
        is_note = row.cells.get("source_kind", "") == AllocationSource.CREDIT_NOTE
        kind = AllocationSource.CREDIT_NOTE if is_note else AllocationSource.PAYMENT
        sources = creditors if is_note else payers
        source_id, invoice_id = row.cells.get("source_id", ""), row.cells.get("invoice_id", "")
        if source_id and source_id not in sources:
            if source_id not in named[kind]:
                _find(row, "source_id", f"names no {kind} in this export", log)
        elif source_id and owners.get(invoice_id, sources[source_id]) != sources[source_id]:
            message = f"belongs to debtor {sources[source_id]}, invoice {invoice_id} to {owners[invoice_id]}"
            _find(row, "source_id", message, log)


def _check_disputes(records: LedgerRecords, log: FindingLog) -> None:
    by_invoice: dict[str, list[tuple[str, str]]] = {}
    for dispute in records.disputes:
        end = dispute.resolved_on.isoformat() if dispute.resolved_on else "9999-12-31"
        by_invoice.setdefault(dispute.invoice_id, []).append((dispute.opened_on.isoformat(), end))
        if dispute.opened_on.isoformat() > end:
            log.add("disputes.csv", 0, "resolved_on", end, f"is before opened_on of invoice {dispute.invoice_id}")
    for invoice_id, spans in by_invoice.items():
        ordered = sorted(spans)
        for (_, end), (start, _) in pairwise(ordered):
            if start <= end:
                message = f"invoice {invoice_id} is disputed again before the dispute until {end} ended"
                log.add("disputes.csv", 0, "opened_on", start, message)


def _find(row: Row, field: str, message: str, log: FindingLog) -> None:
    log.add(row.file, row.line, row.columns.get(field, field), row.cells.get(field, ""), message)
