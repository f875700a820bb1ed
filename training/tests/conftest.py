"""A small made-up ledger: each debtor has a habit, some pay late, some never."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import pytest
from duly_risk.curves import HORIZON_DAYS
from duly_risk.features import schema_sha256
from duly_risk.model import CurveDays, FeatureFrame, Hazards, ModelInfo, Role, Rows
from duly_training.folding import timeline_of
from duly_training.history import history_of
from duly_training.timeline import Timeline
from google.protobuf.message import Message

from duly.ledger.v1 import events_pb2 as ledger
from duly.money.v1 import money_pb2

START = date(2025, 1, 1)
KNOWN_UNTIL = date(2026, 4, 1)
DEBTORS = 40
EVERY_DAYS = 17


@dataclass(frozen=True, slots=True)
class Fact:
    known_on: date
    debtor_id: str
    event_id: str
    source_version: str
    message: Message


@dataclass(frozen=True)
class MadeUpLedger:
    all_facts: tuple[Fact, ...]

    def facts(self, known_until: date | None = None) -> Iterator[Fact]:
        return (fact for fact in self.all_facts if known_until is None or fact.known_on < known_until)


def chance(*parts: object) -> float:
    """A number in [0, 1) that depends on the parts alone."""
    digest = hashlib.sha256(repr(parts).encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def delay_of(debtor: int, number: int) -> int | None:
    habit = debtor % 5
    roll = chance("delay", debtor, number)
    if habit == 4 and roll < 0.1:
        return None
    return (0, int(3 * roll), 2 + int(6 * roll), 6 + int(25 * roll), 10 + int(60 * roll))[habit]


def invoice_facts(debtor: int, number: int) -> Iterator[Fact]:
    name, invoice = f"D{debtor:02}", f"I{debtor:02}-{number:03}"
    issued = START + timedelta(days=EVERY_DAYS * number + debtor % EVERY_DAYS)
    due = issued + timedelta(days=14 + 16 * (debtor % 2))
    total = money_pb2.Money(amount_minor=int(10_000 * (1 + 9 * chance("amount", debtor, number))), currency="EUR")
    issue = ledger.InvoiceIssued(
        invoice_id=invoice, debtor_id=name, issue_date=issued.isoformat(), due_date=due.isoformat(), total=total
    )
    yield Fact(issued, name, f"issued {invoice}", "1", issue)
    delay = delay_of(debtor, number)
    if delay is None:
        return
    paid = due + timedelta(days=delay)
    payment = ledger.PaymentReceived(
        payment_id=f"P-{invoice}", debtor_id=name, amount=total, booking_date=paid.isoformat()
    )
    allocation = ledger.AllocationApplied(
        allocation_id=f"A-{invoice}",
        source_kind=ledger.ALLOCATION_SOURCE_PAYMENT,
        source_id=f"P-{invoice}",
        invoice_id=invoice,
        debtor_id=name,
        amount=total,
        on=paid.isoformat(),
    )
    yield Fact(paid, name, f"paid {invoice}", "1", payment)
    yield Fact(paid, name, f"allocated {invoice}", "1", allocation)


class Coin:
    """Pays with the same chance every day, so that S(j) = (1 - chance)^j can be told without a computer."""

    info = ModelInfo("coin", "1", Role.CHAMPION, schema_sha256(), FeatureFrame({"EUR": 100.0, "USD": 100.0}))

    def __init__(self, chance: float = 0.5) -> None:
        self.chance = chance

    def curves(self, static: Rows, days: CurveDays) -> Hazards:
        return np.full((len(static), HORIZON_DAYS), self.chance, dtype=np.float32)


@pytest.fixture(scope="session")
def coin() -> type[Coin]:
    return Coin


@pytest.fixture(scope="session")
def made_up_ledger() -> MadeUpLedger:
    numbers = (KNOWN_UNTIL - START).days // EVERY_DAYS
    facts = [fact for d in range(DEBTORS) for n in range(numbers) for fact in invoice_facts(d, n)]
    return MadeUpLedger(tuple(sorted(facts, key=lambda fact: fact.known_on)))


@pytest.fixture(scope="session")
def known_until() -> date:
    return KNOWN_UNTIL


@pytest.fixture(scope="session")
def made_up_timeline(made_up_ledger: MadeUpLedger) -> Timeline:
    return timeline_of(history_of(made_up_ledger.facts(KNOWN_UNTIL), KNOWN_UNTIL))
