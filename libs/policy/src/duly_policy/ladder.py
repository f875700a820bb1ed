"""The reminder ladder: which step is due for a debtor today, for which invoices. Pure; numbers are strategy data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum

from duly_policy.inputs import Autonomy, Channel


class Band(StrEnum):
    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"


class Stage(StrEnum):
    """Rollout stage. In REMINDERS no score steers anything: the MEDIUM timing holds for every band."""

    REMINDERS = "REMINDERS"
    PREDICTIVE = "PREDICTIVE"
    PERSONALISED = "PERSONALISED"


@dataclass(frozen=True, slots=True)
class LadderDebt:
    """step_sent: highest ladder step already sent for this invoice, 0 = none."""

    invoice_id: str
    currency: str
    due_date: date
    claimable_minor: int
    step_sent: int


@dataclass(frozen=True, slots=True)
class LadderInput:
    business_date: date
    band: Band
    debts: tuple[LadderDebt, ...]


@dataclass(frozen=True, slots=True)
class LadderStep:
    """One rung. dpd: days past due at which it is due; action: 'reminder', 'call_task' ..."""

    no: int
    dpd: int
    tone: str
    template: str
    channel: Channel
    action: str


@dataclass(frozen=True, slots=True)
class Strategy:
    """A released ladder. `steps` hold one tuple per band, ascending in no and dpd; any length works."""

    name: str
    version: str
    effective_from: date
    stage: Stage
    steps: Mapping[Band, tuple[LadderStep, ...]]
    autonomy: Mapping[str, Autonomy]
    autonomy_default: Autonomy
    rule_ids: Mapping[int, str]

    def in_stage(self, stage: Stage) -> Strategy:
        return replace(self, stage=stage)

    def autonomy_of(self, action: str) -> Autonomy:
        return self.autonomy.get(action, self.autonomy_default)

    def timing(self, band: Band) -> tuple[LadderStep, ...]:
        """The steps for a band; a missing model never blocks REMINDERS, so there the band is not looked at."""
        return self.steps[Band.MEDIUM if self.stage is Stage.REMINDERS else band]


@dataclass(frozen=True, slots=True)
class LadderDecision:
    """step None = nothing is due today.

    invoice_ids: every overdue claimable invoice, oldest first: the rows of the one message; empty without a step.
    steps_reached: invoice -> the step it reaches with this contact; only those whose step is newly due.
    """

    step: LadderStep | None
    invoice_ids: tuple[str, ...]
    steps_reached: Mapping[str, int]
    rule_ids: tuple[str, ...]
    reasons: tuple[str, ...]


def next_step(ladder_input: LadderInput, strategy: Strategy) -> LadderDecision:
    """The one contact due today for this debtor, if any.

    Each invoice keeps its own clock: its latest step whose dpd has come, so a missed run sends only the latest and an
    invoice imported late enters at its age's step. A contact is due iff some invoice's latest due step is above the one
    already sent; it takes the highest such step and lists every overdue claimable invoice. Source: acceptance tests
    AT-01, AT-09, AT-12, AT-13, AT-14, AT-20, AT-22, AT-23, AT-24.
    """
    steps = strategy.timing(ladder_input.band)
    overdue = sorted(
        (debt for debt in ladder_input.debts if _dpd(debt, ladder_input) >= 1 and debt.claimable_minor > 0),
        key=lambda debt: (debt.due_date, debt.invoice_id),
    )
    candidates = ((debt, _newly_due(debt, _dpd(debt, ladder_input), steps)) for debt in overdue)
    reached = [(debt, step) for debt, step in candidates if step is not None]
    if not reached:
        return LadderDecision(None, (), {}, (), _silence(overdue))
    step = max((step for _, step in reached), key=lambda candidate: candidate.no)
    return LadderDecision(
        step=step,
        invoice_ids=tuple(debt.invoice_id for debt in overdue),
        steps_reached={debt.invoice_id: its_step.no for debt, its_step in reached},
        rule_ids=(strategy.rule_ids[step.no],),
        reasons=tuple(_reason(debt, its_step, ladder_input) for debt, its_step in reached),
    )


def _dpd(debt: LadderDebt, ladder_input: LadderInput) -> int:
    return (ladder_input.business_date - debt.due_date).days


def _newly_due(debt: LadderDebt, dpd: int, steps: tuple[LadderStep, ...]) -> LadderStep | None:
    latest = max((step for step in steps if step.dpd <= dpd), key=lambda step: step.no, default=None)
    return latest if latest is not None and latest.no > debt.step_sent else None


def _reason(debt: LadderDebt, step: LadderStep, ladder_input: LadderInput) -> str:
    dpd = _dpd(debt, ladder_input)
    return f"{debt.invoice_id} is {dpd} days past due; step {step.no} ({step.tone}) is due from {step.dpd}"


def _silence(overdue: list[LadderDebt]) -> tuple[str, ...]:
    return ("no step above those already sent is due",) if overdue else ("no overdue invoice has a claimable amount",)
