"""What scoring says of a debtor. A new band changes nothing at once: the next tick plans by it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date

from duly.risk.v1 import events_pb2 as pb
from outreach.application.ports import Received, Unit
from outreach.domain.debtor import Score

# SHADOW is for evaluation only; a CHALLENGER drives treatments once an experiment assigns debtors to it.
_DRIVING_ROLES = (pb.MODEL_ROLE_CHAMPION, pb.MODEL_ROLE_FALLBACK)


def on_score_updated(event: Received, unit: Unit) -> None:
    """Keep the latest score; one that was made from an older ledger than the stored one is late and ignored."""
    message = event.message
    assert isinstance(message, pb.RiskScoreUpdated)
    if message.role not in _DRIVING_ROLES:
        return
    debtor = unit.ledger.lock_debtor(event.tenant, event.debtor_id)
    if debtor.score is not None and message.ledger_version < debtor.score.ledger_version:
        return
    band = pb.RiskBand.Name(message.risk_band).removeprefix("RISK_BAND_")
    score = Score(
        score_id=message.score_id,
        business_date=date.fromisoformat(message.business_date),
        role=pb.ModelRole.Name(message.role).removeprefix("MODEL_ROLE_"),
        band=band,
        ledger_version=message.ledger_version,
        reasons=_reasons(message, debtor.score, band),
    )
    unit.ledger.save_debtor(replace(debtor, score=score))


def _reasons(message: pb.RiskScoreUpdated, before: Score | None, band: str) -> tuple[str, ...]:
    """Reasons come only when the band changes; until then those of that change still explain it."""
    stated = tuple(reason.text for reason in message.reasons if reason.text)
    if stated:
        return stated
    return before.reasons if before is not None and before.band == band else ()


def on_debtor_degraded(event: Received, unit: Unit) -> None:
    debtor = unit.ledger.lock_debtor(event.tenant, event.debtor_id)
    unit.ledger.save_debtor(replace(debtor, degraded=True))


def on_debtor_restored(event: Received, unit: Unit) -> None:
    debtor = unit.ledger.lock_debtor(event.tenant, event.debtor_id)
    unit.ledger.save_debtor(replace(debtor, degraded=False))
