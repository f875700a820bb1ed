"""A world for scenarios: one tenant, all services, no socket but PostgreSQL's, no wall clock, exact event lists.

Facts enter by ledger-sync's ingress, as an ERP would send them; time enters as ticks; contacts leave by a channel that
keeps what it was given. `settle` steps every loop until none has work.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from duly_contracts.envelope import Envelope, format_instant
from duly_contracts.events import decode, event_by_type, event_of
from duly_contracts.ids import fact_id
from duly_contracts.money import parse_money
from duly_policy import Channel
from duly_risk.fallback import RulesModel
from duly_runtime.auth import Principal
from duly_runtime.loops import Loop
from duly_runtime.metrics import Metrics
from duly_runtime.migrations import migrate
from duly_testing.clock import FakeClock
from duly_testing.memory_log import MemoryLog
from gateway import bootstrap as gateway_service
from gateway.application.ports import Handover
from gateway.config import Settings as GatewaySettings
from gateway.domain.contact import Accepted, Outcome
from gateway.entrypoints.operations import Caller
from google.protobuf import json_format
from google.protobuf.message import Message
from ledger_sync import bootstrap as ledger_service
from ledger_sync.application.receive_delivery import Receipt
from ledger_sync.config import Settings as LedgerSettings
from ledger_sync.domain.calendar import Tick
from outreach import bootstrap as outreach_service
from outreach.config import Settings as OutreachSettings
from scoring.adapters.memory import OneModel
from scoring.bootstrap import build_memory

from duly.gateway.v1 import contact_service_pb2 as gateway_pb
from duly.gateway.v1 import inbox_service_pb2 as inbox_pb
from duly.ledger.v1 import events_pb2 as ledger
from duly.money.v1.money_pb2 import Money

TENANT = "t"
DEBTOR = "D-1"
ZONE = ZoneInfo("America/New_York")
OPENING, CONTACT_HOUR = time(0, 0), time(10, 0)
_STEPS_MAX = 2_000
_TOPICS = ("ledger-events", "risk-scores", "outreach-events", "contact-events", "inbound-messages")


@dataclass
class SentMail:
    """What the provider was handed."""

    contact_id: str
    to: str
    subject: str
    text: str


@dataclass
class RecordingChannel:
    """A provider that takes everything; `answer` may be changed to refuse or to fall silent."""

    provider: str = "recording"
    sent: list[SentMail] = field(default_factory=list)
    answer: Callable[[Handover], Outcome] = lambda handover: Accepted(f"p-{handover.attempt.attempt_id}")

    def send(self, handover: Handover) -> Outcome:
        rendered = handover.rendered
        mail = SentMail(handover.contact.contact_id, handover.address, rendered.subject, rendered.text)
        self.sent.append(mail)
        return self.answer(handover)

    def close(self) -> None:
        """Nothing to let go."""


class _DirectGateway:
    """Outreach's port to the gateway, without the wire."""

    def __init__(self, gateway: gateway_service.Gateway) -> None:
        self._operations = gateway.operations
        self._principal = Principal("outreach", TENANT, frozenset({"contacts:write"}))

    def request_contact(
        self, request: gateway_pb.RequestContactRequest, traceparent: str = ""
    ) -> gateway_pb.RequestContactResponse:
        response = self._operations["RequestContact"].call(request, Caller(self._principal, "", traceparent))
        assert isinstance(response, gateway_pb.RequestContactResponse)
        return response

    def cancel_contact(
        self, request: gateway_pb.CancelContactRequest, traceparent: str = ""
    ) -> gateway_pb.CancelContactResponse:
        response = self._operations["CancelContact"].call(request, Caller(self._principal, "", traceparent))
        assert isinstance(response, gateway_pb.CancelContactResponse)
        return response


class World:
    """See the module. Dates are the tenant's business dates; debtor and tenant are one each unless said."""

    def __init__(self, make_database: Callable[[], str]) -> None:
        self.log, self.clock, self.metrics = MemoryLog(), FakeClock(), Metrics()
        self.mail = RecordingChannel()
        self._principal = Principal("erp", TENANT, frozenset({"ledger:write"}))
        self._read: dict[str, int] = {}
        self._versions: dict[str, int] = {}
        self._today: date | None = None
        self.ledger_sync = ledger_service.compose(
            self._ledger_settings(make_database()), self.clock, self.metrics, self.log
        )
        self.gateway = gateway_service.compose(
            self._gateway_settings(make_database()), self.clock, self.metrics, self.log, {Channel.EMAIL: self.mail}
        )
        self.outreach = outreach_service.build(
            self._outreach_settings(make_database()), self.clock, self.metrics, self.log, _DirectGateway(self.gateway)
        )
        self.scoring = build_memory(self.log, OneModel(RulesModel()))

    # -- what an ERP says ------------------------------------------------------------------------------------------

    def party(self, debtor: str = DEBTOR, kind: str = "BUSINESS", backfill: bool = False) -> None:
        point = ledger.ContactPoint(
            contact_point_id=f"{debtor}-email",
            channel="CONTACT_POINT_CHANNEL_EMAIL",
            address=f"{debtor.lower()}@debtors.example",
            verified=True,
        )
        self.deliver(
            ledger.PartyUpserted(
                party_id=debtor,
                debtor_id=debtor,
                kind=f"PARTY_KIND_{kind}",
                name=f"Debtor {debtor}",
                language="en",
                country="US",
                zones=[str(ZONE)],
                contact_points=[point],
            )
        )

    def invoice(self, invoice_id: str, total: str, due: str, debtor: str = DEBTOR, backfill: bool = False) -> None:
        issued = (date.fromisoformat(due) - timedelta(days=30)).isoformat()
        self.deliver(
            ledger.InvoiceIssued(
                invoice_id=invoice_id,
                debtor_id=debtor,
                number=invoice_id,
                document_type="380",
                issue_date=issued,
                due_date=due,
                total=money(total),
            ),
            backfill=backfill,
        )

    def payment(self, amount: str, for_: str, debtor: str = DEBTOR, payment_id: str = "") -> None:
        payment_id = payment_id or f"PAY-{for_}"
        on = self.today.isoformat()
        self.deliver(
            ledger.PaymentReceived(payment_id=payment_id, debtor_id=debtor, amount=money(amount), booking_date=on),
            ledger.AllocationApplied(
                allocation_id=f"AL-{payment_id}",
                source_kind="ALLOCATION_SOURCE_PAYMENT",
                source_id=payment_id,
                invoice_id=for_,
                debtor_id=debtor,
                amount=money(amount),
                on=on,
            ),
        )

    def dispute(self, invoice_id: str, amount: str, debtor: str = DEBTOR) -> None:
        self.deliver(
            ledger.InvoiceDisputed(
                invoice_id=invoice_id,
                debtor_id=debtor,
                amount=money(amount),
                on=self.today.isoformat(),
                reason="quality",
            )
        )

    def deliver(self, *facts: Message, backfill: bool = False, delivery_id: str = "") -> Receipt:
        """One batch of CloudEvents through the ingress, then everything it causes."""
        events = [self._cloudevent(fact, backfill) for fact in facts]
        headers = {"content-type": "application/cloudevents-batch+json"}
        if delivery_id:
            headers["x-duly-delivery"] = delivery_id
        receipt = self.ledger_sync.ingress.deliver(json.dumps(events).encode(), headers, self._principal)
        self.settle()
        return receipt

    def reply(self, body: str, debtor: str = DEBTOR, contact_id: str = "") -> inbox_pb.IngestMessageResponse:
        """A debtor's answer."""
        caller = Caller(Principal("mail", TENANT, frozenset({"inbox:write"})), "")
        request = inbox_pb.IngestMessageRequest(
            tenant_id=TENANT,
            idempotency_key=f"reply-{debtor}-{body}",
            contact_id=contact_id,
            debtor_id=debtor,
            channel="CHANNEL_EMAIL",
            body=body,
        )
        response = self.gateway.operations["IngestMessage"].call(request, caller)
        assert isinstance(response, inbox_pb.IngestMessageResponse)
        self.settle()
        return response

    # -- time ------------------------------------------------------------------------------------------------------

    @property
    def today(self) -> date:
        assert self._today is not None, "the world has no date yet: advance_to(...)"
        return self._today

    def advance_to(self, day: str) -> None:
        """Live every day up to and including `day`: an opening tick and one inside contact hours each."""
        target = date.fromisoformat(day)
        current = target if self._today is None else self._today + timedelta(days=1)
        while current <= target:
            self.tick(current, OPENING)
            self.tick(current, CONTACT_HOUR)
            current += timedelta(days=1)

    def tick(self, day: date, at: time, backfill: bool = False) -> None:
        instant = datetime.combine(day, at, ZONE)
        self.ledger_sync.calendar.tick(self._principal, TENANT, Tick(day, instant), backfill)
        self._today = day
        self.settle()

    def settle(self) -> None:
        """Step every loop until none has work. Bounded: a world that never rests is a bug."""
        for _ in range(_STEPS_MAX):
            worked = [loop.step(0) for loop in self.loops()]
            if not any(worked):
                return
        raise AssertionError(f"still working after {_STEPS_MAX} rounds")

    def loops(self) -> Sequence[Loop]:
        return [*self.ledger_sync.service.loops, self.scoring, *self.outreach.loops, *self.gateway.loops]

    # -- what happened ---------------------------------------------------------------------------------------------

    def expect(self, *events: str) -> None:
        """The events since the last call, by topic in the order of the house; ticks apart. Anything else fails."""
        found = self.new_events()
        assert found == list(events), f"expected {list(events)}, found {found}"

    def expect_nothing(self) -> None:
        self.expect()

    def new_events(self) -> list[str]:
        """Short names of new events, in the order facts, scores, outreach, contacts, messages."""
        names = []
        for topic in _TOPICS:
            messages = self.messages(topic)
            names += [name for name, _ in messages[self._read.get(topic, 0) :] if not name.startswith("calendar.")]
            self._read[topic] = len(messages)
        return names

    def messages(self, topic: str) -> list[tuple[str, Message]]:
        """Everything in a topic in the order it was written."""
        result = []
        for record in self.log.in_order(topic):
            envelope = Envelope.from_headers(record.headers)
            result.append((event_by_type(envelope.type).name, decode(envelope.type, record.value)))
        return result

    def last(self, topic: str, name: str) -> Message:
        """The newest message of an event."""
        return [message for found, message in self.messages(topic) if found == name][-1]

    def close(self) -> None:
        for close in (*self.ledger_sync.service.closers, *self.gateway.closers, *self.outreach.closers):
            close()

    # -- wiring ----------------------------------------------------------------------------------------------------

    def _cloudevent(self, fact: Message, backfill: bool) -> Mapping[str, object]:
        event = event_of(fact)
        entity = next(str(value) for field, value in fact.ListFields() if field.name.endswith("_id"))
        version = str(self._versions.setdefault(f"{event.name}|{fact.SerializeToString()!r}", 1))
        return {
            "specversion": "1.0",
            "id": fact_id(TENANT, "erp", event.name.split(".")[0], entity, version, event.name),
            "type": event.type,
            "source": f"/tenants/{TENANT}/ledgers/erp",
            "subject": getattr(fact, "debtor_id"),  # noqa: B009 - every fact of a debtor has one
            "time": format_instant(self.clock.now()),
            "sourceversion": version,
            **({"backfill": "true"} if backfill else {}),
            "data": json_format.MessageToDict(fact, preserving_proto_field_name=True),
        }

    def _ledger_settings(self, dsn: str) -> LedgerSettings:
        migrate(dsn, ledger_service.MIGRATIONS)
        return LedgerSettings(**_shared(dsn), jwks_file="unused")

    def _gateway_settings(self, dsn: str) -> GatewaySettings:
        migrate(dsn, gateway_service.MIGRATIONS)
        return GatewaySettings(**_shared(dsn), jwks_file="unused", database_connections=4)

    def _outreach_settings(self, dsn: str) -> OutreachSettings:
        migrate(dsn, outreach_service.MIGRATIONS)
        return OutreachSettings(**_shared(dsn), gateway_token="unused")


def money(text: str) -> Money:
    """`"240.00 EUR"` as a message."""
    amount, currency = text.split()
    return parse_money(str(Decimal(amount)), currency).to_proto()


def _shared(dsn: str) -> dict[str, object]:
    return {"kafka_bootstrap_servers": "unused:1", "database_url": dsn, "time_mode": "simulated"}
