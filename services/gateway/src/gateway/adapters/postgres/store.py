"""The use cases' `Store` and `Transactions` on PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime

from duly_contracts.envelope import Envelope
from duly_contracts.events import event_of
from duly_contracts.keys import debtor_key
from duly_policy import Channel, canonical_decision_json
from duly_runtime.clock import PolicyClock
from duly_runtime.database import Database, UnitOfWork
from duly_runtime.metrics import GATE_DECISIONS, GATEWAY_CONTACTS, Metrics
from duly_runtime.policy_time import record_instant
from google.protobuf.message import Message

from gateway.adapters.postgres.pictures import KILL_SWITCH_LOCK, contact_point_in, read_picture
from gateway.adapters.postgres.rows import (
    ATTEMPT_COLUMNS,
    CONTACT_COLUMNS,
    attempt_from,
    attempt_values,
    contact_from,
    contact_values,
)
from gateway.application.ports import DueContact, EventContext, RecordedDecision, StoredMessage
from gateway.domain.contact import Attempt, Contact, ContactId, ContactState, DebtorId, TenantId
from gateway.domain.picture import DebtorPicture

SERVICE = "gateway"


def _list(columns: Sequence[str]) -> str:
    return ", ".join(columns)


def _marks(columns: Sequence[str]) -> str:
    return ", ".join("%s" for _ in columns)


# Column names are constants of this package, never input.
_ADD_CONTACT = (
    f"insert into contact ({_list(CONTACT_COLUMNS)}) values ({_marks(CONTACT_COLUMNS)})"  # noqa: S608
    " on conflict do nothing returning seq"
)
_SAVE_CONTACT = (
    "update contact set state = %s, decision_id = %s, until = %s, retry_at = %s, sent_at = %s,"
    " amount_claimed = %s, attempts = %s where tenant = %s and contact_id = %s"
)
_SAVE_ATTEMPT = (
    f"insert into attempt ({_list(ATTEMPT_COLUMNS)}) values ({_marks(ATTEMPT_COLUMNS)})"  # noqa: S608
    " on conflict (tenant, contact_id, ordinal) do update set "
    + ", ".join(f"{name} = excluded.{name}" for name in ATTEMPT_COLUMNS if name not in ("tenant", "contact_id"))
)


class PostgresStore:
    """One transaction."""

    def __init__(self, uow: UnitOfWork, policy_clock: PolicyClock) -> None:
        self._uow = uow
        self._connection = uow.connection
        self._policy_clock = policy_clock
        self.answers: list[tuple[str, str]] = []  # (phase, answer) of the decisions recorded
        self.ended: list[ContactState] = []  # the states of the contacts that came to their end

    def claim_key(self, tenant: str, key: str, request_hash: bytes) -> tuple[bytes, bytes] | None:
        claimed = self._connection.execute(
            "insert into idempotency (tenant, key, request_hash) values (%s, %s, %s)"
            " on conflict do nothing returning key",
            (tenant, key, request_hash),
        ).fetchone()
        if claimed is not None:
            return None
        row = self._connection.execute(
            "select request_hash, response from idempotency where tenant = %s and key = %s", (tenant, key)
        ).fetchone()
        assert row is not None
        return bytes(row["request_hash"]), bytes(row["response"] or b"")

    def finish_key(self, tenant: str, key: str, response: bytes) -> None:
        self._connection.execute(
            "update idempotency set response = %s where tenant = %s and key = %s", (response, tenant, key)
        )

    def lock_debtor(self, tenant: TenantId, debtor_id: DebtorId) -> bool:
        row = self._connection.execute(
            "select 1 as found from debtor_guard where tenant = %s and debtor_id = %s for update", (tenant, debtor_id)
        ).fetchone()
        return row is not None

    def picture(
        self, tenant: TenantId, debtor_id: DebtorId, channel: Channel, contact_point_id: str, now: datetime
    ) -> DebtorPicture | None:
        return read_picture(self._connection, tenant, debtor_id, channel, contact_point_id, now)

    def add_contact(self, contact: Contact) -> bool:
        added = self._connection.execute(_ADD_CONTACT, contact_values(contact)).fetchone() is not None
        if added and contact.state.is_final:
            self.ended.append(contact.state)
        return added

    def save_contact(self, contact: Contact) -> None:
        values = dict(zip(CONTACT_COLUMNS, contact_values(contact), strict=True))
        names = ("state", "decision_id", "until", "retry_at", "sent_at", "amount_claimed", "attempts")
        key = (contact.tenant, contact.contact_id)
        self._connection.execute(_SAVE_CONTACT, (*(values[name] for name in names), *key))
        if contact.state.is_final:
            self.ended.append(contact.state)

    def contact(self, tenant: TenantId, contact_id: ContactId) -> Contact | None:
        row = self._connection.execute(
            "select * from contact where tenant = %s and contact_id = %s", (tenant, contact_id)
        ).fetchone()
        return None if row is None else contact_from(row)

    def contacts(
        self, tenant: TenantId, debtor_id: str, state: ContactState | None, after_seq: int, limit: int
    ) -> Sequence[Contact]:
        rows = self._connection.execute(
            "select * from contact where tenant = %s and seq > %s and (%s = '' or debtor_id = %s)"
            " and (%s::text is null or state = %s) order by seq limit %s",
            (tenant, after_seq, debtor_id, debtor_id, state, state, limit),
        ).fetchall()
        return [contact_from(row) for row in rows]

    def contacts_to_call_off(self, tenant: TenantId, debtor_id: DebtorId) -> Sequence[Contact]:
        rows = self._connection.execute(
            "select * from contact where tenant = %s and debtor_id = %s"
            " and state in ('WAITING', 'RESERVED', 'HELD') order by seq",
            (tenant, debtor_id),
        ).fetchall()
        return [contact_from(row) for row in rows]

    def save_attempt(self, attempt: Attempt) -> None:
        self._connection.execute(_SAVE_ATTEMPT, attempt_values(attempt))

    def last_attempt(self, tenant: TenantId, contact_id: ContactId) -> Attempt | None:
        row = self._connection.execute(
            "select * from attempt where tenant = %s and contact_id = %s order by ordinal desc limit 1",
            (tenant, contact_id),
        ).fetchone()
        return None if row is None else attempt_from(row)

    def record_decision(self, recorded: RecordedDecision) -> None:
        decision = recorded.decision
        self.answers.append((decision.phase, decision.answer))
        self._connection.execute(
            "insert into gate_decision (tenant, decision_id, contact_id, phase, answer, rule_ids, pack_versions,"
            " input_sha256, input, decision, evaluated_at) values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " on conflict do nothing",
            (
                recorded.tenant,
                decision.decision_id,
                recorded.contact_id,
                decision.phase,
                decision.answer,
                list(decision.rule_ids),
                [f"{name}@{version}" for name, version in decision.pack_versions],
                decision.input_sha256,
                recorded.input_json,
                canonical_decision_json(decision),
                decision.evaluated_at,
            ),
        )

    def decision(self, tenant: TenantId, decision_id: str) -> str | None:
        row = self._connection.execute(
            "select decision from gate_decision where tenant = %s and decision_id = %s", (tenant, decision_id)
        ).fetchone()
        return None if row is None else str(row["decision"])

    def record_late_outcome(self, attempt: Attempt, outcome: str) -> None:
        self._connection.execute(
            "update attempt set late_outcome = %s where tenant = %s and contact_id = %s and ordinal = %s",
            (outcome, attempt.tenant, attempt.contact_id, attempt.ordinal),
        )

    def suppress(self, tenant: TenantId, debtor_id: DebtorId, address: str, reason: str, evidence: str) -> None:
        self._connection.execute(
            "insert into suppression (tenant, debtor_id, address, reason, evidence_ref)"
            " values (%s, %s, lower(%s), %s, %s) on conflict do nothing",
            (tenant, debtor_id, address, reason, evidence),
        )

    def contact_point_of(self, tenant: TenantId, debtor_id: DebtorId, channel: Channel) -> str:
        row = self._connection.execute(
            "select contact_points from party where tenant = %s and debtor_id = %s", (tenant, debtor_id)
        ).fetchone()
        point = None if row is None else contact_point_in(row["contact_points"], channel, "")
        return "" if point is None else point.contact_point_id

    def add_message(self, message: StoredMessage) -> None:
        self._connection.execute(
            "insert into message (tenant, message_id, contact_id, debtor_id, channel, body, stopped, received_at)"
            " values (%s, %s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
            (
                message.tenant,
                message.message_id,
                message.contact_id,
                message.debtor_id,
                message.channel,
                message.body,
                message.stopped,
                message.received_at,
            ),
        )

    def set_kill_switch(self, tenant: str, on: bool, by: str, reason: str, at: datetime) -> None:
        self._connection.execute("select pg_advisory_xact_lock(%s)", (KILL_SWITCH_LOCK,))
        self._connection.execute(
            "insert into kill_switch (scope, scope_id, is_on, set_by, reason, at) values (%s, %s, %s, %s, %s, %s)",
            ("tenant" if tenant else "all", tenant, on, by, reason, at),
        )

    def business_date(self, tenant: str) -> str:
        row = self._connection.execute(
            "select business_date from tenant_calendar where tenant = %s", (tenant,)
        ).fetchone()
        return "" if row is None else row["business_date"].isoformat()

    def emit(self, message: Message, context: EventContext) -> None:
        envelope = Envelope(
            id=context.event_id,
            type=event_of(message).type,
            source=f"/tenants/{context.tenant}/services/{SERVICE}",
            subject=context.debtor_id,
            time=context.at,
            tenant=context.tenant,
            business_date=date.fromisoformat(context.business_date) if context.business_date else None,
            correlation_id=context.correlation_id,
            causation_id=context.causation_id,
            traceparent=context.traceparent,
        )
        self._uow.emit(message, debtor_key(context.tenant, context.debtor_id), envelope)

    def move_clock(self, instant: datetime) -> None:
        record_instant(self._connection, self._policy_clock, instant)


class PostgresTransactions:
    """`Transactions` on the service's own database."""

    def __init__(self, database: Database, policy_clock: PolicyClock, metrics: Metrics) -> None:
        self._database = database
        self._policy_clock = policy_clock
        self._metrics = metrics

    @contextmanager
    def begin(self) -> Iterator[PostgresStore]:
        with self._database.unit_of_work() as uow:
            store = PostgresStore(uow, self._policy_clock)
            yield store
        for phase, answer in store.answers:
            self._metrics.count(GATE_DECISIONS, phase=phase, answer=answer)
        for state in store.ended:
            self._metrics.count(GATEWAY_CONTACTS, state=state.lower())

    def due(self, now: datetime, wall_now: datetime, limit: int) -> Sequence[DueContact]:
        with self._database.reading() as connection:
            rows = connection.execute(
                "select tenant, debtor_id, contact_id from contact"
                " where (state = 'RESERVED' or (state = 'WAITING' and until <= %s))"
                " and (retry_at is null or retry_at <= %s)"
                " order by seq limit %s",
                (now, wall_now, limit),
            ).fetchall()
        return [DueContact(row["tenant"], row["debtor_id"], row["contact_id"]) for row in rows]

    def expired(self, wall_now: datetime, limit: int) -> Sequence[Attempt]:
        with self._database.reading() as connection:
            rows = connection.execute(
                "select * from attempt where state = 'IN_FLIGHT' and lease_until < %s order by lease_until limit %s",
                (wall_now, limit),
            ).fetchall()
        return [attempt_from(row) for row in rows]

    def unknown_attempts(self) -> int:
        with self._database.reading() as connection:
            row = connection.execute("select count(*) as unknown from attempt where state = 'UNKNOWN'").fetchone()
        assert row is not None
        return int(row["unknown"])


def work_and_outbox(database: Database, now: datetime | None) -> tuple[int, int]:
    """(contacts due at `now` or in flight, events not yet in the log). Back-off counts: it is not done."""
    with database.reading() as connection:
        row = connection.execute(
            "select (select count(*) from contact where state in ('RESERVED', 'IN_FLIGHT')"
            " or (state = 'WAITING' and until <= %s)) as work,"
            " (select count(*) from outbox where sent_at is null) as outbox",
            (now,),
        ).fetchone()
    assert row is not None
    return int(row["work"]), int(row["outbox"])
