"""Contacts against the input: none for what was paid or disputed, none outside hours or above the cap."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from duly.ledger.v1 import events_pb2 as pb
from duly_cli.checks.evidence import Evidence
from duly_cli.checks.own_ledger import OwnInvoice
from duly_cli.checks.result import CheckResult, result

_UTC = ZoneInfo("UTC")
# Contact hours of pack duly-default, both ends inclusive: first and last weekday (Monday 0), opening, closing.
_BUSINESS_HOURS = (0, 4, time(8), time(18))
_OTHER_HOURS = (0, 5, time(8), time(20))
CAP_DAY, CAP_DAYS_7 = 1, 2


def none_for_paid_or_disputed(evidence: Evidence) -> CheckResult:
    """Every invoice that an e-mail names was due, open and undisputed at that business date; its sum is right (I5)."""
    mails = {mail.contact_id: mail for mail in evidence.mails}
    named_count = 0

    def wrong() -> Iterator[str]:
        nonlocal named_count
        for event in evidence.sent:
            message = event.message
            day = evidence.business_date_at(sent_at(message))
            mail = mails.get(message.contact_id)
            named = _named(evidence, message.debtor_id, f"{mail.subject}\n{mail.text}") if mail else []
            named_count += len(named)
            if not named:
                yield f"contact {message.contact_id}: its e-mail names no invoice"
            for invoice in named:
                open_minor = evidence.ledger.open_minor(invoice.invoice_id, day)
                if open_minor <= 0:
                    yield f"contact {message.contact_id} on {day}: invoice {invoice.invoice_id} was paid"
                elif evidence.ledger.disputed_minor(invoice.invoice_id, day) >= open_minor:
                    yield f"contact {message.contact_id} on {day}: invoice {invoice.invoice_id} was disputed"
                elif invoice.due_date >= day:
                    yield f"contact {message.contact_id} on {day}: invoice {invoice.invoice_id} was not due"
            yield from _wrong_sum(evidence, message, named, day)

    violations = list(wrong())
    return result(
        "I5: no contact for a paid, disputed or undue invoice, and each claims what was owed",
        violations,
        contacts=len(evidence.sent),
        invoices_named=named_count,
    )


def none_outside_hours(evidence: Evidence) -> CheckResult:
    """Mon-Fri 08-18 for a business, Mon-Sat 08-20 for everybody else, in each of the debtor's zones."""

    def wrong() -> Iterator[str]:
        for event in evidence.sent:
            message = event.message
            first, last, opening, closing = _hours_of(evidence, message.debtor_id)
            for zone in evidence.zones_of(message.debtor_id):
                local = sent_at(message).astimezone(zone)
                if not (first <= local.weekday() <= last and opening <= local.time() <= closing):
                    yield f"contact {message.contact_id} went out at {local:%a %Y-%m-%d %H:%M} in {zone}"

    return result("no contact outside the allowed hours of the debtor's zone", wrong(), contacts=len(evidence.sent))


def none_above_the_cap(evidence: Evidence) -> CheckResult:
    """At most one contact a day and two in seven days per debtor, in days of the debtor's zone, `unknown` included."""
    attempts: dict[str, list[tuple[datetime, str]]] = defaultdict(list)
    for event in evidence.sent:
        attempts[event.message.debtor_id].append((sent_at(event.message), event.message.contact_id))
    for event in evidence.named("contact-events", "contact.unknown"):
        attempts[event.message.debtor_id].append((event.message.at.ToDatetime(_UTC), event.message.contact_id))

    def wrong() -> Iterator[str]:
        for debtor, rows in attempts.items():
            zone = evidence.zones_of(debtor)[0]
            days = sorted(moment.astimezone(zone).date() for moment, _ in rows)
            for day in sorted(set(days)):
                today = days.count(day)
                week = sum(day - timedelta(days=6) <= other <= day for other in days)
                if today > CAP_DAY or week > CAP_DAYS_7:
                    yield f"{debtor}: {today} contacts on {day}, {week} in seven days"

    busiest = max((len(rows) for rows in attempts.values()), default=0)
    return result("no debtor was contacted above the cap", wrong(), debtors_contacted=len(attempts), most=busiest)


def one_mail_per_contact(evidence: Evidence) -> CheckResult:
    """Every `contact.sent` has exactly one e-mail, to the debtor's own address, and every e-mail has its contact."""
    mails: dict[str, list[str]] = defaultdict(list)
    for mail in evidence.mails:
        mails[mail.contact_id].append(mail.to)
    sent = {event.message.contact_id: event.message for event in evidence.sent}
    unknown = {event.message.contact_id for event in evidence.named("contact-events", "contact.unknown")}

    def wrong() -> Iterator[str]:
        for contact_id, message in sent.items():
            found = mails.get(contact_id, [])
            if len(found) != 1:
                yield f"contact {contact_id} was sent and has {len(found)} e-mails"
            elif found[0].lower() not in _addresses(evidence.ledger.parties.get(message.debtor_id)):
                yield f"contact {contact_id} went to an address that is not {message.debtor_id}'s"
        for contact_id, found in mails.items():
            if contact_id not in sent and contact_id not in unknown:
                yield f"{len(found)} e-mails of contact {contact_id or 'none'}, which was never sent"
            elif contact_id in unknown and len(found) > 1:
                yield f"{len(found)} e-mails of contact {contact_id}, whose outcome is unknown"

    return result(
        "every contact has exactly one delivered e-mail",
        wrong(),
        contacts=len(sent),
        emails=len(evidence.mails),
        unknown=len(unknown),
    )


def sent_at(message: Any) -> datetime:
    """The policy instant of a `contact.sent`."""
    instant: datetime = message.sent_at.ToDatetime(_UTC)
    return instant


def _wrong_sum(evidence: Evidence, message: Any, named: list[OwnInvoice], day: date) -> Iterator[str]:
    claimed = {money.currency: money.amount_minor for money in message.amount_claimed}
    owed: dict[str, int] = defaultdict(int)
    for invoice in named:
        ledger = evidence.ledger
        owed[invoice.currency] += ledger.open_minor(invoice.invoice_id, day) - ledger.disputed_minor(
            invoice.invoice_id, day
        )
    if named and claimed != dict(owed):
        yield f"contact {message.contact_id} on {day} claims {claimed}, owed is {dict(owed)}"


def _named(evidence: Evidence, debtor_id: str, text: str) -> list[OwnInvoice]:
    """Invoices of the debtor whose number stands in the text, not merely inside a longer number."""
    words = set(text.replace(",", " ").replace(";", " ").split())
    bare = words | {word.strip(".:()") for word in words}
    return [invoice for invoice in evidence.ledger.invoices_of(debtor_id) if invoice.number in bare]


def _hours_of(evidence: Evidence, debtor_id: str) -> tuple[int, int, time, time]:
    party = evidence.ledger.parties.get(debtor_id)
    return _BUSINESS_HOURS if party is not None and party.kind == pb.PARTY_KIND_BUSINESS else _OTHER_HOURS


def _addresses(party: pb.PartyUpserted | None) -> set[str]:
    return {point.address.lower() for point in party.contact_points} if party is not None else set()
