"""What two runs of the same ledger must agree on, without offsets, ledger versions, wall-clock stamps and latencies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import date
from typing import Any

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from duly.risk.v1 import state_pb2
from duly_cli.checks.contact_checks import sent_at
from duly_cli.checks.evidence import Evidence
from duly_cli.checks.topics import Event

# day '' = a final state; otherwise the business date on which it happened.
Entry = dict[str, Any]
Section = dict[str, Entry]
Digest = dict[str, Section]

# Offsets by nature or by derivation: they depend on the order in which debtors share a partition.
_VARYING_FIELDS = ("ledger_version",)
_DECISION_TOPIC, _CONTACT_TOPIC = "outreach-events", "contact-events"


def digest_of(evidence: Evidence) -> Digest:
    """Sections of entries {debtor, day, value} by id."""
    return {
        "mirror": dict(_mirror(evidence)),
        "score_states": dict(_states(evidence)),
        "scores": dict(_scores(evidence)),
        "decisions": dict(_events(evidence, _DECISION_TOPIC)),
        "contacts": dict(_events(evidence, _CONTACT_TOPIC)),
        "emails": dict(_mails(evidence)),
    }


def unknown_since(evidence: Evidence) -> dict[str, str]:
    """Debtor -> business date of the first attempt that ended `unknown`."""
    since: dict[str, str] = {}
    for event in evidence.named(_CONTACT_TOPIC, "contact.unknown"):
        day = _day_of(event)
        since[event.debtor_id] = min(day, since.get(event.debtor_id, day))
    return since


def _mirror(evidence: Evidence) -> Iterator[tuple[str, Entry]]:
    for invoice in evidence.mirror.invoices.values():
        yield f"invoice {invoice.invoice_id}", _entry(invoice.debtor_id, "", asdict(invoice))
    for source in evidence.mirror.sources.values():
        yield f"payment {source.source_id}", _entry(source.debtor_id, "", asdict(source))


def _states(evidence: Evidence) -> Iterator[tuple[str, Entry]]:
    for debtor, state in evidence.state_messages.items():
        bare = state_pb2.DebtorState()
        bare.CopyFrom(state)
        bare.ClearField("applied")
        value = {
            "sha256": _sha256(bare),
            "facts_applied": state.facts_applied,
            "band": int(state.standing.band),
            "invoices": len(state.invoices),
        }
        yield debtor, _entry(debtor, "", value)


def _scores(evidence: Evidence) -> Iterator[tuple[str, Entry]]:
    """Thousands: a hash each."""
    for event in evidence.named("risk-scores", "risk.score_updated"):
        message = event.message
        bare = type(message)()
        bare.CopyFrom(message)
        for field in _VARYING_FIELDS:
            bare.ClearField(field)
        value = {"sha256": _sha256(bare)[:16], "band": int(message.risk_band), "model": message.model_version}
        yield message.score_id, _entry(message.debtor_id, message.business_date, value)


def _events(evidence: Evidence, topic: str) -> Iterator[tuple[str, Entry]]:
    seen: set[str] = set()
    for event in evidence.events.get(topic, ()):
        if event.id not in seen:
            seen.add(event.id)
            value = MessageToDict(event.message, preserving_proto_field_name=True)
            kept = {name: content for name, content in value.items() if name not in _VARYING_FIELDS}
            yield f"{event.name} {event.id}", _entry(event.debtor_id, _day_of(event), kept)


def _mails(evidence: Evidence) -> Iterator[tuple[str, Entry]]:
    """E-mail for e-mail, by contact; a second one of a contact is an entry of its own."""
    days = {event.message.contact_id: evidence.business_date_at(sent_at(event.message)) for event in evidence.sent}
    debtors = {contact_id: event.debtor_id for contact_id, event in evidence.planned.items()}
    counts: dict[str, int] = {}
    for mail in evidence.mails:
        ordinal = counts[mail.contact_id] = counts.get(mail.contact_id, 0) + 1
        day = days.get(mail.contact_id, date.max).isoformat()
        value = {"to": mail.to, "subject": mail.subject, "body_sha256": mail.body_sha256}
        yield f"{mail.contact_id} {ordinal}", _entry(debtors.get(mail.contact_id, ""), day, value)


def _entry(debtor: str, day: str, value: Mapping[str, Any]) -> Entry:
    return {"debtor": debtor, "day": day, "value": dict(value)}


def _day_of(event: Event) -> str:
    return (
        event.envelope.business_date.isoformat()
        if event.envelope.business_date
        else event.envelope.time.date().isoformat()
    )


def _sha256(message: Message) -> str:
    return hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()
