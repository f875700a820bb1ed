"""Records to canonical facts, each with the moment it became known and ids that never change."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from functools import cached_property
from zoneinfo import ZoneInfo

from duly_contracts.events import event_of
from duly_contracts.ids import fact_id
from google.protobuf.message import Message

from duly.ledger.v1 import events_pb2 as pb
from duly_ledger_export import records as rec
from duly_ledger_export.records import LedgerRecords, LedgerSettings

# Order of facts inside one known instant (README.md). A removal comes before the reversal that causes it.
_RANK_PARTY, _RANK_INVOICE, _RANK_CREDIT_NOTE, _RANK_PAYMENT, _RANK_ALLOCATION = 10, 20, 30, 40, 50
_RANK_DISPUTED, _RANK_RESOLVED, _RANK_WRITE_OFF = 60, 61, 70
_RANK_ALLOCATION_REMOVED, _RANK_PAYMENT_REVERSED, _RANK_INVOICE_VOIDED, _RANK_CREDIT_NOTE_VOIDED = 80, 81, 82, 83

_END_OF_DAY = 86_400_000_000


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """When something became known: a day of the ledger's zone and microseconds into it (end of day = 86.4e9)."""

    on: date
    microsecond: int = _END_OF_DAY

    def version(self, rank: int) -> str:
        """16 digits, YYYYMMDD HHMMSS rank: later states of one thing compare greater, as text and as a number."""
        minutes, second = divmod(self.microsecond // 1_000_000, 60)
        hour, minute = divmod(minutes, 60)
        return f"{self.on.isoformat().replace('-', '')}{hour:02d}{minute:02d}{second:02d}{rank:02d}"


@dataclass(frozen=True, slots=True)
class DatedFact:
    """One canonical fact.

    known_on: day of the ledger's zone on which it became known (sorts the log).
    time: business time, aware UTC: the recorded instant, else midday of that day in the ledger's zone, so that the date
        reads the same in every zone nearby.
    source_version: 16 digits that rise with every later state of the same thing (`Moment.version`).
    order: (microsecond of the day, rank, id): the place inside the day.
    """

    known_on: date
    debtor_id: str
    event_id: str
    event: str
    source_version: str
    message: Message
    time: datetime
    order: tuple[int, int, str]


@dataclass(frozen=True)
class FactFactory:
    """Makes facts of one ledger (tenant, source, zone). Pure."""

    settings: LedgerSettings

    @cached_property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.settings.time_zone)

    def moment(self, recorded: rec.Recorded, own: date) -> Moment:
        """The recorded moment; without one, the end of the row's own business date."""
        if recorded is None:
            return Moment(own)
        if not isinstance(recorded, datetime):
            return Moment(recorded)
        local = recorded.astimezone(self.zone)
        seconds = (local.hour * 60 + local.minute) * 60 + local.second
        return Moment(local.date(), seconds * 1_000_000 + local.microsecond)

    def party(self, row: rec.Party, known: Moment) -> DatedFact:
        """`known`: the debtor's first other fact, for a party without `recorded_at` has no date of its own."""
        message = pb.PartyUpserted(
            party_id=row.debtor_id,
            debtor_id=row.debtor_id,
            external_ids=[pb.ExternalId(system=self.settings.source, id=row.debtor_id)],
            kind=pb.PartyKind.Value(f"PARTY_KIND_{row.kind}"),
            name=row.name,
            language=row.language,
            country=row.country or self.settings.country,
            region=row.region,
            zones=[row.time_zone or self.settings.time_zone],
            contact_points=_contact_points(row),
            sector=row.sector,
            size=row.size,
            since=_iso(row.since),
        )
        return self._fact("party", row.debtor_id, row.debtor_id, known, _RANK_PARTY, message)

    def invoice(self, row: rec.Invoice) -> Iterator[DatedFact]:
        known = self.moment(row.recorded_at, row.issue_date)
        message = pb.InvoiceIssued(
            invoice_id=row.invoice_id,
            debtor_id=row.debtor_id,
            number=row.number or row.invoice_id,
            document_type=row.document_type,
            agreement_id=row.agreement_id,
            issue_date=_iso(row.issue_date),
            due_date=_iso(row.due_date),
            total=row.total.to_proto(),
            instalments=[
                pb.Instalment(no=part.no, due_date=_iso(part.due_date), amount=part.amount.to_proto())
                for part in row.instalments
            ],
            remittance_reference=row.remittance_reference,
            preceding_invoice_id=row.preceding_invoice_id,
        )
        yield self._fact("invoice", row.invoice_id, row.debtor_id, known, _RANK_INVOICE, message)
        if row.voided_on:
            voided = pb.InvoiceVoided(invoice_id=row.invoice_id, debtor_id=row.debtor_id, on=_iso(row.voided_on))
            later = max(known, Moment(row.voided_on))
            yield self._fact("invoice", row.invoice_id, row.debtor_id, later, _RANK_INVOICE_VOIDED, voided)

    def credit_note(self, row: rec.CreditNote) -> Iterator[DatedFact]:
        known = self.moment(row.recorded_at, row.issue_date)
        message = pb.CreditNoteIssued(
            credit_note_id=row.credit_note_id,
            debtor_id=row.debtor_id,
            number=row.credit_note_id,
            amount=row.amount.to_proto(),
            issue_date=_iso(row.issue_date),
            preceding_invoice_id=row.preceding_invoice_id,
        )
        yield self._fact("credit_note", row.credit_note_id, row.debtor_id, known, _RANK_CREDIT_NOTE, message)
        if row.voided_on:
            voided = pb.CreditNoteVoided(
                credit_note_id=row.credit_note_id, debtor_id=row.debtor_id, on=_iso(row.voided_on)
            )
            later = max(known, Moment(row.voided_on))
            yield self._fact("credit_note", row.credit_note_id, row.debtor_id, later, _RANK_CREDIT_NOTE_VOIDED, voided)

    def payment(self, row: rec.Payment) -> Iterator[DatedFact]:
        known = self.moment(row.recorded_at, row.booking_date)
        message = pb.PaymentReceived(
            payment_id=row.payment_id,
            debtor_id=row.debtor_id,
            amount=row.amount.to_proto(),
            method=row.method,
            booking_date=_iso(row.booking_date),
            value_date=_iso(row.value_date),
            bank_reference=row.bank_reference,
            remittance_reference=row.remittance_reference,
        )
        yield self._fact("payment", row.payment_id, row.debtor_id, known, _RANK_PAYMENT, message)
        if row.reversed_on:
            back = pb.PaymentReversed(
                reversal_id=f"{row.payment_id}-reversal",
                payment_id=row.payment_id,
                debtor_id=row.debtor_id,
                amount=row.amount.to_proto(),
                reason=row.reversal_reason,
                on=_iso(row.reversed_on),
            )
            later = max(known, Moment(row.reversed_on))
            # The reversal's own id names it: a source may give a payment back in parts.
            yield self._fact("payment", back.reversal_id, row.debtor_id, later, _RANK_PAYMENT_REVERSED, back)

    def allocation(self, row: rec.Allocation, debtor_id: str, source_reversed_on: date | None) -> Iterator[DatedFact]:
        """A reversed payment takes its allocations back on the same day, also where the export does not say so."""
        known = self.moment(row.recorded_at, row.on)
        message = pb.AllocationApplied(
            allocation_id=row.allocation_id,
            source_kind=pb.AllocationSource.Value(f"ALLOCATION_SOURCE_{row.source_kind}"),
            source_id=row.source_id,
            invoice_id=row.invoice_id,
            debtor_id=debtor_id,
            instalment_no=row.instalment_no,
            amount=row.amount.to_proto(),
            discount=row.discount.to_proto() if row.discount else None,
            on=_iso(row.on),
        )
        yield self._fact("allocation", row.allocation_id, debtor_id, known, _RANK_ALLOCATION, message)
        ends = [on for on in (row.removed_on, source_reversed_on) if on is not None]
        if ends:
            removed = pb.AllocationRemoved(
                allocation_id=row.allocation_id,
                invoice_id=row.invoice_id,
                debtor_id=debtor_id,
                reason="removed" if row.removed_on == min(ends) else "payment_reversed",
                on=_iso(min(ends)),
            )
            later = max(known, Moment(min(ends)))
            yield self._fact("allocation", row.allocation_id, debtor_id, later, _RANK_ALLOCATION_REMOVED, removed)

    def dispute(self, row: rec.Dispute, invoice: rec.Invoice) -> Iterator[DatedFact]:
        known = self.moment(row.recorded_at, row.opened_on)
        message = pb.InvoiceDisputed(
            invoice_id=row.invoice_id,
            debtor_id=invoice.debtor_id,
            amount=(row.amount or invoice.total).to_proto(),
            on=_iso(row.opened_on),
            reason=row.reason,
        )
        yield self._fact("invoice", row.invoice_id, invoice.debtor_id, known, _RANK_DISPUTED, message)
        if row.resolved_on:
            resolved = pb.InvoiceDisputeResolved(
                invoice_id=row.invoice_id, debtor_id=invoice.debtor_id, on=_iso(row.resolved_on)
            )
            later = max(known, Moment(row.resolved_on))
            yield self._fact("invoice", row.invoice_id, invoice.debtor_id, later, _RANK_RESOLVED, resolved)

    def write_off(self, row: rec.WriteOff, debtor_id: str) -> Iterator[DatedFact]:
        known = self.moment(row.recorded_at, row.on)
        message = pb.InvoiceWrittenOff(
            write_off_id=row.write_off_id,
            invoice_id=row.invoice_id,
            debtor_id=debtor_id,
            amount=row.amount.to_proto(),
            reason=pb.WriteOffReason.Value(f"WRITE_OFF_REASON_{row.reason}"),
            on=_iso(row.on),
        )
        yield self._fact("write_off", row.write_off_id, debtor_id, known, _RANK_WRITE_OFF, message)

    def _fact(
        self, entity: str, external_id: str, debtor_id: str, known: Moment, rank: int, message: Message
    ) -> DatedFact:
        event = event_of(message).name
        version = known.version(rank)
        whole_day = known.microsecond == _END_OF_DAY
        clock = time(12) if whole_day else _time_of(known.microsecond)
        return DatedFact(
            known_on=known.on,
            debtor_id=debtor_id,
            event_id=fact_id(self.settings.tenant, self.settings.source, entity, external_id, version, event),
            event=event,
            source_version=version,
            message=message,
            time=datetime.combine(known.on, clock, self.zone).astimezone(UTC),
            order=(known.microsecond, rank, external_id),
        )


def facts_of(settings: LedgerSettings, records: LedgerRecords) -> list[DatedFact]:
    """All facts of the records in known order, with a party fact for every debtor.

    A debtor without a party row becomes a party of kind UNKNOWN with the ledger's country and zone. References must
    resolve (the reader checks them; a KeyError here is a fault of the caller).
    """
    return _ordered(FactFactory(settings), records, _References.of(records))


def facts_by_debtor(settings: LedgerSettings, records: LedgerRecords) -> Iterator[tuple[str, list[DatedFact]]]:
    """The same debtor by debtor, sorted, each one's in known order; no more than one debtor's are held at a time."""
    factory, references = FactFactory(settings), _References.of(records)
    for debtor_id, own in sorted(_records_by_debtor(records, references).items()):
        yield debtor_id, _ordered(factory, own, references)


@dataclass(frozen=True, slots=True)
class _References:
    """What rows say of each other, over the whole export."""

    invoices: Mapping[str, rec.Invoice]
    reversed_on: Mapping[str, date | None]  # by payment id

    @staticmethod
    def of(records: LedgerRecords) -> _References:
        return _References(
            {row.invoice_id: row for row in records.invoices},
            {row.payment_id: row.reversed_on for row in records.payments},
        )


def _records_by_debtor(records: LedgerRecords, references: _References) -> dict[str, LedgerRecords]:
    found: dict[str, LedgerRecords] = defaultdict(LedgerRecords)
    for party in records.parties:
        found[party.debtor_id].parties.append(party)
    for invoice in records.invoices:
        found[invoice.debtor_id].invoices.append(invoice)
    for note in records.credit_notes:
        found[note.debtor_id].credit_notes.append(note)
    for payment in records.payments:
        found[payment.debtor_id].payments.append(payment)
    for part in records.allocations:
        found[references.invoices[part.invoice_id].debtor_id].allocations.append(part)
    for loss in records.write_offs:
        found[references.invoices[loss.invoice_id].debtor_id].write_offs.append(loss)
    for dispute in records.disputes:
        found[references.invoices[dispute.invoice_id].debtor_id].disputes.append(dispute)
    return found


def _ordered(factory: FactFactory, records: LedgerRecords, references: _References) -> list[DatedFact]:
    facts = list(_facts_without_parties(factory, records, references))
    parties = {party.debtor_id: party for party in records.parties}
    first = _first_moments(facts)
    for debtor_id in sorted(first.keys() | parties.keys()):
        party = parties.get(debtor_id, rec.Party(debtor_id))
        facts.append(factory.party(party, _party_moment(factory, party, first)))
    return sorted(facts, key=lambda fact: (fact.known_on, fact.order, fact.event_id))


def _facts_without_parties(
    factory: FactFactory, records: LedgerRecords, references: _References
) -> Iterator[DatedFact]:
    for invoice in records.invoices:
        yield from factory.invoice(invoice)
    for note in records.credit_notes:
        yield from factory.credit_note(note)
    for payment in records.payments:
        yield from factory.payment(payment)
    for part in records.allocations:
        paid = part.source_kind is rec.AllocationSource.PAYMENT
        back = references.reversed_on[part.source_id] if paid else None
        yield from factory.allocation(part, references.invoices[part.invoice_id].debtor_id, back)
    for dispute in records.disputes:
        yield from factory.dispute(dispute, references.invoices[dispute.invoice_id])
    for loss in records.write_offs:
        yield from factory.write_off(loss, references.invoices[loss.invoice_id].debtor_id)


def _first_moments(facts: Iterable[DatedFact]) -> dict[str, Moment]:
    first: dict[str, Moment] = {}
    for fact in facts:
        moment = Moment(fact.known_on, fact.order[0])
        first[fact.debtor_id] = min(first.get(fact.debtor_id, moment), moment)
    return first


def _party_moment(factory: FactFactory, party: rec.Party, first: Mapping[str, Moment]) -> Moment:
    fallback = party.since or factory.settings.from_day or date(1970, 1, 1)
    if party.recorded_at is None:
        return first.get(party.debtor_id, Moment(fallback))
    return factory.moment(party.recorded_at, fallback)


def _contact_points(row: rec.Party) -> list[pb.ContactPoint]:
    points = []
    if row.email:
        points.append(
            pb.ContactPoint(
                contact_point_id=f"{row.debtor_id}-email",
                channel=pb.CONTACT_POINT_CHANNEL_EMAIL,
                address=row.email,
                verified=True,
            )
        )
    if row.phone:
        points.append(
            pb.ContactPoint(
                contact_point_id=f"{row.debtor_id}-phone",
                channel=pb.CONTACT_POINT_CHANNEL_PHONE,
                address=row.phone,
                verified=True,
            )
        )
    return points


def _iso(day: date | None) -> str:
    return day.isoformat() if day else ""


def _time_of(microsecond: int) -> time:
    seconds, rest = divmod(microsecond, 1_000_000)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    return time(hour, minute, second, rest)
