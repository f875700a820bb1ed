"""Ledgers to measure with: the simulator's company, and debtors that owe exactly one overdue invoice. Seeded."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from duly_contracts.envelope import Envelope
from duly_contracts.events import encode, event_of
from duly_contracts.ids import named_id
from duly_contracts.keys import debtor_key, partition_of
from duly_contracts.money import Money
from duly_contracts.topics import topics
from duly_ledger_export import DatedFact, Ledger
from duly_ledger_export.facts import FactFactory
from duly_ledger_export.records import (
    Allocation,
    AllocationSource,
    Invoice,
    LedgerSettings,
    Party,
    PartyKind,
    Payment,
)
from duly_runtime.log import Record
from duly_simulator.generate import ledger_of, play_history
from duly_simulator.parameters import SimulationSettings

from duly.ledger.v1 import events_pb2 as pb

LEDGER_TOPIC = "ledger-events"
SOURCE = "bench"
ZONE = "America/New_York"
CURRENCY = "USD"
AMOUNT_MINOR = 24_000
# A Tuesday without a holiday near: contact hours are open at the contact time.
TODAY = date(2026, 3, 10)
CONTACT_TIME = time(11)
_ISSUED = TODAY - timedelta(days=36)
_DUE = TODAY - timedelta(days=6)  # past due long enough for the first reminder in every risk band


def simulated(tenant: str, debtors: int, history_from: date) -> Ledger:
    """The simulator's company up to its first played day. Equal arguments, equal ledger."""
    settings = SimulationSettings(debtors=debtors, history_from=history_from, tenant=tenant)
    return ledger_of(play_history(settings))


@dataclass(frozen=True)
class OneInvoiceEach:
    """Debtors D00000.. with an e-mail address and one overdue invoice each."""

    tenant: str
    debtors: int

    @cached_property
    def _facts(self) -> FactFactory:
        return FactFactory(LedgerSettings(self.tenant, CURRENCY, "US", ZONE, SOURCE))

    @property
    def ids(self) -> list[str]:
        return [f"D{number:05d}" for number in range(self.debtors)]

    def history(self) -> list[DatedFact]:
        """Party and overdue invoice of each debtor, next to each other."""
        factory = self._facts
        facts: list[DatedFact] = []
        for debtor in self.ids:
            party = Party(debtor, PartyKind.BUSINESS, f"{debtor} Ltd", time_zone=ZONE, email=f"{debtor}@bench.example")
            invoice = Invoice(overdue_invoice(debtor), debtor, _ISSUED, _DUE, Money(AMOUNT_MINOR, CURRENCY))
            facts += (factory.party(party, factory.moment(None, _ISSUED)), *factory.invoice(invoice))
        return facts

    def new_invoice(self, debtor: str) -> list[DatedFact]:
        """One more invoice, issued today."""
        due = TODAY + timedelta(days=30)
        invoice = Invoice(f"{debtor}-NEW", debtor, TODAY, due, Money(AMOUNT_MINOR, CURRENCY))
        return list(self._facts.invoice(invoice))

    def payment(self, debtor: str) -> list[DatedFact]:
        """The overdue invoice is paid today: money and its allocation."""
        amount = Money(AMOUNT_MINOR, CURRENCY)
        paid = Payment(f"{debtor}-PAY", debtor, TODAY, amount)
        part = Allocation(
            f"{debtor}-ALLOC", AllocationSource.PAYMENT, paid.payment_id, overdue_invoice(debtor), amount, TODAY
        )
        return [*self._facts.payment(paid), *self._facts.allocation(part, debtor, None)]


def overdue_invoice(debtor: str) -> str:
    """Id of the invoice every debtor owes."""
    return f"{debtor}-OLD"


def instant_of(day: date, at: time) -> datetime:
    """That local time of the bench's zone; aware."""
    return datetime.combine(day, at, ZoneInfo(ZONE))


def ledger_records(facts: Iterable[DatedFact], tenants: Sequence[str], *, backfill: bool) -> list[Record]:
    """The facts as they lie in `ledger-events`, once per tenant, fact by fact; offsets count from 0 per partition."""
    partitions = topics()[LEDGER_TOPIC].partitions
    ends = [0] * partitions
    records = []
    for fact in facts:
        for tenant in tenants:
            key = debtor_key(tenant, fact.debtor_id)
            partition = partition_of(key, partitions)
            headers = tuple(_envelope(fact, tenant, backfill).to_headers())
            records.append(Record(LEDGER_TOPIC, partition, ends[partition], key, encode(fact.message), headers))
            ends[partition] += 1
    return records


def tick_records(tenant: str, instant: datetime, *, backfill: bool, slices: int = 1) -> list[Record]:
    """The tick of an instant's day for every partition and slice, in ledger-sync's order. Offsets are not set (-1)."""
    partitions = topics()[LEDGER_TOPIC].partitions
    return [_tick(tenant, instant, part, slices, p, backfill) for part in range(slices) for p in range(partitions)]


def _tick(tenant: str, instant: datetime, part: int, slices: int, partition: int, backfill: bool) -> Record:
    message = pb.CalendarBusinessDateAdvanced(business_date=instant.date().isoformat(), slice=part, slices=slices)
    message.instant.FromDatetime(instant)
    envelope = Envelope(
        id=named_id("tick", tenant, instant.isoformat(), str(partition), str(part)),
        type=event_of(message).type,
        source=f"/tenants/{tenant}/services/ledger-sync",
        subject="",
        time=instant,
        tenant=tenant,
        business_date=instant.date(),
        backfill=backfill,
    )
    headers = tuple(envelope.to_headers())
    return Record(LEDGER_TOPIC, partition, -1, debtor_key(tenant, ""), encode(message), headers)


def _envelope(fact: DatedFact, tenant: str, backfill: bool) -> Envelope:
    return Envelope(
        id=fact.event_id,
        type=event_of(fact.message).type,
        source=f"/tenants/{tenant}/ledgers/{SOURCE}",
        subject=fact.debtor_id,
        time=fact.time,
        tenant=tenant,
        business_date=fact.known_on,
        source_version=fact.source_version,
        backfill=backfill,
    )
