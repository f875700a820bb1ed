"""Where every reaction of outreach lives: one row per event."""

from __future__ import annotations

from collections.abc import Mapping

from duly_runtime.clock import PolicyClock
from google.protobuf.message import Message

from duly.contact.v1 import events_pb2 as contact
from duly.ledger.v1 import events_pb2 as ledger
from duly.risk.v1 import events_pb2 as risk
from outreach.application import fold_ledger as fold
from outreach.application import fold_scores as scores
from outreach.application import follow_contacts as contacts
from outreach.application.advance_day import AdvanceDay
from outreach.application.fold_ledger import Handler, ledger_fact
from outreach.domain.planning import Policy

TOPICS = ("ledger-events", "risk-scores", "contact-events", "inbound-messages")


def event_handlers(policy: Policy, policy_clock: PolicyClock) -> Mapping[type[Message], Handler]:
    """Message type -> what happens on it. Events without a row only move the position."""
    return {
        ledger.PartyUpserted: ledger_fact(fold.fold_party),
        ledger.InvoiceIssued: ledger_fact(fold.fold_invoice),
        ledger.InvoiceRevised: ledger_fact(fold.fold_invoice),
        ledger.InvoiceVoided: ledger_fact(fold.fold_voided),
        ledger.InvoiceDisputed: ledger_fact(fold.fold_dispute),
        ledger.InvoiceDisputeResolved: ledger_fact(fold.fold_dispute),
        ledger.InvoiceWrittenOff: ledger_fact(fold.fold_write_off),
        ledger.CreditNoteIssued: ledger_fact(fold.fold_source),
        ledger.CreditNoteVoided: ledger_fact(fold.fold_source_undone),
        ledger.PaymentReceived: ledger_fact(fold.fold_source),
        ledger.PaymentReversed: ledger_fact(fold.fold_source_undone),
        ledger.AllocationApplied: ledger_fact(fold.fold_allocation),
        ledger.AllocationRemoved: ledger_fact(fold.fold_allocation_removed),
        ledger.LedgerDriftDetected: ledger_fact(fold.fold_drift),
        ledger.LedgerDriftCleared: ledger_fact(fold.fold_drift),
        ledger.CalendarBusinessDateAdvanced: AdvanceDay(policy, policy_clock),
        risk.RiskScoreUpdated: scores.on_score_updated,
        risk.RiskDebtorDegraded: scores.on_debtor_degraded,
        risk.RiskDebtorRestored: scores.on_debtor_restored,
        contact.ContactSent: contacts.on_contact_sent,
        contact.ContactUnknown: contacts.on_contact_unknown,
        contact.ContactFailed: contacts.on_contact_failed,
        contact.ContactDenied: contacts.on_contact_denied,
        contact.ContactDeferred: contacts.on_contact_deferred,
        contact.ContactHeld: contacts.on_contact_held,
        contact.ConsentRevoked: contacts.on_consent_revoked,
        contact.KillSwitchChanged: contacts.on_kill_switch_changed,
        contact.ReplyReceived: contacts.on_reply_received,
    }
