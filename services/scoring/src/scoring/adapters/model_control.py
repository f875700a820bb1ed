"""Which model version `model-control` names: read to its end, without a group, before anything is processed."""

from __future__ import annotations

from dataclasses import dataclass

from duly_contracts.envelope import Envelope, EnvelopeInvalid
from duly_contracts.events import EventUndecodable, EventUnknown, decode
from duly_runtime.logging import get_logger

from duly.risk.v1 import events_pb2 as risk
from scoring.adapters.kafka_preflight import MODEL_CONTROL, Preflight

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Promotion:
    """artifact_sha256: of the Booster file; empty = not told."""

    version: str
    artifact_sha256: str


def newest_champion(preflight: Preflight) -> Promotion | None:
    """The newest record of role CHAMPION (`tenant|risk|CHAMPION`); None = the registry's alias decides."""
    newest: Promotion | None = None
    for headers, value in preflight.read_compacted(MODEL_CONTROL).values():
        try:
            message = decode(Envelope.from_headers(headers).type, value)
        except (EnvelopeInvalid, EventUnknown, EventUndecodable) as error:
            _log.error("scoring.model_control_unusable", error=str(error))
            continue
        if isinstance(message, risk.RiskModelPromoted | risk.RiskModelRolledBack):
            champion = message.role == risk.MODEL_ROLE_CHAMPION and message.model_name == "risk"
            newest = Promotion(message.model_version, message.artifact_sha256) if champion else newest
    return newest
