"""One trace leads from a delivery to the contact it causes, across every topic and the call to the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

import pytest
from duly_contracts.envelope import Envelope
from duly_runtime.tracing import configure_tracing, span
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from world import CONTACT_HOUR, OPENING, World

pytestmark = pytest.mark.postgres


@pytest.fixture(scope="module")
def exporter() -> Iterator[InMemorySpanExporter]:
    """Spans of this process; the provider of OpenTelemetry can be set once only."""
    kept = InMemorySpanExporter()
    configure_tracing("test", "", SimpleSpanProcessor(kept))
    yield kept
    provider = trace.get_tracer_provider()
    getattr(provider, "shutdown", lambda: None)()


def trace_ids(world: World, topic: str, name: str) -> set[str]:
    envelopes = [Envelope.from_headers(record.headers) for record in world.log.in_order(topic)]
    return {envelope.traceparent.split("-")[1] for envelope in envelopes if envelope.type == f"duly.{name}.v1"}


def test_a_fact_and_the_score_it_causes_share_a_trace(world: World, exporter: InMemorySpanExporter) -> None:
    world.tick(date(2031, 3, 3), OPENING)
    with span("erp"):
        world.party()
    (fact,) = trace_ids(world, "ledger-events", "party.upserted")
    assert trace_ids(world, "risk-scores", "risk.score_updated") == {fact}


def test_a_contact_shares_the_trace_of_its_plan_across_the_call(world: World, exporter: InMemorySpanExporter) -> None:
    world.tick(date(2031, 3, 3), OPENING)
    world.party()
    world.invoice("INV-1", "240.00 EUR", due="2031-02-25")
    with span("calendar"):
        world.tick(date(2031, 3, 3), CONTACT_HOUR)
    planned = trace_ids(world, "outreach-events", "contact.planned")
    assert len(planned) == 1
    assert trace_ids(world, "contact-events", "contact.sent") == planned
    spans = {finished.name for finished in exporter.get_finished_spans()}
    assert {"duly.invoice.issued.v1", "duly.contact.sent.v1", "duly.risk.score_updated.v1"} <= spans
