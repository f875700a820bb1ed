"""Reads a debtor's picture. Called under the debtor's lock, in the transaction that decides."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from duly_policy import Channel, DebtorKind, PastAttempt
from duly_runtime.database import Connection, Row

from gateway.domain.contact import ContactId, DebtorId, TenantId
from gateway.domain.debts import InvoicePosition
from gateway.domain.picture import ContactPoint, CountedAttempt, DebtorPicture

# Channels that go to an address of the debtor, and the kind of point they use.
_POINT_KINDS = {Channel.EMAIL: "EMAIL", Channel.SMS: "PHONE", Channel.VOICE: "PHONE"}
_ATTEMPTS_DAYS = 30

# Shared by claims, exclusive for who sets a switch: after the switch has committed, every claim sees it.
KILL_SWITCH_LOCK = 7_151_001

_STATE = """
select p.kind, p.name, p.country, p.zones, p.contact_points, g.drift, g.ledger_version,
       g.degraded or g.unusable > 0 as degraded,
       c.business_date,
       exists (select 1 from suppression s where s.tenant = g.tenant and s.debtor_id = g.debtor_id
               and s.address = '') as stopped,
       coalesce((select is_on from kill_switch where scope = 'all' and scope_id = '' order by seq desc limit 1), false)
       or coalesce((select is_on from kill_switch where scope = 'tenant' and scope_id = g.tenant
                    order by seq desc limit 1), false) as kill_switch
from debtor_guard g
join party p on p.tenant = g.tenant and p.debtor_id = g.debtor_id
left join tenant_calendar c on c.tenant = g.tenant
where g.tenant = %s and g.debtor_id = %s
"""

_POSITIONS = """
select i.invoice_id, i.number, i.due_date, i.currency, i.total_minor, i.disputed_minor,
       i.total_minor - coalesce(a.minor, 0) - coalesce(w.minor, 0) as open_minor
from invoice i
left join lateral (
    select sum(a.amount_minor + a.discount_minor)::bigint as minor
    from allocation a
    left join standing_source s on s.tenant = a.tenant and s.debtor_id = a.debtor_id and s.source_id = a.source_id
    where a.tenant = i.tenant and a.invoice_id = i.invoice_id and a.applied and not a.removed
      and coalesce(s.stands, true)
) a on true
left join lateral (
    select sum(w.amount_minor)::bigint as minor from write_off w
    where w.tenant = i.tenant and w.invoice_id = i.invoice_id
) w on true
where i.tenant = %s and i.debtor_id = %s and i.known and not i.voided
"""

_UNAPPLIED = """
select currency, sum(rest)::bigint as minor from (
    select s.currency, greatest(0, s.left_minor - coalesce((
        select sum(a.amount_minor) from allocation a
        where a.tenant = s.tenant and a.debtor_id = s.debtor_id and a.source_id = s.source_id
          and a.applied and not a.removed
    ), 0)) as rest
    from standing_source s
    where s.tenant = %s and s.debtor_id = %s and s.known and s.stands
) unapplied group by currency having sum(rest) > 0
"""


def read_picture(
    connection: Connection, tenant: TenantId, debtor_id: DebtorId, channel: Channel, point_id: str, now: datetime
) -> DebtorPicture | None:
    # A statement of its own: the next one must take its snapshot after the lock is ours.
    connection.execute("select pg_advisory_xact_lock_shared(%s)", (KILL_SWITCH_LOCK,))
    state = connection.execute(_STATE, (tenant, debtor_id)).fetchone()
    if state is None:
        return None
    point = contact_point_in(state["contact_points"], channel, point_id)
    positions = connection.execute(_POSITIONS, (tenant, debtor_id)).fetchall()
    unapplied = connection.execute(_UNAPPLIED, (tenant, debtor_id)).fetchall()
    return DebtorPicture(
        kind=DebtorKind(state["kind"]),
        name=state["name"],
        country=state["country"],
        zones=tuple(state["zones"]),
        contact_point=point,
        degraded=state["degraded"],
        drift=state["drift"],
        stopped=state["stopped"],
        suppressed=point is not None and _suppressed(connection, tenant, debtor_id, point.address),
        kill_switch=state["kill_switch"],
        positions=tuple(_position(row) for row in positions if row["open_minor"] > 0),
        unapplied={row["currency"]: row["minor"] for row in unapplied},
        attempts=_attempts(connection, tenant, debtor_id, now),
        ledger_version=state["ledger_version"],
        business_date=state["business_date"],
    )


def contact_point_in(points: list[dict[str, Any]], channel: Channel, point_id: str) -> ContactPoint | None:
    """The named point, or the debtor's first for the channel. Console and noop reach no address."""
    if channel in (Channel.CONSOLE, Channel.NOOP):
        return ContactPoint(point_id, "", verified=True)
    kind = _POINT_KINDS.get(channel)
    fitting = [p for p in points if p["channel"] == kind and point_id in ("", p["id"])]
    first = min(fitting, key=lambda p: str(p["id"]), default=None)
    return None if first is None else ContactPoint(first["id"], first["address"], first["verified"])


def _suppressed(connection: Connection, tenant: TenantId, debtor_id: DebtorId, address: str) -> bool:
    return address != "" and (
        connection.execute(
            "select 1 as found from suppression where tenant = %s and debtor_id = %s and address = lower(%s)",
            (tenant, debtor_id, address),
        ).fetchone()
        is not None
    )


def _attempts(
    connection: Connection, tenant: TenantId, debtor_id: DebtorId, now: datetime
) -> tuple[CountedAttempt, ...]:
    rows = connection.execute(
        "select contact_id, at, channel, state from attempt"
        " where tenant = %s and debtor_id = %s and at > %s and state not in ('REFUSED', 'CANCELLED')"
        " order by at, contact_id, ordinal",
        (tenant, debtor_id, now - timedelta(days=_ATTEMPTS_DAYS)),
    ).fetchall()
    return tuple(
        CountedAttempt(
            PastAttempt(row["contact_id"], row["at"], Channel(row["channel"]), row["state"].lower()),
            ContactId(row["contact_id"]),
            row["state"] == "RESERVED",
        )
        for row in rows
    )


def _position(row: Row) -> InvoicePosition:
    return InvoicePosition(
        invoice_id=row["invoice_id"],
        number=row["number"] or row["invoice_id"],
        due_date=row["due_date"],
        currency=row["currency"],
        total_minor=row["total_minor"],
        open_minor=row["open_minor"],
        disputed_minor=min(row["disputed_minor"], row["open_minor"]),
    )
