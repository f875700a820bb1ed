"""`read_ledger`: a directory of the format, or one CSV file that a shipped mapping fits, to a checked ledger."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from typing import TypeVar

import yaml
from duly_contracts.dates import DateOutOfRange, in_range
from duly_contracts.money import AmountInvalid, Money, currency_exponent

from duly_ledger_export import checks, rows
from duly_ledger_export.findings import FindingLog
from duly_ledger_export.ledger import Ledger
from duly_ledger_export.mapping import map_sheet, mapping_for
from duly_ledger_export.records import (
    Allocation,
    AllocationSource,
    Instalment,
    Invoice,
    LedgerRecords,
    LedgerSettings,
    Payment,
)
from duly_ledger_export.tables import FORMATS, READ_OVER_FILES, Row, Sheet, read_sheet, table_rows, unknown_columns

_T = TypeVar("_T")
_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SETTINGS_FILE = "ledger.yaml"
SETTINGS_KEYS = ("tenant", "currency", "country", "time_zone", "from", "until", "source")


@dataclass(slots=True)
class _Import:
    """What one reading has gathered so far: rows per table, settings, notes and findings."""

    log: FindingLog = field(default_factory=FindingLog)
    notes: list[str] = field(default_factory=list)
    settings: LedgerSettings = field(default_factory=LedgerSettings)
    tables: dict[str, tuple[Row, ...]] = field(default_factory=dict)


def read_ledger(path: Path, tenant: str = "") -> Ledger:
    """The ledger at `path`: an export directory, a directory with one CSV file, or a CSV file (plain or gzip).

    tenant: wins over ledger.yaml. Raises LedgerInvalid with every finding (the first 100 and a count of the rest).
    """
    state = _Import()
    if path.is_dir():
        _gather_directory(path, state)
    elif path.is_file():
        _gather_file(path, state)
    else:
        state.log.add(path.name, 0, "", "", "does not exist")
    state.log.raise_if_any()
    if tenant:
        state.settings = replace(state.settings, tenant=tenant)
    records = _records(state)
    state.log.raise_if_any()
    return Ledger(state.settings, records, tuple(state.notes))


def _gather_directory(folder: Path, state: _Import) -> None:
    tables = {name: found for name in FORMATS if (found := _table_file(folder, name, state.log))}
    if tables:
        state.settings = _read_settings(folder / _SETTINGS_FILE, state.log)
        for name, file in tables.items():
            _gather_table(name, read_sheet(file, state.log), state)
        state.notes += [f"{name}.csv is not used by this version" for name in READ_OVER_FILES if _any(folder, name)]
        return
    candidates = [file for file in sorted(folder.iterdir()) if file.name.endswith((".csv", ".csv.gz"))]
    if len(candidates) == 1:
        _gather_file(candidates[0], state)
    else:
        message = f"holds no invoices.csv, and {len(candidates)} other CSV files where one could be mapped"
        state.log.add(folder.name, 0, "", "", message)


def _gather_file(file: Path, state: _Import) -> None:
    sheet = read_sheet(file, state.log)
    if state.log.findings:
        return
    if set(FORMATS["invoices"].required) <= set(sheet.header):
        _gather_table("invoices", sheet, state)
        return
    mapping = mapping_for(sheet, state.log)
    if mapping is None:
        return
    state.settings = _settings(mapping.ledger, file.name, state.log)
    state.tables = map_sheet(sheet, mapping, state.log)
    state.notes.append(f"{file.name} was read by the shipped mapping {mapping.name}: {mapping.title}")
    extra = [name for name in sheet.header if name not in mapping.columns and name not in mapping.read_over]
    state.notes += [f"{file.name}: column {column} is unknown and not used" for column in extra]


def _gather_table(name: str, sheet: Sheet, state: _Import) -> None:
    table = FORMATS[name]
    state.tables[name] = table_rows(sheet, table, state.log)
    for column in unknown_columns(sheet, table):
        word = "not used by this version" if column in table.read_over else "unknown and not used"
        state.notes.append(f"{sheet.file}: column {column} is {word}")


def _records(state: _Import) -> LedgerRecords:
    log, currency = state.log, state.settings.currency

    def read(name: str, build: Callable[[rows.RowReader], _T]) -> list[_T]:
        return rows.read_records(state.tables.get(name, ()), log, currency, build)

    parties = read("parties", rows.party)
    invoices = read("invoices", rows.invoice)
    currencies = {invoice.invoice_id: invoice.total.currency for invoice in invoices}

    def with_currency(build: Callable[[rows.RowReader, str], _T]) -> Callable[[rows.RowReader], _T]:
        return lambda row: build(row, currencies.get(row.text("invoice_id"), ""))

    records = LedgerRecords(
        parties=parties,
        invoices=_with_instalments(invoices, read("instalments", with_currency(rows.instalment)), state),
        credit_notes=read("credit_notes", rows.credit_note),
        payments=read("payments", rows.payment),
        allocations=read("allocations", with_currency(rows.allocation)),
        write_offs=read("write_offs", with_currency(rows.write_off)),
        disputes=read("disputes", with_currency(rows.dispute)),
    )
    _add_short_form(records, state)
    checks.check_records(records, state.tables, log)
    return records


def _add_short_form(records: LedgerRecords, state: _Import) -> None:
    """`paid_on` of invoices.csv alone stands for one payment and one allocation of that date."""
    paid = [row for row in state.tables.get("invoices", ()) if row.cells.get("paid_on")]
    if paid and ("payments" in state.tables or "allocations" in state.tables):
        state.notes.append("invoices.csv: paid_on is not used where there is a payments.csv or an allocations.csv")
        return
    invoices = {invoice.invoice_id: invoice for invoice in records.invoices}
    for row in paid:
        invoice = invoices.get(row.cells["invoice_id"])
        if invoice is None:
            continue
        reader = rows.RowReader(row, state.log, invoice.total.currency)
        on = reader.day("paid_on")
        amount = reader.money("paid_amount") if reader.text("paid_amount") else invoice.total
        if not reader.bad and amount.amount_minor:
            _add_payment(records, invoice, on, amount)


def _add_payment(records: LedgerRecords, invoice: Invoice, on: date, amount: Money) -> None:
    payment_id = f"{invoice.invoice_id}-payment"
    records.payments.append(Payment(payment_id, invoice.debtor_id, on, amount))
    put = Money(min(amount.amount_minor, invoice.total.amount_minor), amount.currency)
    allocation_id = f"{invoice.invoice_id}-allocation"
    records.allocations.append(
        Allocation(allocation_id, AllocationSource.PAYMENT, payment_id, invoice.invoice_id, put, on)
    )


def _with_instalments(
    invoices: Iterable[Invoice], instalments: Iterable[tuple[str, Instalment]], state: _Import
) -> list[Invoice]:
    parts: dict[str, list[Instalment]] = {}
    for invoice_id, part in instalments:
        parts.setdefault(invoice_id, []).append(part)
    result = []
    for invoice in invoices:
        mine = tuple(sorted(parts.get(invoice.invoice_id, ()), key=lambda part: part.no))
        if mine and sum(part.amount.amount_minor for part in mine) != invoice.total.amount_minor:
            message = f"the instalments do not add up to the invoice's total {invoice.total}"
            state.log.add("instalments.csv", 0, "invoice_id", invoice.invoice_id, message)
        result.append(replace(invoice, instalments=mine))
    return result


def _read_settings(file: Path, log: FindingLog) -> LedgerSettings:
    if not file.exists():
        return LedgerSettings()
    try:
        # All values as they are written: a date that no calendar has is a finding below, and `NO` is Norway.
        document = yaml.load(file.read_text(encoding="utf-8"), Loader=yaml.BaseLoader)  # noqa: S506  # it makes texts only
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        log.add(file.name, 0, "", "", f"cannot be read: {error}")
        return LedgerSettings()
    except RecursionError:
        log.add(file.name, 0, "", "", "is nested too deeply: it must be a list of `name: value` lines")
        return LedgerSettings()
    if document is None:
        return LedgerSettings()
    if not isinstance(document, dict):
        log.add(file.name, 0, "", "", "must be a list of `name: value` lines")
        return LedgerSettings()
    values = {str(key): "" if value in ("null", "~") else str(value) for key, value in document.items()}
    return _settings(values, file.name, log)


def _settings(values: Mapping[str, str], file: str, log: FindingLog) -> LedgerSettings:
    """Settings from name -> text; names that are not known are a finding, for a typing error would change amounts."""
    for name in values:
        if name not in SETTINGS_KEYS:
            log.add(file, 0, name, values[name], f"is none of {', '.join(SETTINGS_KEYS)}")
    currency, zone = values.get("currency", ""), values.get("time_zone") or "UTC"
    try:
        if currency:
            currency_exponent(currency)
    except AmountInvalid:
        log.add(file, 0, "currency", currency, "is no ISO 4217 currency code")
    if not rows.is_zone(zone):
        log.add(file, 0, "time_zone", zone, "is no IANA time zone")
    tenant, source = values.get("tenant") or "demo", values.get("source") or "ledger-export"
    for name, value in (("tenant", tenant), ("source", source)):
        if not _SLUG.fullmatch(value):
            log.add(file, 0, name, value, "must be letters, digits, dots and dashes (at most 64)")
    return LedgerSettings(
        tenant=tenant,
        currency=currency,
        country=values.get("country", ""),
        time_zone=zone,
        source=source,
        from_day=_settings_day("from", values, file, log),
        until=_settings_day("until", values, file, log),
    )


def _settings_day(name: str, values: Mapping[str, str], file: str, log: FindingLog) -> date | None:
    text = values.get(name, "")
    try:
        return in_range(date.fromisoformat(text)) if text else None
    except DateOutOfRange:
        log.add(file, 0, name, text, rows.OUT_OF_RANGE)
        return None
    except ValueError:
        log.add(file, 0, name, text, "is no date (2026-03-31)")
        return None


def _table_file(folder: Path, name: str, log: FindingLog) -> Path | None:
    found = [file for file in (folder / f"{name}.csv", folder / f"{name}.csv.gz") if file.exists()]
    if len(found) > 1:
        log.add(found[1].name, 0, "", "", f"stands beside {found[0].name}: keep one of them")
    return found[0] if found else None


def _any(folder: Path, name: str) -> bool:
    return any((folder / f"{name}{suffix}").exists() for suffix in (".csv", ".csv.gz"))
