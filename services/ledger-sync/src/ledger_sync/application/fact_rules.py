"""What each ledger event must hold, and the fact it is. One row per event in `RULES`. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from duly_contracts.dates import FIRST_DATE, LAST_DATE, in_range
from duly_contracts.events import event_of
from duly_contracts.money import AMOUNT_MAX_MINOR, AmountInvalid, currency_exponent
from google.protobuf.message import Message

from duly.ledger.v1 import events_pb2 as pb
from ledger_sync.domain.facts import Aspect, Fact, FactKey

ID_LENGTH_MAX = 200
_TEXT_LENGTH_MAX = 2000
_REPEATED_MAX = 500


class FactInvalid(ValueError):
    """An event's data breaks a rule; the text names the field."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class Rule:
    """How one event is read.

    entity, external_id: name the thing the source speaks of, for the id of the fact. ids: text fields that must be set.
    dates: required; optional_dates: may be empty. money: must be set and greater than 0 (`zero_money`: or 0).
    fact: (message, version, digest) -> Fact.
    """

    entity: str
    external_id: str
    ids: tuple[str, ...]
    fact: Callable[[Any, str, bytes], Fact]
    dates: tuple[str, ...] = ()
    optional_dates: tuple[str, ...] = ()
    money: tuple[str, ...] = ()
    zero_money: tuple[str, ...] = ()
    also: Callable[[Any], None] = lambda message: None


def rule_of(message: Message) -> Rule:
    """The rule of a ledger message. Raises KeyError for one that sources may not send."""
    return RULES[type(message)]


def check(message: Message) -> None:
    """Raises FactInvalid with a stable code and the field that is wrong."""
    rule = rule_of(message)
    for name in ("debtor_id", *rule.ids):
        _require_id(name, getattr(message, name))
    for name in rule.dates:
        _require_date(name, getattr(message, name))
    for name in rule.optional_dates:
        if getattr(message, name):
            _require_date(name, getattr(message, name))
    for name in (*rule.money, *rule.zero_money):
        if not message.HasField(name):
            raise FactInvalid("field_missing", f"{name}: required")
        _require_money(name, getattr(message, name), 0 if name in rule.zero_money else 1)
    _require_bounded_texts(message, "")
    rule.also(message)


def fact_of(message: Message, version: str, content: bytes) -> Fact:
    """The fact in a checked message. content: its deterministic bytes."""
    digest = hashlib.sha256(event_of(message).name.encode() + content).digest()[:16]
    return rule_of(message).fact(message, version, digest)


def _require_id(name: str, value: str) -> None:
    if not value:
        raise FactInvalid("field_missing", f"{name}: required")
    if len(value) > ID_LENGTH_MAX or not value.isprintable():
        raise FactInvalid("field_invalid", f"{name}: at most {ID_LENGTH_MAX} printable characters")


def _require_date(name: str, value: str) -> None:
    if not value:
        raise FactInvalid("field_missing", f"{name}: required")
    try:
        day = in_range(date.fromisoformat(value))
    except ValueError:
        day = None
    if day is None or len(value) != 10:
        wanted = f"a date like 2026-03-31 between {FIRST_DATE} and {LAST_DATE}"
        raise FactInvalid("date_invalid", f"{name}: {wanted} is needed")


def _require_money(name: str, money: Any, least: int) -> None:
    try:
        currency_exponent(money.currency)
    except AmountInvalid as error:
        raise FactInvalid("money_invalid", f"{name}.currency: {error}") from None
    if money.amount_minor < least:
        raise FactInvalid("money_invalid", f"{name}.amountMinor: at least {least} is needed")
    if money.amount_minor > AMOUNT_MAX_MINOR:
        raise FactInvalid("money_invalid", f"{name}.amountMinor: at most {AMOUNT_MAX_MINOR} is possible")


def _require_bounded_texts(message: Message, where: str) -> None:
    """PostgreSQL keeps no NUL, and nobody's text field is a place for a book."""
    for field, value in message.ListFields():
        name = f"{where}{field.name}"
        values = value if field.is_repeated else (value,)
        if len(values) > _REPEATED_MAX:
            raise FactInvalid("field_invalid", f"{name}: at most {_REPEATED_MAX} entries")
        for item in values:
            if field.message_type is not None:
                _require_bounded_texts(item, f"{name}.")
            elif isinstance(item, str) and (len(item) > _TEXT_LENGTH_MAX or "\x00" in item):
                raise FactInvalid("field_invalid", f"{name}: at most {_TEXT_LENGTH_MAX} characters, none of them NUL")


def _also_party(message: pb.PartyUpserted) -> None:
    for zone in message.zones:
        if not _is_zone(zone):
            raise FactInvalid("field_invalid", f"zones: {zone!r} is no IANA time zone")
    for point in message.contact_points:
        _require_id("contact_points.contact_point_id", point.contact_point_id)
        _require_id("contact_points.address", point.address)
        if not point.channel:
            raise FactInvalid("field_missing", "contact_points.channel: required")


@lru_cache(maxsize=1024)
def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not found; no key at all; a folder of the database
        return False
    return True


def _also_invoice(message: pb.InvoiceIssued | pb.InvoiceRevised) -> None:
    parts = message.instalments
    for part in parts:
        _require_date("instalments.due_date", part.due_date)
        _require_money("instalments.amount", part.amount, 0)
        if part.amount.currency != message.total.currency:
            raise FactInvalid("money_invalid", "instalments.amount: in the currency of the total")
    if parts and sum(part.amount.amount_minor for part in parts) != message.total.amount_minor:
        raise FactInvalid("money_invalid", "instalments: their sum must be the total")


def _also_allocation(message: pb.AllocationApplied) -> None:
    if not message.source_kind:
        raise FactInvalid("field_missing", "source_kind: required")
    if message.HasField("discount"):
        _require_money("discount", message.discount, 0)
        if message.discount.currency != message.amount.currency:
            raise FactInvalid("money_invalid", "discount: in the currency of the amount")


def _also_write_off(message: pb.InvoiceWrittenOff) -> None:
    if not message.reason:
        raise FactInvalid("field_missing", "reason: required")


def _party(m: pb.PartyUpserted, version: str, digest: bytes) -> Fact:
    return Fact(Aspect.PARTY, m.party_id, version, digest)


def _invoice(m: pb.InvoiceIssued | pb.InvoiceRevised, version: str, digest: bytes) -> Fact:
    rank = int(isinstance(m, pb.InvoiceRevised))
    return Fact(
        Aspect.INVOICE, m.invoice_id, version, digest, rank, invoice_id=m.invoice_id,
        amount_minor=m.total.amount_minor, currency=m.total.currency, on=_day(m.issue_date), due=_day(m.due_date),
    )  # fmt: skip


def _invoice_void(m: pb.InvoiceVoided, version: str, digest: bytes) -> Fact:
    return Fact(Aspect.INVOICE_VOID, m.invoice_id, version, digest, invoice_id=m.invoice_id, on=_day(m.on))


def _dispute(m: pb.InvoiceDisputed, version: str, digest: bytes) -> Fact:
    return Fact(
        Aspect.DISPUTE, m.invoice_id, version, digest, invoice_id=m.invoice_id,
        amount_minor=m.amount.amount_minor, currency=m.amount.currency, on=_day(m.on),
    )  # fmt: skip


def _dispute_resolved(m: pb.InvoiceDisputeResolved, version: str, digest: bytes) -> Fact:
    return Fact(Aspect.DISPUTE, m.invoice_id, version, digest, rank=1, invoice_id=m.invoice_id, on=_day(m.on))


def _write_off(m: pb.InvoiceWrittenOff, version: str, digest: bytes) -> Fact:
    return Fact(
        Aspect.WRITE_OFF, m.write_off_id, version, digest, invoice_id=m.invoice_id,
        amount_minor=m.amount.amount_minor, currency=m.amount.currency, on=_day(m.on),
    )  # fmt: skip


def _credit_note(m: pb.CreditNoteIssued, version: str, digest: bytes) -> Fact:
    return Fact(
        Aspect.CREDIT_NOTE, m.credit_note_id, version, digest,
        amount_minor=m.amount.amount_minor, currency=m.amount.currency, on=_day(m.issue_date),
    )  # fmt: skip


def _credit_note_void(m: pb.CreditNoteVoided, version: str, digest: bytes) -> Fact:
    source = FactKey(Aspect.CREDIT_NOTE, m.credit_note_id)
    return Fact(Aspect.CREDIT_NOTE_VOID, m.credit_note_id, version, digest, source=source, on=_day(m.on))


def _payment(m: pb.PaymentReceived, version: str, digest: bytes) -> Fact:
    return Fact(
        Aspect.PAYMENT, m.payment_id, version, digest,
        amount_minor=m.amount.amount_minor, currency=m.amount.currency, on=_day(m.booking_date),
    )  # fmt: skip


def _reversal(m: pb.PaymentReversed, version: str, digest: bytes) -> Fact:
    return Fact(
        Aspect.PAYMENT_REVERSAL, m.reversal_id, version, digest, source=FactKey(Aspect.PAYMENT, m.payment_id),
        amount_minor=m.amount.amount_minor, currency=m.amount.currency, on=_day(m.on),
    )  # fmt: skip


def _allocation(m: pb.AllocationApplied, version: str, digest: bytes) -> Fact:
    paid = m.source_kind == pb.ALLOCATION_SOURCE_PAYMENT
    source = FactKey(Aspect.PAYMENT if paid else Aspect.CREDIT_NOTE, m.source_id)
    return Fact(
        Aspect.ALLOCATION, m.allocation_id, version, digest, invoice_id=m.invoice_id, source=source,
        amount_minor=m.amount.amount_minor, discount_minor=m.discount.amount_minor, currency=m.amount.currency,
        on=_day(m.on),
    )  # fmt: skip


def _allocation_removal(m: pb.AllocationRemoved, version: str, digest: bytes) -> Fact:
    return Fact(Aspect.ALLOCATION_REMOVAL, m.allocation_id, version, digest, on=_day(m.on))


def _day(text: str) -> date:
    return date.fromisoformat(text)


_INVOICE_DATES = ("issue_date", "due_date")
# fmt: off
RULES: dict[type[Message], Rule] = {
    pb.PartyUpserted: Rule("party", "party_id", ("party_id",), _party, optional_dates=("since",), also=_also_party),
    pb.InvoiceIssued: Rule(
        "invoice", "invoice_id", ("invoice_id",), _invoice, _INVOICE_DATES, money=("total",), also=_also_invoice
    ),
    pb.InvoiceRevised: Rule(
        "invoice", "invoice_id", ("invoice_id",), _invoice, _INVOICE_DATES, zero_money=("total",), also=_also_invoice
    ),
    pb.InvoiceVoided: Rule("invoice", "invoice_id", ("invoice_id",), _invoice_void, ("on",)),
    pb.InvoiceDisputed: Rule("invoice", "invoice_id", ("invoice_id",), _dispute, ("on",), money=("amount",)),
    pb.InvoiceDisputeResolved: Rule("invoice", "invoice_id", ("invoice_id",), _dispute_resolved, ("on",)),
    pb.InvoiceWrittenOff: Rule(
        "write_off", "write_off_id", ("write_off_id", "invoice_id"), _write_off, ("on",), money=("amount",),
        also=_also_write_off,
    ),
    pb.CreditNoteIssued: Rule(
        "credit_note", "credit_note_id", ("credit_note_id",), _credit_note, ("issue_date",), money=("amount",)
    ),
    pb.CreditNoteVoided: Rule("credit_note", "credit_note_id", ("credit_note_id",), _credit_note_void, ("on",)),
    pb.PaymentReceived: Rule(
        "payment", "payment_id", ("payment_id",), _payment, ("booking_date",), ("value_date",), ("amount",)
    ),
    # The reversal's own id, not the payment's: a payment can be given back in parts.
    pb.PaymentReversed: Rule(
        "payment", "reversal_id", ("reversal_id", "payment_id"), _reversal, ("on",), money=("amount",)
    ),
    pb.AllocationApplied: Rule(
        "allocation", "allocation_id", ("allocation_id", "source_id", "invoice_id"), _allocation, ("on",),
        money=("amount",), also=_also_allocation,
    ),
    pb.AllocationRemoved: Rule(
        "allocation", "allocation_id", ("allocation_id", "invoice_id"), _allocation_removal, ("on",)
    ),
}
# fmt: on
