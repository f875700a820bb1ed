"""Cases, treatments and work items: what was decided for a debtor, and how far it has come."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from duly_contracts.ids import named_id

from outreach.domain.debtor import OpenInvoice


class TreatmentState(StrEnum):
    """PLANNED, REQUESTED, WAITING and HELD are open: nothing was sent yet. HANDED: a person has it."""

    PLANNED = "PLANNED"
    REQUESTED = "REQUESTED"
    WAITING = "WAITING"
    HELD = "HELD"
    HANDED = "HANDED"
    SENT = "SENT"
    UNKNOWN = "UNKNOWN"
    FAILED = "FAILED"
    DENIED = "DENIED"
    CANCELLED = "CANCELLED"


OPEN_STATES = (TreatmentState.PLANNED, TreatmentState.REQUESTED, TreatmentState.WAITING, TreatmentState.HELD)


class CancelReason(StrEnum):
    PAID = "PAID"
    DISPUTE = "DISPUTE"
    SUPERSEDED = "SUPERSEDED"


@dataclass(frozen=True, slots=True)
class Case:
    """One delinquency episode of a debtor; closed_on None = open."""

    case_id: str
    debtor_id: str
    episode: int
    opened_on: date
    closed_on: date | None = None


@dataclass(frozen=True, slots=True)
class Treatment:
    """One decided action. steps_reached: invoice -> the ladder step it reaches when this is sent.

    contact_id: of the one contact that carries it out. not_after: policy instant after which it is planned anew.
    """

    tenant: str
    treatment_id: str
    contact_id: str
    case_id: str
    debtor_id: str
    business_date: date
    step_no: int
    action: str
    channel: str
    contact_point_id: str
    template_id: str
    invoice_ids: tuple[str, ...]
    steps_reached: Mapping[str, int]
    autonomy: str
    stage: str
    score_id: str
    risk_band: str
    strategy_version: str
    rule_ids: tuple[str, ...]
    pack_versions: tuple[str, ...]
    reasons: tuple[str, ...]
    decision_id: str
    planned_at: datetime
    not_after: datetime
    ledger_version: int
    state: TreatmentState


@dataclass(frozen=True, slots=True)
class WorkItem:
    """Something a person must do. Its id names case and step, so that it is created once."""

    work_item_id: str
    tenant: str
    debtor_id: str
    kind: str
    reasons: tuple[str, ...]
    due: date | None
    treatment_id: str = ""


def case_id_of(tenant: str, debtor_id: str, episode: int) -> str:
    return named_id("case", tenant, debtor_id, str(episode))


def treatment_id_of(tenant: str, case_id: str, step_no: int, business_date: date, invoice_ids: Iterable[str]) -> str:
    """From what is decided, never from when it arrived: planning the same again gives the same id and is refused."""
    return named_id("treatment", tenant, case_id, str(step_no), business_date.isoformat(), *sorted(invoice_ids))


def contact_id_of(tenant: str, treatment_id: str) -> str:
    return named_id("contact", tenant, treatment_id)


def work_item_id_of(tenant: str, subject: str, kind: str, step_no: int = 0) -> str:
    """subject: the case, contact or message it is about."""
    return named_id("work_item", tenant, subject, kind, str(step_no))


def why_withdrawn(
    treatment: Treatment, invoices: Mapping[str, OpenInvoice], claimable: Mapping[str, int], business_date: date
) -> CancelReason | None:
    """Why a waiting treatment must not be sent any more; None while all it lists is owed, undisputed and overdue.

    business_date: of the fact behind the question. One that was recorded just before the treatment's own day began
    looks at that day: what was overdue then stays so unless its due date moves.
    """
    listed = treatment.invoice_ids
    if any(claimable.get(invoice_id, 0) <= 0 and not _disputed(invoices, invoice_id) for invoice_id in listed):
        return CancelReason.PAID
    if any(_disputed(invoices, invoice_id) for invoice_id in listed):
        return CancelReason.DISPUTE
    day = max(business_date, treatment.business_date)
    if any(invoices[invoice_id].dpd(day) < 1 for invoice_id in listed):
        return CancelReason.SUPERSEDED
    return None


def _disputed(invoices: Mapping[str, OpenInvoice], invoice_id: str) -> bool:
    return invoice_id in invoices and invoices[invoice_id].disputed_minor > 0
