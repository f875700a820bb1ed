"""What the gateway counts, and what `/status` may be trusted in, on real PostgreSQL."""

from __future__ import annotations

import pytest
from duly_policy import Channel
from duly_runtime.metrics import Metrics
from gateway import bootstrap
from gateway.bootstrap import compose
from gateway.domain.contact import NotSent, Unknown

from duly.gateway.v1 import contact_service_pb2 as pb

pytestmark = pytest.mark.postgres


@pytest.fixture
def metrics(world):
    made = Metrics()
    for close in world.gateway.closers:
        close()
    world.gateway = compose(world.settings, world.clock, made, world.log, {Channel.EMAIL: world.channel})
    return made


def value(metrics, name, **labels):
    return metrics.registry.get_sample_value(name, labels)


def test_answers_of_the_gate_are_counted_and_contacts_only_at_their_end(world, metrics):
    world.ready("D-1", "D-2")
    world.channel.outcomes = [NotSent("away")]
    world.ask()
    world.settle()
    assert value(metrics, "duly_gate_decisions_total", phase="SEND", answer="ALLOW") == 2  # asked, claimed
    assert value(metrics, "duly_gateway_contacts_total", state="reserved") is None
    world.clock.advance(61)
    world.settle()
    assert value(metrics, "duly_gateway_contacts_total", state="accepted") == 1
    world.ask("D-2", invoice_ids=["none"])
    assert value(metrics, "duly_gate_decisions_total", phase="SEND", answer="DENY") == 1
    assert value(metrics, "duly_gateway_contacts_total", state="denied") == 1
    world.ask("D-2", treatment="T-9")
    request = pb.CancelContactRequest(tenant_id="acme", idempotency_key="c", contact_id="C-T-9", reason="x")
    world.call("CancelContact", request)
    world.call("CancelContact", request)
    assert value(metrics, "duly_gateway_contacts_total", state="cancelled") == 1


def test_unknown_attempts_are_a_gauge_that_survives_a_restart(world, metrics):
    world.ready()
    world.settle()
    assert value(metrics, "duly_gateway_unknown_attempts") == 0
    world.channel.outcomes = [Unknown("data: cut")]
    world.ask()
    world.settle()
    assert value(metrics, "duly_gateway_unknown_attempts") == 1
    again = Metrics()
    world.gateway = compose(world.settings, world.clock, again, world.log, {Channel.EMAIL: world.channel})
    world.settle()
    assert value(again, "duly_gateway_unknown_attempts") == 1


def test_positions_are_read_before_what_is_counted(world, monkeypatch):
    """A record applied between the two must not look applied while what it left to do is not counted yet."""
    world.ready()
    before = world.gateway.status().positions
    count = bootstrap.work_and_outbox

    def counting(database, now):
        counted = count(database, now)
        monkeypatch.setattr(world.gateway.loops[0], "positions", lambda: {"ledger-events": {0: 10_000}})
        return counted

    monkeypatch.setattr(bootstrap, "work_and_outbox", counting)
    assert world.gateway.status().positions == before
