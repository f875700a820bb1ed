"""`RequestQueue` on PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from duly_runtime.database import Connection
from duly_runtime.tracing import current_traceparent

from duly.gateway.v1 import contact_service_pb2 as gateway_pb
from outreach.application.ports import Call, CallKind
from outreach.domain.treatment import Treatment

# A debtor's calls are made one after the other, by however many processes: only its earliest call that is not done is
# claimed, and none while a process has another in hand. So a cancellation never overtakes its request.
_CLAIM = """
update gateway_call set attempts = attempts + 1, lease_owner = %(owner)s, lease_until = %(lease_until)s
where seq in (
    select c.seq from gateway_call c
    where c.state = 'DUE' and c.next_attempt_at <= %(now)s and (c.lease_until is null or c.lease_until <= %(now)s)
      and not exists (
        select 1 from gateway_call e
        where e.tenant = c.tenant and e.debtor_id = c.debtor_id and e.seq < c.seq
          and (e.lease_until > %(now)s or e.state = 'DUE'))
    order by c.seq limit %(limit)s for update skip locked)
returning seq, tenant, debtor_id, contact_id, kind, payload, attempts, faults, traceparent
"""


@dataclass(frozen=True, slots=True)
class PostgresRequestQueue:
    connection: Connection

    def add_request(self, request: gateway_pb.RequestContactRequest, treatment: Treatment) -> None:
        payload = request.SerializeToString(deterministic=True)
        self._add(request.idempotency_key, CallKind.REQUEST, payload, treatment)

    def add_cancel(self, request: gateway_pb.CancelContactRequest, treatment: Treatment) -> None:
        payload = request.SerializeToString(deterministic=True)
        self._add(request.idempotency_key, CallKind.CANCEL, payload, treatment)

    def withdraw(self, treatment: Treatment) -> bool:
        row = self.connection.execute(
            "update gateway_call set state = case when state = 'DUE' then 'DROPPED' else state end"
            " where tenant = %s and contact_id = %s and kind = 'REQUEST' returning attempts",
            (treatment.tenant, treatment.contact_id),
        ).fetchone()
        return row is not None and row["attempts"] > 0

    def claim(self, owner: str, now: datetime, lease_until: datetime, limit: int) -> Sequence[Call]:
        rows = self.connection.execute(
            _CLAIM, {"owner": owner, "now": now, "lease_until": lease_until, "limit": limit}
        ).fetchall()
        calls = [Call(**{**row, "kind": CallKind(row["kind"]), "payload": bytes(row["payload"])}) for row in rows]
        return sorted(calls, key=lambda call: call.seq)

    def finish(self, call: Call, answer: str) -> None:
        self.connection.execute(
            "update gateway_call set state = case when state = 'DUE' then 'DONE' else state end, answer = %s,"
            " lease_owner = null, lease_until = null where seq = %s",
            (answer, call.seq),
        )

    def retry(self, call: Call, at: datetime, reason: str, fault: bool) -> None:
        self.connection.execute(
            "update gateway_call set next_attempt_at = %s, answer = %s, faults = faults + %s, lease_owner = null,"
            " lease_until = null where seq = %s",
            (at, reason[:200], int(fault), call.seq),
        )

    def give_back(self, call: Call) -> None:
        self.connection.execute(
            "update gateway_call set attempts = attempts - 1, lease_owner = null, lease_until = null where seq = %s",
            (call.seq,),
        )

    def release(self, owner: str) -> None:
        self.connection.execute(
            "update gateway_call set lease_owner = null, lease_until = null where lease_owner = %s", (owner,)
        )

    def _add(self, key: str, kind: CallKind, payload: bytes, treatment: Treatment) -> None:
        self.connection.execute(
            "insert into gateway_call (tenant, idempotency_key, kind, debtor_id, contact_id, payload, traceparent)"
            " values (%s, %s, %s, %s, %s, %s, %s) on conflict do nothing",
            (treatment.tenant, key, kind, treatment.debtor_id, treatment.contact_id, payload, current_traceparent()),
        )


def work_left(connection: Connection) -> tuple[int, int]:
    """(events not yet in the log, calls the gateway has still to hear of), in one cheap query."""
    row = connection.execute(
        "select (select count(*) from outbox where sent_at is null) as outbox,"
        " (select count(*) from gateway_call where state = 'DUE' or lease_until is not null) as calls"
    ).fetchone()
    assert row is not None
    return int(row["outbox"]), int(row["calls"])
