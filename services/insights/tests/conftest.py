"""insights on real PostgreSQL with the log in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

import pytest
from duly_contracts.envelope import Envelope
from duly_contracts.events import encode, event_of
from duly_contracts.ids import fact_id
from duly_contracts.keys import debtor_key
from duly_runtime.metrics import Metrics
from duly_runtime.migrations import migrate
from duly_testing.clock import FakeClock
from duly_testing.memory_log import MemoryLog
from google.protobuf.message import Message
from insights.bootstrap import MIGRATIONS, Insights, compose
from insights.config import Settings

from duly.insights.v1 import debtor_query_service_pb2 as pb
from duly.insights.v1 import views_pb2 as views
from duly.money.v1.money_pb2 import Money


def usd(minor: int) -> Money:
    return Money(amount_minor=minor, currency="USD")


@dataclass
class World:
    log: MemoryLog
    insights: Insights
    count: int = 0

    def publish(self, debtor: str, message: Message, day: str = "2031-03-04", tenant: str = "acme", **more: Any) -> str:
        event = event_of(message)
        self.count += 1
        version = more.pop("version", f"{self.count:08d}")
        envelope = Envelope(
            id=fact_id(tenant, "test", event.name, debtor, str(self.count), event.name),
            type=event.type,
            source=f"/tenants/{tenant}/test",
            subject=debtor,
            time=datetime(2031, 3, 4, 12, tzinfo=UTC),
            tenant=tenant,
            business_date=date.fromisoformat(day) if day else None,
            source_version=version,
            **more,
        )
        self.log.producer("test").send(
            event.topic, debtor_key(tenant, debtor), encode(message), envelope.to_headers(), None
        )
        return envelope.id

    def settle(self) -> None:
        while sum(loop.step(0) for loop in self.insights.loops):
            pass

    def view(self, debtor: str = "D-1", tenant: str = "acme") -> views.DebtorView:
        self.settle()
        return self.insights.queries.query_debtor(pb.QueryDebtorRequest(tenant_id=tenant, debtor_id=debtor)).debtor

    def story(self, debtor: str = "D-1", tenant: str = "acme") -> list[views.TimelineEntry]:
        self.settle()
        request = pb.QueryTimelineRequest(tenant_id=tenant, debtor_id=debtor)
        return list(self.insights.queries.query_timeline(request).entries)


@pytest.fixture
def world(pg_dsn: str, fake_clock: FakeClock, memory_log: MemoryLog) -> Iterator[World]:
    migrate(pg_dsn, MIGRATIONS)
    settings = Settings(kafka_bootstrap_servers="unused", database_url=pg_dsn, jwks_file="unused")
    insights = compose(settings, fake_clock, Metrics(), memory_log)
    yield World(memory_log, insights)
    for close in (*(loop.close for loop in insights.loops), *insights.closers):
        close()
