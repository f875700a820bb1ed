"""Shipped column mappings: a foreign CSV file, by its header, onto the files of the format."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib.resources import files

import yaml

from duly_ledger_export.findings import FindingLog
from duly_ledger_export.tables import Row, Sheet

_NO_MATCH = "fits no shipped mapping and is no invoices.csv"


@dataclass(frozen=True, slots=True)
class FieldRule:
    """How one field is made; exactly one of column, date, constant and template is set.

    column: the cell as it is. date: the cell in the mapping's date format, plus_days later. constant: the same text in
    every row. template: text with {column} places.
    """

    column: str = ""
    date: str = ""
    constant: str = ""
    template: str = ""
    plus_days: int = 0


@dataclass(frozen=True, slots=True)
class TableRule:
    """One table made from the file's rows.

    once_per: only the first row of each value of that field counts. where: (column, text) a row must have.
    Rows that break one of these are left out: present: fields that must not be empty; not_after: pairs of fields, the
    first date must not be after the second; within_days: (field, field, n), the second date is at most n days later.
    """

    fields: Mapping[str, FieldRule]
    once_per: str = ""
    where: tuple[str, str] | None = None
    present: tuple[str, ...] = ()
    not_after: tuple[tuple[str, str], ...] = ()
    within_days: tuple[tuple[str, str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """One mapping. ledger: what ledger.yaml would say; columns: every column it needs."""

    name: str
    title: str
    date_format: str
    ledger: Mapping[str, str]
    tables: Mapping[str, TableRule]
    columns: tuple[str, ...]
    read_over: tuple[str, ...]


@cache
def shipped_mappings() -> tuple[ColumnMapping, ...]:
    """All mappings in this package, by name."""
    folder = files("duly_ledger_export").joinpath("mappings")
    documents = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return tuple(_mapping(yaml.safe_load(folder.joinpath(name).read_text())) for name in documents)


def mapping_for(sheet: Sheet, log: FindingLog) -> ColumnMapping | None:
    """The mapping whose columns all stand in the header, the one with most columns. None fits: a finding for each."""
    fitting = [mapping for mapping in shipped_mappings() if set(mapping.columns) <= set(sheet.header)]
    if fitting:
        return max(fitting, key=lambda mapping: len(mapping.columns))
    for mapping in shipped_mappings():
        missing = ", ".join(column for column in mapping.columns if column not in sheet.header)
        log.add(sheet.file, 1, "", "", f"{_NO_MATCH}: mapping {mapping.name} misses the columns {missing}")
    return None


def map_sheet(sheet: Sheet, mapping: ColumnMapping, log: FindingLog) -> dict[str, tuple[Row, ...]]:
    """Table name -> rows of the format, each with the line and the column names it came from."""
    return {name: tuple(_map_table(sheet, mapping, rule, log)) for name, rule in mapping.tables.items()}


def _map_table(sheet: Sheet, mapping: ColumnMapping, rule: TableRule, log: FindingLog) -> Iterator[Row]:
    names = {field: source.column or source.date or field for field, source in rule.fields.items()}
    seen: set[str] = set()
    for row in sheet.rows:
        if rule.where and row.cells[rule.where[0]] != rule.where[1]:
            continue
        cells = {field: _value(row, mapping, source, log) for field, source in rule.fields.items()}
        if rule.once_per:
            if cells[rule.once_per] in seen:
                continue
            seen.add(cells[rule.once_per])
        if _is_kept(cells, rule):
            yield Row(row.file, row.line, cells, names)


def _value(row: Row, mapping: ColumnMapping, rule: FieldRule, log: FindingLog) -> str:
    if rule.column:
        return row.cells[rule.column]
    if rule.date:
        return _iso_date(row, mapping, rule, log)
    if rule.template:
        return rule.template.format_map(row.cells)
    return rule.constant


def _iso_date(row: Row, mapping: ColumnMapping, rule: FieldRule, log: FindingLog) -> str:
    text = row.cells[rule.date]
    if not text:
        return ""
    try:
        # A calendar date has no zone; UTC is only there to parse one with the standard library.
        day = datetime.strptime(text, mapping.date_format).replace(tzinfo=UTC).date() + timedelta(days=rule.plus_days)
    except (ValueError, OverflowError):
        log.add(row.file, row.line, rule.date, text, f"is no date of the form {mapping.date_format}")
        # Any date will do: the finding above stops the reading before a record is used.
        return "1970-01-01"
    return day.isoformat()


def _is_kept(cells: Mapping[str, str], rule: TableRule) -> bool:
    # ISO dates compare as text; an empty second date means "not yet", which is never before.
    return (
        all(cells[field] for field in rule.present)
        and not any(cells[later] and cells[first] > cells[later] for first, later in rule.not_after)
        and not any(_days_between(cells, first, later) > most for first, later, most in rule.within_days)
    )


def _days_between(cells: Mapping[str, str], first: str, later: str) -> int:
    return (date.fromisoformat(cells[later]) - date.fromisoformat(cells[first])).days if cells[later] else 0


def _mapping(document: Mapping[str, object]) -> ColumnMapping:
    tables = {str(name): _table_rule(rule) for name, rule in _section(document["tables"]).items()}
    columns: dict[str, None] = {}
    for table in tables.values():
        columns.update(dict.fromkeys(_columns_of(table)))
    return ColumnMapping(
        name=str(document["name"]),
        title=str(document["title"]),
        date_format=str(document["date_format"]),
        ledger={str(key): str(value) for key, value in _section(document["ledger"]).items()},
        tables=tables,
        columns=tuple(columns),
        read_over=tuple(_strings(document.get("read_over", []))),
    )


def _table_rule(document: object) -> TableRule:
    rule = _section(document)
    where = _section(rule.get("where", {}))
    return TableRule(
        fields={str(field): _field_rule(source) for field, source in _section(rule["fields"]).items()},
        once_per=str(rule.get("once_per", "")),
        where=(str(where["column"]), str(where["equals"])) if where else None,
        present=tuple(_strings(rule.get("present", []))),
        not_after=tuple((first, later) for first, later in _lists(rule.get("not_after", []))),
        within_days=tuple((first, later, int(days)) for first, later, days in _lists(rule.get("within_days", []))),
    )


def _field_rule(document: object) -> FieldRule:
    source = _section(document)
    plus_days = source.get("plus_days", 0)
    return FieldRule(
        column=str(source.get("column", "")),
        date=str(source.get("date", "")),
        constant=str(source.get("constant", "")),
        template=str(source.get("template", "")),
        plus_days=plus_days if isinstance(plus_days, int) else 0,
    )


def _columns_of(table: TableRule) -> Iterator[str]:
    if table.where:
        yield table.where[0]
    for rule in table.fields.values():
        yield from (name for name in (rule.column, rule.date) if name)


def _section(document: object) -> Mapping[str, object]:
    if not isinstance(document, dict):
        raise TypeError("a mapping needs a table of names here")
    return document


def _lists(document: object) -> list[list[str]]:
    if not isinstance(document, list):
        raise TypeError("a mapping needs a list of lists here")
    return [_strings(item) for item in document]


def _strings(document: object) -> list[str]:
    if not isinstance(document, list):
        raise TypeError("a mapping needs a list here")
    return [str(item) for item in document]
