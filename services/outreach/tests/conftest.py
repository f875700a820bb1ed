"""A running outreach on real PostgreSQL, an in-memory log, a fake clock and a fake gateway."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import psycopg
import pytest
from duly_contracts.envelope import Envelope
from duly_contracts.events import decode, event_of
from duly_contracts.ids import named_id
from duly_contracts.keys import debtor_key
from duly_contracts.money import parse_money
from duly_contracts.topics import topics
from duly_runtime.metrics import Metrics
from duly_runtime.migrations import migrate
from duly_testing.clock import FakeClock
from duly_testing.memory_log import MemoryLog
from google.protobuf.timestamp_pb2 import Timestamp
from outreach.application.ports import CallFaulted, GatewayUnavailable, RequestRefused
from outreach.bootstrap import MIGRATIONS, build
from outreach.config import Settings
from psycopg.rows import dict_row

from duly.contact.v1 import events_pb2 as contact
from duly.contact.v1 import types_pb2 as types
from duly.gateway.v1 import contact_service_pb2 as gateway
from duly.ledger.v1 import events_pb2 as ledger
from duly.risk.v1 import events_pb2 as risk

TENANT = "acme"
ZONE = ZoneInfo("Europe/Berlin")
PARTITIONS = 3  # of every topic here: a tick is one transaction per partition
NIGHT, MORNING, NOON = time(0, 0), time(10, 0), time(12, 0)


class FakeGateway:
    """Keeps what it was asked, by key. `down`: does not answer; `refuses`: a status it gives every request.

    `slow`: takes the request and answers too late. `cancel_faults`: the statuses of the next cancellations.
    """

    def __init__(self):
        self.requests = []
        self.cancels = []
        self.down = False
        self.refuses = ""
        self.dies_after_taking = False
        self.slow = False
        self.cancel_faults = iter(())
        self.cancels_tried = 0

    def request_contact(self, request, traceparent=""):
        if self.down:
            raise GatewayUnavailable("UNAVAILABLE")
        if self.refuses:
            raise RequestRefused(self.refuses, "no")
        self.requests.append(request)
        if self.dies_after_taking:
            raise KeyboardInterrupt
        if self.slow:
            raise GatewayUnavailable("DEADLINE_EXCEEDED")
        return gateway.RequestContactResponse(contact_id=request.contact_id, state=gateway.CONTACT_STATE_RESERVED)

    def cancel_contact(self, request, traceparent=""):
        if self.down:
            raise GatewayUnavailable("UNAVAILABLE")
        self.cancels_tried += 1
        fault = next(self.cancel_faults, "")
        if fault:
            raise CallFaulted(fault)
        self.cancels.append(request)
        return gateway.CancelContactResponse(contact_id=request.contact_id, state=gateway.CONTACT_STATE_CANCELLED)

    @property
    def contacts(self):
        """One entry per idempotency key, as the real gateway would have it."""
        return list({request.idempotency_key: request for request in self.requests}.values())


@dataclass
class World:
    log: object
    dsn: str
    settings: Settings
    gateway: FakeGateway = field(default_factory=FakeGateway)
    clock: FakeClock = field(default_factory=FakeClock)
    today: date = date(2026, 5, 29)
    backfill: bool = False
    published: list = field(default_factory=list)
    _seen: int = 0
    _n: int = 0
    service: object = None

    def start(self):
        self.service = build(self.settings, self.clock, Metrics(), self.log, self.gateway)

    def stop(self):
        for close in self.service.closers:
            close()

    def restart(self):
        self.stop()
        self.start()

    @property
    def consumer(self):
        return self.service.loops[0]

    def run(self):
        """Step every loop until none works."""
        for _ in range(1000):
            if sum(loop.step(0) for loop in self.service.loops) == 0:
                return
        raise AssertionError("the loops never come to rest")

    def publish(self, message, debtor="D-1", event_id=None, partition=None, version=None, at=None):
        self._n += 1
        event = event_of(message)
        envelope = Envelope(
            id=event_id or named_id("test", str(self._n)),
            type=event.type,
            source="/tenants/acme/ledgers/test",
            subject=debtor,
            time=at or datetime.combine(self.today, time(9), UTC),
            tenant=TENANT,
            business_date=self.today,
            source_version=version or f"{self._n:016d}",
            backfill=self.backfill,
        )
        record = (
            event.topic,
            debtor_key(TENANT, debtor),
            message.SerializeToString(),
            envelope.to_headers(),
            partition,
        )
        self.published.append(record)
        self.log.producer("test").send(*record)
        return envelope.id

    def send_again(self):
        """Every record ever published, at new offsets."""
        for record in list(self.published):
            self.log.producer("test").send(*record)

    def party(self, debtor="D-1", kind=ledger.PARTY_KIND_BUSINESS, email=True, verified=True, zones=("Europe/Berlin",)):
        point = ledger.ContactPoint(
            contact_point_id=f"{debtor}-email",
            channel=ledger.CONTACT_POINT_CHANNEL_EMAIL,
            address="someone@example.com",
            verified=verified,
        )
        self.publish(
            ledger.PartyUpserted(
                party_id=debtor,
                debtor_id=debtor,
                kind=kind,
                name="Somebody",
                country="DE" if zones else "",
                zones=zones,
                contact_points=[point] if email else [],
            ),
            debtor,
        )

    def invoice(self, invoice_id, amount="240.00", due="2026-06-01", debtor="D-1", currency="EUR"):
        self.publish(
            ledger.InvoiceIssued(
                invoice_id=invoice_id, debtor_id=debtor, due_date=due, total=parse_money(amount, currency).to_proto()
            ),
            debtor,
        )

    def payment(self, payment_id, amount="240.00", debtor="D-1", currency="EUR"):
        money = parse_money(amount, currency).to_proto()
        return self.publish(ledger.PaymentReceived(payment_id=payment_id, debtor_id=debtor, amount=money), debtor)

    def allocation(self, payment_id, invoice_id, amount="240.00", debtor="D-1", currency="EUR"):
        return self.publish(
            ledger.AllocationApplied(
                allocation_id=f"{payment_id}-{invoice_id}",
                source_kind=ledger.ALLOCATION_SOURCE_PAYMENT,
                source_id=payment_id,
                invoice_id=invoice_id,
                debtor_id=debtor,
                amount=parse_money(amount, currency).to_proto(),
            ),
            debtor,
        )

    def pay(self, invoice_id, amount="240.00", debtor="D-1", currency="EUR"):
        self.payment(f"P-{invoice_id}", amount, debtor, currency)
        return self.allocation(f"P-{invoice_id}", invoice_id, amount, debtor, currency)

    def dispute(self, invoice_id, amount="240.00", debtor="D-1"):
        money = parse_money(amount, "EUR").to_proto()
        on = self.today.isoformat()
        return self.publish(
            ledger.InvoiceDisputed(invoice_id=invoice_id, debtor_id=debtor, amount=money, on=on), debtor
        )

    def score(self, band, debtor="D-1", ledger_version=10**6, role=risk.MODEL_ROLE_CHAMPION):
        self.publish(
            risk.RiskScoreUpdated(
                score_id=named_id("score", debtor, str(ledger_version)),
                debtor_id=debtor,
                business_date=self.today.isoformat(),
                ledger_version=ledger_version,
                role=role,
                risk_band=risk.RiskBand.Value(f"RISK_BAND_{band}"),
            ),
            debtor,
        )

    def tick(self, day=None, at=MORNING):
        """One tick of a business date into every partition, and whatever follows from it."""
        self.today = date.fromisoformat(day) if day else self.today
        instant = datetime.combine(self.today, at, ZONE).astimezone(UTC)
        for partition in range(PARTITIONS):
            message = ledger.CalendarBusinessDateAdvanced(business_date=self.today.isoformat(), slices=1)
            message.instant.FromDatetime(instant)
            self.publish(message, "", partition=partition, at=instant)
        self.run()

    def play_day(self, day):
        self.tick(day, NIGHT)
        self.tick(day, MORNING)

    def play_until(self, day, deliver=True):
        """All days up to and including `day`; requested contacts are sent at once."""
        while self.today < date.fromisoformat(day):
            self.play_day((self.today + timedelta(days=1)).isoformat())
            if deliver:
                self.deliver()

    def deliver(self):
        """The gateway sends everything it was asked for and that was not cancelled."""
        cancelled = {request.contact_id for request in self.gateway.cancels}
        for request in self.gateway.contacts:
            if request.contact_id not in self._delivered | cancelled:
                self._delivered.add(request.contact_id)
                self.sent(request)
        self.run()

    _delivered: set = field(default_factory=set)

    def sent(self, request):
        at = Timestamp()
        at.FromDatetime(datetime.combine(self.today, MORNING, ZONE).astimezone(UTC))
        self.publish(
            contact.ContactSent(
                contact_id=request.contact_id,
                attempt_id=f"A-{request.contact_id}",
                debtor_id=request.debtor_id,
                channel=types.CHANNEL_EMAIL,
                sent_at=at,
            ),
            request.debtor_id,
        )

    def all_events(self):
        found = []
        for record in self.log.records("outreach-events"):
            headers = {name: value.decode() for name, value in record.headers}
            found.append((Envelope.from_headers(record.headers), decode(headers["ce_type"], record.value)))
        return found

    def names(self):
        """Short names of the events since the last look, in order (use with one debtor only)."""
        new = self.all_events()[self._seen :]
        self._seen += len(new)
        return [event_of(message).name for _, message in new]

    def last(self, name):
        return [(envelope, message) for envelope, message in self.all_events() if event_of(message).name == name][-1]

    def rows(self, query, *arguments):
        with psycopg.connect(self.dsn, row_factory=dict_row) as connection:
            return connection.execute(query, arguments).fetchall()

    def execute(self, query, *arguments):
        with psycopg.connect(self.dsn) as connection:
            connection.execute(query, arguments)


@pytest.fixture
def make_world(make_database):
    worlds = []

    def make(**settings):
        dsn = make_database()
        migrate(dsn, MIGRATIONS)
        values = {
            "kafka_bootstrap_servers": "none",
            "database_url": dsn,
            "time_mode": "simulated",
            "gateway_token": "test",
            **settings,
        }
        world = World(MemoryLog(dict.fromkeys(topics(), PARTITIONS)), dsn, Settings.model_validate(values))
        world.start()
        worlds.append(world)
        return world

    yield make
    for world in worlds:
        world.stop()


@pytest.fixture
def world(make_world):
    return make_world()
