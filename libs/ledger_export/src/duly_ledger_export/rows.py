"""Rows of text to typed records; each bad value becomes one finding and its row no record."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from duly_contracts.dates import FIRST_DATE, LAST_DATE, DateOutOfRange, in_range
from duly_contracts.money import AmountInvalid, Money, parse_money

from duly_ledger_export import records as rec
from duly_ledger_export.findings import FindingLog
from duly_ledger_export.tables import Row

_EnumT = TypeVar("_EnumT", bound=StrEnum)
_RecordT = TypeVar("_RecordT")
_NO_DAY = date.min
_ZONE_MAX = timedelta(hours=14)
OUT_OF_RANGE = f"is not between {FIRST_DATE} and {LAST_DATE}"


@dataclass(slots=True)
class RowReader:
    """Typed access to one row's cells. After a bad value `bad` is True and the values returned are placeholders."""

    row: Row
    log: FindingLog
    default_currency: str
    bad: bool = False

    def text(self, field: str, default: str = "") -> str:
        return self.row.cells.get(field, "") or default

    def required(self, field: str) -> str:
        value = self.text(field)
        if not value:
            self.find(field, "must not be empty")
        return value

    def day(self, field: str) -> date:
        value = self.required(field)
        return (self._parse_day(field, value) if value else None) or _NO_DAY

    def maybe_day(self, field: str) -> date | None:
        value = self.text(field)
        return self._parse_day(field, value) if value else None

    def recorded(self, field: str = "recorded_at") -> rec.Recorded:
        value = self.text(field)
        if not value:
            return None
        try:
            if len(value) == 10:
                return in_range(date.fromisoformat(value))
            instant = datetime.fromisoformat(value)
            in_range(instant.date())
            if instant.tzinfo is not None:
                # Its date in the ledger's zone, whichever that is, must be in range too.
                for offset in (-_ZONE_MAX, _ZONE_MAX):
                    in_range((instant.astimezone(UTC) + offset).date())
        except DateOutOfRange:
            self.find(field, OUT_OF_RANGE)
            return None
        except ValueError:
            instant = None
        if instant is None or instant.tzinfo is None:
            self.find(field, "is neither a date (2026-03-31) nor an instant (2026-03-31T14:05:00Z)")
            return None
        return instant

    def money(self, field: str, currency: str = "", least_minor: int = 1) -> Money:
        """An amount in the row's `currency` column, else `currency`, else the ledger's default."""
        code = self.text("currency", currency or self.default_currency)
        value = self.required(field)
        if not code:
            self.find("currency", "is missing: neither the row nor ledger.yaml names one")
            return Money(0, "XXX")
        try:
            amount = parse_money(value, code) if value else Money(least_minor, code)
        except AmountInvalid as error:
            self.find(field, str(error))
            return Money(0, "XXX")
        if amount.amount_minor < least_minor:
            self.find(field, "must not be negative" if least_minor == 0 else "must be greater than 0")
        return amount

    def maybe_money(self, field: str, currency: str, least_minor: int = 1) -> Money | None:
        return self.money(field, currency, least_minor) if self.text(field) else None

    def number(self, field: str) -> int:
        value = self.text(field, "0")
        if value.isascii() and value.isdigit() and len(value) < 10:
            return int(value)
        self.find(field, "is no whole number")
        return 0

    def choice(self, field: str, kind: type[_EnumT], default: _EnumT) -> _EnumT:
        value = self.text(field, default)
        try:
            return kind(value)
        except ValueError:
            self.find(field, f"is none of {', '.join(kind)}")
            return default

    def zone(self, field: str) -> str:
        value = self.text(field)
        if value and not is_zone(value):
            self.find(field, "is no IANA time zone")
        return value

    def find(self, field: str, message: str) -> None:
        self.bad = True
        column = self.row.columns.get(field, field)
        self.log.add(self.row.file, self.row.line, column, self.row.cells.get(field, ""), message)

    def _parse_day(self, field: str, value: str) -> date | None:
        try:
            if len(value) == 10:
                return in_range(date.fromisoformat(value))
        except DateOutOfRange:
            self.find(field, OUT_OF_RANGE)
            return None
        except ValueError:
            pass
        self.find(field, "is no date (2026-03-31)")
        return None


def is_zone(name: str) -> bool:
    """Is that an IANA zone this machine knows?"""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def read_records(
    rows: Iterable[Row], log: FindingLog, currency: str, read: Callable[[RowReader], _RecordT]
) -> list[_RecordT]:
    """The records of all rows without a finding."""
    records = []
    for row in rows:
        reader = RowReader(row, log, currency)
        record = read(reader)
        if not reader.bad:
            records.append(record)
    return records


def party(row: RowReader) -> rec.Party:
    email = row.text("email")
    if email and not _is_address(email):
        row.find("email", "is no e-mail address")
    return rec.Party(
        debtor_id=row.required("debtor_id"),
        kind=row.choice("kind", rec.PartyKind, rec.PartyKind.UNKNOWN),
        name=row.text("name"),
        country=row.text("country"),
        region=row.text("region"),
        time_zone=row.zone("time_zone"),
        language=row.text("language"),
        sector=row.text("sector"),
        size=row.text("size"),
        since=row.maybe_day("since"),
        email=email,
        phone=row.text("phone"),
        recorded_at=row.recorded(),
    )


def invoice(row: RowReader) -> rec.Invoice:
    return rec.Invoice(
        invoice_id=row.required("invoice_id"),
        debtor_id=row.required("debtor_id"),
        issue_date=row.day("issue_date"),
        due_date=row.day("due_date"),
        total=row.money("total", least_minor=0),
        number=row.text("number"),
        document_type=row.text("document_type", "380"),
        agreement_id=row.text("agreement_id"),
        preceding_invoice_id=row.text("preceding_invoice_id"),
        remittance_reference=row.text("remittance_reference"),
        recorded_at=row.recorded(),
        voided_on=row.maybe_day("voided_on"),
    )


def credit_note(row: RowReader) -> rec.CreditNote:
    return rec.CreditNote(
        credit_note_id=row.required("credit_note_id"),
        debtor_id=row.required("debtor_id"),
        issue_date=row.day("issue_date"),
        amount=row.money("amount"),
        preceding_invoice_id=row.text("preceding_invoice_id"),
        recorded_at=row.recorded(),
        voided_on=row.maybe_day("voided_on"),
    )


def payment(row: RowReader) -> rec.Payment:
    return rec.Payment(
        payment_id=row.required("payment_id"),
        debtor_id=row.required("debtor_id"),
        booking_date=row.day("booking_date"),
        amount=row.money("amount"),
        value_date=row.maybe_day("value_date"),
        method=row.text("method"),
        bank_reference=row.text("bank_reference"),
        remittance_reference=row.text("remittance_reference"),
        recorded_at=row.recorded(),
        reversed_on=row.maybe_day("reversed_on"),
        reversal_reason=row.text("reversal_reason"),
    )


def allocation(row: RowReader, currency: str) -> rec.Allocation:
    return rec.Allocation(
        allocation_id=row.required("allocation_id"),
        source_kind=row.choice("source_kind", rec.AllocationSource, rec.AllocationSource.PAYMENT),
        source_id=row.required("source_id"),
        invoice_id=row.required("invoice_id"),
        amount=row.money("amount", currency),
        on=row.day("on"),
        discount=row.maybe_money("discount", currency, least_minor=0),
        instalment_no=row.number("instalment_no"),
        recorded_at=row.recorded(),
        removed_on=row.maybe_day("removed_on"),
    )


def write_off(row: RowReader, currency: str) -> rec.WriteOff:
    row.required("reason")
    return rec.WriteOff(
        write_off_id=row.required("write_off_id"),
        invoice_id=row.required("invoice_id"),
        amount=row.money("amount", currency),
        on=row.day("on"),
        reason=row.choice("reason", rec.WriteOffReason, rec.WriteOffReason.BAD_DEBT),
        recorded_at=row.recorded(),
    )


def dispute(row: RowReader, currency: str) -> rec.Dispute:
    return rec.Dispute(
        invoice_id=row.required("invoice_id"),
        opened_on=row.day("opened_on"),
        resolved_on=row.maybe_day("resolved_on"),
        amount=row.maybe_money("amount", currency),
        reason=row.text("reason"),
        recorded_at=row.recorded(),
    )


def instalment(row: RowReader, currency: str) -> tuple[str, rec.Instalment]:
    """The invoice's id and one instalment of it."""
    part = rec.Instalment(no=row.number("no"), due_date=row.day("due_date"), amount=row.money("amount", currency))
    return row.required("invoice_id"), part


def _is_address(text: str) -> bool:
    local, _, domain = text.rpartition("@")
    return bool(local) and bool(domain) and not any(sign.isspace() or sign in "<>,;" for sign in text)
