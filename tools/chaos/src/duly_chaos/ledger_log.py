"""A small seeded ledger, as `ledger-events` records: what every test of scoring feeds on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta

from duly_contracts.envelope import Envelope
from duly_contracts.events import encode, event_of
from duly_contracts.ids import fact_id
from duly_contracts.keys import debtor_key, partition_of
from duly_runtime.log import Record
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from duly.ledger.v1 import events_pb2 as ledger
from duly.money.v1 import money_pb2

TENANT = "acme"
TOPIC = "ledger-events"
START = date(2031, 3, 3)


@dataclass(slots=True)
class Ledger:
    """Collects records in order; partitions and offsets are those a broker would give them."""

    partitions: int = 12
    records: list[Record] = field(default_factory=list)
    ends: dict[int, int] = field(default_factory=dict)
    serial: int = 0

    def fact(self, debtor: str, message: Message, day: date, *, backfill: bool = False, version: str = "1") -> Record:
        """One ledger fact about a debtor."""
        self.serial += 1
        event = event_of(message)
        envelope = Envelope(
            id=fact_id(TENANT, "erp", event.name, f"{debtor}-{self.serial}", version, event.name),
            type=event.type,
            source="ledger-sync",
            subject=debtor,
            tenant=TENANT,
            business_date=day,
            time=_at(day),
            source_version=version,
            correlation_id=f"delivery-{self.serial}",
            backfill=backfill,
        )
        return self.append(debtor_key(TENANT, debtor), encode(message), envelope.to_headers())

    def tick(self, day: date, *, backfill: bool = False, hour: int = 0, slices: int = 1) -> list[Record]:
        """A business date, slice by slice, into every partition."""
        return [
            self._slice_of_tick(day, hour, backfill, partition, part, slices)
            for partition in range(self.partitions)
            for part in range(slices)
        ]

    def _slice_of_tick(self, day: date, hour: int, backfill: bool, partition: int, part: int, slices: int) -> Record:
        instant = Timestamp()
        instant.FromDatetime(_at(day, hour))
        message = ledger.CalendarBusinessDateAdvanced(
            business_date=day.isoformat(), instant=instant, calendar_id="default", slice=part, slices=slices
        )
        event = event_of(message)
        envelope = Envelope(
            id=fact_id(TENANT, "calendar", "tick", f"{day}-{hour}-{part}/{slices}", str(partition), event.name),
            type=event.type,
            source="ledger-sync",
            subject="",
            tenant=TENANT,
            business_date=day,
            time=_at(day, hour),
            backfill=backfill,
        )
        return self.append(debtor_key(TENANT, ""), encode(message), envelope.to_headers(), partition)

    def append(
        self, key: bytes, value: bytes, headers: Sequence[tuple[str, bytes]], partition: int | None = None
    ) -> Record:
        """Any record, also one nobody can use."""
        target = partition_of(key, self.partitions) if partition is None else partition
        offset = self.ends.get(target, 0)
        self.ends[target] = offset + 1
        record = Record(TOPIC, target, offset, key, value, tuple(headers))
        self.records.append(record)
        return record

    def again(self, record: Record) -> Record:
        """The same event once more, at a later offset."""
        return self.append(record.key, record.value, record.headers, record.partition)

    def invoice(self, debtor: str, number: str, issued: date, *, total: int = 24_000, backfill: bool = False) -> Record:
        message = ledger.InvoiceIssued(
            invoice_id=number,
            debtor_id=debtor,
            number=number,
            document_type="380",
            issue_date=issued.isoformat(),
            due_date=(issued + timedelta(days=14)).isoformat(),
            total=money_pb2.Money(amount_minor=total, currency="EUR"),
        )
        return self.fact(debtor, message, issued, backfill=backfill)

    def pay(self, debtor: str, number: str, day: date, *, amount: int = 24_000, backfill: bool = False) -> list[Record]:
        """A payment and its allocation."""
        money = money_pb2.Money(amount_minor=amount, currency="EUR")
        payment = ledger.PaymentReceived(
            payment_id=f"P-{number}", debtor_id=debtor, amount=money, booking_date=day.isoformat()
        )
        allocation = ledger.AllocationApplied(
            allocation_id=f"A-{number}",
            source_kind=ledger.ALLOCATION_SOURCE_PAYMENT,
            source_id=f"P-{number}",
            invoice_id=number,
            debtor_id=debtor,
            amount=money,
            on=day.isoformat(),
        )
        return [self.fact(debtor, body, day, backfill=backfill) for body in (payment, allocation)]

    def write_off(self, debtor: str, number: str, day: date, reason: int = ledger.WRITE_OFF_REASON_FEE) -> Record:
        """reason: any number, also one that no version knows."""
        message = ledger.InvoiceWrittenOff(
            write_off_id=f"W-{number}",
            invoice_id=number,
            debtor_id=debtor,
            amount=money_pb2.Money(amount_minor=1, currency="EUR"),
            reason=reason,  # type: ignore[arg-type]
            on=day.isoformat(),
        )
        return self.fact(debtor, message, day)


def _at(day: date, hour: int = 0) -> datetime:
    return datetime.combine(day, time(hour), UTC)


def play(
    seed: int,
    debtors: int,
    days: int,
    *,
    live_days: int,
    disturbed: bool = True,
    partitions: int = 12,
    poison_every_days: int = 5,
) -> Ledger:
    """History (backfill), then `live_days` of invoices, payments and ticks.

    disturbed: also duplicates, payments before their invoices, and what nobody can use: garbage, unknown enums, a
    broken tick, events that come right only when they come again. A worker ends at 1 % of it, so long logs need less.
    """
    rng = random.Random(seed)
    book = Ledger(partitions)
    names = [f"D-{number}" for number in range(debtors)]
    unpaid: list[tuple[int, str, str, int]] = []
    for index in range(days):
        day, backfill = START + timedelta(days=index), index < days - live_days
        if not backfill or index == days - live_days - 1:
            book.tick(day, backfill=backfill, slices=1 + index % 3)
        for name in names:
            if rng.random() < 0.15:
                number, total = f"{name}-{index}", rng.randrange(1_000, 200_000)
                early = disturbed and rng.random() < 0.03
                if early:
                    book.pay(name, number, day, amount=total, backfill=backfill)
                book.invoice(name, number, day, total=total, backfill=backfill)
                if not early:
                    unpaid.append((index + rng.randrange(2, 25), name, number, total))
        for due in [row for row in unpaid if row[0] <= index]:
            unpaid.remove(due)
            paid = book.pay(due[1], due[2], day, amount=due[3], backfill=backfill)
            if disturbed and rng.random() < 0.05:
                book.again(rng.choice(paid))
        if disturbed and index % poison_every_days == poison_every_days - 1:
            _disturb(book, rng, names, index, day)
        if not backfill:
            book.tick(day, hour=10)
    return book


def _disturb(book: Ledger, rng: random.Random, names: Sequence[str], index: int, day: date) -> None:
    name, headers = rng.choice(names), book.records[-1].headers
    book.append(debtor_key(TENANT, name), b"\xff\xff", headers)
    book.append(debtor_key(TENANT, rng.choice(names)), b"", [("ce_id", f"alien-{index}".encode())])
    book.append(b"\xff\xfe", b"no key of ours", [("ce_id", b"\xff")])
    book.append(debtor_key(TENANT, ""), b"\xff", headers, rng.randrange(book.partitions))
    unknown = book.write_off(rng.choice(names), f"X-{index}", day, reason=99)
    good = book.write_off(unknown.key.decode().partition("|")[2], f"Y-{index}", day)
    broken = replace(good, value=b"\xff\xff")
    book.records[-1] = broken
    book.again(good)
