"""Builders of CloudEvents and a composed service, as fixtures."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

import pytest
from duly_contracts.envelope import Envelope
from duly_contracts.events import decode
from duly_runtime.auth import Principal
from duly_runtime.metrics import Metrics
from duly_runtime.migrations import migrate
from duly_testing.clock import FakeClock
from duly_testing.memory_log import MemoryLog
from google.protobuf.message import Message
from ledger_sync.application.receive_delivery import Receipt
from ledger_sync.bootstrap import MIGRATIONS, LedgerSync, compose
from ledger_sync.config import Settings
from ledger_sync.domain.calendar import Tick

TENANT = "demo"
BATCH = {"content-type": "application/cloudevents-batch+json"}
SINGLE = {"content-type": "application/cloudevents+json"}


@dataclass
class Events:
    """Builds CloudEvents. Versions count up unless given."""

    source: str = f"/tenants/{TENANT}/ledgers/erp"
    _number: int = 0

    def event(self, name: str, data: dict[str, Any], debtor: str = "D-1", **attributes: Any) -> dict[str, Any]:
        self._number += 1
        return {
            "specversion": "1.0",
            "id": f"e-{self._number}",
            "source": self.source,
            "type": f"duly.{name}.v1",
            "subject": debtor,
            "time": "2031-03-01T12:00:00Z",
            "sourceversion": str(self._number),
            "data": {"debtorId": debtor, **data},
            **attributes,
        }

    def party(self, debtor: str = "D-1", **extra: Any) -> dict[str, Any]:
        return self.event("party.upserted", {"partyId": debtor, "kind": "PARTY_KIND_BUSINESS", **extra}, debtor)

    def invoice(self, invoice: str = "I-1", minor: int = 24000, debtor: str = "D-1", **more: Any) -> dict[str, Any]:
        data = {"invoiceId": invoice, "number": invoice, "issueDate": "2031-02-01", "dueDate": "2031-03-01"}
        return self.event("invoice.issued", {**data, "total": money(minor)}, debtor, **more)

    def payment(self, payment: str = "P-1", minor: int = 24000, debtor: str = "D-1", **more: Any) -> dict[str, Any]:
        data = {"paymentId": payment, "amount": money(minor), "bookingDate": "2031-03-02"}
        return self.event("payment.received", data, debtor, **more)

    def allocation(
        self, allocation: str = "A-1", minor: int = 24000, payment: str = "P-1", invoice: str = "I-1",
        debtor: str = "D-1", **more: Any,
    ) -> dict[str, Any]:  # fmt: skip
        data = {
            "allocationId": allocation, "sourceKind": "ALLOCATION_SOURCE_PAYMENT", "sourceId": payment,
            "invoiceId": invoice, "amount": money(minor), "on": "2031-03-02",
        }  # fmt: skip
        return self.event("allocation.applied", data, debtor, **more)

    def removal(self, allocation: str = "A-1", invoice: str = "I-1", debtor: str = "D-1") -> dict[str, Any]:
        data = {"allocationId": allocation, "invoiceId": invoice, "on": "2031-03-04"}
        return self.event("allocation.removed", data, debtor)


def money(minor: int, currency: str = "EUR") -> dict[str, Any]:
    return {"amountMinor": str(minor), "currency": currency}


@dataclass
class World:
    """The composed service on an in-memory log and a real database."""

    parts: LedgerSync
    log: MemoryLog
    clock: FakeClock
    principal: Principal = field(default_factory=lambda: Principal("erp", TENANT, frozenset({"ledger:write"})))

    def send(self, *events: dict[str, Any], **headers: str) -> Receipt:
        return self.parts.ingress.deliver(json.dumps(events).encode(), {**BATCH, **headers}, self.principal)

    def tick(self, day: str, instant: str = "", backfill: bool = False) -> bool:
        when = datetime.fromisoformat(instant) if instant else datetime.fromisoformat(day).replace(tzinfo=UTC)
        tick = Tick(date.fromisoformat(day), when)
        return self.parts.calendar.tick(self.principal, TENANT, tick, backfill).moved

    def settle(self) -> None:
        while any([loop.step(0) for loop in self.parts.service.loops]):  # noqa: C419  # every loop must get its step
            pass

    def emitted(self) -> list[tuple[Envelope, Message]]:
        """What `ledger-events` holds, partition by partition."""
        records = self.log.records("ledger-events")
        pairs = [(Envelope.from_headers(record.headers), record.value) for record in records]
        return [(envelope, decode(envelope.type, value)) for envelope, value in pairs]

    def names(self) -> list[str]:
        """Short names of the emitted events without ticks."""
        types = [envelope.type.removeprefix("duly.").removesuffix(".v1") for envelope, _ in self.emitted()]
        return [name for name in types if not name.startswith("calendar.")]

    def rows(self, query: str) -> list[dict[str, Any]]:
        with self.parts.database.reading() as connection:
            return connection.execute(query).fetchall()


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
def settings(pg_dsn: str) -> Settings:
    return Settings.model_validate(
        {"kafka_bootstrap_servers": "none:1", "database_url": pg_dsn, "time_mode": "simulated", "jwks_file": "none"}
    )


@pytest.fixture
def make_world(settings: Settings) -> Iterator[Callable[[], World]]:
    """Composes the service; a second call is a restart on the same log and database."""
    migrate(settings.database_url.get_secret_value(), MIGRATIONS)
    log, clock, worlds = MemoryLog(), FakeClock(), []

    def make() -> World:
        worlds.append(World(compose(settings, clock, Metrics(), log), log, clock))
        return worlds[-1]

    yield make
    for world in worlds:
        for close in world.parts.service.closers:
            close()


@pytest.fixture
def world(make_world: Callable[[], World]) -> World:
    return make_world()
