"""The simulated company's ledger: plays one day after another and says what each day's facts are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TypeVar

from duly_contracts.money import Money
from duly_ledger_export.facts import DatedFact, FactFactory, Moment
from duly_ledger_export.records import (
    Allocation,
    AllocationSource,
    CreditNote,
    Dispute,
    Invoice,
    LedgerRecords,
    LedgerSettings,
    Payment,
    WriteOff,
    WriteOffReason,
)

from duly_simulator import behaviour
from duly_simulator import parameters as par
from duly_simulator.behaviour import OpenInvoice, Promise
from duly_simulator.chance import uniform
from duly_simulator.parameters import SimulationSettings
from duly_simulator.population import Debtor, draw_debtors, draw_invoices, next_business_day

_RecordT = TypeVar("_RecordT")
Contacts = Mapping[str, Sequence[date]]


@dataclass(slots=True)
class _Account:
    """One open invoice as the company knows it."""

    invoice: Invoice
    open_minor: int
    payments: int = 0
    dispute: Dispute | None = None
    dispute_ends_on: date | None = None
    mislaid_until: date | None = None

    def seen(self) -> OpenInvoice:
        dispute = self.dispute
        return OpenInvoice(
            invoice_id=self.invoice.invoice_id,
            issue_date=self.invoice.issue_date,
            due_date=self.invoice.due_date,
            total_minor=self.invoice.total.amount_minor,
            open_minor=self.open_minor,
            disputed=dispute is not None and dispute.resolved_on is None,
            resolved_on=dispute.resolved_on if dispute else None,
            mislaid_until=self.mislaid_until,
        )


@dataclass(slots=True)
class _Return:
    """A payment that the bank will take back."""

    payment: Payment
    allocation: Allocation


@dataclass
class Books:
    """Plays days in order. `facts_of_day` must be called for each day once, from history_from on.

    Contacts and promises are the only input: two Books with equal settings and equal input give equal facts.
    """

    settings: SimulationSettings
    debtors: dict[str, Debtor] = field(init=False)
    day: date = field(init=False)

    def __post_init__(self) -> None:
        drawn = draw_debtors(self.settings)
        self.debtors = {debtor.id: debtor for debtor in drawn}
        self.day = self.settings.history_from - timedelta(days=1)
        self._factory = FactFactory(self.ledger_settings())
        self._planned: dict[date, list[Invoice]] = {}
        for invoice in draw_invoices(self.settings, drawn):
            self._planned.setdefault(invoice.issue_date, []).append(invoice)
        self._accounts: dict[str, _Account] = {}
        self._returns: dict[date, list[_Return]] = {}
        self._promises: dict[str, Promise] = {}
        self._sent = LedgerRecords()
        self._closed: dict[str, _Account] = {}

    def ledger_settings(self) -> LedgerSettings:
        """What ledger.yaml says of the days played so far."""
        mine = self.settings
        return LedgerSettings(
            tenant=mine.tenant,
            currency=mine.currency,
            country=mine.country,
            time_zone=mine.time_zone,
            source=mine.source,
            from_day=mine.history_from,
            until=max(self.day, mine.history_from),
        )

    def records(self) -> LedgerRecords:
        """Everything that has happened so far."""
        return self._sent

    def promise(self, debtor_id: str, promise: Promise) -> None:
        """A debtor has given its word; the newest counts."""
        self._promises[debtor_id] = promise

    def facts_of_day(self, day: date, contacts: Contacts) -> list[DatedFact]:
        """The facts of that day in the order of the ledger export. Raises ValueError unless it follows the last day."""
        if day != self.day + timedelta(days=1):
            raise ValueError(f"{day} does not follow {self.day}")
        self.day = day
        facts = [
            *self._issue(day),
            *self._take_back(day),
            *(fact for account in self._by_id() for fact in self._visit(account, day, contacts)),
        ]
        return sorted(facts, key=lambda fact: (fact.order, fact.event_id))

    def _issue(self, day: date) -> Iterator[DatedFact]:
        known = {party.debtor_id for party in self._sent.parties}
        for invoice in self._planned.get(day, ()):
            if invoice.debtor_id not in known:
                party = self.debtors[invoice.debtor_id].party
                known.add(party.debtor_id)
                self._sent.parties.append(party)
                yield self._factory.party(party, Moment(day))
            self._sent.invoices.append(invoice)
            mislaid = behaviour.mislaid_until(self.settings.seed, invoice.invoice_id, invoice.due_date)
            account = _Account(invoice, invoice.total.amount_minor, mislaid_until=mislaid)
            self._accounts[invoice.invoice_id] = account
            yield from self._factory.invoice(invoice)

    def _take_back(self, day: date) -> Iterator[DatedFact]:
        """Returned debits: the payment and its allocation are undone and the invoice is open again."""
        for back in self._returns.pop(day, ()):
            payment = replace(back.payment, reversed_on=day, reversal_reason="returned_debit")
            allocation = replace(back.allocation, removed_on=day)
            _replace(self._sent.payments, back.payment, payment)
            _replace(self._sent.allocations, back.allocation, allocation)
            account = self._closed.pop(allocation.invoice_id, None) or self._accounts[allocation.invoice_id]
            account.open_minor += allocation.amount.amount_minor
            self._accounts[allocation.invoice_id] = account
            yield from _of_day(self._factory.payment(payment), day)
            yield from _of_day(self._factory.allocation(allocation, payment.debtor_id, day), day)

    def _visit(self, account: _Account, day: date, contacts: Contacts) -> Iterator[DatedFact]:
        """One open invoice on one day: at most one of dispute, resolution, payment and write-off."""
        seed, invoice = self.settings.seed, account.invoice
        debtor = self.debtors[invoice.debtor_id]
        if account.dispute_ends_on == day:
            yield from self._resolve(account, day)
        elif behaviour.opens_dispute(seed, debtor, account.seen(), day):
            yield from self._dispute(account, debtor, day)
        elif (day - invoice.due_date).days >= par.WRITE_OFF_DPD and not account.seen().disputed:
            yield from self._write_off(account, day)
        else:
            reached = contacts.get(debtor.id, ())
            paid = behaviour.payment_minor(seed, debtor, account.seen(), day, reached, self._promises.get(debtor.id))
            if paid:
                yield from self._pay(account, paid, day)
        if account.open_minor == 0:
            self._closed[invoice.invoice_id] = self._accounts.pop(invoice.invoice_id)

    def _pay(self, account: _Account, paid_minor: int, day: date) -> Iterator[DatedFact]:
        invoice, amount = account.invoice, Money(paid_minor, self.settings.currency)
        account.payments += 1
        account.open_minor -= paid_minor
        payment_id = f"PAY-{invoice.invoice_id[4:]}-{account.payments}"
        payment = Payment(
            payment_id, invoice.debtor_id, day, amount, method="transfer", remittance_reference=invoice.number
        )
        allocation = self._allocation(AllocationSource.PAYMENT, payment_id, invoice, amount, day)
        self._sent.payments.append(payment)
        if uniform(self.settings.seed, "returned", payment_id) < par.REVERSED_SHARE:
            on = next_business_day(day + timedelta(days=par.REVERSED_AFTER_DAYS))
            self._returns.setdefault(on, []).append(_Return(payment, allocation))
        yield from self._factory.payment(payment)
        yield from self._factory.allocation(allocation, invoice.debtor_id, None)

    def _dispute(self, account: _Account, debtor: Debtor, day: date) -> Iterator[DatedFact]:
        invoice = account.invoice
        account.dispute = Dispute(invoice.invoice_id, day, amount=_money(account), reason="quantity")
        account.dispute_ends_on = behaviour.dispute_ends_on(self.settings.seed, debtor, invoice.invoice_id, day)
        self._sent.disputes.append(account.dispute)
        yield from self._factory.dispute(account.dispute, invoice)

    def _resolve(self, account: _Account, day: date) -> Iterator[DatedFact]:
        assert account.dispute is not None  # dispute_ends_on is set with it
        invoice = account.invoice
        resolved = replace(account.dispute, resolved_on=day)
        _replace(self._sent.disputes, account.dispute, resolved)
        account.dispute, account.dispute_ends_on = resolved, None
        yield from _of_day(self._factory.dispute(resolved, invoice), day)
        credited = min(account.open_minor, invoice.total.amount_minor // 5)
        if credited and uniform(self.settings.seed, "credited", invoice.invoice_id) < par.CREDITED_SHARE:
            account.open_minor -= credited
            note_id, amount = f"CN-{invoice.invoice_id[4:]}", Money(credited, self.settings.currency)
            note = CreditNote(note_id, invoice.debtor_id, day, amount, preceding_invoice_id=invoice.invoice_id)
            self._sent.credit_notes.append(note)
            yield from self._factory.credit_note(note)
            allocation = self._allocation(AllocationSource.CREDIT_NOTE, note_id, invoice, amount, day)
            yield from self._factory.allocation(allocation, invoice.debtor_id, None)

    def _write_off(self, account: _Account, day: date) -> Iterator[DatedFact]:
        invoice = account.invoice
        loss = WriteOff(
            f"WO-{invoice.invoice_id[4:]}-{day:%Y%m%d}",
            invoice.invoice_id,
            _money(account),
            day,
            WriteOffReason.BAD_DEBT,
        )
        account.open_minor = 0
        self._sent.write_offs.append(loss)
        yield from self._factory.write_off(loss, invoice.debtor_id)

    def _allocation(
        self, kind: AllocationSource, source_id: str, invoice: Invoice, amount: Money, day: date
    ) -> Allocation:
        allocation = Allocation(f"AL-{source_id}", kind, source_id, invoice.invoice_id, amount, day)
        self._sent.allocations.append(allocation)
        return allocation

    def _by_id(self) -> list[_Account]:
        return [self._accounts[invoice_id] for invoice_id in sorted(self._accounts)]


def _money(account: _Account) -> Money:
    return Money(account.open_minor, account.invoice.total.currency)


def _of_day(facts: Iterable[DatedFact], day: date) -> Iterator[DatedFact]:
    """Only the facts that became known that day: a changed record repeats its older ones."""
    return (fact for fact in facts if fact.known_on == day)


def _replace(records: list[_RecordT], old: _RecordT, new: _RecordT) -> None:
    records[records.index(old)] = new
