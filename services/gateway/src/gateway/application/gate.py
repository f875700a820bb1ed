"""Asks the contact gate with what the database says now, and keeps question and answer."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from duly_policy import (
    Autonomy,
    Channel,
    GateDecision,
    GateInput,
    Packs,
    Phase,
    canonical_json,
    deferred_by_fault,
    evaluate,
)

from gateway.application.ports import RecordedDecision, Store
from gateway.domain.contact import ContactId, DebtorId, TenantId
from gateway.domain.debts import Claim, claims, debt_views, totals
from gateway.domain.picture import DebtorPicture

_LAST_PLACE_OF_A_DAY: Final = "Etc/GMT+12"  # a debtor whose zone is not known is never taken to be further on
# A broken rule or input must defer the contact and raise an alarm, not end the process.
_EVALUATOR_FAULTS: Final = (ValueError, LookupError, TypeError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class Question:
    """What a contact asks the gate; the rest comes from the database."""

    tenant: TenantId
    contact_id: ContactId
    debtor_id: DebtorId
    invoice_ids: tuple[str, ...]
    channel: Channel
    contact_point_id: str
    purpose: str
    action: str
    not_before: datetime | None = None
    not_after: datetime | None = None


@dataclass(frozen=True, slots=True)
class GateAnswer:
    """The decision, the picture it was made from, and the claims a message may make. fault: the evaluator failed."""

    decision: GateDecision
    input_json: str
    picture: DebtorPicture
    claims: tuple[Claim, ...]
    fault: str = ""


class ContactGate:
    """Phase SEND of the gate. Must be called under the debtor's lock, in the transaction that acts on the answer.

    auto_actions: actions a tenant lets Duly send without approval; every other one is held for a person.
    channels: those with a sender; on any other no address counts as verified.
    """

    def __init__(self, packs: Packs, auto_actions: frozenset[str], channels: frozenset[Channel]) -> None:
        self._packs = packs
        self._auto_actions = auto_actions
        self._channels = channels

    def ask(self, question: Question, store: Store, now: datetime) -> GateAnswer | None:
        """None: the debtor is not known. The kill switch is part of the picture: if it cannot be read, the whole
        transaction fails and nothing is sent, so an unreadable switch counts as on.
        """
        picture = store.picture(question.tenant, question.debtor_id, question.channel, question.contact_point_id, now)
        if picture is None:
            return None
        today = self._business_date(picture, now)
        due = claims(picture.positions, picture.unapplied, question.invoice_ids, today)
        asked = self._input(question, picture, due, now)
        fault = ""
        try:
            decision = evaluate(asked, self._packs)
        except _EVALUATOR_FAULTS as error:
            fault = f"{type(error).__name__}: {error}"
            decision = deferred_by_fault(asked, self._packs, fault)
        return GateAnswer(decision, canonical_json(asked), picture, due, fault)

    def ask_and_record(self, question: Question, store: Store, now: datetime) -> GateAnswer | None:
        """`ask`, with the decision kept as evidence in the same transaction."""
        answer = self.ask(question, store, now)
        if answer is not None:
            store.record_decision(
                RecordedDecision(question.tenant, question.contact_id, answer.decision, answer.input_json)
            )
        return answer

    def _business_date(self, picture: DebtorPicture, now: datetime) -> date:
        """The tenant's date of the newest tick folded. Who asks may have read a later tick than our fold: then `now`
        has that tick's instant already, and the debtor's own date at it is the later one.
        """
        names = [name for name in picture.zones if name in self._packs.zones] or [_LAST_PLACE_OF_A_DAY]
        at_debtor = min(now.astimezone(self._packs.zones[name]).date() for name in names)
        return max(at_debtor, picture.business_date or date.min)

    def _input(self, question: Question, picture: DebtorPicture, due: tuple[Claim, ...], now: datetime) -> GateInput:
        # A reservation is the contact's own place under the cap, not a contact made before it.
        others = (a.past for a in picture.attempts if not (a.reserved and a.contact_id == question.contact_id))
        return GateInput(
            tenant=question.tenant,
            contact_id=question.contact_id,
            debtor_id=question.debtor_id,
            phase=Phase.SEND,
            kind=picture.kind,
            country=picture.country,
            zones=picture.zones,
            debts=debt_views(due),
            channel=question.channel,
            purpose=question.purpose,
            action=question.action,
            autonomy=Autonomy.AUTO if question.action in self._auto_actions else Autonomy.APPROVE,
            approved=False,
            address_verified=(
                question.channel in self._channels
                and picture.contact_point is not None
                and picture.contact_point.verified
            ),
            suppressed=picture.suppressed,
            stopped=picture.stopped,
            degraded=picture.degraded,
            drift=picture.drift,
            kill_switch=picture.kill_switch,
            ledger_fresh=True,
            content_amounts=totals(due),
            attempts=tuple(others),
            promise_open=False,
            care=False,
            not_before=question.not_before,
            not_after=question.not_after,
            now=now,
        )
