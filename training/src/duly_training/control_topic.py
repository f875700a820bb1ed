"""`model-control` and the end of `ledger-events`, as promotion commands read and write them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from duly_contracts.envelope import Envelope
from duly_contracts.events import encode
from duly_contracts.model_control import MODEL_CONTROL, Promotion, promotion_of
from duly_runtime.kafka_log import KafkaLog

from duly.risk.v1 import events_pb2 as risk
from duly_training.ledger_records import is_of, read_record
from duly_training.promotion import ControlEvent, control_envelope, control_key
from duly_training.topic_reader import TopicReader

LEDGER = "ledger-events"
_SEND_SECONDS = 30.0
# So many records of a partition are looked through for a date of the tenant, then twice as many before them, and so on.
_TAIL_RECORDS = 50


class ControlTopic:
    """One Kafka cluster. Raises KafkaError, and SendFailed where it writes."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._bootstrap = bootstrap_servers

    def history(self, tenant: str, role: str) -> list[Promotion]:
        """Every record of a tenant and role that workers act on, in order."""
        with TopicReader(self._bootstrap) as reader:
            found = [_promotion(raw) for raw in reader.records(MODEL_CONTROL)]
        return [one for one in found if one and (one.tenant, one.role) == (tenant, role)]

    def publish(self, message: ControlEvent, tenant: str, before: Promotion | None, now: datetime) -> Envelope:
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

    def newest_business_date(self, tenant: str) -> date | None:
        """The newest date of the tenant's usable records; None: it has none, which only reading all of it can tell."""
        with TopicReader(self._bootstrap) as reader:
            spans = reader.spans(LEDGER)
            newest = [_newest(reader, partition, tenant, *span) for partition, span in spans.items()]
        return max((day for day in newest if day), default=None)


def _newest(reader: TopicReader, partition: int, tenant: str, begin: int, end: int) -> date | None:
    """Dates of a tenant rise within a partition, and every tick lies in each: the last few say it."""
    count = _TAIL_RECORDS
    while begin < end:
        start = max(begin, end - count)
        dates = (_date_of(raw, tenant) for raw in reader.between(LEDGER, partition, start, end))
        if newest := max((day for day in dates if day), default=None):
            return newest
        end, count = start, 2 * count
    return None


def _promotion(raw: Any) -> Promotion | None:
    """None also for what is no event or cannot be acted on: workers skip it, and say so in their log."""
    try:
        return promotion_of(raw.key or b"", raw.headers or (), raw.value)
    except ValueError:
        return None


def _date_of(raw: Any, tenant: str) -> date | None:
    """None also for a dead letter: no score has the date that it carries."""
    if not is_of(raw, tenant):
        return None
    try:
        return read_record(raw)[0].business_date
    except ValueError:
        return None
