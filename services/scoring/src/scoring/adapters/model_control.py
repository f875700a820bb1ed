"""`model-control`, read by every worker from its beginning and without a group: each must know all of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date

import kafka
from duly_contracts.envelope import Envelope, EnvelopeInvalid
from duly_contracts.events import EventUndecodable, EventUnknown, decode
from duly_risk.days import day_of
from duly_risk.model import Role
from duly_runtime.logging import get_logger

from duly.risk.v1 import events_pb2 as risk
from scoring.adapters.kafka_preflight import NotReadyToStart
from scoring.domain.roster import AT_ONCE, Promotion

_log = get_logger(__name__)
MODEL_CONTROL = "model-control"
MODEL_NAME = "risk"
_RECORDS_MAX = 200
_VERSION, _SHA256 = re.compile("[0-9]{1,18}"), re.compile("[0-9a-f]{64}")
_ROLES = {risk.MODEL_ROLE_CHAMPION: Role.CHAMPION, risk.MODEL_ROLE_SHADOW: Role.SHADOW}


class PromotionUnusable(ValueError):
    """A record that names no version, hash, role or date to act on."""

    code = "promotion_unusable"


class ControlReader:
    """Its own client. Nobody else's reads, commits or rebalances touch it. One thread uses it at a time.

    The topic may be absent, then it is empty until somebody makes it. It has one partition, that of `next_offset`.
    """

    def __init__(self, bootstrap_servers: str) -> None:
        self._reader = kafka.KafkaConsumer(
            bootstrap_servers=bootstrap_servers.split(","),
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            allow_auto_create_topics=False,
        )
        self.next_offset = 0

    def read_to_end(self) -> list[Promotion]:
        """Everything that is there now. Raises KafkaError, NotReadyToStart for a topic of several partitions."""
        found: list[Promotion] = []
        if self._assigned():
            ends = self._reader.end_offsets(self._reader.assignment())
            while any(self._reader.position(tp) < end for tp, end in ends.items()):
                found += self.poll(0.5)
        return found

    def poll(self, wait_seconds: float) -> list[Promotion]:
        """What came, in order; waits at most that long. A record nobody can use is logged and skipped.

        Raises KafkaError, NotReadyToStart.
        """
        if not self._assigned():
            return []
        found: list[Promotion] = []
        for records in self._reader.poll(timeout_ms=int(wait_seconds * 1000), max_records=_RECORDS_MAX).values():
            for record in records:
                self.next_offset = record.offset + 1
                try:
                    promotion = promotion_of(record.headers or (), record.value)
                except (EnvelopeInvalid, EventUnknown, EventUndecodable, PromotionUnusable) as error:
                    _log.error("scoring.model_control_unusable", offset=record.offset, error=str(error))
                else:
                    found += [promotion] if promotion else []
        return found

    def close(self) -> None:
        self._reader.close()

    def _assigned(self) -> bool:
        if not self._reader.assignment():
            partitions = self._reader.partitions_for_topic(MODEL_CONTROL)
            if not partitions:
                return False
            if len(partitions) > 1:
                raise NotReadyToStart(
                    f"{MODEL_CONTROL} has {len(partitions)} partitions: the order of its records decides which model "
                    "serves, so it must have one. Make it anew with one partition and promote again"
                )
            self._reader.assign([kafka.TopicPartition(MODEL_CONTROL, partition) for partition in partitions])
            self._reader.seek_to_beginning()
        return True


def promotion_of(headers: Sequence[tuple[str, bytes]], value: bytes | None) -> Promotion | None:
    """A record as a promotion; None for another model, role or event, and for a tombstone.

    Raises EnvelopeInvalid, EventUnknown, EventUndecodable, PromotionUnusable.
    """
    if value is None:
        return None
    envelope = Envelope.from_headers(headers)
    message = decode(envelope.type, value)
    if not isinstance(message, risk.RiskModelPromoted | risk.RiskModelRolledBack):
        return None
    if message.model_name != MODEL_NAME or message.role not in _ROLES:
        return None
    is_rollback = isinstance(message, risk.RiskModelRolledBack)
    effective = "" if isinstance(message, risk.RiskModelRolledBack) else message.effective_date
    hashes = (message.artifact_sha256, message.schema_sha256, message.golden_sha256)
    if message.model_version or not is_rollback:
        if not _VERSION.fullmatch(message.model_version):  # it becomes the name of a folder
            raise PromotionUnusable(f"{message.model_version!r} is no version of the registry")
        if not all(map(_SHA256.fullmatch, hashes)):
            raise PromotionUnusable(f"version {message.model_version!r} without the hashes of its files")
    return Promotion(
        event_id=envelope.id,
        tenant=envelope.tenant,
        role=_ROLES[message.role],
        version=message.model_version,
        artifact_sha256=message.artifact_sha256,
        schema_sha256=message.schema_sha256,
        golden_sha256=message.golden_sha256,
        effective_day=_day_of(effective),
        is_rollback=is_rollback,
        promoted_at=envelope.time,
    )


def _day_of(text: str) -> int:
    try:
        return day_of(date.fromisoformat(text)) if text else AT_ONCE
    except ValueError as error:
        raise PromotionUnusable(f"effective_date {text!r} is no date") from error
