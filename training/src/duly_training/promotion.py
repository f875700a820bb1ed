"""`risk.model_promoted`, the one event that moves a stream to another model. The caller writes it."""

from __future__ import annotations

from datetime import date

from duly.risk.v1 import events_pb2 as risk
from duly_training.registry import RegisteredModel


def promotion_of(model: RegisteredModel, effective_date: date, by: str, reason: str) -> risk.RiskModelPromoted:
    """The event that makes `model` the champion from the first tick with business_date >= effective_date."""
    return risk.RiskModelPromoted(
        model_name=model.name,
        model_version=model.version,
        role=risk.MODEL_ROLE_CHAMPION,
        artifact_sha256=model.artifact_sha256,
        schema_sha256=model.schema_sha256,
        golden_sha256=model.golden_sha256,
        effective_date=effective_date.isoformat(),
        run_id=model.run_id,
        by=by,
        reason=reason,
    )


def control_key(tenant: str, model_name: str, role: str = "CHAMPION") -> bytes:
    """Key of `model-control`: the topic is compacted, so one record per tenant, model and role stays."""
    return f"{tenant}|{model_name}|{role}".encode()
