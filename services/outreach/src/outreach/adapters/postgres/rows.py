"""Rows to domain values and back."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from duly_policy import Channel, PastAttempt
from duly_runtime.database import Row
from psycopg.types.json import Jsonb

from outreach.domain.debtor import ContactPoint, Debtor, OpenInvoice, Score
from outreach.domain.ledger import Allocation, Invoice, Source, WriteOff
from outreach.domain.treatment import Case, Treatment, TreatmentState


def debtor_of(row: Row) -> Debtor:
    return Debtor(
        tenant=row["tenant"],
        debtor_id=row["debtor_id"],
        kind=row["kind"],
        country=row["country"],
        zones=tuple(row["zones"]),
        party_version=row["party_version"],
        contact_points=tuple(ContactPoint(*point) for point in row["contact_points"]),
        address_refused=row["address_refused"],
        stopped=row["stopped"],
        drift=row["drift"],
        degraded=row["degraded"],
        unusable_here=row["unusable_here"],
        score=_score_of(row),
        open_treatments=row["open_treatments"],
    )


def _score_of(row: Row) -> Score | None:
    if row["score_id"] is None:
        return None
    return Score(
        score_id=row["score_id"],
        business_date=row["score_date"],
        role=row["score_role"],
        band=row["score_band"],
        ledger_version=row["score_ledger_version"],
        reasons=tuple(row["score_reasons"]),
    )


def score_row(score: Score | None) -> tuple[object, ...]:
    """In the order id, date, role, band, ledger version, reasons."""
    if score is None:
        return (None, None, "", "", -1, [])
    return (score.score_id, score.business_date, score.role, score.band, score.ledger_version, list(score.reasons))


def invoice_of(row: Row) -> Invoice:
    return Invoice(
        invoice_id=row["invoice_id"],
        known=row["known"],
        due_date=row["due_date"],
        currency=row["currency"],
        total_minor=row["total_minor"],
        source_version=row["source_version"],
        voided=row["voided"],
        disputed_minor=row["disputed_minor"],
        dispute_on=row["dispute_on"],
        dispute_version=row["dispute_version"],
        dispute_resolved=row["dispute_resolved"],
        allocations={key: Allocation(*values) for key, values in row["allocations"].items()},
        write_offs={key: WriteOff(*values) for key, values in row["write_offs"].items()},
        step_sent=row["step_sent"],
        step_handed=row["step_handed"],
        overdue_since=row["overdue_since"],
    )


def invoice_row(invoice: Invoice) -> tuple[object, ...]:
    """All columns after tenant and debtor, in the order of the insert."""
    allocations: dict[str, list[Any]] = {
        key: [a.source_id, a.amount_minor, a.discount_minor, a.credit_note, a.applied, a.removed, a.source_stands]
        for key, a in invoice.allocations.items()
    }
    write_offs: dict[str, list[Any]] = {key: [off.amount_minor, off.loss] for key, off in invoice.write_offs.items()}
    return (
        invoice.invoice_id, invoice.known, invoice.due_date, invoice.currency, invoice.total_minor,
        invoice.source_version, invoice.voided, invoice.disputed_minor, invoice.dispute_on, invoice.dispute_version,
        invoice.dispute_resolved, Jsonb(allocations), Jsonb(write_offs), invoice.open_minor,
        invoice.disputed_open_minor, invoice.step_sent, invoice.step_handed, invoice.overdue_since,
    )  # fmt: skip


def source_of(row: Row) -> Source:
    return Source(
        source_id=row["source_id"],
        known=row["known"],
        currency=row["currency"],
        amount_minor=row["amount_minor"],
        voided=row["voided"],
        reversals=row["reversals"],
        used_minor=row["used_minor"],
    )


def open_invoice_of(row: Row) -> OpenInvoice:
    return OpenInvoice(
        invoice_id=row["invoice_id"],
        due_date=row["due_date"],
        currency=row["currency"],
        open_minor=row["open_minor"],
        disputed_minor=row["disputed_open_minor"],
        step_sent=row["step_sent"],
        step_handed=row["step_handed"],
        overdue_since=row["overdue_since"],
        case_id=row["case_id"],
    )


def case_of(row: Row) -> Case:
    return Case(row["case_id"], row["debtor_id"], row["episode"], row["opened_on"], row["closed_on"])


TREATMENT_COLUMNS = (
    "tenant", "treatment_id", "contact_id", "case_id", "debtor_id", "business_date", "step_no", "action", "channel",
    "contact_point_id", "template_id", "invoice_ids", "steps_reached", "autonomy", "stage", "score_id", "risk_band",
    "strategy_version", "rule_ids", "pack_versions", "reasons", "decision_id", "planned_at", "not_after",
    "ledger_version", "state",
)  # fmt: skip
_LISTS = ("invoice_ids", "rule_ids", "pack_versions", "reasons")


def treatment_row(treatment: Treatment) -> tuple[object, ...]:
    values = asdict(treatment)
    values["steps_reached"] = Jsonb(dict(treatment.steps_reached))
    for name in _LISTS:
        values[name] = list(values[name])
    return tuple(values[name] for name in TREATMENT_COLUMNS)


def treatment_of(row: Row) -> Treatment:
    values: dict[str, Any] = {name: row[name] for name in TREATMENT_COLUMNS}
    for name in _LISTS:
        values[name] = tuple(values[name])
    return Treatment(**{**values, "state": TreatmentState(row["state"])})


def attempt_of(row: Row) -> PastAttempt:
    return PastAttempt(row["contact_id"], row["at"], Channel(row["channel"]), row["outcome"])
