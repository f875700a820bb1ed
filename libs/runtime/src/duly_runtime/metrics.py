"""The typed catalogue of metrics. Labels are bounded; never a debtor, contact or invoice id.

A `Metrics` object belongs to one service process; nothing is registered at import.
"""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_BLOB_BYTES = (1 << 10, 1 << 12, 1 << 14, 1 << 16, 1 << 18, 1 << 19)  # up to the largest that scoring writes


@dataclass(frozen=True, slots=True)
class MetricSpec:
    """One metric: its kind (`counter`, `gauge`, `histogram`), name, help and bounded labels; of a histogram the upper
    bounds of its buckets."""

    kind: str
    name: str
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = _SECONDS


STREAM_EVENTS = MetricSpec("counter", "duly_stream_events_total", "Records by outcome", ("topic", "outcome"))
STREAM_BATCH = MetricSpec("histogram", "duly_stream_batch_seconds", "One batch from poll to commit", ("topic",))
DLQ_RECORDS = MetricSpec("counter", "duly_dlq_records_total", "Records put aside", ("topic", "reason"))
OUTBOX_UNSENT = MetricSpec("gauge", "duly_outbox_unsent_rows", "Unsent rows of the shard at hand")
INBOX_DUPLICATES = MetricSpec("counter", "duly_inbox_duplicates_total", "Events seen before", ("topic",))
LOOP_STEPS = MetricSpec("counter", "duly_loop_steps_total", "Steps of a process loop", ("loop", "outcome"))
INGRESS_DELIVERIES = MetricSpec("counter", "duly_ingress_deliveries_total", "Deliveries by answer", ("answer",))
INGRESS_SECONDS = MetricSpec("histogram", "duly_ingress_answer_seconds", "Delivery received to answered")
QUARANTINE_EVENTS = MetricSpec("counter", "duly_quarantine_events_total", "Facts put aside", ("reason",))
STATE_DEBTORS = MetricSpec("gauge", "duly_state_debtors", "Debtors in the state store")
STATE_BLOB_BYTES = MetricSpec(
    "histogram", "duly_state_blob_bytes", "Size of the largest state blob that a batch wrote", buckets=_BLOB_BYTES
)
MODEL_INFO = MetricSpec("gauge", "duly_model_info", "1 for the model that serves", ("version", "role"))
MODEL_SWAPS = MetricSpec(
    "counter", "duly_model_swaps_total", "Promotions by outcome: ready, refused, unreachable", ("role", "outcome")
)
MODEL_PROMOTION = MetricSpec(
    "gauge",
    "duly_model_promotion",
    "1 for the state of the newest promotion: ready, refused, unreachable",
    ("tenant", "role", "state"),
)
MODEL_PROMOTED = MetricSpec(
    "gauge", "duly_model_promoted_timestamp_seconds", "When the newest usable promotion was made", ("tenant", "role")
)
SHADOW_FAILURES = MetricSpec("counter", "duly_shadow_failures_total", "Scores a challenger could not give")
TREATMENTS = MetricSpec("counter", "duly_outreach_treatments_total", "Treatments decided", ("action",))
GATE_DECISIONS = MetricSpec("counter", "duly_gate_decisions_total", "Gate answers", ("phase", "answer"))
GATEWAY_CONTACTS = MetricSpec("counter", "duly_gateway_contacts_total", "Contacts by final state", ("state",))
GATEWAY_ATTEMPTS = MetricSpec(
    "counter", "duly_gateway_attempts_total", "Hand-overs to a provider", ("channel", "provider", "outcome")
)
GATEWAY_UNKNOWN = MetricSpec("gauge", "duly_gateway_unknown_attempts", "Attempts whose outcome is not known")
RPC_SECONDS = MetricSpec("histogram", "duly_rpc_seconds", "One call answered", ("method", "code"))
PROJECTED_EVENTS = MetricSpec("counter", "duly_insights_projected_events_total", "Events projected", ("topic",))
MONITOR_RUN = MetricSpec(
    "gauge", "duly_monitor_run_timestamp_seconds", "When `duly monitor` last looked", ("tenant", "version")
)
MONITOR_LEVEL = MetricSpec("gauge", "duly_monitor_level", "0 fine, 1 warning, 2 alarm", ("tenant", "topic"))
MONITOR_PAYMENTS = MetricSpec(
    "gauge", "duly_monitor_payments_ratio", "Observed / expected payments of 28 days", ("tenant", "segment")
)
MONITOR_CUSUM = MetricSpec(
    "gauge", "duly_monitor_payments_cusum", "Cumulative sum, alarm at 5", ("tenant", "segment", "direction")
)
MONITOR_DRIFT = MetricSpec("gauge", "duly_monitor_psi", "Population stability index", ("tenant", "quantity"))
MONITOR_MISSING = MetricSpec("gauge", "duly_monitor_missing_ratio", "Missing values, 0..1", ("tenant", "quantity"))
MONITOR_ECE = MetricSpec("gauge", "duly_monitor_ece", "Calibration error on ripe labels", ("tenant", "k"))
MONITOR_SLOPE = MetricSpec("gauge", "duly_monitor_slope", "Calibration slope on ripe labels", ("tenant", "k"))
MONITOR_RIPE = MetricSpec("gauge", "duly_monitor_ripe_ratio", "Invoices whose label can be known", ("tenant", "k"))
MONITOR_AGREEMENT = MetricSpec(
    "gauge", "duly_monitor_rank_agreement", "Rank correlation of champion and challenger", ("tenant",)
)

CATALOGUE: tuple[MetricSpec, ...] = tuple(value for value in list(globals().values()) if isinstance(value, MetricSpec))


class Metrics:
    """The metrics of one process, made on first use in its own registry."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry or CollectorRegistry()
        self._made: dict[str, Counter | Gauge | Histogram] = {}

    def count(self, spec: MetricSpec, amount: float = 1, **labels: str) -> None:
        metric = self._metric(spec)
        assert isinstance(metric, Counter)
        (metric.labels(**labels) if spec.labels else metric).inc(amount)

    def set(self, spec: MetricSpec, value: float, **labels: str) -> None:
        metric = self._metric(spec)
        assert isinstance(metric, Gauge)
        (metric.labels(**labels) if spec.labels else metric).set(value)

    def forget(self, spec: MetricSpec, **labels: str) -> None:
        """These labels have no value any more. labels: all of the metric's."""
        metric = self._metric(spec)
        assert isinstance(metric, Gauge)
        metric.remove(*(labels[name] for name in spec.labels))

    def observe(self, spec: MetricSpec, value: float, **labels: str) -> None:
        metric = self._metric(spec)
        assert isinstance(metric, Histogram)
        (metric.labels(**labels) if spec.labels else metric).observe(value)

    def _metric(self, spec: MetricSpec) -> Counter | Gauge | Histogram:
        if spec.name not in self._made:
            self._made[spec.name] = self._make(spec)
        return self._made[spec.name]

    def _make(self, spec: MetricSpec) -> Counter | Gauge | Histogram:
        match spec.kind:
            case "counter":
                return Counter(spec.name, spec.help, spec.labels, registry=self.registry)
            case "gauge":
                return Gauge(spec.name, spec.help, spec.labels, registry=self.registry)
            case _:
                return Histogram(spec.name, spec.help, spec.labels, registry=self.registry, buckets=spec.buckets)
