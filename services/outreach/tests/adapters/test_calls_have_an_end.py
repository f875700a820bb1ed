"""A cancellation reaches a request that is still running, and one that nobody takes does not block the debtor."""

import os
import socket
from datetime import UTC, datetime, timedelta
from itertools import repeat

import psycopg
import pytest
from outreach.adapters.postgres.gateway_calls import PostgresRequestQueue
from psycopg.rows import dict_row

from duly.outreach.v1 import events_pb2 as pb

pytestmark = pytest.mark.postgres
NOW = datetime(2031, 3, 1, 9, 0, tzinfo=UTC)


def pass_time(world, minutes):
    """Real time, not the tenant's: the policy clock stands."""
    for _ in range(minutes * 2):
        world.clock.advance(30)
        world.run()


def work_items(world):
    return [message.kind for _, message in world.all_events() if isinstance(message, pb.WorkItemCreated)]


@pytest.fixture
def requested(world):
    """A reminder the gateway was asked for."""
    world.party()
    world.invoice("INV-1")
    world.play_day("2026-06-04")
    return world


def test_a_cancellation_is_repeated_until_it_meets_the_request_that_was_still_running(world):
    world.party()
    world.invoice("INV-1")
    world.gateway.slow = True
    world.play_day("2026-06-04")
    world.gateway.slow = False
    world.gateway.cancel_faults = iter(["NOT_FOUND", "NOT_FOUND"])
    world.pay("INV-1")
    world.run()
    pass_time(world, 2)

    assert len(world.gateway.requests) == 1
    assert [c.contact_id for c in world.gateway.cancels] == [world.gateway.contacts[0].contact_id]
    assert world.service.status().work == 0


def test_a_contact_the_gateway_never_made_needs_no_cancelling_in_the_end(requested):
    world = requested
    world.gateway.cancel_faults = repeat("NOT_FOUND")
    world.pay("INV-1")
    pass_time(world, 10)

    assert world.gateway.cancels_tried == 7
    assert world.service.status().work == 0
    assert work_items(world) == []


def test_a_cancellation_nobody_takes_is_a_work_item_and_the_debtors_next_call_is_made(requested):
    world = requested
    world.gateway.cancel_faults = repeat("INTERNAL")
    world.pay("INV-1")
    world.invoice("INV-2")
    world.tick("2026-06-05")
    assert len(world.gateway.contacts) == 1
    pass_time(world, 15)

    assert world.gateway.cancels_tried == 12
    assert work_items(world) == ["contact_cancel_failed"]
    item = world.last("work_item.created")
    assert item[0].causation_id == world.last("contact.cancelled")[0].id
    assert item[1].treatment_id == world.last("contact.cancelled")[1].treatment_id
    assert [list(c.invoice_ids) for c in world.gateway.contacts] == [["INV-1"], ["INV-2"]]
    assert world.service.status().work == 0


def test_after_the_time_of_the_contact_a_faulted_cancellation_ends_at_once(requested):
    world = requested
    world.gateway.down = True
    world.pay("INV-1")
    world.run()
    world.tick("2026-06-06")
    world.gateway.down = False
    world.gateway.cancel_faults = repeat("INTERNAL")
    pass_time(world, 2)

    assert world.gateway.cancels_tried == 1
    assert work_items(world) == []
    assert world.service.status().work == 0


def test_an_outage_never_ends_a_cancellation_and_does_not_use_up_its_tries(requested):
    world = requested
    world.gateway.down = True
    world.pay("INV-1")
    pass_time(world, 30)
    assert world.service.status().work == 1
    world.gateway.down = False
    world.gateway.cancel_faults = iter(["NOT_FOUND"])
    pass_time(world, 3)

    assert len(world.gateway.cancels) == 1


def test_a_faulted_call_does_not_hold_up_other_debtors(requested):
    world = requested
    world.gateway.cancel_faults = repeat("INTERNAL")
    world.pay("INV-1")
    world.party("D-2")
    world.invoice("OTHER", debtor="D-2")
    world.tick("2026-06-05")

    assert [c.debtor_id for c in world.gateway.contacts] == ["D-1", "D-2"]


def test_of_two_processes_that_claim_at_once_only_one_gets_calls_of_a_debtor(world):
    for number in (1, 2):
        world.execute(
            "insert into gateway_call (tenant, idempotency_key, kind, debtor_id, contact_id, payload, traceparent)"
            " values ('acme', %s, 'REQUEST', 'D-1', %s, '', '')",
            f"k-{number}",
            f"C-{number}",
        )
    until = NOW + timedelta(seconds=20)
    with (
        psycopg.connect(world.dsn, row_factory=dict_row) as first,
        psycopg.connect(world.dsn, row_factory=dict_row) as second,
    ):
        claimed = PostgresRequestQueue(first).claim("a", NOW, until, 20)
        assert [call.contact_id for call in claimed] == ["C-1"]
        assert PostgresRequestQueue(second).claim("b", NOW, until, 20) == []
        second.rollback()
        first.commit()
        assert PostgresRequestQueue(second).claim("b", NOW, until, 20) == []
        second.rollback()
        PostgresRequestQueue(first).finish(claimed[0], "ok")
        first.commit()
        assert [call.contact_id for call in PostgresRequestQueue(second).claim("b", NOW, until, 20)] == ["C-2"]


@pytest.mark.parametrize(
    ("settings", "owner"),
    [({"instance_id": "outreach-7"}, "outreach-7"), ({}, f"{socket.gethostname()}-{os.getpid()}")],
    ids=["named", "unnamed"],
)
def test_a_call_in_hand_names_the_process_that_makes_it(make_world, settings, owner):
    world = make_world(**settings)
    world.party()
    world.invoice("INV-1")
    world.gateway.dies_after_taking = True
    with pytest.raises(KeyboardInterrupt):
        world.tick("2026-06-04")

    assert world.rows("select lease_owner from gateway_call") == [{"lease_owner": owner}]
