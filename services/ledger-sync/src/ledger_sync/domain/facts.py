"""One fact of a ledger, as the mirror keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import NamedTuple


class Aspect(StrEnum):
    """What a fact is about. Facts of one aspect and one thing replace each other by version.

    The order is the order in which held facts are tried again: what others need comes first.
    """

    PARTY = "party"
    INVOICE = "invoice"
    PAYMENT = "payment"
    CREDIT_NOTE = "credit_note"
    ALLOCATION = "allocation"
    DISPUTE = "dispute"
    WRITE_OFF = "write_off"
    ALLOCATION_REMOVAL = "allocation_removal"
    PAYMENT_REVERSAL = "payment_reversal"
    INVOICE_VOID = "invoice_void"
    CREDIT_NOTE_VOID = "credit_note_void"


ASPECT_ORDER = {aspect: number for number, aspect in enumerate(Aspect)}
# Aspects of a thing that another aspect brings into being.
_STATED_BY = {
    Aspect.DISPUTE: Aspect.INVOICE,
    Aspect.INVOICE_VOID: Aspect.INVOICE,
    Aspect.CREDIT_NOTE_VOID: Aspect.CREDIT_NOTE,
    Aspect.ALLOCATION_REMOVAL: Aspect.ALLOCATION,
}


class FactKey(NamedTuple):
    """Names one aspect of one thing of a debtor. A payment or credit note is named by the key of its terms."""

    aspect: Aspect
    thing_id: str


@dataclass(frozen=True, slots=True)
class Fact:
    """What a source says of one aspect of one thing, at its own version.

    thing_id: id of the party, invoice (terms, dispute, void), payment, reversal, credit note, allocation, write-off.
    version: digits; later states compare greater (`version_key`).
    rank: orders facts of one version (a dispute before its resolution).
    digest: of the content, to tell a repetition from a contradiction.
    invoice_id: the invoice it bears on. source: the payment or credit note it bears on.
    amount_minor, discount_minor, currency: integer minor units; 0 and "" where the aspect has none.
    on, due: dates the fact itself states.
    """

    aspect: Aspect
    thing_id: str
    version: str
    digest: bytes
    rank: int = 0
    invoice_id: str = ""
    source: FactKey | None = None
    amount_minor: int = 0
    discount_minor: int = 0
    currency: str = ""
    on: date | None = None
    due: date | None = None

    @property
    def key(self) -> FactKey:
        return FactKey(self.aspect, self.thing_id)

    @property
    def thing(self) -> FactKey:
        """The thing itself, by the aspect that states it: a dispute's is its invoice. It belongs to one debtor."""
        return FactKey(_STATED_BY.get(self.aspect, self.aspect), self.thing_id)

    @property
    def states_thing(self) -> bool:
        """Whether the fact brings its thing into being, so that a debtor may own it."""
        return self.aspect not in _STATED_BY

    @property
    def order(self) -> tuple[tuple[int, str], int]:
        """Compares facts of one key: the greater one stands."""
        return version_key(self.version), self.rank


def version_key(version: str) -> tuple[int, str]:
    """Orders versions by value. They are digits alone: what a source sends is brought to that form or refused."""
    digits = version.lstrip("0")
    return len(digits), digits
