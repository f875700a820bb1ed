"""One sentence in plain words per event, with what explains it. The table at the end is the index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from duly_contracts.money import Money
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from duly.contact.v1 import events_pb2 as contact
from duly.contact.v1 import types_pb2 as types
from duly.ledger.v1 import events_pb2 as ledger
from duly.money.v1 import money_pb2
from duly.outreach.v1 import events_pb2 as outreach
from duly.risk.v1 import events_pb2 as risk


@dataclass(frozen=True, slots=True)
class Line:
    """text: one sentence. because: rule ids, score reasons or other identifiers that explain it."""

    text: str
    because: tuple[str, ...] = ()


_CHANNELS = {
    types.CHANNEL_EMAIL: "an e-mail",
    types.CHANNEL_SMS: "a text message",
    types.CHANNEL_VOICE: "a call",
    types.CHANNEL_LETTER: "a letter",
    types.CHANNEL_CONSOLE: "a console message",
    types.CHANNEL_NOOP: "a counted, unsent message",
}


def line_of(message: Message) -> Line | None:
    """The line an event adds to its debtor's story; None for one that adds none (ticks, scores without news)."""
    write = SENTENCES.get(type(message))
    return None if write is None else write(message)


def _party(m: ledger.PartyUpserted) -> Line:
    return Line("The ledger stated the customer's details.")


def _invoice_issued(m: ledger.InvoiceIssued) -> Line:
    return Line(f"Invoice {m.number or m.invoice_id} of {_money(m.total)} was issued, due {m.due_date}.")


def _invoice_revised(m: ledger.InvoiceRevised) -> Line:
    return Line(f"Invoice {m.number or m.invoice_id} was revised: {_money(m.total)}, due {m.due_date}.")


def _invoice_voided(m: ledger.InvoiceVoided) -> Line:
    return Line(f"Invoice {m.invoice_id} was voided.", _given(m.reason))


def _invoice_disputed(m: ledger.InvoiceDisputed) -> Line:
    return Line(f"The debtor disputes {_money(m.amount)} of invoice {m.invoice_id}.", _given(m.reason))


def _dispute_resolved(m: ledger.InvoiceDisputeResolved) -> Line:
    return Line(f"The dispute over invoice {m.invoice_id} is settled.")


def _written_off(m: ledger.InvoiceWrittenOff) -> Line:
    reason = ledger.WriteOffReason.Name(m.reason).removeprefix("WRITE_OFF_REASON_")
    return Line(f"{_money(m.amount)} of invoice {m.invoice_id} was written off.", (reason,))


def _credit_note(m: ledger.CreditNoteIssued) -> Line:
    return Line(f"Credit note {m.number or m.credit_note_id} of {_money(m.amount)} was issued.")


def _credit_note_voided(m: ledger.CreditNoteVoided) -> Line:
    return Line(f"Credit note {m.credit_note_id} was voided.")


def _payment(m: ledger.PaymentReceived) -> Line:
    return Line(f"A payment of {_money(m.amount)} was received.", _given(m.payment_id))


def _payment_reversed(m: ledger.PaymentReversed) -> Line:
    return Line(f"{_money(m.amount)} of payment {m.payment_id} was taken back.", _given(m.reason))


def _allocation(m: ledger.AllocationApplied) -> Line:
    discount = f", with {_money(m.discount)} of discount" if m.discount.amount_minor else ""
    return Line(f"{_money(m.amount)} was put against invoice {m.invoice_id}{discount}.", _given(m.source_id))


def _allocation_removed(m: ledger.AllocationRemoved) -> Line:
    return Line(f"An allocation to invoice {m.invoice_id} was removed.", _given(m.reason))


def _drift(m: ledger.LedgerDriftDetected) -> Line:
    return Line("Our balance and the source's differ: no contact until that is cleared.", _given(m.reason))


def _drift_cleared(m: ledger.LedgerDriftCleared) -> Line:
    return Line("Our balance and the source's agree again.")


def _dismissed(m: ledger.LedgerEventDismissed) -> Line:
    return Line("A person settled a fact that could not be used.", _given(m.reason))


def _score(m: risk.RiskScoreUpdated) -> Line | None:
    """Only news: the first score, and every change of band. A shadow's opinion is nobody's story."""
    if m.previous_band == m.risk_band or m.role == risk.MODEL_ROLE_SHADOW:
        return None
    before = "" if m.previous_band == risk.RISK_BAND_UNSPECIFIED else f", it was {_band(m.previous_band)}"
    role = risk.ModelRole.Name(m.role).removeprefix("MODEL_ROLE_").lower()
    text = f"Risk is {_band(m.risk_band)} ({m.risk:.2f}){before}; said by {role} {m.model_name} {m.model_version}."
    return Line(text.replace("  ", " "), tuple(reason.text or reason.feature for reason in m.reasons))


def _segment_changed(m: risk.RiskSegmentChanged) -> Line:
    return Line(f"Segment is {_segment(m.after)}; it was {_segment(m.before)}.")


def _segment(segment: risk.Segment) -> str:
    tier = risk.ValueTier.Name(segment.value_tier).removeprefix("VALUE_TIER_")
    behaviour = risk.Behaviour.Name(segment.behaviour).removeprefix("BEHAVIOUR_").lower().replace("_", " ")
    value = "" if segment.value_tier == risk.VALUE_TIER_UNSPECIFIED else f", value tier {tier}"
    return f"{_band(segment.risk_band)} risk{value}, {behaviour}"


def _degraded(m: risk.RiskDebtorDegraded) -> Line:
    return Line("A fact could not be used: a person must look before any contact.", (m.reason, *m.event_ids))


def _restored(m: risk.RiskDebtorRestored) -> Line:
    return Line("Every fact could be used again.")


def _overdue(m: outreach.InvoiceOverdue) -> Line:
    return Line(f"Invoice {m.invoice_id} is overdue by {m.dpd} day(s); {_money(m.open)} is open.")


def _paid(m: outreach.InvoicePaid) -> Line:
    when = f"{m.dpd} day(s) late" if m.dpd > 0 else "in time"
    return Line(f"Invoice {m.invoice_id} is paid, {when}.")


def _case_opened(m: outreach.CaseOpened) -> Line:
    return Line("A case was opened: something is overdue.", _given(m.case_id))


def _case_closed(m: outreach.CaseClosed) -> Line:
    return Line("The case was closed: nothing is overdue any more.", _given(m.case_id))


def _treatment(m: outreach.TreatmentDecided) -> Line:
    autonomy = outreach.Autonomy.Name(m.autonomy).removeprefix("AUTONOMY_").lower()
    text = (
        f"Step {m.step_no} was decided: {m.action.replace('_', ' ')} for {len(m.invoice_ids)} invoice(s),"
        f" risk {m.risk_band or 'not known'}, autonomy {autonomy}."
    )
    return Line(text, (*m.rule_ids, *m.reasons, *_given(m.strategy_version)))


def _planned(m: outreach.ContactPlanned) -> Line:
    return Line(f"{_channel(m.channel)} was planned ({m.template_id}).", _given(m.treatment_id))


def _cancelled(m: outreach.ContactCancelled) -> Line:
    reason = outreach.CancelReason.Name(m.reason).removeprefix("CANCEL_REASON_")
    return Line(f"The planned contact was cancelled: {reason.lower()}.", (reason, *_given(m.cause_event_id)))


def _work_item(m: outreach.WorkItemCreated) -> Line:
    return Line(f"A task for a person was created: {m.kind.replace('_', ' ')}.", tuple(m.reasons))


def _sent(m: contact.ContactSent) -> Line:
    amounts = " and ".join(_money(amount) for amount in m.amount_claimed)
    return Line(f"{_channel(m.channel)} was sent; it asks for {amounts}.", (m.decision_id, m.template_id))


def _unknown(m: contact.ContactUnknown) -> Line:
    return Line(
        "The provider did not answer: the message may have arrived and is not repeated.", _given(m.provider_code)
    )


def _failed(m: contact.ContactFailed) -> Line:
    return Line("The provider refused the message.", _given(m.provider_code))


def _deferred(m: contact.ContactDeferred) -> Line:
    return Line(f"The contact gate said: not before {_instant(m.until)}.", tuple(m.rule_ids))


def _denied(m: contact.ContactDenied) -> Line:
    return Line("The contact gate said no.", tuple(m.rule_ids))


def _held(m: contact.ContactHeld) -> Line:
    return Line("The contact gate said: a person must decide.", tuple(m.rule_ids))


def _consent_revoked(m: contact.ConsentRevoked) -> Line:
    return Line("The debtor said stop: no more contacts.", _given(m.evidence_ref))


def _reply(m: contact.ReplyReceived) -> Line:
    return Line("The debtor answered.", (m.message_id, *_given(m.contact_id)))


def _money(amount: money_pb2.Money) -> str:
    return str(Money.from_proto(amount))


def _band(band: risk.RiskBand.ValueType) -> str:
    return risk.RiskBand.Name(band).removeprefix("RISK_BAND_")


def _channel(channel: types.Channel.ValueType) -> str:
    name = _CHANNELS.get(channel, "a message")
    return name[0].upper() + name[1:]


def _instant(stamp: Timestamp) -> str:
    return stamp.ToJsonString()


def _given(*texts: str) -> tuple[str, ...]:
    return tuple(text for text in texts if text)


SENTENCES: Mapping[type[Message], Callable[[Any], Line | None]] = {
    ledger.PartyUpserted: _party,
    ledger.InvoiceIssued: _invoice_issued,
    ledger.InvoiceRevised: _invoice_revised,
    ledger.InvoiceVoided: _invoice_voided,
    ledger.InvoiceDisputed: _invoice_disputed,
    ledger.InvoiceDisputeResolved: _dispute_resolved,
    ledger.InvoiceWrittenOff: _written_off,
    ledger.CreditNoteIssued: _credit_note,
    ledger.CreditNoteVoided: _credit_note_voided,
    ledger.PaymentReceived: _payment,
    ledger.PaymentReversed: _payment_reversed,
    ledger.AllocationApplied: _allocation,
    ledger.AllocationRemoved: _allocation_removed,
    ledger.LedgerDriftDetected: _drift,
    ledger.LedgerDriftCleared: _drift_cleared,
    ledger.LedgerEventDismissed: _dismissed,
    risk.RiskScoreUpdated: _score,
    risk.RiskSegmentChanged: _segment_changed,
    risk.RiskDebtorDegraded: _degraded,
    risk.RiskDebtorRestored: _restored,
    outreach.InvoiceOverdue: _overdue,
    outreach.InvoicePaid: _paid,
    outreach.CaseOpened: _case_opened,
    outreach.CaseClosed: _case_closed,
    outreach.TreatmentDecided: _treatment,
    outreach.ContactPlanned: _planned,
    outreach.ContactCancelled: _cancelled,
    outreach.WorkItemCreated: _work_item,
    contact.ContactSent: _sent,
    contact.ContactUnknown: _unknown,
    contact.ContactFailed: _failed,
    contact.ContactDeferred: _deferred,
    contact.ContactDenied: _denied,
    contact.ContactHeld: _held,
    contact.ConsentRevoked: _consent_revoked,
    contact.ReplyReceived: _reply,
}
