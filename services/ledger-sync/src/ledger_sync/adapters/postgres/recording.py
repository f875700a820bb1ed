"""`RecordingStore` in the transaction of a unit of work: a handful of set-based statements per delivery."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

from duly_contracts.envelope import Envelope
from duly_contracts.events import decode
from duly_runtime.database import UnitOfWork
from google.protobuf.message import Message
from psycopg.rows import tuple_row

from ledger_sync.application.delivery import MappedFact, Rejection
from ledger_sync.application.fact_rules import fact_of
from ledger_sync.application.ports import AccountChange, Claims, HeldFact, StoredAccount
from ledger_sync.domain.facts import Aspect, Fact, FactKey

_FACT_COLUMNS = {
    "debtor_id": "text", "aspect": "text", "thing_id": "text", "version": "text", "rank": "smallint", "digest": "bytea",
    "invoice_id": "text", "source_aspect": "text", "source_id": "text", "amount_minor": "bigint",
    "discount_minor": "bigint", "currency": "text", "on_date": "date", "due_date": "date", "fact_id": "text",
    "event_type": "text", "content": "bytea",
}  # fmt: skip
_HELD_COLUMNS = {
    "fact_id": "text", "debtor_id": "text", "delivery_id": "text", "position": "int", "event_id": "text",
    "source": "text", "event_type": "text", "content": "bytea", "version": "text", "business_time": "timestamptz",
    "backfill": "boolean", "ingested_at": "text", "traceparent": "text", "code": "text", "detail": "text",
    "doubted": "boolean",
}  # fmt: skip
_QUARANTINE_COLUMNS = {
    "cause_id": "text", "position": "int", "delivery_id": "text", "event_id": "text", "event_type": "text",
    "debtor_id": "text", "code": "text", "detail": "text", "body": "bytea", "received_at": "timestamptz",
}  # fmt: skip
_LOADED = (
    "debtor_id, aspect, thing_id, version, rank, digest, invoice_id, source_aspect, source_id, amount_minor,"
    " discount_minor, currency, on_date, due_date"
)


class _Debtor(NamedTuple):
    debtor_id: str
    known: bool = False
    degraded: bool = False
    holds: bool = False


class PostgresRecordingStore:
    """See `application.ports.RecordingStore`."""

    def __init__(self, uow: UnitOfWork) -> None:
        self._uow = uow

    def claim(self, tenant: str, facts: Sequence[MappedFact]) -> Claims:
        if not facts:
            return Claims((), ())
        digests = [hashlib.sha256(fact.event_type.encode() + fact.content).digest()[:16] for fact in facts]
        names = [[fact.source for fact in facts], [fact.event_id for fact in facts]]
        won = self._query(
            "insert into seen_event (tenant, source, event_id, digest)"
            " select %s, * from unnest(%s::text[], %s::text[], %s::bytea[]) on conflict do nothing"
            " returning source, event_id",
            (tenant, *names, digests),
        )
        unclaimed = {(source, event_id) for source, event_id in won}
        fresh: list[MappedFact] = []
        others: list[tuple[MappedFact, bytes]] = []
        for fact, digest in zip(facts, digests, strict=True):
            if (fact.source, fact.event_id) in unclaimed:
                unclaimed.discard((fact.source, fact.event_id))
                fresh.append(fact)
            else:
                others.append((fact, digest))
        return Claims(fresh, self._reused(tenant, others) if others else ())

    def _reused(self, tenant: str, others: Sequence[tuple[MappedFact, bytes]]) -> list[MappedFact]:
        rows = self._query(
            "select source, event_id, digest from seen_event"
            " join unnest(%s::text[], %s::text[]) as asked (source, event_id) using (source, event_id)"
            " where tenant = %s",
            ([fact.source for fact, _ in others], [fact.event_id for fact, _ in others], tenant),
        )
        seen = {(source, event_id): bytes(digest) for source, event_id, digest in rows}
        return [fact for fact, digest in others if seen.get((fact.source, fact.event_id)) != digest]

    def owners(self, tenant: str, facts: Sequence[MappedFact]) -> Mapping[FactKey, str]:
        stated: dict[FactKey, str] = {}
        for mapped in facts:
            if mapped.fact.states_thing:
                stated.setdefault(mapped.fact.thing, mapped.debtor_id)
        things = sorted(stated)  # one order for all recorders: they wait for each other, never in a circle
        found: dict[FactKey, str] = {}
        if things:
            won = self._query(
                "insert into thing_owner (tenant, aspect, thing_id, debtor_id)"
                " select %s, * from unnest(%s::text[], %s::text[], %s::text[]) on conflict do nothing"
                " returning aspect, thing_id, debtor_id",
                (tenant, *_names(things), [stated[thing] for thing in things]),
            )
            found |= {FactKey(Aspect(aspect), thing_id): debtor_id for aspect, thing_id, debtor_id in won}
        others = sorted({mapped.fact.thing for mapped in facts} - found.keys())
        if others:
            known = self._query(
                "select aspect, thing_id, debtor_id from thing_owner"
                " join unnest(%s::text[], %s::text[]) as asked (aspect, thing_id) using (aspect, thing_id)"
                " where tenant = %s",
                (*_names(others), tenant),
            )
            found |= {FactKey(Aspect(aspect), thing_id): debtor_id for aspect, thing_id, debtor_id in known}
        return found

    def lock_accounts(self, tenant: str, debtor_ids: Sequence[str]) -> list[StoredAccount]:
        debtors = self._lock(tenant, debtor_ids)
        missing = sorted(set(debtor_ids) - {debtor.debtor_id for debtor in debtors})
        if missing:
            debtors += self._open(tenant, missing)
        facts = self._facts(tenant, [debtor.debtor_id for debtor in debtors if debtor.known])
        held = self._held(tenant, [debtor.debtor_id for debtor in debtors if debtor.holds])
        return [
            StoredAccount(id_, facts.get(id_, ()), held.get(id_, ()), debtor.known, debtor.degraded)
            for id_, debtor in sorted((debtor.debtor_id, debtor) for debtor in debtors)
        ]

    def save(self, tenant: str, changes: Sequence[AccountChange]) -> None:
        facts = [mapped for change in changes for mapped in change.changed]
        if facts:
            self._upsert("ledger_fact", tenant, _FACT_COLUMNS, map(_fact_row, facts), "debtor_id, aspect, thing_id")
        held = [held for change in changes for held in change.held]
        if held:
            self._upsert("held_fact", tenant, _HELD_COLUMNS, map(_held_row, held), "fact_id")
        released = [fact_id for change in changes for fact_id in change.released]
        if released:
            self._uow.connection.execute(
                "delete from held_fact where tenant = %s and fact_id = any(%s)", (tenant, released)
            )
        restated = [change for change in changes if change.restated]
        if restated:
            self._uow.connection.execute(
                "update debtor set known = changed.known, degraded = changed.degraded, holds = changed.holds"
                " from unnest(%s::text[], %s::boolean[], %s::boolean[], %s::boolean[])"
                " as changed (debtor_id, known, degraded, holds)"
                " where debtor.tenant = %s and debtor.debtor_id = changed.debtor_id",
                (
                    [change.debtor_id for change in restated],
                    [change.known for change in restated],
                    [change.degraded for change in restated],
                    [change.holds for change in restated],
                    tenant,
                ),
            )

    def quarantine(
        self, tenant: str, delivery_id: str, cause_id: str, received_at: datetime, rejections: Sequence[Rejection]
    ) -> None:
        when = received_at
        rows = (
            (cause_id, r.position, delivery_id, r.event_id, r.event_type, r.debtor_id, r.code, r.text, r.raw, when)
            for r in rejections
        )
        self._insert("quarantine", tenant, _QUARANTINE_COLUMNS, rows, "on conflict do nothing")

    def business_date(self, tenant: str) -> date | None:
        rows = self._query("select business_date from calendar where tenant = %s", (tenant,))
        return rows[0][0] if rows else None

    def emit(self, message: Message, key: bytes, envelope: Envelope) -> None:
        self._uow.emit(message, key, envelope)

    def _lock(self, tenant: str, debtor_ids: Sequence[str]) -> list[_Debtor]:
        rows = self._query(
            "select debtor_id, known, degraded, holds from debtor where tenant = %s and debtor_id = any(%s)"
            " order by debtor_id for update",
            (tenant, list(debtor_ids)),
        )
        return [_Debtor(*row) for row in rows]

    def _open(self, tenant: str, debtor_ids: Sequence[str]) -> list[_Debtor]:
        """New debtors: those inserted here are locked by that; one that another recorder just opened is waited for."""
        rows = self._query(
            "insert into debtor (tenant, debtor_id) select %s, unnest(%s::text[]) on conflict do nothing"
            " returning debtor_id",
            (tenant, list(debtor_ids)),
        )
        opened = {debtor_id for (debtor_id,) in rows}
        others = [debtor_id for debtor_id in debtor_ids if debtor_id not in opened]
        return [_Debtor(debtor_id) for debtor_id in opened] + (self._lock(tenant, others) if others else [])

    def _facts(self, tenant: str, debtor_ids: Sequence[str]) -> dict[str, list[Fact]]:
        found: defaultdict[str, list[Fact]] = defaultdict(list)
        if debtor_ids:
            rows = self._query(
                f"select {_LOADED} from ledger_fact where tenant = %s and debtor_id = any(%s)",  # noqa: S608
                (tenant, list(debtor_ids)),
            )
            for debtor_id, *columns in rows:
                found[debtor_id].append(_fact(columns))
        return found

    def _held(self, tenant: str, debtor_ids: Sequence[str]) -> dict[str, list[HeldFact]]:
        if not debtor_ids:
            return {}
        rows = self._query(
            f"select {', '.join(_HELD_COLUMNS)} from held_fact where tenant = %s and debtor_id = any(%s)"  # noqa: S608
            " order by fact_id",
            (tenant, list(debtor_ids)),
        )
        found: defaultdict[str, list[HeldFact]] = defaultdict(list)
        for row in rows:
            held = _held_fact(row)
            found[held.mapped.debtor_id].append(held)
        return found

    def _upsert(
        self, table: str, tenant: str, columns: dict[str, str], rows: Iterable[Sequence[object]], key: str
    ) -> None:
        updates = ", ".join(f"{name} = excluded.{name}" for name in columns if name not in key.split(", "))
        self._insert(table, tenant, columns, rows, f"on conflict (tenant, {key}) do update set {updates}")

    def _insert(
        self, table: str, tenant: str, columns: dict[str, str], rows: Iterable[Sequence[object]], conflict: str
    ) -> None:
        arrays = ", ".join(f"%s::{kind}[]" for kind in columns.values())
        self._uow.connection.execute(
            f"insert into {table} (tenant, {', '.join(columns)})"  # noqa: S608  # names of this module only
            f" select %s, * from unnest({arrays}) {conflict}",
            (tenant, *(list(column) for column in zip(*rows, strict=True))),
        )

    def _query(self, statement: str, parameters: Sequence[object]) -> list[tuple[Any, ...]]:
        with self._uow.connection.cursor(row_factory=tuple_row) as cursor:
            return cursor.execute(statement, parameters).fetchall()


def _names(things: Sequence[FactKey]) -> tuple[list[str], list[str]]:
    return [str(thing.aspect) for thing in things], [thing.thing_id for thing in things]


def _fact_row(mapped: MappedFact) -> Sequence[object]:
    fact = mapped.fact
    source_aspect, source_id = (None, None) if fact.source is None else (str(fact.source.aspect), fact.source.thing_id)
    return (
        mapped.debtor_id, str(fact.aspect), fact.thing_id, fact.version, fact.rank, fact.digest, fact.invoice_id,
        source_aspect, source_id, fact.amount_minor, fact.discount_minor, fact.currency, fact.on, fact.due,
        mapped.fact_id, mapped.event_type, mapped.content,
    )  # fmt: skip


def _fact(columns: Sequence[Any]) -> Fact:
    aspect, thing_id, version, rank, digest, invoice_id, source_aspect, source_id, *amounts = columns
    amount_minor, discount_minor, currency, on_date, due_date = amounts
    source = None if source_aspect is None else FactKey(Aspect(source_aspect), source_id)
    return Fact(
        Aspect(aspect), thing_id, version, bytes(digest), rank, invoice_id, source, amount_minor, discount_minor,
        currency, on_date, due_date,
    )  # fmt: skip


def _held_row(held: HeldFact) -> Sequence[object]:
    mapped = held.mapped
    return (
        mapped.fact_id, mapped.debtor_id, mapped.cause_id, mapped.position, mapped.event_id, mapped.source,
        mapped.event_type, mapped.content, mapped.fact.version, mapped.time, mapped.backfill, mapped.ingested_at,
        mapped.traceparent, held.code, held.text, held.doubted,
    )  # fmt: skip


def _held_fact(row: Sequence[Any]) -> HeldFact:
    column = dict(zip(_HELD_COLUMNS, row, strict=True))
    content = bytes(column["content"])
    message = decode(column["event_type"], content)
    mapped = MappedFact(
        position=column["position"],
        event_id=column["event_id"],
        source=column["source"],
        fact_id=column["fact_id"],
        debtor_id=column["debtor_id"],
        event_type=column["event_type"],
        message=message,
        content=content,
        fact=fact_of(message, column["version"], content),
        time=column["business_time"],
        backfill=column["backfill"],
        cause_id=column["delivery_id"],
        ingested_at=column["ingested_at"],
        traceparent=column["traceparent"],
    )
    return HeldFact(mapped, column["code"], column["detail"], column["doubted"])
