"""Facts against score states: each has changed its debtor's state exactly once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, timedelta

from duly.risk.v1 import state_pb2
from duly_cli.checks.evidence import Evidence
from duly_cli.checks.ledger_checks import TICK
from duly_cli.checks.result import CheckResult, result

_EPOCH = date(1970, 1, 1)


def each_fact_counted_once(evidence: Evidence) -> CheckResult:
    """`facts_applied` of a state blob = number of distinct facts of that debtor on `ledger-events`."""
    facts: dict[str, set[str]] = defaultdict(set)
    for event in evidence.events["ledger-events"]:
        if event.name != TICK:
            facts[event.debtor_id].add(event.id)

    def wrong() -> Iterator[str]:
        for debtor in sorted(facts.keys() | evidence.state_messages.keys()):
            state = evidence.state_messages.get(debtor)
            applied = state.facts_applied if state is not None else 0
            if applied != len(facts.get(debtor, ())):
                yield f"{debtor}: {len(facts.get(debtor, ()))} facts in the log, {applied} applied"

    applied = sum(state.facts_applied for state in evidence.state_messages.values())
    return result("each fact changed the score state exactly once", wrong(), debtors=len(facts), facts_applied=applied)


def states_hold_open_invoices(evidence: Evidence) -> CheckResult:
    """The open amount of each invoice in a state equals the input's, and no open invoice is missing there."""

    def wrong() -> Iterator[str]:
        for invoice in evidence.ledger.invoices.values():
            own = evidence.ledger.open_minor(invoice.invoice_id, evidence.until)
            held = open_in_states.get(invoice.invoice_id)
            if own != (held or 0):
                yield f"invoice {invoice.invoice_id}: {own} open by the input, {held} in the state"

    open_in_states = {
        invoice.invoice_id: _open_minor(invoice, state)
        for state in evidence.state_messages.values()
        for invoice in state.invoices
    }
    return result("the score states hold every open invoice with its balance", wrong(), invoices=len(open_in_states))


def states_reached_the_last_day(evidence: Evidence) -> CheckResult:
    """A debtor with open invoices was moved by the last tick; no debtor is degraded."""

    def wrong() -> Iterator[str]:
        for debtor, state in evidence.state_messages.items():
            day = _EPOCH + timedelta(days=state.tick_day)
            if day != evidence.until and any(_open_minor(invoice, state) > 0 for invoice in state.invoices):
                yield f"{debtor} has open invoices, but its last tick is {day}"
            if state.degraded_event_ids:
                yield f"{debtor} is degraded by {len(state.degraded_event_ids)} events"

    return result("every state with open invoices stands at the last day", wrong(), states=len(evidence.states))


def _open_minor(invoice: state_pb2.InvoiceState, state: state_pb2.DebtorState) -> int:
    if invoice.voided or not invoice.known:
        return 0
    standing = {source.source_id for source in state.sources if _stands(source)}
    known = {source.source_id for source in state.sources}
    put = sum(
        part.amount_minor + part.discount_minor
        for part in invoice.allocations
        if part.applied and not part.removed and (part.source_id in standing or part.source_id not in known)
    )
    return invoice.total_minor - put - sum(loss.amount_minor for loss in invoice.write_offs)


def _stands(source: state_pb2.SourceState) -> bool:
    back = sum(reversal.amount_minor for reversal in source.reversals)
    return not source.voided and not (source.reversals and source.known and back >= source.amount_minor)
