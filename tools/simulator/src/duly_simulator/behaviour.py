"""What a debtor does on a day: pure functions of (seed, debtor, invoice, date, contacts), never of arrival."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import assert_never

from duly_simulator import parameters as par
from duly_simulator.chance import uniform, whole
from duly_simulator.parameters import DebtorType
from duly_simulator.population import Debtor, next_business_day

# Logits of the daily hazard. NEVER is about 1 in 8,000; a weekend leaves about 0.3 % of payments there.
_NEVER, _WEEKEND, _MISLAID, _KEPT_PROMISE = -9.0, -7.0, -5.0, 4.0
_FADE = {1: 1.0, 2: 2 / 3, 3: 1 / 3}  # weight of a contact by its age in days
_REPEAT_FACTOR, _REPEAT_DAYS = 0.6, 14


@dataclass(frozen=True, slots=True)
class OpenInvoice:
    """What a debtor sees of one of its invoices. Amounts in minor units, open_minor > 0.

    mislaid_until: before that day nobody at the debtor's has it in hand.
    """

    invoice_id: str
    issue_date: date
    due_date: date
    total_minor: int
    open_minor: int
    disputed: bool = False
    resolved_on: date | None = None
    mislaid_until: date | None = None


@dataclass(frozen=True, slots=True)
class Promise:
    """A debtor's word: everything overdue on `on`. kept: whether it means it."""

    on: date
    kept: bool


def hazard(
    debtor: Debtor, invoice: OpenInvoice, today: date, contacts: Iterable[date], promise: Promise | None = None
) -> float:
    """P(pays, in full or in part, today | open before). contacts: days on which a message reached the debtor."""
    if invoice.disputed:
        return 0.0
    if promise and promise.kept and promise.on == today and invoice.due_date < today:
        return _logistic(_KEPT_PROMISE)
    base = _WEEKEND if today.weekday() >= 5 else _base_logit(debtor, invoice, today)
    if today < invoice.due_date - timedelta(days=10):
        base = min(base, _NEVER)
    if invoice.mislaid_until and today < invoice.mislaid_until:
        base = min(base, _MISLAID)
    # A contact is about what is due: it moves no payment before the due date.
    effect = contact_effect(debtor.type, contacts, today) if today > invoice.due_date else 0.0
    return _logistic(base + effect)


def payment_minor(
    seed: int,
    debtor: Debtor,
    invoice: OpenInvoice,
    today: date,
    contacts: Iterable[date],
    promise: Promise | None = None,
) -> int:
    """Minor units paid today on that invoice; 0 = nothing."""
    chance = hazard(debtor, invoice, today, contacts, promise)
    if uniform(seed, "pay", debtor.id, invoice.invoice_id, today.isoformat()) >= chance:
        return 0
    if debtor.type is DebtorType.STRAINED:
        part = max(1, invoice.total_minor * 2 // 5)
        return part if part * 3 < invoice.open_minor * 2 else invoice.open_minor
    return invoice.open_minor


def contact_effect(kind: DebtorType, contacts: Iterable[date], today: date) -> float:
    """Change of the hazard's logit by the messages of the last three days, each repetition within 14 days weaker."""
    days = sorted(contacts)
    return sum(
        _effect_of(kind, nth := _nth(days, index)) * _REPEAT_FACTOR ** (nth - 1) * _FADE[age]
        for index, day in enumerate(days)
        if (age := (today - day).days) in _FADE
    )


def mislaid_until(seed: int, invoice_id: str, due_date: date) -> date | None:
    """The day on which an invoice that got lost turns up; None for most of them."""
    if uniform(seed, "mislaid", invoice_id) >= par.MISLAID_SHARE:
        return None
    low, high = par.MISLAID_DAYS
    return due_date + timedelta(days=whole(low, high, seed, "mislaid days", invoice_id))


def opens_dispute(seed: int, debtor: Debtor, invoice: OpenInvoice, today: date) -> bool:
    """Does the debtor dispute the invoice today? At most once an invoice, 1 to 10 days after due."""
    if debtor.type is not DebtorType.DISPUTING or invoice.disputed or invoice.resolved_on:
        return False
    if uniform(seed, "disputes", debtor.id, invoice.invoice_id) >= par.DISPUTED_SHARE:
        return False
    after = whole(1, 10, seed, "dispute day", debtor.id, invoice.invoice_id)
    return today == next_business_day(invoice.due_date + timedelta(days=after))


def dispute_ends_on(seed: int, debtor: Debtor, invoice_id: str, opened_on: date) -> date:
    """The business day on which the company resolves that dispute."""
    days = whole(12, 40, seed, "dispute length", debtor.id, invoice_id)
    return next_business_day(opened_on + timedelta(days=days))


def reply_to(seed: int, debtor: Debtor, today: date, contacts: Sequence[date]) -> str:
    """The debtor's answer to a message that reached it today; "" = none. contacts include today's."""
    chance = uniform(seed, "reply", debtor.id, "", today.isoformat())
    days = sorted(contacts)
    match debtor.type:
        case DebtorType.REACTANT:
            return "STOP" if _nth(days, len(days) - 1) >= 2 and chance < 0.5 else ""
        case DebtorType.DISPUTING:
            return "This is wrong, part of the goods never came." if chance < 0.3 else ""
        case DebtorType.STRATEGIC:
            return "I will pay on Friday." if chance < 0.3 else ""
        case DebtorType.STRAINED:
            return "I will pay on Friday." if chance < 0.2 else ""
        case DebtorType.FORGETFUL:
            return "Sorry, I will pay on Friday." if chance < 0.1 else ""
        case DebtorType.AUTOPILOT | DebtorType.INSOLVENT:
            return ""
        case _:
            assert_never(debtor.type)


def promise_in(seed: int, debtor: Debtor, body: str, today: date) -> Promise | None:
    """The promise that a reply makes: the next Friday after today. Six in ten are kept."""
    if "on Friday" not in body:
        return None
    friday = today + timedelta(days=(4 - today.weekday() - 1) % 7 + 1)
    return Promise(friday, uniform(seed, "keeps", debtor.id, "", today.isoformat()) < 0.6)


def _base_logit(debtor: Debtor, invoice: OpenInvoice, today: date) -> float:
    """Logit of the hazard on a business day without any contact."""
    late = (today - next_business_day(invoice.due_date)).days
    match debtor.type:
        case DebtorType.AUTOPILOT:
            return _on_the_day(late)
        case DebtorType.FORGETFUL:
            return _around(late, debtor.centre_days, first_day=3)
        case DebtorType.STRATEGIC:
            due_run = late >= debtor.centre_days and today.weekday() == debtor.run_weekday
            return 1.5 if due_run else -6.0
        case DebtorType.STRAINED:
            since_payday = (today.day - debtor.payday) % 31
            return 0.4 if late >= 0 and since_payday <= 4 else -6.0
        case DebtorType.DISPUTING:
            return 0.0 if invoice.resolved_on else _around(late, debtor.centre_days, first_day=1)
        case DebtorType.REACTANT:
            return -0.7 if late >= debtor.centre_days else -5.0
        case DebtorType.INSOLVENT:
            broke = debtor.insolvent_on is not None and today >= debtor.insolvent_on
            return -6.5 if broke else _around(late, debtor.centre_days, first_day=3)
        case _:
            assert_never(debtor.type)


def _on_the_day(late: int) -> float:
    if late >= 0:
        return 2.5 if late == 0 else 1.5
    return -4.2 if late >= -10 else _NEVER


def _around(late: int, centre_days: int, first_day: int) -> float:
    """Now and then from `first_day` on, every second day once the centre is reached."""
    if late < first_day:
        return -6.0
    return 0.0 if late >= centre_days else -3.0


def _effect_of(kind: DebtorType, nth: int) -> float:
    """Logit effect of a friendly e-mail that is the nth in 14 days."""
    match kind:
        case DebtorType.FORGETFUL:
            return 1.2
        case DebtorType.STRATEGIC:
            return 0.2
        case DebtorType.STRAINED:
            return 0.3
        case DebtorType.REACTANT:
            return 0.4 if nth < 3 else -0.4
        case DebtorType.AUTOPILOT | DebtorType.DISPUTING | DebtorType.INSOLVENT:
            return 0.0
        case _:
            assert_never(kind)


def _nth(days: Sequence[date], index: int) -> int:
    """Which message in 14 days the one at `index` is, counted from 1. days: sorted."""
    first = days[index] - timedelta(days=_REPEAT_DAYS - 1)
    return sum(1 for day in days[: index + 1] if day >= first)


def _logistic(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))
