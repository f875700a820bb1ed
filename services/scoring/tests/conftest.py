"""A small seeded ledger, as `ledger-events` records: what every test of scoring feeds on."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
import pytest
from duly_contracts.envelope import Envelope
from duly_contracts.events import encode, event_of
from duly_contracts.ids import fact_id
from duly_contracts.keys import debtor_key, partition_of
from duly_risk.fallback import RulesModel
from duly_risk.features import N_FEATURES, schema_sha256
from duly_runtime.log import Record
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp
from scoring.adapters.booster_model import BOOSTER_FILE, GOLDEN_FILE, SCHEMA_FILE
from scoring.application.ports import OneModel

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

    def tick(self, day: date, *, backfill: bool = False, hour: int = 0) -> list[Record]:
        """A business date, into every partition."""
        instant = Timestamp()
        instant.FromDatetime(_at(day, hour))
        message = ledger.CalendarBusinessDateAdvanced(
            business_date=day.isoformat(), instant=instant, calendar_id="default", slice=0, slices=1
        )
        made = []
        for partition in range(self.partitions):
            event = event_of(message)
            envelope = Envelope(
                id=fact_id(TENANT, "calendar", "tick", f"{day}-{hour}", str(partition), event.name),
                type=event.type,
                source="ledger-sync",
                subject="",
                tenant=TENANT,
                business_date=day,
                time=_at(day, hour),
                backfill=backfill,
            )
            made.append(self.append(debtor_key(TENANT, ""), encode(message), envelope.to_headers(), partition))
        return made

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

    def invoice(self, debtor: str, number: str, issued: date, *, total: int = 24_000, **kwargs: bool) -> Record:
        message = ledger.InvoiceIssued(
            invoice_id=number,
            debtor_id=debtor,
            number=number,
            document_type="380",
            issue_date=issued.isoformat(),
            due_date=(issued + timedelta(days=14)).isoformat(),
            total=money_pb2.Money(amount_minor=total, currency="EUR"),
        )
        return self.fact(debtor, message, issued, **kwargs)

    def pay(self, debtor: str, number: str, day: date, *, amount: int = 24_000, **kwargs: bool) -> list[Record]:
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
        return [self.fact(debtor, payment, day, **kwargs), self.fact(debtor, allocation, day, **kwargs)]


def _at(day: date, hour: int = 0) -> datetime:
    return datetime.combine(day, time(hour), UTC)


def play(seed: int, debtors: int, days: int, *, live_days: int, disturbed: bool = True) -> Ledger:
    """History (backfill), then `live_days`: invoices, payments, and, if disturbed, duplicates and poison."""
    rng = random.Random(seed)
    book = Ledger()
    names = [f"D-{number}" for number in range(debtors)]
    unpaid: list[tuple[int, str, str, int]] = []
    for index in range(days):
        day, backfill = START + timedelta(days=index), index < days - live_days
        if not backfill or index == days - live_days - 1:
            book.tick(day, backfill=backfill)
        for name in names:
            if rng.random() < 0.15:
                number, total = f"{name}-{index}", rng.randrange(1_000, 200_000)
                book.invoice(name, number, day, total=total, backfill=backfill)
                unpaid.append((index + rng.randrange(2, 25), name, number, total))
        for due in [row for row in unpaid if row[0] <= index]:
            unpaid.remove(due)
            paid = book.pay(due[1], due[2], day, amount=due[3], backfill=backfill)
            if disturbed and rng.random() < 0.05:
                book.again(rng.choice(paid))
        if disturbed and index % 5 == 4:
            name = rng.choice(names)
            book.append(debtor_key(TENANT, name), b"\xff\xff", book.records[-1].headers)
            book.append(debtor_key(TENANT, rng.choice(names)), b"", [("ce_id", f"alien-{index}".encode())])
        if not backfill:
            book.tick(day, hour=10)
    return book


@pytest.fixture
def book() -> Ledger:
    """An empty ledger."""
    return Ledger()


@pytest.fixture
def play_ledger() -> Callable[..., Ledger]:
    """`play`, for tests that choose their own size."""
    return play


@pytest.fixture
def rules() -> OneModel:
    """A model that needs no registry, for every date."""
    return OneModel(RulesModel())


@pytest.fixture(scope="session")
def write_model() -> Callable[..., dict[str, str]]:
    """A tiny Booster with the files a loader asks for; `shift` spoils its golden hazards. Returns its hashes."""

    def written(folder: Path, *, seed: int = 1, schema: str = "", shift: float = 0.0) -> dict[str, str]:
        import xgboost

        folder.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(200, N_FEATURES)).astype(np.float32)
        labels = (rows[:, 0] > 0).astype(int)
        parameters = {"objective": "binary:logistic", "nthread": 1, "max_depth": 2}
        booster = xgboost.train(parameters, xgboost.DMatrix(rows, labels), 3)
        booster.set_attr(duly_frame='{"other_median_minor": 50000.0}')
        booster.save_model(folder / BOOSTER_FILE)
        np.savez(folder / GOLDEN_FILE, rows=rows[:64], hazards=booster.inplace_predict(rows[:64]) + np.float32(shift))
        schema = schema or schema_sha256()
        (folder / SCHEMA_FILE).write_text(json.dumps({"schema_sha256": schema}))
        files = {"artifact_sha256": BOOSTER_FILE, "golden_sha256": GOLDEN_FILE}
        hashes = {name: hashlib.sha256((folder / file).read_bytes()).hexdigest() for name, file in files.items()}
        return {**hashes, "schema_sha256": schema}

    return written


@pytest.fixture
def corrupted() -> Callable[[Record], Record]:
    """The same place in the log, but a value nobody can decode."""
    return lambda record: replace(record, value=b"\xff\xff\xff")
