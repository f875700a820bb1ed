"""Debtors with many open invoices, as state blobs and live facts: what a worker of a large tenant holds. Pure.

Blobs are made of a few hundred books folded fact by fact; debtors share them in turn, as no blob names its debtor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from random import Random

from duly_contracts.keys import debtor_key, partition_of
from duly_contracts.money import Money
from duly_ledger_export import DatedFact
from duly_ledger_export.facts import FactFactory
from duly_ledger_export.records import Allocation, AllocationSource, Invoice, LedgerSettings, Party, Payment
from duly_risk.codec import encode_state
from duly_risk.facts import Position
from duly_risk.state import DebtorState
from duly_risk.step import fold
from duly_runtime.log import Record
from scoring.application.decode_record import Usable, decode_record

from bench.company import CURRENCY, TODAY, ZONE, ledger_records

BOOKS = 256
TERM_DAYS = 30


@dataclass(frozen=True)
class LargeTenant:
    """debtors: how many; each has so many open invoices, due from 20 days ago to 25 days ahead, and closed ones."""

    tenant: str
    debtors: int
    open_invoices: int
    closed_invoices: int
    partitions: int

    @cached_property
    def keys(self) -> list[tuple[int, bytes]]:
        """(partition, key) of every debtor."""
        keys = [debtor_key(self.tenant, debtor_id(number)) for number in range(self.debtors)]
        return [(partition_of(key, self.partitions), key) for key in keys]

    def blobs(self) -> Iterator[tuple[int, bytes, bytes]]:
        """(partition, key, blob) of every debtor, as if its last fact had been at offset 0 of its partition."""
        states = [self._book(number) for number in range(min(BOOKS, self.debtors))]
        blobs = [
            [encode_state(state._replace(applied=Position(partition, 0))) for state in states]
            for partition in range(self.partitions)
        ]
        for number, (partition, key) in enumerate(self.keys):
            yield partition, key, blobs[partition][number % len(states)]

    def first_records(self) -> list[Record]:
        """History at offset 0 of every partition, of a debtor that owes nothing."""
        facts, found, number = [], set[int](), 0
        while len(found) < self.partitions:
            number += 1
            debtor = f"FIRST-{number}"
            partition = partition_of(debtor_key(self.tenant, debtor), self.partitions)
            if partition not in found:
                found.add(partition)
                facts.append(self._facts.party(Party(debtor), self._facts.moment(None, TODAY)))
        return ledger_records(facts, [self.tenant], backfill=True)

    def live(self, first: int, count: int, day: date) -> list[Record]:
        """A new invoice for each of so many debtors, far apart from one another. first: serial number of the first."""
        stride = max(1, self.debtors * 618 // 1000)
        facts = [
            fact
            for serial in range(first, first + count)
            for fact in self._invoice(
                debtor_id(serial * stride % self.debtors), f"NEW-{serial:06d}", day, TERM_DAYS, serial
            )
        ]
        return ledger_records(facts, [self.tenant], backfill=False)

    def traffic(self, visits: int, day: date, seed: int) -> list[Record]:
        """What a day is like: each visit to a debtor drawn at random is a new invoice, or that invoice paid at once:
        money and its allocation. So the open book stays as large as it is, or has one invoice more."""
        rng = Random(seed)
        owed: dict[int, str] = {}
        facts: list[DatedFact] = []
        for visit in range(visits):
            number = rng.randrange(self.debtors)
            invoice = owed.pop(number, None)
            if invoice is not None:
                facts += self._paid(debtor_id(number), invoice, day)
            else:
                owed[number] = f"NEW-{visit:06d}"
                facts += self._invoice(debtor_id(number), owed[number], day, TERM_DAYS, visit)
        return ledger_records(facts, [self.tenant], backfill=False)

    @cached_property
    def _facts(self) -> FactFactory:
        return FactFactory(LedgerSettings(self.tenant, CURRENCY, "US", ZONE, "bench"))

    def _book(self, number: int) -> DebtorState:
        """A state with nothing applied yet, so that it is nobody's in particular."""
        facts: list[DatedFact] = []
        debtor = f"BOOK-{number:04d}"
        for serial in range(self.closed_invoices):
            issued = TODAY - timedelta(days=60 + 9 * (self.closed_invoices - serial))
            invoice, late = f"INV-{number:04d}-{serial:04d}", (number + serial * 7) % 40 - 5
            facts += self._invoice(debtor, invoice, issued, TERM_DAYS, number + serial)
            facts += self._paid(debtor, invoice, issued + timedelta(days=TERM_DAYS + late))
        for serial in range(self.open_invoices):
            issued = TODAY - timedelta(days=5 + (number + serial * 45 // self.open_invoices) % 45)
            facts += self._invoice(debtor, f"INV-{number:04d}-{9000 + serial}", issued, TERM_DAYS, number + serial)
        return folded(sorted(facts, key=lambda fact: fact.known_on), self.tenant)

    def _invoice(self, debtor: str, invoice: str, day: date, term: int, seed: int) -> Sequence[DatedFact]:
        total = Money(10_000 + 3_719 * (seed % 97), CURRENCY)
        return list(self._facts.invoice(Invoice(invoice, debtor, day, day + timedelta(days=term), total)))

    def _paid(self, debtor: str, invoice: str, day: date) -> list[DatedFact]:
        """Money, and its allocation: as much as any invoice of the bench."""
        amount = Money(500_000, CURRENCY)
        payment = Payment(f"P-{invoice}", debtor, day, amount)
        part = Allocation(f"A-{invoice}", AllocationSource.PAYMENT, payment.payment_id, invoice, amount, day)
        return [*self._facts.payment(payment), *self._facts.allocation(part, debtor, None)]


def debtor_id(number: int) -> str:
    """Of a debtor of a large tenant."""
    return f"D{number:07d}"


def folded(facts: Sequence[DatedFact], tenant: str) -> DebtorState:
    """The state after one debtor's facts, as history."""
    state = DebtorState()
    for record in ledger_records(facts, [tenant], backfill=True):
        usable = decode_record(record)
        assert isinstance(usable, Usable), "the bench made a record that nobody can use"
        state = fold(state, usable.event, usable.position).state
    return state
