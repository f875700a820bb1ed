"""What each event changes in the read models. The table at the end is the index; every event also adds its line to
the debtor's story (`domain/sentences.py`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

from google.protobuf.message import Message

from duly.contact.v1 import events_pb2 as contact
from duly.ledger.v1 import events_pb2 as ledger
from duly.outreach.v1 import events_pb2 as outreach
from duly.risk.v1 import events_pb2 as risk
from insights.application.ports import EventOrigin, ReadModels
from insights.domain.sentences import SENTENCES, line_of

Handler = Callable[[Any, EventOrigin, ReadModels], None]


def project(message: Message, origin: EventOrigin, models: ReadModels) -> None:
    """Change the read models and add the line, if the event concerns a debtor or the calendar."""
    handler = EVENT_HANDLERS.get(type(message))
    if handler is not None:
        handler(message, origin, models)
    line = line_of(message) if origin.debtor_id else None
    if line is not None:
        models.add_line(origin, line)


def on_tick(fact: ledger.CalendarBusinessDateAdvanced, origin: EventOrigin, models: ReadModels) -> None:
    models.advance_day(origin.tenant, date.fromisoformat(fact.business_date))


def on_party(fact: ledger.PartyUpserted, origin: EventOrigin, models: ReadModels) -> None:
    models.put_debtor(origin)


def on_invoice(fact: ledger.InvoiceIssued | ledger.InvoiceRevised, origin: EventOrigin, models: ReadModels) -> None:
    models.put_debtor(origin)
    models.put_invoice(origin, fact)


def on_invoice_voided(fact: ledger.InvoiceVoided, origin: EventOrigin, models: ReadModels) -> None:
    models.void_invoice(origin, fact.invoice_id)


def on_written_off(fact: ledger.InvoiceWrittenOff, origin: EventOrigin, models: ReadModels) -> None:
    models.put_write_off(origin, fact.write_off_id, fact.invoice_id, fact.amount.amount_minor)


def on_payment(fact: ledger.PaymentReceived, origin: EventOrigin, models: ReadModels) -> None:
    models.put_debtor(origin)
    models.put_source(origin, fact.payment_id, fact.amount.amount_minor, fact.amount.currency)


def on_payment_reversed(fact: ledger.PaymentReversed, origin: EventOrigin, models: ReadModels) -> None:
    models.put_reversal(origin, fact.reversal_id, fact.payment_id, fact.amount.amount_minor)


def on_credit_note(fact: ledger.CreditNoteIssued, origin: EventOrigin, models: ReadModels) -> None:
    models.put_debtor(origin)
    models.put_source(origin, fact.credit_note_id, fact.amount.amount_minor, fact.amount.currency)


def on_credit_note_voided(fact: ledger.CreditNoteVoided, origin: EventOrigin, models: ReadModels) -> None:
    models.void_source(origin, fact.credit_note_id)


def on_allocation(fact: ledger.AllocationApplied, origin: EventOrigin, models: ReadModels) -> None:
    models.put_allocation(origin, fact)


def on_allocation_removed(fact: ledger.AllocationRemoved, origin: EventOrigin, models: ReadModels) -> None:
    models.remove_allocation(origin, fact.allocation_id, fact.invoice_id)


def on_score(fact: risk.RiskScoreUpdated, origin: EventOrigin, models: ReadModels) -> None:
    if fact.role != risk.MODEL_ROLE_SHADOW:
        models.put_score(origin, fact)


def on_case_opened(fact: outreach.CaseOpened, origin: EventOrigin, models: ReadModels) -> None:
    models.open_case(origin, fact.case_id)


def on_case_closed(fact: outreach.CaseClosed, origin: EventOrigin, models: ReadModels) -> None:
    models.close_case(origin, fact.case_id)


def on_contact_sent(fact: contact.ContactSent, origin: EventOrigin, models: ReadModels) -> None:
    models.count_contact(origin)


EVENT_HANDLERS: Mapping[type[Message], Handler] = {
    ledger.CalendarBusinessDateAdvanced: on_tick,
    ledger.PartyUpserted: on_party,
    ledger.InvoiceIssued: on_invoice,
    ledger.InvoiceRevised: on_invoice,
    ledger.InvoiceVoided: on_invoice_voided,
    ledger.InvoiceWrittenOff: on_written_off,
    ledger.PaymentReceived: on_payment,
    ledger.PaymentReversed: on_payment_reversed,
    ledger.CreditNoteIssued: on_credit_note,
    ledger.CreditNoteVoided: on_credit_note_voided,
    ledger.AllocationApplied: on_allocation,
    ledger.AllocationRemoved: on_allocation_removed,
    risk.RiskScoreUpdated: on_score,
    outreach.CaseOpened: on_case_opened,
    outreach.CaseClosed: on_case_closed,
    contact.ContactSent: on_contact_sent,
}

# Every event that is read: those that change a model, and those that only tell.
PROJECTED: frozenset[type[Message]] = frozenset({*EVENT_HANDLERS, *SENTENCES})
