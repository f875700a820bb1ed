"""The fold of `ledger-events` that the gate reads."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from duly_contracts.envelope import Envelope
from duly_contracts.events import encode
from duly_contracts.keys import debtor_key
from duly_policy import Channel
from gateway.adapters.postgres.pictures import read_picture

from duly.ledger.v1 import events_pb2 as ledger
from duly.money.v1.money_pb2 import Money
from duly.risk.v1 import events_pb2 as risk

pytestmark = pytest.mark.postgres
NOON = datetime(2031, 3, 4, 17, tzinfo=UTC)


def usd(minor: int) -> Money:
    return Money(amount_minor=minor, currency="USD")


def picture(world, debtor: str = "D-1"):
    world.settle()
    with world.gateway.database.reading() as connection:
        return read_picture(connection, "acme", debtor, Channel.EMAIL, "", NOON)


def facts(debtor: str) -> list[tuple[str, object]]:
    """(version, fact). At the end I1 has 90.00 open, 20.00 of it in dispute; I2 has 40.00; 50.00 is unapplied."""
    invoice = {"debtor_id": debtor, "issue_date": "2031-01-01", "due_date": "2031-02-01"}
    return [
        ("01", ledger.InvoiceIssued(invoice_id=f"{debtor}-I1", total=usd(99999), **invoice)),
        ("02", ledger.InvoiceRevised(invoice_id=f"{debtor}-I1", total=usd(24000), **invoice)),
        ("01", ledger.InvoiceIssued(invoice_id=f"{debtor}-I2", total=usd(5000), **invoice)),
        ("03", ledger.InvoiceDisputed(invoice_id=f"{debtor}-I1", amount=usd(7000))),
        ("04", ledger.InvoiceDisputed(invoice_id=f"{debtor}-I1", amount=usd(2000))),
        ("03", ledger.InvoiceDisputed(invoice_id=f"{debtor}-I2", amount=usd(100))),
        ("05", ledger.InvoiceDisputeResolved(invoice_id=f"{debtor}-I2")),
        ("01", ledger.PaymentReceived(payment_id=f"{debtor}-P", amount=usd(20000))),
        ("01", ledger.AllocationApplied(allocation_id=f"{debtor}-A1", source_id=f"{debtor}-P",
                                        invoice_id=f"{debtor}-I1", amount=usd(15000))),
        ("01", ledger.AllocationApplied(allocation_id=f"{debtor}-A2", source_id=f"{debtor}-P",
                                        invoice_id=f"{debtor}-I2", amount=usd(5000))),
        ("02", ledger.AllocationRemoved(allocation_id=f"{debtor}-A2", invoice_id=f"{debtor}-I2")),
        ("01", ledger.PaymentReceived(payment_id=f"{debtor}-Q", amount=usd(4000))),
        ("01", ledger.AllocationApplied(allocation_id=f"{debtor}-A3", source_id=f"{debtor}-Q",
                                        invoice_id=f"{debtor}-I1", amount=usd(4000))),
        ("02", ledger.PaymentReversed(reversal_id=f"{debtor}-R", payment_id=f"{debtor}-Q", amount=usd(1))),
        ("03", ledger.PaymentReversed(reversal_id=f"{debtor}-R", payment_id=f"{debtor}-Q", amount=usd(4000))),
        ("01", ledger.InvoiceWrittenOff(write_off_id=f"{debtor}-W", invoice_id=f"{debtor}-I1", amount=usd(3000))),
        ("02", ledger.InvoiceWrittenOff(write_off_id=f"{debtor}-W", invoice_id=f"{debtor}-I2", amount=usd(1000))),
        ("01", ledger.InvoiceIssued(invoice_id=f"{debtor}-I3", total=usd(100), **invoice)),
        ("02", ledger.InvoiceVoided(invoice_id=f"{debtor}-I3")),
    ]  # fmt: skip


def test_any_order_with_duplicates_gives_the_same_balances(world):
    for seed in range(6):
        debtor = f"D-{seed}"
        world.debtor(debtor)
        shuffled = facts(debtor) * 2
        random.Random(seed).shuffle(shuffled)
        for version, fact in shuffled:
            world.fact(debtor, fact, version=version)
        found = picture(world, debtor)
        rows = {p.invoice_id.removeprefix(f"{debtor}-"): (p.open_minor, p.disputed_minor) for p in found.positions}
        assert rows == {"I1": (9000, 2000), "I2": (4000, 0)}, seed
        assert found.unapplied == {"USD": 5000}


def test_the_newest_party_decides_the_address(world):
    world.debtor("D-1", address="old@debtors.example")
    world.debtor("D-1", address="new@debtors.example", verified=False)
    found = picture(world)
    assert (found.contact_point.address, found.contact_point.verified) == ("new@debtors.example", False)


def test_an_older_party_that_comes_last_changes_nothing(world):
    world.versions = 5
    world.debtor("D-1", address="new@debtors.example", verified=False)
    world.settle()
    world.versions = 2
    world.debtor("D-1", address="old@debtors.example")
    found = picture(world)
    assert (found.contact_point.address, found.contact_point.verified) == ("new@debtors.example", False)


def test_drift_and_degradation_come_and_go(world):
    world.debtor("D-1")
    world.fact("D-1", ledger.LedgerDriftDetected(debtor_id="D-1", reason="over-allocated"))
    world.fact("D-1", risk.RiskDebtorDegraded(debtor_id="D-1", event_ids=["e"], reason="poison"))
    assert (picture(world).drift, picture(world).degraded) == (True, True)
    world.fact("D-1", ledger.LedgerDriftCleared(debtor_id="D-1"))
    world.fact("D-1", risk.RiskDebtorRestored(debtor_id="D-1"))
    assert (picture(world).drift, picture(world).degraded) == (False, False)


def test_a_fact_that_cannot_be_read_degrades_its_debtor_and_nobody_else(world):
    world.debtor("D-1")
    world.debtor("D-2")
    world.log.producer("test").send("ledger-events", debtor_key("acme", "D-1"), b"\xff", [("ce_id", b"x")])
    world.log.producer("test").send("ledger-events", b"\xff|\xfe", b"\xff", [])
    assert picture(world).degraded
    assert not picture(world, "D-2").degraded
    world.settle()
    assert len(world.log.records("ledger-events-dlq")) == 2


def test_a_debtor_is_free_again_once_every_fact_that_could_not_be_read_came_again_or_was_dismissed(world):
    def send(event_id: str, value: bytes, name: str = "invoice.voided") -> None:
        headers = Envelope(event_id, f"duly.{name}.v1", "test", "D-1", NOON, "acme").to_headers()
        world.log.producer("test").send("ledger-events", debtor_key("acme", "D-1"), value, headers)

    world.debtor("D-1")
    send("a", b"\xff")
    send("b", b"\xff")
    assert picture(world).degraded
    send("a", encode(ledger.InvoiceVoided(invoice_id="INV-1", debtor_id="D-1", on="2031-03-01")))
    assert picture(world).degraded
    send("b", b"", "ledger.event_dismissed")
    assert not picture(world).degraded
