"""The figures of a run for its summary table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from duly_contracts.money import Money

from duly.risk.v1 import events_pb2 as risk
from duly_cli.checks.evidence import Evidence

WITHOUT_ADDRESS = "debtors_without_address"
_ADDRESS_RULE = "DULY-ADDR"
# Later words win: what a contact came to in the end.
_LAST_WORD = {
    "contact.planned": "planned",
    "contact.deferred": "deferred",
    "contact.held": "held",
    "contact.denied": "denied",
    "contact.cancelled": "cancelled",
    "contact.failed": "failed",
    "contact.unknown": "unknown",
    "contact.sent": "sent",
}


def counts_of(evidence: Evidence) -> dict[str, object]:
    """Names to numbers; `contacts` by what became of them, `open_balance` by currency."""
    ledger = evidence.ledger
    notes = sum(source.credit_note for source in ledger.sources.values())
    return {
        "debtors": len(ledger.facts_of),
        "invoices": len(ledger.invoices),
        "payments": len(ledger.sources) - notes,
        "facts": len(evidence.facts),
        "ticks": len(evidence.ticks),
        "scores": len(evidence.named("risk-scores", "risk.score_updated")),
        "models": _models(evidence),
        "decisions": len(evidence.decided),
        WITHOUT_ADDRESS: len(without_address(evidence)),
        "contacts": dict(sorted(Counter(contact_states(evidence).values()).items())),
        "replies": len(evidence.named("inbound-messages", "reply.received")),
        "emails": len(evidence.mails),
        "open_balance": open_balance(evidence),
    }


def without_address(evidence: Evidence) -> set[str]:
    """Debtors that were due a reminder and have no e-mail address that may be used: a person got the work instead."""
    decided = (event.message for event in evidence.decided.values())
    return {one.debtor_id for one in decided if one.action == "reminder" and _ADDRESS_RULE in one.rule_ids}


def contact_states(evidence: Evidence) -> Mapping[str, str]:
    """contact id -> what became of it."""
    rank = {word: number for number, word in enumerate(_LAST_WORD.values())}
    states: dict[str, str] = {}
    for topic in ("outreach-events", "contact-events"):
        for event in evidence.events.get(topic, ()):
            word = _LAST_WORD.get(event.name)
            if word is not None:
                contact = event.message.contact_id
                states[contact] = max(word, states.get(contact, word), key=lambda name: rank[name])
    return states


def open_balance(evidence: Evidence) -> dict[str, int]:
    """Currency -> minor units open at the end, as the input says."""
    sums: Counter[str] = Counter()
    for (_, currency), minor in evidence.ledger.balances(evidence.until).items():
        sums[currency] += minor
    return dict(sorted(sums.items()))


def shown_balance(balance: Mapping[str, int]) -> str:
    """For people: `12,345.00 USD`."""
    return ", ".join(str(Money(minor, currency)) for currency, minor in balance.items()) or "nothing"


def _models(evidence: Evidence) -> dict[str, int]:
    """role and version -> number of scores."""
    found: Counter[str] = Counter()
    for event in evidence.named("risk-scores", "risk.score_updated"):
        role = risk.ModelRole.Name(event.message.role).removeprefix("MODEL_ROLE_")
        found[f"{role} {event.message.model_version}".strip()] += 1
    return dict(sorted(found.items()))
