"""Every contact explains itself: an unbroken chain of causes, each of them in the log."""

from __future__ import annotations

from collections.abc import Iterator

from duly_cli.checks.evidence import Evidence
from duly_cli.checks.result import CheckResult, result
from duly_cli.checks.topics import Event

CHAIN_LENGTH_MAX = 20
_FACT_TOPIC = "ledger-events"


def causes_are_complete(evidence: Evidence) -> CheckResult:
    """contact.sent -> contact.planned -> treatment.decided -> score (and tick) -> fact or tick, each id in a topic."""
    scores = {event.message.score_id: event for event in evidence.named("risk-scores", "risk.score_updated")}
    longest = 0

    def wrong() -> Iterator[str]:
        nonlocal longest
        for event in evidence.sent:
            contact = event.message.contact_id
            planned = evidence.planned.get(contact)
            if planned is None:
                yield f"contact {contact} was sent and never planned"
                continue
            decided = evidence.decided.get(planned.message.treatment_id)
            if decided is None:
                yield f"contact {contact}: treatment {planned.message.treatment_id} was never decided"
                continue
            score = scores.get(decided.message.score_id)
            if score is None:
                yield f"contact {contact}: score {decided.message.score_id or '(none)'} is in no topic"
            elif score.envelope.causation_id not in evidence.by_id:
                yield f"contact {contact}: the score's cause {score.envelope.causation_id} is in no topic"
            if not decided.message.rule_ids or not decided.message.pack_versions:
                yield f"contact {contact}: its treatment names no rules or no pack"
            chain, broken = causes_of(event, evidence)
            longest = max(longest, len(chain))
            names = [link.name for link in chain]
            if broken:
                yield f"contact {contact}: {broken}"
            elif "contact.planned" not in names or "treatment.decided" not in names:
                yield f"contact {contact}: the chain {' <- '.join(names)} leaves out its plan or its decision"
            elif chain[-1].record.topic not in (_FACT_TOPIC, "ingress-raw"):
                yield f"contact {contact}: the chain ends at {names[-1]}, not at a fact or tick"

    violations = list(wrong())
    return result(
        "every contact has a complete chain of causes", violations, contacts=len(evidence.sent), longest_chain=longest
    )


def causes_of(event: Event, evidence: Evidence) -> tuple[list[Event], str]:
    """The event and its causes, nearest first; and what is broken, '' if nothing.

    A chain ends at an event without a cause, or at a source fact: what caused that lies outside the log.
    """
    chain = [event]
    while (cause := chain[-1].envelope.causation_id) and chain[-1].record.topic != _FACT_TOPIC:
        if cause not in evidence.by_id:
            return chain, f"the cause {cause} of {chain[-1].name} is in no topic"
        chain.append(evidence.by_id[cause])
        if len(chain) > CHAIN_LENGTH_MAX:
            return chain, "the chain of causes does not end"
    return chain, ""


def every_cancelled_contact_names_its_cause(evidence: Evidence) -> CheckResult:
    """`contact.cancelled` names a fact of that debtor that is in the log, and the contact was not sent after it.

    A tick lets the gateway send what waited for it, and outreach take back what it supersedes: of both at one instant
    the sending may be first. Then the cancellation came too late, which is no fault.
    """
    sent = {event.message.contact_id: event.envelope.time for event in evidence.sent}
    cancelled = evidence.named("outreach-events", "contact.cancelled")

    def wrong() -> Iterator[str]:
        for event in cancelled:
            contact, cause = event.message.contact_id, event.message.cause_event_id
            if cause not in evidence.by_id:
                yield f"contact {contact} was cancelled by {cause or 'nothing'}, which is in no topic"
            if contact in sent and sent[contact] > event.envelope.time:
                yield f"contact {contact} was sent at {sent[contact]}, cancelled at {event.envelope.time}"

    too_late = sum(event.message.contact_id in sent for event in cancelled)
    return result(
        "every cancelled contact names its cause and was not sent later",
        wrong(),
        cancelled=len(cancelled),
        too_late=too_late,
    )
