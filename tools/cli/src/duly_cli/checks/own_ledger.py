"""The ledger as the input says it is, computed here: no code is shared with the mirror or the score state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from duly_ledger_export import DatedFact

from duly.ledger.v1 import events_pb2 as pb
from duly.money.v1 import money_pb2 as money


@dataclass(slots=True)
class OwnInvoice:
    """One invoice with every day on which something of it became known. Amounts in minor units of `currency`."""

    invoice_id: str
    debtor_id: str = ""
    number: str = ""
    currency: str = ""
    due_date: date = date.max
    total_minor: int = 0
    known_on: date = date.max
    voided_on: date = date.max
    allocations: dict[str, _Put] = field(default_factory=dict)
    write_offs: dict[str, tuple[date, int]] = field(default_factory=dict)
    disputes: list[tuple[date, int]] = field(default_factory=list)  # (known on, amount; 0 = resolved), in order


@dataclass(slots=True)
class _Put:
    """An allocation: from when to when it counts."""

    source_id: str
    minor: int
    source_minor: int
    on: date
    removed_on: date = date.max


@dataclass(slots=True)
class OwnSource:
    """A payment or a credit note."""

    source_id: str
    debtor_id: str
    currency: str
    minor: int
    known_on: date
    credit_note: bool
    undone_minor: int = 0
    undone_on: date = date.max


class OwnLedger:
    """What was known at the end of any day. Facts may come in any order."""

    def __init__(self, facts: Iterable[DatedFact]) -> None:
        self.invoices: dict[str, OwnInvoice] = {}
        self.sources: dict[str, OwnSource] = {}
        self.parties: dict[str, pb.PartyUpserted] = {}
        self.facts_of: dict[str, set[str]] = defaultdict(set)
        self._puts_of: dict[str, list[_Put]] = defaultdict(list)
        self._later: list[DatedFact] = []
        for fact in facts:
            self.facts_of[fact.debtor_id].add(fact.event_id)
            self._note(fact)
        for fact in self._later:  # undoing needs what it undoes
            self._undo(fact)

    def open_minor(self, invoice_id: str, at: date) -> int:
        """Open at the end of that day: total - allocations that stand - write-offs; 0 if void or not known yet."""
        invoice = self.invoices[invoice_id]
        if invoice.known_on > at or invoice.voided_on <= at:
            return 0
        put = sum(part.minor for part in invoice.allocations.values() if self._counts(part, at))
        lost = sum(minor for on, minor in invoice.write_offs.values() if on <= at)
        return invoice.total_minor - put - lost

    def disputed_minor(self, invoice_id: str, at: date) -> int:
        """Disputed part of what is open at the end of that day."""
        known = [minor for on, minor in self.invoices[invoice_id].disputes if on <= at]
        return min(known[-1], self.open_minor(invoice_id, at)) if known else 0

    def balances(self, at: date) -> Mapping[tuple[str, str], int]:
        """(debtor, currency) -> open minor units, without zeros."""
        sums: dict[tuple[str, str], int] = defaultdict(int)
        for invoice in self.invoices.values():
            sums[invoice.debtor_id, invoice.currency] += self.open_minor(invoice.invoice_id, at)
        return {key: minor for key, minor in sums.items() if minor}

    def unapplied_minor(self, source_id: str, at: date) -> int:
        """What is left of a payment or credit note at the end of that day."""
        source = self.sources[source_id]
        if source.known_on > at:
            return 0
        used = sum(part.source_minor for part in self._puts_of[source_id] if self._counts(part, at))
        return source.minor - (source.undone_minor if source.undone_on <= at else 0) - used

    def invoices_of(self, debtor_id: str) -> list[OwnInvoice]:
        return [invoice for invoice in self.invoices.values() if invoice.debtor_id == debtor_id]

    def _counts(self, part: _Put, at: date) -> bool:
        source = self.sources.get(part.source_id)
        undone = source is not None and source.undone_on <= at and source.undone_minor >= source.minor
        return part.on <= at < part.removed_on and not undone

    def _invoice(self, invoice_id: str) -> OwnInvoice:
        return self.invoices.setdefault(invoice_id, OwnInvoice(invoice_id))

    def _note(self, fact: DatedFact) -> None:
        message, on = fact.message, fact.known_on
        match message:
            case pb.PartyUpserted():
                self.parties[message.debtor_id] = message
            case pb.InvoiceIssued() | pb.InvoiceRevised():
                self._bill(message, on)
            case pb.InvoiceDisputed():
                self._invoice(message.invoice_id).disputes.append((on, message.amount.amount_minor))
            case pb.InvoiceDisputeResolved():
                self._invoice(message.invoice_id).disputes.append((on, 0))
            case pb.InvoiceWrittenOff():
                lost = (on, message.amount.amount_minor)
                self._invoice(message.invoice_id).write_offs[message.write_off_id] = lost
            case pb.CreditNoteIssued():
                self._source(message.credit_note_id, message.debtor_id, message.amount, on, credit_note=True)
            case pb.PaymentReceived():
                self._source(message.payment_id, message.debtor_id, message.amount, on, credit_note=False)
            case pb.AllocationApplied():
                minor = message.amount.amount_minor
                whole = minor + message.discount.amount_minor
                put = _Put(message.source_id, whole, minor, on)
                self._invoice(message.invoice_id).allocations[message.allocation_id] = put
                self._puts_of[message.source_id].append(put)
            case _:
                self._later.append(fact)

    def _bill(self, message: pb.InvoiceIssued | pb.InvoiceRevised, on: date) -> None:
        invoice = self._invoice(message.invoice_id)
        invoice.debtor_id, invoice.number = message.debtor_id, message.number
        invoice.currency, invoice.total_minor = message.total.currency, message.total.amount_minor
        invoice.due_date, invoice.known_on = date.fromisoformat(message.due_date), min(on, invoice.known_on)

    def _source(self, source_id: str, debtor_id: str, amount: money.Money, on: date, *, credit_note: bool) -> None:
        minor, currency = amount.amount_minor, amount.currency
        self.sources[source_id] = OwnSource(source_id, debtor_id, currency, minor, on, credit_note)

    def _undo(self, fact: DatedFact) -> None:
        message, on = fact.message, fact.known_on
        match message:
            case pb.InvoiceVoided():
                self._invoice(message.invoice_id).voided_on = on
            case pb.AllocationRemoved():
                self._invoice(message.invoice_id).allocations[message.allocation_id].removed_on = on
            case pb.PaymentReversed():
                source = self.sources[message.payment_id]
                source.undone_minor += message.amount.amount_minor
                source.undone_on = min(on, source.undone_on)
            case pb.CreditNoteVoided():
                source = self.sources[message.credit_note_id]
                source.undone_minor, source.undone_on = source.minor, on
            case _:
                raise ValueError(f"{fact.event} is unknown to the checker")
