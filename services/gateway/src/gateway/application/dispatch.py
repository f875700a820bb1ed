"""From a due contact to its outcome: claim, hand over, record. Each step is a transaction of its own.

A crash after the claim's commit leaves the attempt in flight; when its lease is over it becomes unknown. Nothing is
tried again unless the provider, or the phase the call reached, proves that the content never left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import assert_never

from duly_policy import Answer
from duly_runtime.clock import Clock, PolicyClock

from gateway.application import events
from gateway.application.gate import ContactGate, GateAnswer
from gateway.application.ports import (
    Channels,
    DueContact,
    Handover,
    Letter,
    Rendered,
    RenderFailed,
    Store,
    Templates,
    Transactions,
)
from gateway.application.request_contact import (
    attempt_id_of,
    new_attempt,
    question_of,
    tell_decision,
    with_decision,
)
from gateway.domain.contact import (
    Accepted,
    Attempt,
    AttemptState,
    Contact,
    ContactState,
    NotSent,
    Outcome,
    Refused,
    Unknown,
)
from gateway.domain.debts import totals

_NOT_SENT_TRIES_MAX = 1000  # a provider that is away: about 16 hours of back-off; not_after usually ends it before
_BACKOFF_SECONDS_MAX = 60.0
HARD_BOUNCE = "hard_bounce"


@dataclass(frozen=True, slots=True)
class DispatchRules:
    """lease_seconds: longer than any provider call may take. refused_tries_max: tries of one attempt on "later"."""

    lease_seconds: float
    backoff_seconds: float
    refused_tries_max: int
    creditor_name: str


@dataclass(frozen=True, slots=True)
class Dispatched:
    """What became of a due contact: for metrics. provider '' where no call was made."""

    state: ContactState
    channel: str
    provider: str = ""
    late: bool = False
    fault: str = ""


class Dispatch:
    """The use case behind the dispatcher loop. Thread-safe; contacts of one debtor are to be given one by one."""

    def __init__(
        self,
        transactions: Transactions,
        gate: ContactGate,
        templates: Templates,
        channels: Channels,
        rules: DispatchRules,
        policy_clock: PolicyClock,
        clock: Clock,
    ) -> None:
        self._transactions = transactions
        self._gate = gate
        self._templates = templates
        self._channels = channels
        self._rules = rules
        self._policy_clock = policy_clock
        self._clock = clock

    def hand_over(self, due: DueContact) -> Dispatched | None:
        """Claim, send, record. None: the contact is not due any more."""
        claimed = self.claim(due)
        return self.send(claimed) if isinstance(claimed, Handover) else claimed

    def send(self, handover: Handover) -> Dispatched:
        """Hand a claimed attempt to its provider and record the answer."""
        return self.record(handover, self._channels[handover.contact.channel].send(handover))

    def claim(self, due: DueContact) -> Handover | Dispatched | None:
        """Ask the gate again and commit the attempt as in flight; whatever else the gate says is committed too."""
        now = self._policy_clock.now()
        with self._transactions.begin() as store:
            if not store.lock_debtor(due.tenant, due.debtor_id):
                return None
            contact = store.contact(due.tenant, due.contact_id)
            if contact is None or not self._is_due(contact, now):
                return None
            answer = self._gate.ask_and_record(question_of(contact), store, now)
            if answer is None:
                return None
            if answer.decision.answer is Answer.ALLOW:
                return self._take(store, contact, answer, now)
            return _turn_away(store, contact, answer)

    def record(self, handover: Handover, outcome: Outcome) -> Dispatched:
        """What the provider said. An answer for an older fence is kept, and changes nothing."""
        with self._transactions.begin() as store:
            store.lock_debtor(handover.contact.tenant, handover.contact.debtor_id)
            contact = store.contact(handover.contact.tenant, handover.contact.contact_id)
            attempt = store.last_attempt(handover.contact.tenant, handover.contact.contact_id)
            assert contact is not None
            assert attempt is not None
            provider = attempt.provider
            if attempt.state is not AttemptState.IN_FLIGHT or attempt.fence != handover.attempt.fence:
                store.record_late_outcome(handover.attempt, repr(outcome))
                return Dispatched(contact.state, contact.channel, provider, late=True)
            done = self._settle(store, contact, attempt, handover.address, outcome)
            return Dispatched(done.state, contact.channel, provider)

    def contain(self, due: DueContact, claimed: Handover | None, fault: str) -> Dispatched | None:
        """After a fault nobody foresaw, so that one contact's fault is no other's.

        claimed: the send may have begun, so its attempt is unknown. None: nothing has left; later, a few times.
        """
        with self._transactions.begin() as store:
            store.lock_debtor(due.tenant, due.debtor_id)
            contact = store.contact(due.tenant, due.contact_id)
            attempt = store.last_attempt(due.tenant, due.contact_id)
            if contact is None:
                return None
            if claimed is not None:
                if attempt != claimed.attempt:
                    return None
                done = _unknown(store, contact, attempt, fault)
                return Dispatched(done.state, contact.channel, attempt.provider)
            if contact.state not in (ContactState.RESERVED, ContactState.WAITING):
                return None
            if attempt is None or attempt.state is not AttemptState.RESERVED:
                attempt = self._place_of(contact, attempt)
            attempt = replace(attempt, tries=attempt.tries + 1)
            done = self._settle(store, contact, attempt, "", Refused(fault, permanent=False))
            return Dispatched(done.state, contact.channel)

    def expired(self, limit: int) -> list[Attempt]:
        """In-flight attempts past their lease."""
        return list(self._transactions.expired(self._clock.now(), limit))

    def expire(self, seen: Attempt) -> Dispatched | None:
        """Nobody can say whether it arrived. None: it has its outcome by now."""
        with self._transactions.begin() as store:
            store.lock_debtor(seen.tenant, seen.debtor_id)
            contact = store.contact(seen.tenant, seen.contact_id)
            attempt = store.last_attempt(seen.tenant, seen.contact_id)
            if contact is None or attempt is None or attempt != seen:
                return None
            done = _unknown(store, contact, attempt, "lease_expired")
        return Dispatched(done.state, contact.channel, attempt.provider)

    def unknown_attempts(self) -> int:
        """How many attempts there are that may have arrived or not."""
        return self._transactions.unknown_attempts()

    def due(self, limit: int) -> list[DueContact]:
        """Raises PolicyClockUnset before the first tick of a simulated time."""
        return list(self._transactions.due(self._policy_clock.now(), self._clock.now(), limit))

    def _is_due(self, contact: Contact, now: datetime) -> bool:
        match contact.state:
            case ContactState.RESERVED:
                return contact.retry_at is None or contact.retry_at <= self._clock.now()
            case ContactState.WAITING:
                return contact.until is None or contact.until <= now
            case _:
                return False

    def _take(self, store: Store, contact: Contact, answer: GateAnswer, now: datetime) -> Handover | Dispatched:
        attempt = store.last_attempt(contact.tenant, contact.contact_id)
        if attempt is None or attempt.state is not AttemptState.RESERVED:
            attempt = new_attempt(contact, 1 if attempt is None else attempt.ordinal + 1, answer, now)
        sender = self._channels[contact.channel]
        point = answer.picture.contact_point
        assert point is not None  # the gate denies a contact without a verified address
        try:
            rendered = self._render(contact, answer)
        except RenderFailed as error:
            broken = replace(attempt, provider=sender.provider)
            done = _refused(store, contact, broken, Refused(error.code, permanent=True), address="")
            return Dispatched(done.state, contact.channel, fault=str(error))
        attempt = replace(
            attempt,
            state=AttemptState.IN_FLIGHT,
            at=now,
            fence=attempt.fence + 1,
            tries=attempt.tries + 1,
            lease_until=self._clock.now() + timedelta(seconds=self._rules.lease_seconds),
            decision_id=answer.decision.decision_id,
            ledger_version=answer.picture.ledger_version,
            amount_claimed=totals(answer.claims),
            content_sha256=rendered.content_sha256,
            provider=sender.provider,
            provider_code="",
        )
        contact = replace(
            contact,
            state=ContactState.IN_FLIGHT,
            decision_id=answer.decision.decision_id,
            until=None,
            retry_at=None,
            amount_claimed=attempt.amount_claimed,
            attempts=attempt.ordinal,
        )
        store.save_attempt(attempt)
        store.save_contact(contact)
        return Handover(contact, attempt, point.address, rendered)

    def _render(self, contact: Contact, answer: GateAnswer) -> Rendered:
        letter = Letter(
            contact_id=contact.contact_id,
            debtor_name=answer.picture.name,
            creditor_name=self._rules.creditor_name,
            claims=tuple(claim for claim in answer.claims if claim.claimable_minor > 0),
            totals=totals(answer.claims),
        )
        return self._templates.render(contact.template_id, contact.template_version, letter)

    def _settle(self, store: Store, contact: Contact, attempt: Attempt, address: str, outcome: Outcome) -> Contact:
        match outcome:
            case Accepted(provider_id):
                return _accepted(store, contact, attempt, provider_id)
            case Refused(code, permanent):
                if permanent or attempt.tries >= self._rules.refused_tries_max:
                    return _refused(store, contact, attempt, outcome, address)
                return self._later(store, contact, attempt, code)
            case NotSent(code):
                if attempt.tries >= _NOT_SENT_TRIES_MAX:
                    return _refused(store, contact, attempt, Refused(code, permanent=False), address)
                return self._later(store, contact, attempt, code)
            case Unknown(phase):
                return _unknown(store, contact, attempt, phase)
        assert_never(outcome)

    def _place_of(self, contact: Contact, last: Attempt | None) -> Attempt:
        """A place under the cap for a contact that waits; here its tries are counted. The gate is asked again."""
        ordinal = 1 if last is None else last.ordinal + 1
        return Attempt(
            tenant=contact.tenant,
            attempt_id=attempt_id_of(contact, ordinal),
            contact_id=contact.contact_id,
            debtor_id=contact.debtor_id,
            ordinal=ordinal,
            state=AttemptState.RESERVED,
            channel=contact.channel,
            at=self._policy_clock.now(),
        )

    def _later(self, store: Store, contact: Contact, attempt: Attempt, code: str) -> Contact:
        delay = min(_BACKOFF_SECONDS_MAX, self._rules.backoff_seconds * 2 ** min(attempt.tries - 1, 10))
        store.save_attempt(replace(attempt, state=AttemptState.RESERVED, lease_until=None, provider_code=code))
        retry_at = self._clock.now() + timedelta(seconds=delay)
        return _save(store, replace(contact, state=ContactState.RESERVED, retry_at=retry_at))


def _turn_away(store: Store, contact: Contact, answer: GateAnswer) -> Dispatched:
    """DEFER, DENY or HUMAN at the claim: the reservation is given back."""
    attempt = store.last_attempt(contact.tenant, contact.contact_id)
    if attempt is not None and attempt.state is AttemptState.RESERVED:
        store.save_attempt(replace(attempt, state=AttemptState.CANCELLED))
    decided = _save(store, with_decision(contact, answer.decision))
    tell_decision(store, decided, answer.decision)
    return Dispatched(decided.state, contact.channel, fault=answer.fault)


def _accepted(store: Store, contact: Contact, attempt: Attempt, provider_id: str) -> Contact:
    store.save_attempt(replace(attempt, state=AttemptState.ACCEPTED, lease_until=None, provider_code=provider_id))
    done = _save(store, replace(contact, state=ContactState.ACCEPTED, sent_at=attempt.at))
    events.emit_of_contact(store, done, events.sent(done, attempt), attempt.attempt_id, attempt.at)
    return done


def _refused(store: Store, contact: Contact, attempt: Attempt, refusal: Refused, address: str) -> Contact:
    store.save_attempt(replace(attempt, state=AttemptState.REFUSED, lease_until=None, provider_code=refusal.code))
    done = _save(store, replace(contact, state=ContactState.REFUSED))
    if address and _no_such_address(refusal):
        store.suppress(contact.tenant, contact.debtor_id, address, HARD_BOUNCE, attempt.attempt_id)
    events.emit_of_contact(store, done, events.failed(done, attempt, refusal), attempt.attempt_id, attempt.at)
    return done


def _unknown(store: Store, contact: Contact, attempt: Attempt, code: str) -> Contact:
    store.save_attempt(replace(attempt, state=AttemptState.UNKNOWN, lease_until=None, provider_code=code))
    done = _save(store, replace(contact, state=ContactState.UNKNOWN))
    events.emit_of_contact(store, done, events.unknown(done, attempt, code), attempt.attempt_id, attempt.at)
    return done


def _no_such_address(refusal: Refused) -> bool:
    """SMTP enhanced status 5.1.x (RFC 3463): the address is bad, not the moment."""
    return refusal.permanent and " 5.1." in f" {refusal.code}"


def _save(store: Store, contact: Contact) -> Contact:
    store.save_contact(contact)
    return contact
