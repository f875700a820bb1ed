"""Two things at once, on real PostgreSQL."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from duly_testing.eventually import eventually
from gateway.application.errors import KeyReused

from duly.contact.v1 import types_pb2 as types
from duly.gateway.v1 import control_service_pb2 as control
from duly.gateway.v1 import inbox_service_pb2 as inbox

pytestmark = pytest.mark.postgres


def test_a_hundred_equal_requests_at_once_make_one_contact(world):
    world.ready()
    request = world.request()
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: world.call("RequestContact", request), range(100)))
    assert {answer.contact_id for answer in answers} == {"C-T-D-1"}
    assert sum(not answer.idempotent_replayed for answer in answers) == 1
    assert len({answer.decision.decision_id for answer in answers}) == 1
    world.settle()
    assert len(world.channel.sent) == 1


def test_a_hundred_treatments_of_one_debtor_at_once_keep_the_cap(world):
    world.ready()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda n: world.ask(treatment=f"T-{n}"), range(100)))
    world.settle()
    assert len(world.channel.sent) == 1


def test_a_used_key_with_another_body_is_refused(world):
    world.ready("D-1", "D-2")
    world.ask()
    with pytest.raises(KeyReused):
        world.ask("D-2", idempotency_key="key-T-D-1")
    assert world.ask(as_of=None).idempotent_replayed


def test_a_payment_that_is_being_folded_is_waited_for_and_seen_by_the_claim(world):
    world.ready()
    world.ask()
    due = world.gateway.dispatch.due(1)[0]
    with psycopg.connect(world.dsn) as payment, ThreadPoolExecutor(1) as pool:
        payment.execute("update debtor_guard set ledger_version = ledger_version + 1")  # the fold's first statement
        claim = pool.submit(world.gateway.dispatch.hand_over, due)
        eventually(lambda: _waiting_for_a_lock(world.dsn))
        assert not claim.done()
        payment.execute("update invoice set voided = true")
        payment.commit()
        claim.result(10)
    assert world.channel.sent == []
    assert world.state() == "DENIED"


def test_a_payment_that_comes_while_the_call_is_out_found_the_claim_committed(world):
    world.ready()
    world.ask()
    states = []

    def pay(_):
        states.append(world.state())
        world.payment("D-1", "INV-D-1")
        while world.gateway.loops[0].step(0):
            pass

    world.channel.before = pay
    world.gateway.loops[1].step(0)
    assert states == ["IN_FLIGHT"]
    assert world.state() == "ACCEPTED"
    assert world.channel.sent[0].attempt.amount_claimed == (("USD", 24000),)


def test_a_stop_while_sends_are_being_claimed_lets_none_through_after_its_commit(world):
    world.ready(*[f"D-{n}" for n in range(20)])
    for n in range(20):
        world.ask(f"D-{n}")

    def stop_all():
        for n in range(20):
            world.call(
                "IngestMessage",
                inbox.IngestMessageRequest(
                    tenant_id="acme", idempotency_key=f"m{n}", debtor_id=f"D-{n}", channel=types.CHANNEL_EMAIL,
                    body="STOP",
                ),
            )  # fmt: skip

    stopping = threading.Thread(target=stop_all)
    stopping.start()
    world.settle()
    stopping.join()
    world.settle()
    states = {n: world.state(f"C-T-D-{n}") for n in range(20)}
    assert set(states.values()) <= {"ACCEPTED", "CANCELLED", "DENIED"}
    assert len(world.channel.sent) == sum(state == "ACCEPTED" for state in states.values())


def test_after_a_kill_switch_no_hand_over_begins_and_after_its_release_new_ones_do(world):
    world.ready("D-1", "D-2")
    world.ask()
    switch = control.SetKillSwitchRequest(tenant_id="acme", idempotency_key="k1", on=True, reason="drill")
    assert world.call("SetKillSwitch", switch).on
    world.settle()
    assert world.state() == "DENIED"
    assert world.channel.sent == []
    world.call(
        "SetKillSwitch", control.SetKillSwitchRequest(tenant_id="acme", idempotency_key="k2", on=False, reason="over")
    )
    world.ask("D-2")
    world.settle()
    assert world.state("C-T-D-2") == "ACCEPTED"
    assert sorted(world.events()) == [
        "contact.denied", "contact.sent", "control.kill_switch_changed", "control.kill_switch_changed",
    ]  # fmt: skip


def test_another_tenants_kill_switch_is_not_ours(world):
    world.ready()
    world.ask()
    switch = control.SetKillSwitchRequest(tenant_id="other", idempotency_key="k1", on=True, reason="drill")
    world.call("SetKillSwitch", switch, tenant="other")
    world.settle()
    assert world.state() == "ACCEPTED"


def test_a_switch_waits_for_a_claim_that_has_read_it(world):
    world.ready()
    with psycopg.connect(world.dsn) as claim, ThreadPoolExecutor(1) as pool:
        claim.execute("select pg_advisory_xact_lock_shared(7151001)")
        switch = control.SetKillSwitchRequest(tenant_id="acme", idempotency_key="k1", on=True, reason="drill")
        setting = pool.submit(world.call, "SetKillSwitch", switch)
        eventually(lambda: _waiting_for_a_lock(world.dsn))
        claim.commit()
        assert setting.result(10).on


def _waiting_for_a_lock(dsn: str) -> bool:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
        ).fetchone()
    return row is not None and row[0] > 0
