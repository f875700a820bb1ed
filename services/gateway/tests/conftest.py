"""A gateway on real PostgreSQL with the log in memory, a clock that stands still and a channel that can be told what
to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pytest
from duly_contracts.envelope import Envelope
from duly_contracts.events import encode, event_by_type, event_of
from duly_contracts.ids import fact_id
from duly_contracts.keys import debtor_key
from duly_policy import Channel
from duly_runtime.auth import Principal
from duly_runtime.metrics import Metrics
from duly_runtime.migrations import migrate
from duly_testing.clock import FakeClock
from duly_testing.memory_log import MemoryLog
from gateway.application.errors import DebtorNotFound
from gateway.application.ports import Handover
from gateway.bootstrap import MIGRATIONS, Gateway, compose
from gateway.config import Settings
from gateway.domain.contact import Accepted, Outcome
from gateway.entrypoints.operations import Caller
from google.protobuf.message import Message

from duly.contact.v1 import types_pb2 as types
from duly.gateway.v1 import contact_service_pb2 as pb
from duly.insights.v1 import debtor_query_service_pb2 as insights
from duly.ledger.v1 import events_pb2 as ledger
from duly.money.v1.money_pb2 import Money

SCOPES = ("contacts:read", "contacts:write", "debtors:read", "inbox:write", "control:write")
TUESDAY_TEN = datetime(2031, 3, 4, 15, 0, tzinfo=UTC)  # 10:00 in New York


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@dataclass
class FakeChannel:
    """Does what `outcomes` says, in order; accepts when there is none left. `before`: runs while the call is out."""

    provider: str = "fake"
    outcomes: list[Outcome | BaseException] = field(default_factory=list)
    sent: list[Handover] = field(default_factory=list)
    before: Callable[[Handover], None] = lambda handover: None

    def send(self, handover: Handover) -> Outcome:
        self.before(handover)
        self.sent.append(handover)
        outcome = self.outcomes.pop(0) if self.outcomes else Accepted("ok")
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    def close(self) -> None:
        """Nothing to let go."""


class FakeQueries:
    """insights with no debtor at all."""

    def query_debtor(self, request: insights.QueryDebtorRequest, authorization: str) -> insights.QueryDebtorResponse:
        raise DebtorNotFound("no such debtor")

    def query_timeline(
        self, request: insights.QueryTimelineRequest, authorization: str
    ) -> insights.QueryTimelineResponse:
        raise DebtorNotFound("no such debtor")


@dataclass
class World:
    """One gateway and the log around it."""

    dsn: str
    settings: Settings
    clock: FakeClock
    log: MemoryLog
    channel: FakeChannel
    gateway: Gateway
    versions: int = 0
    seen: int = 0

    def settle(self) -> None:
        for _ in range(100):
            if not sum(loop.step(0) for loop in self.gateway.loops):
                return
        raise AssertionError("the gateway does not come to rest")

    def restart(self) -> None:
        """As after `kill -9`: nothing in memory survives."""
        self.gateway = compose(
            self.settings, self.clock, Metrics(), self.log, {Channel.EMAIL: self.channel}, FakeQueries()
        )

    def tick(self, day: str, instant: datetime) -> None:
        message = ledger.CalendarBusinessDateAdvanced(business_date=day, slices=1)
        message.instant.FromDatetime(instant)
        for partition in range(12):
            self._publish("acme", "", message, f"{instant.isoformat()}/{partition}", partition)

    def fact(self, debtor: str, message: Message, tenant: str = "acme", version: str = "") -> None:
        self.versions += 1
        self._publish(tenant, debtor, message, version or f"{self.versions:08d}")

    def debtor(self, debtor: str, tenant: str = "acme", address: str = "", verified: bool = True) -> None:
        point = ledger.ContactPoint(
            contact_point_id=f"{debtor}-email",
            channel=ledger.CONTACT_POINT_CHANNEL_EMAIL,
            address=address or f"{debtor}@debtors.example",
            verified=verified,
        )
        self.fact(
            debtor,
            ledger.PartyUpserted(
                party_id=debtor,
                debtor_id=debtor,
                kind=ledger.PARTY_KIND_BUSINESS,
                name=f"{debtor} Ltd",
                country="US",
                zones=["America/New_York"],
                contact_points=[point],
            ),
            tenant,
        )

    def invoice(
        self, debtor: str, invoice: str, minor: int = 24000, due: str = "2031-02-20", tenant: str = "acme"
    ) -> None:
        self.fact(
            debtor,
            ledger.InvoiceIssued(
                invoice_id=invoice,
                debtor_id=debtor,
                number=invoice,
                issue_date="2031-01-20",
                due_date=due,
                total=Money(amount_minor=minor, currency="USD"),
            ),
            tenant,
        )

    def payment(self, debtor: str, invoice: str, minor: int = 24000) -> None:
        money = Money(amount_minor=minor, currency="USD")
        payment = f"pay-{invoice}-{minor}"
        self.fact(debtor, ledger.PaymentReceived(payment_id=payment, debtor_id=debtor, amount=money))
        self.fact(
            debtor,
            ledger.AllocationApplied(
                allocation_id=f"{payment}-1",
                source_kind=ledger.ALLOCATION_SOURCE_PAYMENT,
                source_id=payment,
                invoice_id=invoice,
                debtor_id=debtor,
                amount=money,
                on="2031-03-04",
            ),
        )

    def ready(self, *debtors: str, now: datetime = TUESDAY_TEN) -> None:
        """Debtors with one overdue invoice each, on a Tuesday at ten."""
        for debtor in debtors or ("D-1",):
            self.debtor(debtor)
            self.invoice(debtor, f"INV-{debtor}")
        self.tick("2031-03-04", now)
        self.settle()

    def request(self, debtor: str = "D-1", **changes: Any) -> pb.RequestContactRequest:
        treatment = changes.pop("treatment", f"T-{debtor}")
        values: dict[str, Any] = {
            "tenant_id": "acme",
            "idempotency_key": f"key-{treatment}",
            "contact_id": f"C-{treatment}",
            "treatment_id": treatment,
            "debtor_id": debtor,
            "invoice_ids": [f"INV-{debtor}"],
            "channel": types.CHANNEL_EMAIL,
            "purpose": "collection",
            "action": "reminder",
            "template_id": "reminder-friendly",
            "causation_id": f"planned-{treatment}",
        }
        return pb.RequestContactRequest(**(values | changes))

    def ask(self, debtor: str = "D-1", **changes: Any) -> pb.RequestContactResponse:
        answer = self.call("RequestContact", self.request(debtor, **changes))
        assert isinstance(answer, pb.RequestContactResponse)
        return answer

    def call(self, method: str, request: Message, tenant: str = "acme", scopes: tuple[str, ...] = SCOPES) -> Any:
        caller = Caller(Principal("test", tenant, frozenset(scopes)), "Bearer test")
        return self.gateway.operations[method].call(request, caller)

    def state(self, contact_id: str = "C-T-D-1") -> str:
        found = self.call("GetContact", pb.GetContactRequest(tenant_id="acme", contact_id=contact_id))
        return pb.ContactState.Name(found.contact.state).removeprefix("CONTACT_STATE_")

    def contact(self, contact_id: str = "C-T-D-1") -> pb.Contact:
        found = self.call("GetContact", pb.GetContactRequest(tenant_id="acme", contact_id=contact_id))
        assert isinstance(found.contact, pb.Contact)
        return found.contact

    def events(self) -> list[str]:
        return [event_by_type(envelope.type).name for envelope, _ in self.told()]

    def told(self) -> list[tuple[Envelope, Message]]:
        """All events of ours so far, per topic in partition order."""
        found = []
        for topic in ("contact-events", "inbound-messages"):
            for record in self.log.records(topic):
                envelope = Envelope.from_headers(record.headers)
                message = event_by_type(envelope.type).message()
                message.ParseFromString(record.value)
                found.append((envelope, message))
        return found

    def _publish(self, tenant: str, debtor: str, message: Message, version: str, partition: int | None = None) -> None:
        event = event_of(message)
        envelope = Envelope(
            id=fact_id(tenant, "test", encode(message).hex(), debtor, version, event.name),
            type=event.type,
            source=f"/tenants/{tenant}/ledgers/test",
            subject=debtor,
            time=self.clock.now(),
            tenant=tenant,
            business_date=date(2031, 3, 4),
            source_version=version,
        )
        producer = self.log.producer("test")
        producer.send(event.topic, debtor_key(tenant, debtor), encode(message), envelope.to_headers(), partition)


@pytest.fixture
def world(pg_dsn: str, fake_clock: FakeClock, memory_log: MemoryLog) -> Iterator[World]:
    migrate(pg_dsn, MIGRATIONS)
    settings = Settings(
        kafka_bootstrap_servers="unused",
        database_url=pg_dsn,
        time_mode="simulated",
        jwks_file="unused",
        lease_seconds=30,
        backoff_seconds=1,
        refused_tries_max=3,
        creditor_name="Acme Supplies",
    )
    channel = FakeChannel()
    gateway = compose(settings, fake_clock, Metrics(), memory_log, {Channel.EMAIL: channel}, FakeQueries())
    made = World(pg_dsn, settings, fake_clock, memory_log, channel, gateway)
    yield made
    for loop in made.gateway.loops:
        loop.close()
    for close in made.gateway.closers:
        close()
