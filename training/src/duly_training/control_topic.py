"""`model-control` and the end of `ledger-events`, as promotion commands read and write them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from duly_contracts.envelope import Envelope, EnvelopeInvalid
from duly_contracts.events import decode, encode
from duly_runtime.kafka_log import KafkaLog

from duly.risk.v1 import events_pb2 as risk
from duly_training.promotion import ControlEvent, Controlled, control_envelope, control_key
from duly_training.registry import MODEL_NAME, RegisteredModel
from duly_training.topic_reader import TopicReader

MODEL_CONTROL = "model-control"
LEDGER = "ledger-events"
_SEND_SECONDS = 30.0
# Per partition: a tick of the newest date, or a fact that came after it, is among them.
_TAIL_RECORDS = 50


class ControlTopic:
    """One Kafka cluster. Raises KafkaError, and SendFailed where it writes."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap = bootstrap_servers

    def history(self, tenant: str, role: str) -> list[Controlled]:
        """Every record of a tenant and role, in order."""
        with TopicReader(self._bootstrap) as reader:
            found = [_controlled(raw) for raw in reader.records(MODEL_CONTROL, lambda begin, end: begin)]
        return [one for one in found if one and (one.tenant, one.role) == (tenant, role)]

    def publish(self, message: ControlEvent, tenant: str, before: Controlled | None, now: datetime) -> Envelope:
        """Write one record and wait until all in-sync replicas have it."""
        envelope = control_envelope(message, tenant, before, now)
        role = risk.ModelRole.Name(message.role).removeprefix("MODEL_ROLE_")
        producer = KafkaLog(self._bootstrap).producer("duly-promotion")
        try:
            key = control_key(tenant, message.model_name, role)
            producer.send(MODEL_CONTROL, key, encode(message), envelope.to_headers()).result(_SEND_SECONDS)
        finally:
            producer.close()
        return envelope

    def newest_business_date(self) -> date | None:
        """The newest date, of whatever tenant, that records at the end of the log carry; None: it is empty."""
        with TopicReader(self._bootstrap) as reader:
            tail = reader.records(LEDGER, lambda begin, end: max(begin, end - _TAIL_RECORDS))
            return max((found for raw in tail if (found := _date_of(raw))), default=None)


def _controlled(raw: Any) -> Controlled | None:
    """None for a tombstone, another model, or a record that is no event: whoever wrote it, workers skip it too."""
    try:
        envelope = Envelope.from_headers(raw.headers or ())
        message = decode(envelope.type, raw.value or b"")
    except ValueError:
        return None
    if not isinstance(message, risk.RiskModelPromoted | risk.RiskModelRolledBack) or message.model_name != MODEL_NAME:
        return None
    is_rollback = isinstance(message, risk.RiskModelRolledBack)
    effective = "" if isinstance(message, risk.RiskModelRolledBack) else message.effective_date
    hashes = (message.artifact_sha256, message.schema_sha256, message.golden_sha256)
    return Controlled(
        event_id=envelope.id,
        tenant=envelope.tenant,
        role=risk.ModelRole.Name(message.role).removeprefix("MODEL_ROLE_"),
        model=RegisteredModel(message.model_name, message.model_version, *hashes, message.run_id),
        is_rollback=is_rollback,
        effective=date.fromisoformat(effective) if effective else None,
        at=envelope.time,
        by=message.by,
        reason=message.reason,
    )


def _date_of(raw: Any) -> date | None:
    try:
        return Envelope.from_headers(raw.headers or ()).business_date
    except EnvelopeInvalid:
        return None
