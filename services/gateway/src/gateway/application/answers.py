"""Contacts and gate decisions as the API shows them."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from duly_contracts.envelope import parse_instant
from duly_policy import GateDecision, canonical_decision_json
from google.protobuf.timestamp_pb2 import Timestamp

from duly.contact.v1 import types_pb2 as types
from duly.gateway.v1 import contact_service_pb2 as pb
from duly.money.v1 import money_pb2
from gateway.application.validation import channel_number
from gateway.domain.contact import Amounts, Contact, ContactState


def timestamp(instant: datetime | None) -> Timestamp | None:
    if instant is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(instant)
    return stamp


def money(amounts: Amounts) -> list[money_pb2.Money]:
    return [money_pb2.Money(amount_minor=amount, currency=currency) for currency, amount in amounts]


def state_number(state: ContactState) -> pb.ContactState.ValueType:
    return pb.ContactState.Value(f"CONTACT_STATE_{state}")


def decision_message(decision: GateDecision | str) -> pb.GateDecision:
    """From a decision, or from its canonical JSON as it was recorded. until: of a DEFER or a HUMAN (its not_before)."""
    raw = json.loads(decision if isinstance(decision, str) else canonical_decision_json(decision))
    return pb.GateDecision(
        decision_id=raw["decision_id"],
        phase=types.GatePhase.Value(f"GATE_PHASE_{raw['phase']}"),
        answer=_answer(raw["answer"]),
        hits=[_hit(hit) for hit in raw["hits"]],
        until=_instant(raw["until"] or raw["not_before"]),
        pack_versions=[f"{name}@{version}" for name, version in raw["pack_versions"]],
        evaluated_at=_instant(raw["evaluated_at"]),
    )


def contact_message(contact: Contact, decision: str | None) -> pb.Contact:
    return pb.Contact(
        contact_id=contact.contact_id,
        treatment_id=contact.treatment_id,
        case_id=contact.case_id,
        debtor_id=contact.debtor_id,
        invoice_ids=contact.invoice_ids,
        channel=channel_number(contact.channel),
        purpose=contact.purpose,
        step_no=contact.step_no,
        template_id=contact.template_id,
        template_version=contact.template_version,
        state=state_number(contact.state),
        until=timestamp(contact.until),
        sent_at=timestamp(contact.sent_at),
        amount_claimed=money(contact.amount_claimed),
        decision=decision_message(decision) if decision else None,
        attempts=contact.attempts,
    )


def _hit(raw: dict[str, Any]) -> pb.GateHit:
    return pb.GateHit(
        rule_id=raw["rule_id"],
        pack_version=raw["pack_version"],
        effect=_answer(raw["effect"]),
        until=_instant(raw["until"]),
        reason=raw["reason"],
    )


def _answer(name: str) -> types.GateAnswer.ValueType:
    return types.GateAnswer.Value(f"GATE_ANSWER_{name}")


def _instant(text: str | None) -> Timestamp | None:
    return timestamp(parse_instant(text)) if text else None
