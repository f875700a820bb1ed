"""`ReadModels` on PostgreSQL. Changes are collected and written statement by statement in one pipeline before the
commit: this service sees every event of every topic, and a round trip for each would be its limit.

Each statement may come in any order within the batch: facts are keyed by their own ids and versions decide. Only the
case's two statements depend on order, so they are written one by one as they came.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

from duly_runtime.database import Connection, Database, UnitOfWork

from duly.ledger.v1 import events_pb2 as ledger
from duly.risk.v1 import events_pb2 as risk
from insights.application.ports import EventOrigin
from insights.domain.sentences import Line

_LINE = """insert into timeline (tenant, debtor_id, event_id, event, business_date, at, text, causation_id,
    correlation_id, because)
select %(tenant)s, %(debtor)s, %(event_id)s, %(event)s,
       coalesce(%(day)s::date, (select business_date from tenant_calendar where tenant = %(tenant)s), %(at)s::date),
       %(at)s, %(text)s, %(causation)s, %(correlation)s, %(because)s
on conflict do nothing"""
_DAY = """insert into tenant_calendar (tenant, business_date) values (%(tenant)s, %(day)s)
on conflict (tenant) do update set business_date = greatest(tenant_calendar.business_date, excluded.business_date)"""
_DEBTOR = "insert into debtor (tenant, debtor_id) values (%(tenant)s, %(debtor)s) on conflict do nothing"
_INVOICE = """insert into invoice (tenant, invoice_id, debtor_id, known, due_date, currency, total_minor,
    source_version)
values (%(tenant)s, %(id)s, %(debtor)s, true, %(due)s, %(currency)s, %(minor)s, %(version)s)
on conflict (tenant, invoice_id) do update set debtor_id = excluded.debtor_id, known = true,
    due_date = excluded.due_date, currency = excluded.currency, total_minor = excluded.total_minor,
    source_version = excluded.source_version
where not invoice.known or not version_older(excluded.source_version, invoice.source_version)"""
_VOID_INVOICE = """insert into invoice (tenant, invoice_id, debtor_id, voided)
values (%(tenant)s, %(id)s, %(debtor)s, true) on conflict (tenant, invoice_id) do update set voided = true"""
_WRITE_OFF = """insert into write_off (tenant, write_off_id, invoice_id, amount_minor, source_version)
values (%(tenant)s, %(id)s, %(invoice)s, %(minor)s, %(version)s) on conflict (tenant, write_off_id) do update
set invoice_id = excluded.invoice_id, amount_minor = excluded.amount_minor, source_version = excluded.source_version
where not version_older(excluded.source_version, write_off.source_version)"""
_SOURCE = """insert into credit_source (tenant, debtor_id, source_id, known, currency, amount_minor)
values (%(tenant)s, %(debtor)s, %(id)s, true, %(currency)s, %(minor)s)
on conflict (tenant, debtor_id, source_id) do update set known = true, currency = excluded.currency,
    amount_minor = excluded.amount_minor"""
_VOID_SOURCE = """insert into credit_source (tenant, debtor_id, source_id, voided)
values (%(tenant)s, %(debtor)s, %(id)s, true)
on conflict (tenant, debtor_id, source_id) do update set voided = true"""
_REVERSAL = """insert into reversal (tenant, reversal_id, debtor_id, payment_id, amount_minor, source_version)
values (%(tenant)s, %(id)s, %(debtor)s, %(payment)s, %(minor)s, %(version)s)
on conflict (tenant, reversal_id) do update set debtor_id = excluded.debtor_id, payment_id = excluded.payment_id,
    amount_minor = excluded.amount_minor, source_version = excluded.source_version
where not version_older(excluded.source_version, reversal.source_version)"""
_ALLOCATION = """insert into allocation (tenant, allocation_id, debtor_id, invoice_id, source_id, amount_minor,
    discount_minor, applied)
values (%(tenant)s, %(id)s, %(debtor)s, %(invoice)s, %(source)s, %(minor)s, %(discount)s, true)
on conflict (tenant, allocation_id) do update set source_id = excluded.source_id,
    amount_minor = excluded.amount_minor, discount_minor = excluded.discount_minor, applied = true"""
_REMOVE_ALLOCATION = """insert into allocation (tenant, allocation_id, debtor_id, invoice_id, removed)
values (%(tenant)s, %(id)s, %(debtor)s, %(invoice)s, true)
on conflict (tenant, allocation_id) do update set removed = true"""
# A score of an older state of the ledger, or of an older day on the same state, is late news.
_SCORE = """insert into debtor (tenant, debtor_id, risk_band, risk, model_version, model_role, score_id, score_date,
    score_ledger_version)
values (%(tenant)s, %(debtor)s, %(band)s, %(risk)s, %(model)s, %(role)s, %(score)s, %(day)s, %(ledger)s)
on conflict (tenant, debtor_id) do update set risk_band = excluded.risk_band, risk = excluded.risk,
    model_version = excluded.model_version, model_role = excluded.model_role, score_id = excluded.score_id,
    score_date = excluded.score_date, score_ledger_version = excluded.score_ledger_version
where (excluded.score_ledger_version, excluded.score_date) >= (debtor.score_ledger_version, debtor.score_date)"""
_CASE = """insert into debtor (tenant, debtor_id, open_case_id) values (%(tenant)s, %(debtor)s, %(case)s)
on conflict (tenant, debtor_id) do update set open_case_id = excluded.open_case_id
where %(opened)s or debtor.open_case_id = %(closed)s"""
_CONTACT = """insert into debtor (tenant, debtor_id, contacts_sent) values (%(tenant)s, %(debtor)s, 1)
on conflict (tenant, debtor_id) do update set contacts_sent = debtor.contacts_sent + 1"""

# The day first: lines without a date of their own take it.
_ORDER = (
    _DAY, _DEBTOR, _INVOICE, _VOID_INVOICE, _WRITE_OFF, _SOURCE, _VOID_SOURCE, _REVERSAL, _ALLOCATION,
    _REMOVE_ALLOCATION, _SCORE, _CASE, _CONTACT, _LINE,
)  # fmt: skip


class ReadModelBatch:
    """The changes of one transaction."""

    def __init__(self) -> None:
        self._changes: dict[str, list[dict[str, object]]] = {}

    def write(self, connection: Connection) -> None:
        """Everything collected, in one pipeline."""
        with connection.pipeline(), connection.cursor() as cursor:
            for statement in _ORDER:
                if rows := self._changes.get(statement):
                    cursor.executemany(statement, rows)

    def add_line(self, origin: EventOrigin, line: Line) -> None:
        self._add(
            _LINE,
            origin,
            event_id=origin.event_id,
            event=origin.event,
            day=origin.business_date,
            at=origin.at,
            text=line.text,
            causation=origin.causation_id,
            correlation=origin.correlation_id,
            because=list(line.because),
        )

    def advance_day(self, tenant: str, business_date: date) -> None:
        self._changes.setdefault(_DAY, []).append({"tenant": tenant, "day": business_date})

    def put_debtor(self, origin: EventOrigin) -> None:
        self._add(_DEBTOR, origin)

    def put_invoice(self, origin: EventOrigin, invoice: ledger.InvoiceIssued | ledger.InvoiceRevised) -> None:
        self._add(
            _INVOICE,
            origin,
            id=invoice.invoice_id,
            due=date.fromisoformat(invoice.due_date),
            currency=invoice.total.currency,
            minor=invoice.total.amount_minor,
            version=origin.version,
        )

    def void_invoice(self, origin: EventOrigin, invoice_id: str) -> None:
        self._add(_VOID_INVOICE, origin, id=invoice_id)

    def put_write_off(self, origin: EventOrigin, write_off_id: str, invoice_id: str, amount_minor: int) -> None:
        self._add(_WRITE_OFF, origin, id=write_off_id, invoice=invoice_id, minor=amount_minor, version=origin.version)

    def put_source(self, origin: EventOrigin, source_id: str, amount_minor: int, currency: str) -> None:
        self._add(_SOURCE, origin, id=source_id, minor=amount_minor, currency=currency)

    def void_source(self, origin: EventOrigin, source_id: str) -> None:
        self._add(_VOID_SOURCE, origin, id=source_id)

    def put_reversal(self, origin: EventOrigin, reversal_id: str, payment_id: str, amount_minor: int) -> None:
        self._add(_REVERSAL, origin, id=reversal_id, payment=payment_id, minor=amount_minor, version=origin.version)

    def put_allocation(self, origin: EventOrigin, allocation: ledger.AllocationApplied) -> None:
        """A removal that came first stands: an allocation id is never used again."""
        self._add(
            _ALLOCATION,
            origin,
            id=allocation.allocation_id,
            invoice=allocation.invoice_id,
            source=allocation.source_id,
            minor=allocation.amount.amount_minor,
            discount=allocation.discount.amount_minor,
        )

    def remove_allocation(self, origin: EventOrigin, allocation_id: str, invoice_id: str) -> None:
        self._add(_REMOVE_ALLOCATION, origin, id=allocation_id, invoice=invoice_id)

    def put_score(self, origin: EventOrigin, score: risk.RiskScoreUpdated) -> None:
        self._add(
            _SCORE,
            origin,
            band=risk.RiskBand.Name(score.risk_band).removeprefix("RISK_BAND_"),
            risk=score.risk,
            model=score.model_version,
            role=risk.ModelRole.Name(score.role).removeprefix("MODEL_ROLE_"),
            score=score.score_id,
            day=score.business_date,
            ledger=score.ledger_version,
        )

    def open_case(self, origin: EventOrigin, case_id: str) -> None:
        self._add(_CASE, origin, case=case_id, opened=True, closed="")

    def close_case(self, origin: EventOrigin, case_id: str) -> None:
        self._add(_CASE, origin, case="", opened=False, closed=case_id)

    def count_contact(self, origin: EventOrigin) -> None:
        self._add(_CONTACT, origin)

    def _add(self, statement: str, origin: EventOrigin, **values: object) -> None:
        row = {"tenant": origin.tenant, "debtor": origin.debtor_id, **values}
        self._changes.setdefault(statement, []).append(row)


class BatchingDatabase(Database):
    """A database whose units of work write the batch's changes right before they commit. For one consumer thread.

    If a change cannot be written the unit of work fails as a whole, and the consumer takes the records one by one.
    """

    batch: ReadModelBatch

    @contextmanager
    def unit_of_work(self) -> Iterator[UnitOfWork]:
        self.batch = ReadModelBatch()
        with super().unit_of_work() as uow:
            yield uow
            self.batch.write(uow.connection)
