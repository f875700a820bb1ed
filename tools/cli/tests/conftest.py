"""A small run that holds in every respect; each test of a check breaks one thing of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from duly_cli.checks.evidence import Evidence
from duly_cli.checks.mails import Mail
from duly_cli.checks.mirror import Mirror, MirrorInvoice, MirrorSource
from duly_cli.checks.topics import Event, RawRecord
from duly_contracts.envelope import Envelope
from duly_contracts.events import encode, event_of
from duly_contracts.keys import debtor_key, partition_of
from duly_contracts.money import Money
from duly_ledger_export import DatedFact, Ledger, LedgerRecords, LedgerSettings
from duly_ledger_export.records import (
    Allocation,
    AllocationSource,
    Dispute,
    Invoice,
    Party,
    PartyKind,
    Payment,
)
from google.protobuf.message import Message

from duly.contact.v1 import events_pb2 as contact
from duly.contact.v1 import types_pb2 as contact_types
from duly.ledger.v1 import events_pb2 as ledger
from duly.outreach.v1 import events_pb2 as outreach
from duly.risk.v1 import events_pb2 as risk
from duly.risk.v1 import state_pb2

TENANT = "demo"
ZONE = "America/New_York"
DAY = date(2026, 3, 4)  # a Wednesday
NEXT_DAY = date(2026, 3, 5)
TEN_LOCAL = datetime(2026, 3, 4, 15, tzinfo=UTC)
EPOCH = date(1970, 1, 1)


def usd(minor: int) -> Money:
    return Money(minor, "USD")


def ledger_of_two() -> Ledger:
    """D-1 owes INV-1 (overdue, 100.00) and has paid INV-2; D-2 owes INV-3, which is disputed from 2026-03-03 on."""
    records = LedgerRecords(
        parties=[
            Party("D-1", PartyKind.BUSINESS, email="d-1@debtors.example", time_zone=ZONE),
            Party("D-2", PartyKind.CONSUMER, email="d-2@debtors.example", time_zone=ZONE),
        ],
        invoices=[
            Invoice("INV-1", "D-1", date(2026, 1, 10), date(2026, 2, 20), usd(10_000)),
            Invoice("INV-2", "D-1", date(2026, 1, 10), date(2026, 2, 10), usd(5_000)),
            Invoice("INV-3", "D-2", date(2026, 1, 10), date(2026, 2, 20), usd(7_000)),
        ],
        payments=[Payment("PAY-2", "D-1", date(2026, 2, 9), usd(5_000))],
        allocations=[
            Allocation("AL-2", AllocationSource.PAYMENT, "PAY-2", "INV-2", usd(5_000), date(2026, 2, 9)),
        ],
        disputes=[Dispute("INV-3", date(2026, 3, 3), amount=usd(7_000))],
    )
    return Ledger(LedgerSettings(tenant=TENANT, currency="USD", time_zone=ZONE), records)


@dataclass
class World:
    """Builds the evidence. `events` may be changed before `evidence()` is called."""

    facts: list[DatedFact] = field(default_factory=lambda: list(ledger_of_two().facts()))
    events: dict[str, list[Event]] = field(default_factory=dict)
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)

    def add(self, message: Message, event_id: str, debtor: str, cause: str = "", **more: Any) -> Event:
        """An event in its topic. more: `at`, `day`, `partition`, `key`."""
        kind = event_of(message)
        key = more.get("key", debtor_key(TENANT, debtor))
        partition = more.get("partition", partition_of(key, 12))
        offset = self.offsets.get((kind.topic, partition), 0)
        self.offsets[kind.topic, partition] = offset + 1
        envelope = Envelope(
            id=event_id,
            type=kind.type,
            source="/tenants/demo/services/test",
            subject=debtor,
            time=more.get("at", TEN_LOCAL),
            tenant=TENANT,
            business_date=more.get("day", DAY),
            causation_id=cause,
        )
        record = RawRecord(kind.topic, partition, offset, key, encode(message), tuple(envelope.to_headers()))
        event = Event(record, envelope, message)
        self.events.setdefault(kind.topic, []).append(event)
        return event

    def tick(self, day: date, instant: datetime) -> None:
        for partition in range(12):
            message = ledger.CalendarBusinessDateAdvanced(business_date=day.isoformat(), slices=1)
            message.instant.FromDatetime(instant)
            self.add(message, f"tick-{instant:%m%d%H}-{partition}", "", key=b"demo|", partition=partition, day=day)

    def evidence(self) -> Evidence:
        return Evidence(
            tenant=TENANT,
            time_zone=ZONE,
            facts=self.facts,
            until=DAY,
            events=self.events,
            states=self.states(),
            mirror=mirror(),
            mails=[mail("contact-1")],
            dead_letters={"ledger-events-dlq": 0},
            leftovers={"gateway": 0},
        )

    def states(self) -> dict[str, bytes]:
        counts = {"D-1": 5, "D-2": 3}
        states = {debtor: state(debtor, count) for debtor, count in counts.items()}
        return {debtor: message.SerializeToString() for debtor, message in states.items()}


def state(debtor: str, facts: int) -> state_pb2.DebtorState:
    message = state_pb2.DebtorState(format_version=1, facts_applied=facts, tick_day=(DAY - EPOCH).days)
    message.applied.offset = 9
    for invoice in ledger_of_two().records.invoices:
        if invoice.debtor_id == debtor:
            row = message.invoices.add(
                invoice_id=invoice.invoice_id, known=True, total_minor=invoice.total.amount_minor, currency="USD"
            )
            if invoice.invoice_id == "INV-2":
                row.allocations.add(allocation_id="AL-2", source_id="PAY-2", amount_minor=5_000, applied=True)
    if debtor == "D-1":
        message.sources.add(source_id="PAY-2", known=True, amount_minor=5_000, currency="USD")
    return message


def mirror() -> Mirror:
    rows = [
        MirrorInvoice("INV-1", "D-1", "USD", 10_000, 10_000, 0, 0, 0, "2026-02-20", False),
        MirrorInvoice("INV-2", "D-1", "USD", 5_000, 0, 0, 5_000, 0, "2026-02-10", False),
        MirrorInvoice("INV-3", "D-2", "USD", 7_000, 7_000, 7_000, 0, 0, "2026-02-20", False),
    ]
    source = MirrorSource("PAY-2", "D-1", "USD", 5_000, 0, 5_000, False)
    return Mirror({row.invoice_id: row for row in rows}, {"PAY-2": source})


def mail(contact_id: str, text: str = "Please pay INV-1, 100.00 USD.", to: str = "d-1@debtors.example") -> Mail:
    return Mail(f"{contact_id}.eml", contact_id, to, "Reminder", text, (), "sha")


def sent(contact_id: str = "contact-1", at: datetime = TEN_LOCAL, minor: int = 10_000) -> contact.ContactSent:
    message = contact.ContactSent(
        contact_id=contact_id,
        attempt_id=f"attempt of {contact_id}",
        debtor_id="D-1",
        channel=contact_types.CHANNEL_EMAIL,
        amount_claimed=[usd(minor).to_proto()],
    )
    message.sent_at.FromDatetime(at)
    return message


def planned(contact_id: str = "contact-1", treatment_id: str = "treatment-1") -> outreach.ContactPlanned:
    return outreach.ContactPlanned(contact_id=contact_id, treatment_id=treatment_id, debtor_id="D-1")


def decided(treatment_id: str = "treatment-1") -> outreach.TreatmentDecided:
    return outreach.TreatmentDecided(
        treatment_id=treatment_id,
        debtor_id="D-1",
        action="reminder",
        invoice_ids=["INV-1"],
        score_id="score-1",
        rule_ids=["LADDER-1"],
        pack_versions=["duly-default@1"],
    )


def score(score_id: str = "score-1", version: int = 7) -> risk.RiskScoreUpdated:
    return risk.RiskScoreUpdated(
        score_id=score_id,
        debtor_id="D-1",
        business_date=DAY.isoformat(),
        ledger_version=version,
        model_version="1",
        role=risk.MODEL_ROLE_CHAMPION,
        risk_band=risk.RISK_BAND_LOW,
    )


@pytest.fixture
def world() -> World:
    """Facts, two ticks, a score, a decision, a contact that was sent, its e-mail."""
    world = World()
    for fact in world.facts:
        world.add(fact.message, fact.event_id, fact.debtor_id, at=fact.time, day=fact.known_on)
    world.tick(DAY, datetime(2026, 3, 4, 5, tzinfo=UTC))
    world.tick(DAY, TEN_LOCAL)
    partition = partition_of(debtor_key(TENANT, "D-1"), 12)
    tick = f"tick-030415-{partition}"
    world.add(score(), "score-1", "D-1", f"tick-030405-{partition}")
    world.add(decided(), "decided-1", "D-1", tick)
    world.add(planned(), "planned-1", "D-1", "decided-1")
    world.add(sent(), "sent-1", "D-1", "planned-1")
    return world


@pytest.fixture
def evidence(world: World) -> Evidence:
    """Everything holds."""
    return world.evidence()


class Made:
    """The makers, for tests that plant a violation."""

    mail = staticmethod(mail)
    sent = staticmethod(sent)
    planned = staticmethod(planned)
    decided = staticmethod(decided)
    score = staticmethod(score)
    state = staticmethod(state)
    mirror = staticmethod(mirror)

    def with_mails(self, evidence: Evidence, mails: Sequence[Mail]) -> Evidence:
        return replace(evidence, mails=mails)

    def with_state(self, evidence: Evidence, debtor: str, message: state_pb2.DebtorState) -> Evidence:
        return replace(evidence, states={**evidence.states, debtor: message.SerializeToString()})

    def with_invoice(self, evidence: Evidence, invoice_id: str, **changes: Any) -> Evidence:
        rows = dict(evidence.mirror.invoices)
        rows[invoice_id] = replace(rows[invoice_id], **changes)
        return replace(evidence, mirror=replace(evidence.mirror, invoices=rows))


@pytest.fixture
def made() -> Made:
    return Made()
