"""What moves a stream to another model: the events of `model-control`, and which of them a command has to write.

Pure. A command reads the topic first, and writes only what is not there yet, under an id that follows from the record
before it: repeated after a crash it changes nothing, or the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta

from duly_contracts.envelope import Envelope
from duly_contracts.events import event_of
from duly_contracts.ids import named_id
from duly_contracts.model_control import AT_ONCE, CHAMPION, MODEL_NAME, Promotion, Roster
from duly_risk.days import day_of

from duly.risk.v1 import events_pb2 as risk
from duly_training.registry import RegisteredModel

ControlEvent = risk.RiskModelPromoted | risk.RiskModelRolledBack


class NothingToRollBackTo(ValueError):
    """No version was in force before the one that is."""

    code = "nothing_to_roll_back_to"


class DateHasBegun(ValueError):
    """Scores of that business date exist: with another model a replay would give others."""

    code = "date_has_begun"


def promotion_event(
    model: RegisteredModel, effective: date | None, by: str, reason: str, role: str = CHAMPION
) -> risk.RiskModelPromoted:
    """`model` scores (CHAMPION) or is scored beside (SHADOW) every business date >= effective; None: every date."""
    return risk.RiskModelPromoted(
        model_name=model.name,
        model_version=model.version,
        role=risk.ModelRole.Value(f"MODEL_ROLE_{role}"),
        artifact_sha256=model.artifact_sha256,
        schema_sha256=model.schema_sha256,
        golden_sha256=model.golden_sha256,
        effective_date=effective.isoformat() if effective else "",
        run_id=model.run_id,
        by=by,
        reason=reason,
    )


def rollback_event(
    model: RegisteredModel | None, by: str, reason: str, role: str = CHAMPION
) -> risk.RiskModelRolledBack:
    """`model` at once and on every date. None: no model, so the rules score, or nobody beside the champion."""
    return risk.RiskModelRolledBack(
        model_name=MODEL_NAME,
        model_version=model.version if model else "",
        role=risk.ModelRole.Value(f"MODEL_ROLE_{role}"),
        artifact_sha256=model.artifact_sha256 if model else "",
        schema_sha256=model.schema_sha256 if model else "",
        golden_sha256=model.golden_sha256 if model else "",
        run_id=model.run_id if model else "",
        by=by,
        reason=reason,
    )


def control_key(tenant: str, model_name: str, role: str = CHAMPION) -> bytes:
    """Key of `model-control`."""
    return f"{tenant}|{model_name}|{role}".encode()


def control_envelope(message: ControlEvent, tenant: str, before: Promotion | None, now: datetime) -> Envelope:
    """The event's envelope. before: the newest record of that tenant and role, which its id follows from."""
    effective = message.effective_date if isinstance(message, risk.RiskModelPromoted) else ""
    role = risk.ModelRole.Name(message.role)
    parts = (tenant, role, before.event_id if before else "", message.model_version, effective)
    return Envelope(
        id=named_id("model-control", *parts),
        type=event_of(message).type,
        source=f"/tenants/{tenant}/services/training",
        subject=message.model_name,
        time=now,
        tenant=tenant,
    )


def effective_date(wanted: date | None, newest: date | None) -> date | None:
    """The first business date of a promotion. newest: the newest one in the log, None = nothing was played yet.

    Not told: the day after the newest; at once while there is none. Raises DateHasBegun.
    """
    if wanted is None:
        return newest + timedelta(days=1) if newest else None
    if newest is not None and wanted <= newest:
        raise DateHasBegun(f"{wanted} has begun (the log is at {newest}): the earliest date is {newest + timedelta(1)}")
    return wanted


def model_of(promotion: Promotion) -> RegisteredModel | None:
    """The version that a record names; None where it names none."""
    hashes = (promotion.artifact_sha256, promotion.schema_sha256, promotion.golden_sha256)
    return RegisteredModel(MODEL_NAME, promotion.version, *hashes, promotion.run_id) if promotion.has_model else None


def is_promoted(newest: Promotion | None, model: RegisteredModel, wanted: date | None) -> bool:
    """Whether the stream has been told already; wanted None: any date will do."""
    return newest is not None and model_of(newest) == model and wanted in (None, newest.effective)


def record_before(history: Sequence[Promotion], reached: date | None) -> Promotion:
    """What a roll-back without a version goes back to. history: of one tenant and role, in order. reached: the newest
    business date in the log, None = nothing was played yet.

    What roll-backs took away is skipped, as workers skip it. Raises NothingToRollBackTo.
    """
    day = day_of(reached) if reached else AT_ONCE - 1
    before = Roster.of(history).before_newest(history[-1].tenant, history[-1].role, day)
    if before is None:
        raise NothingToRollBackTo("no other version was in force before: `--to rules` lets the rules score")
    return before


def in_force_around(
    history: Sequence[Promotion], effective: date | None
) -> tuple[RegisteredModel | None, RegisteredModel | None]:
    """What is in force on the day before a promotion's date, and on that date where the promotion is not; None = no
    model. history: the records of its tenant and role before it, in order."""
    if not history:
        return None, None
    roster, day = Roster.of(history), day_of(effective) if effective else AT_ONCE
    tenant, role = history[-1].tenant, history[-1].role
    until, instead = (next(roster.in_force(tenant, role, on), None) for on in (day - 1, day))
    return (model_of(until) if until else None), (model_of(instead) if instead else None)
