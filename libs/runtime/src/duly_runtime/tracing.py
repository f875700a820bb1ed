"""Traces: W3C context in Kafka headers, outbox rows and gRPC metadata. It travels even without a collector."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_PROPAGATOR = TraceContextTextMapPropagator()


def configure_tracing(service: str, otlp_endpoint: str, processor: SpanProcessor | None = None) -> None:
    """Send spans to a collector, or to `processor` in tests; with neither, spans cost nothing and go nowhere."""
    if not otlp_endpoint and processor is None:
        return
    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    if processor is None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        processor = BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{otlp_endpoint}/v1/traces"))
    provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)


@contextmanager
def consumer_span(name: str, traceparent: str, event_id: str) -> Iterator[None]:
    """A span for handling one event, child of the span that sent it."""
    parent = _PROPAGATOR.extract({"traceparent": traceparent}) if traceparent else None
    tracer = trace.get_tracer("duly")
    with tracer.start_as_current_span(
        name, context=parent, kind=trace.SpanKind.CONSUMER, attributes={"cloudevents.event_id": event_id}
    ):
        yield


@contextmanager
def span(name: str, **attributes: str) -> Iterator[None]:
    """A span inside the current one."""
    with trace.get_tracer("duly").start_as_current_span(name, attributes=attributes):
        yield


def current_traceparent() -> str:
    """The W3C `traceparent` of the current span; empty outside one."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent", "")
