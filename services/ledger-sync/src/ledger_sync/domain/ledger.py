"""A debtor's ledger: the facts that stand, and the invariants they must keep.

The mirror keeps, per aspect of a thing, the fact with the greatest version. Taking the greatest is commutative,
associative and idempotent, so arrival order and duplicates cannot matter (I3). What can go wrong is a set of facts that
breaks an invariant, for good or because some facts are still on their way: a fact that does not fit is rejected here,
held by the caller and tried again by `release`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from ledger_sync.domain.facts import ASPECT_ORDER, Aspect, Fact, FactKey


class Effect(StrEnum):
    """What a fact did. UNCHANGED: a newer version that says nothing new. STALE: a version as new or newer stands."""

    APPLIED = "applied"
    UNCHANGED = "unchanged"
    STALE = "stale"


class FactRejected(ValueError):
    """A fact that does not fit the ledger as it is. `waits`: another fact it needs has not come yet."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code

    @property
    def waits(self) -> bool:
        return self.code in _WAITING

    @property
    def may_fit_later(self) -> bool:
        """Whether another fact can still make room. A version used twice stays a contradiction."""
        return self.code != VERSION_REUSED


INVOICE_MISSING, SOURCE_MISSING, ALLOCATION_MISSING = "invoice_missing", "source_missing", "allocation_missing"
OVER_ALLOCATED, SOURCE_OVER_ALLOCATED, OVER_REVERSED = "over_allocated", "source_over_allocated", "over_reversed"
CURRENCY_FOREIGN, VERSION_REUSED = "currency_foreign", "version_reused"
_WAITING = frozenset({INVOICE_MISSING, SOURCE_MISSING, ALLOCATION_MISSING})
_NEEDS_INVOICE = frozenset({Aspect.ALLOCATION, Aspect.WRITE_OFF, Aspect.DISPUTE, Aspect.INVOICE_VOID})


@dataclass(frozen=True, slots=True)
class InvoiceBalance:
    """An invoice in minor units. I1: allocated + discount + written_off + open = total, or open = 0 when voided."""

    invoice_id: str
    currency: str
    total: int
    allocated: int
    discount: int
    written_off: int
    disputed: int
    voided: bool

    @property
    def open(self) -> int:
        return 0 if self.voided else self.total - self.allocated - self.discount - self.written_off


@dataclass(frozen=True, slots=True)
class SourceBalance:
    """A payment or credit note in minor units. I2: allocated + unapplied = amount - reversed."""

    source: FactKey
    currency: str
    amount: int
    reversed: int
    allocated: int

    @property
    def unapplied(self) -> int:
        return self.amount - self.reversed - self.allocated


class Ledger:
    """All standing facts of one debtor. Not thread-safe; a rejected fact leaves it as it was."""

    def __init__(self, facts: Iterable[Fact] = ()) -> None:
        self._facts: dict[FactKey, Fact] = {}
        self._of_invoice: defaultdict[str, set[FactKey]] = defaultdict(set)
        self._of_source: defaultdict[FactKey, set[FactKey]] = defaultdict(set)
        for fact in facts:
            self._put(fact.key, fact)

    def apply(self, fact: Fact) -> Effect:
        """Take a fact in. Raises FactRejected."""
        return self.apply_together([fact])[0]

    def apply_together(self, facts: Sequence[Fact]) -> list[Effect]:
        """Take facts in that may only fit together: all of them or, with FactRejected, none."""
        before: list[tuple[FactKey, Fact | None]] = []
        effects: list[Effect] = []
        try:
            for fact in facts:
                effects.append(self._effect(fact))
                if effects[-1] is not Effect.STALE:
                    before.append((fact.key, self._facts.get(fact.key)))
                    self._put(fact.key, fact)
            for fact in facts:
                self._check(fact)
        except FactRejected:
            for key, previous in reversed(before):
                self._put(key, previous)
            raise
        return effects

    def facts(self) -> list[Fact]:
        """Everything that stands, by key."""
        return sorted(self._facts.values(), key=lambda fact: fact.key)

    def invoices(self) -> list[InvoiceBalance]:
        """Balances of all invoices, by id."""
        ids = sorted(key.thing_id for key in self._facts if key.aspect is Aspect.INVOICE)
        return [self._invoice_balance(invoice_id) for invoice_id in ids]

    def sources(self) -> list[SourceBalance]:
        """Balances of all payments and credit notes, by key."""
        keys = sorted(key for key in self._facts if key.aspect in (Aspect.PAYMENT, Aspect.CREDIT_NOTE))
        return [self._source_balance(key) for key in keys]

    def _effect(self, fact: Fact) -> Effect:
        standing = self._facts.get(fact.key)
        if standing is None or fact.order > standing.order:
            return Effect.UNCHANGED if standing and standing.digest == fact.digest else Effect.APPLIED
        if fact.order == standing.order and fact.digest != standing.digest:
            raise FactRejected(
                VERSION_REUSED, f"version {fact.version} of {fact.aspect} {fact.thing_id} already says something else"
            )
        return Effect.STALE

    def _put(self, key: FactKey, fact: Fact | None) -> None:
        old = self._facts.pop(key, None)
        if key.aspect in (Aspect.ALLOCATION, Aspect.WRITE_OFF, Aspect.PAYMENT_REVERSAL):
            if old is not None:
                self._of_invoice[old.invoice_id].discard(key)
                self._of_source[_source_of(old)].discard(key)
            if fact is not None:
                self._of_invoice[fact.invoice_id].add(key)
                self._of_source[_source_of(fact)].add(key)
        if fact is not None:
            self._facts[key] = fact

    def _check(self, fact: Fact) -> None:
        """Whether what the fact needs is there and every balance it touches keeps its invariants."""
        if fact.aspect in _NEEDS_INVOICE and FactKey(Aspect.INVOICE, fact.invoice_id) not in self._facts:
            raise FactRejected(INVOICE_MISSING, f"invoice {fact.invoice_id} is not known for this debtor")
        if fact.source is not None and fact.source not in self._facts:
            raise FactRejected(SOURCE_MISSING, f"{_name(fact.source)} is not known for this debtor")
        match fact.aspect:
            case Aspect.PARTY:
                pass
            case Aspect.ALLOCATION_REMOVAL:
                if FactKey(Aspect.ALLOCATION, fact.thing_id) not in self._facts:
                    raise FactRejected(ALLOCATION_MISSING, f"allocation {fact.thing_id} is not known for this debtor")
            case Aspect.DISPUTE:
                self._check_currency(fact, self._facts[FactKey(Aspect.INVOICE, fact.invoice_id)])
            case Aspect.PAYMENT | Aspect.CREDIT_NOTE:
                self._check_source(fact.key)
            case Aspect.INVOICE | Aspect.INVOICE_VOID | Aspect.WRITE_OFF:
                self._check_invoice(fact.invoice_id)
            case Aspect.ALLOCATION:
                self._check_invoice(fact.invoice_id)
                self._check_source(_source_of(fact))
            case Aspect.PAYMENT_REVERSAL | Aspect.CREDIT_NOTE_VOID:
                self._check_source(_source_of(fact))

    def _check_invoice(self, invoice_id: str) -> None:
        terms = self._facts[FactKey(Aspect.INVOICE, invoice_id)]
        for key in self._of_invoice[invoice_id]:
            self._check_currency(self._facts[key], terms)
        balance = self._invoice_balance(invoice_id)
        if balance.open < 0:
            raise FactRejected(
                OVER_ALLOCATED,
                f"invoice {invoice_id} of {balance.total} {balance.currency} (minor units) would be settled with "
                f"{balance.total - balance.open}",
            )

    def _check_source(self, source: FactKey) -> None:
        """The source itself, and each invoice it is put against: whether it stands decides what they owe."""
        terms = self._facts[source]
        for key in self._of_source[source]:
            self._check_currency(self._facts[key], terms)
        balance = self._source_balance(source)
        if balance.reversed > balance.amount:
            raise FactRejected(OVER_REVERSED, f"{_name(source)} would be reversed beyond its amount")
        if balance.unapplied < 0:
            raise FactRejected(
                SOURCE_OVER_ALLOCATED,
                f"{_name(source)} has {balance.amount - balance.reversed} {balance.currency} "
                f"(minor units), {balance.allocated} would be allocated",
            )
        for key in self._of_source[source]:
            invoice = FactKey(Aspect.INVOICE, self._facts[key].invoice_id)
            if key.aspect is Aspect.ALLOCATION and invoice in self._facts:
                self._check_open(invoice)

    def _check_open(self, invoice: FactKey) -> None:
        if self._invoice_balance(invoice.thing_id).open < 0:
            raise FactRejected(OVER_ALLOCATED, f"invoice {invoice.thing_id} would be settled beyond its total")

    def _check_currency(self, fact: Fact, terms: Fact) -> None:
        if fact.currency and fact.currency != terms.currency:
            raise FactRejected(
                CURRENCY_FOREIGN,
                f"{fact.aspect} {fact.thing_id} in {fact.currency} against {terms.aspect} {terms.thing_id} in "
                f"{terms.currency}",
            )

    def _invoice_balance(self, invoice_id: str) -> InvoiceBalance:
        terms = self._facts[FactKey(Aspect.INVOICE, invoice_id)]
        voided = FactKey(Aspect.INVOICE_VOID, invoice_id) in self._facts
        allocated = discount = written_off = 0
        for key in self._of_invoice[invoice_id]:
            fact = self._facts[key]
            if key.aspect is Aspect.WRITE_OFF:
                written_off += fact.amount_minor
            elif not voided and self._counts(fact):
                allocated += fact.amount_minor
                discount += fact.discount_minor
        open_minor = 0 if voided else terms.amount_minor - allocated - discount - written_off
        dispute = self._facts.get(FactKey(Aspect.DISPUTE, invoice_id))
        disputed = min(dispute.amount_minor, max(open_minor, 0)) if dispute else 0
        return InvoiceBalance(
            invoice_id, terms.currency, terms.amount_minor, allocated, discount, written_off, disputed, voided
        )

    def _source_balance(self, source: FactKey) -> SourceBalance:
        terms = self._facts[source]
        linked = [self._facts[key] for key in self._of_source[source]]
        given_back = self._given_back(source)
        allocated = sum(
            fact.amount_minor
            for fact in linked
            if fact.aspect is Aspect.ALLOCATION
            and FactKey(Aspect.INVOICE_VOID, fact.invoice_id) not in self._facts
            and self._counts(fact)
        )
        return SourceBalance(source, terms.currency, terms.amount_minor, given_back, allocated)

    def _counts(self, allocation: Fact) -> bool:
        """Whether an allocation settles anything: not removed, and its source not wholly given back."""
        if FactKey(Aspect.ALLOCATION_REMOVAL, allocation.thing_id) in self._facts:
            return False
        source = _source_of(allocation)
        terms = self._facts.get(source)
        return terms is not None and self._given_back(source) < terms.amount_minor

    def _given_back(self, source: FactKey) -> int:
        if FactKey(Aspect.CREDIT_NOTE_VOID, source.thing_id) in self._facts and source.aspect is Aspect.CREDIT_NOTE:
            return self._facts[source].amount_minor
        keys = self._of_source[source]
        return sum(self._facts[key].amount_minor for key in keys if key.aspect is Aspect.PAYMENT_REVERSAL)


@dataclass(frozen=True, slots=True)
class Release:
    """What became of held facts: those taken in, in order, and why the others still do not fit."""

    taken: list[tuple[Fact, Effect]]
    left: list[tuple[Fact, FactRejected]]


def release(ledger: Ledger, held: Iterable[Fact]) -> Release:
    """Try held facts again: one by one until none fits any more, then the rest as one.

    The last try is what makes arrival order irrelevant: whenever the standing and the held facts together keep the
    invariants, all of them stand afterwards, even if no single one fits alone (two half reversals of a used payment).
    """
    waiting = sorted(held, key=lambda fact: (ASPECT_ORDER[fact.aspect], fact.order, fact.thing_id))
    taken: list[tuple[Fact, Effect]] = []
    left: list[tuple[Fact, FactRejected]] = [(fact, _UNTRIED) for fact in waiting]
    progress = True
    while progress and left:
        tried, left = [fact for fact, _ in left], []
        for fact in tried:
            try:
                taken.append((fact, ledger.apply(fact)))
            except FactRejected as rejection:
                left.append((fact, rejection))
        progress = len(left) < len(tried)
    if len(left) > 1:
        together = [fact for fact, _ in left]
        try:
            effects = ledger.apply_together(together)
        except FactRejected:
            return Release(taken, left)
        return Release([*taken, *zip(together, effects, strict=True)], [])
    return Release(taken, left)


_UNTRIED = FactRejected("untried", "not tried yet")


def _name(key: FactKey) -> str:
    return f"{key.aspect} {key.thing_id}"


def _source_of(fact: Fact) -> FactKey:
    return fact.source or _NO_SOURCE


_NO_SOURCE = FactKey(Aspect.PAYMENT, "")
