"""Events in, read models out, on real PostgreSQL."""

from __future__ import annotations

import random

import pytest
from insights.application.debtor_queries import DebtorNotFound, InvalidRequest

from duly.contact.v1 import events_pb2 as contact
from duly.contact.v1 import types_pb2 as types
from duly.insights.v1 import debtor_query_service_pb2 as pb
from duly.ledger.v1 import events_pb2 as ledger
from duly.money.v1.money_pb2 import Money
from duly.outreach.v1 import events_pb2 as outreach
from duly.risk.v1 import events_pb2 as risk

pytestmark = pytest.mark.postgres


def usd(minor: int) -> Money:
    return Money(amount_minor=minor, currency="USD")


def invoice(number: str, due: str, minor: int) -> ledger.InvoiceIssued:
    return ledger.InvoiceIssued(
        invoice_id=number, debtor_id="D-1", number=number, issue_date="2031-01-01", due_date=due, total=usd(minor)
    )


def tick(day: str) -> ledger.CalendarBusinessDateAdvanced:
    return ledger.CalendarBusinessDateAdvanced(business_date=day, slices=1)


def payment(minor: int, name: str = "P-1") -> ledger.PaymentReceived:
    return ledger.PaymentReceived(payment_id=name, debtor_id="D-1", amount=usd(minor))


def allocation(minor: int, to: str, name: str = "A-1", source: str = "P-1") -> ledger.AllocationApplied:
    return ledger.AllocationApplied(
        allocation_id=name, source_id=source, invoice_id=to, debtor_id="D-1", amount=usd(minor), on="2031-03-04"
    )


def score(band: risk.RiskBand, before: risk.RiskBand, version: int = 1, day: str = "2031-03-04"):
    return risk.RiskScoreUpdated(
        score_id=f"S-{version}-{day}", debtor_id="D-1", business_date=day, ledger_version=version, model_name="risk",
        model_version="3", role=risk.MODEL_ROLE_CHAMPION, risk_band=band, previous_band=before, risk=0.5,
        reasons=[risk.ScoreReason(feature="f", text="two invoices are late")],
    )  # fmt: skip


def test_open_amounts_stand_in_the_bucket_of_their_days_past_due(world):
    due_dates = {"A": "2026-03-31", "B": "2026-03-30", "C": "2026-03-01", "D": "2026-02-28", "E": "2026-01-30",
                 "F": "2026-01-29", "G": "2025-12-31", "H": "2025-12-30"}  # fmt: skip
    for number, due in due_dates.items():
        world.publish("D-1", invoice(number, due, 100))
    world.publish("", tick("2026-03-31"))
    (row,) = world.view().aging
    buckets = (row.current_minor, row.days_1_30_minor, row.days_31_60_minor, row.days_61_90_minor)
    assert (*buckets, row.days_over_90_minor) == (100, 200, 200, 200, 100)
    assert row.open_minor == 800


def test_payments_lower_the_balance_and_what_is_not_allocated_is_unapplied(world):
    world.publish("D-1", invoice("INV-1", "2031-02-01", 24000))
    world.publish("D-1", payment(10000))
    world.publish("D-1", allocation(6000, "INV-1"))
    (row,) = world.view().aging
    assert (row.open_minor, row.unapplied_minor) == (18000, 4000)
    assert world.view().largest_open.amount_minor == 18000


def test_a_reversal_restores_the_balance(world):
    world.publish("D-1", invoice("INV-1", "2031-02-01", 24000))
    world.publish("D-1", payment(24000))
    world.publish("D-1", allocation(24000, "INV-1"))
    assert world.view().open_invoices == 0
    world.publish("D-1", ledger.PaymentReversed(reversal_id="R", payment_id="P-1", debtor_id="D-1", amount=usd(24000)))
    (row,) = world.view().aging
    assert (row.open_minor, row.unapplied_minor) == (24000, 0)


def test_any_order_with_duplicates_gives_the_same_balance(world):
    facts = [
        invoice("INV-1", "2031-02-01", 24000), invoice("INV-2", "2031-02-01", 5000), payment(20000),
        allocation(15000, "INV-1"), allocation(5000, "INV-2", "A-2"),
        ledger.AllocationRemoved(allocation_id="A-2", invoice_id="INV-2", debtor_id="D-1"),
        ledger.InvoiceVoided(invoice_id="INV-3", debtor_id="D-1"), invoice("INV-3", "2031-02-01", 700),
        ledger.InvoiceWrittenOff(write_off_id="W", invoice_id="INV-2", debtor_id="D-1", amount=usd(1000)),
    ]  # fmt: skip
    for seed in range(5):
        debtor = f"D-{seed}"
        shuffled = facts * 2
        random.Random(seed).shuffle(shuffled)
        for fact in shuffled:
            copy = type(fact)()
            copy.CopyFrom(fact)
            for name in ("invoice_id", "allocation_id", "source_id", "payment_id", "write_off_id"):
                if name in copy.DESCRIPTOR.fields_by_name and getattr(copy, name):
                    setattr(copy, name, f"{debtor}-{getattr(copy, name)}")
            world.publish(debtor, copy, version="7")
        (row,) = world.view(debtor).aging
        assert (row.open_minor, row.unapplied_minor) == (9000 + 4000, 5000)


@pytest.mark.parametrize("versions", [("01", "02"), ("02", "01")])
def test_a_newer_write_off_and_a_newer_reversal_replace_older_ones_in_any_order(world, versions):
    world.publish("D-1", invoice("INV-1", "2031-02-01", 24000))
    world.publish("D-1", payment(9000))
    for version in versions:
        newest = version == "02"
        written_off = ledger.InvoiceWrittenOff(
            write_off_id="W", invoice_id="INV-1", debtor_id="D-1", amount=usd(1000 if newest else 5000)
        )
        reversed_ = ledger.PaymentReversed(
            reversal_id="R", payment_id="P-1", debtor_id="D-1", amount=usd(2000 if newest else 9000)
        )
        world.publish("D-1", written_off, version=version)
        world.publish("D-1", reversed_, version=version)
    (row,) = world.view().aging
    assert (row.open_minor, row.unapplied_minor) == (23000, 7000)


def test_an_older_statement_of_an_invoice_that_comes_last_changes_nothing(world):
    world.publish("D-1", invoice("INV-1", "2031-02-01", 18000), version="00000002")
    world.publish("D-1", invoice("INV-1", "2031-02-01", 24000), version="00000001")
    (row,) = world.view().aging
    assert row.open_minor == 18000


def test_the_story_tells_every_step_with_its_cause(world):
    issued = world.publish("D-1", invoice("INV-1", "2031-03-01", 24000))
    world.publish("D-1", score(risk.RISK_BAND_LOW, risk.RISK_BAND_UNSPECIFIED), causation_id=issued)
    world.publish("D-1", score(risk.RISK_BAND_LOW, risk.RISK_BAND_LOW, 2))
    world.publish("D-1", score(risk.RISK_BAND_HIGH, risk.RISK_BAND_LOW, 3))
    world.publish("", tick("2031-03-04"))
    world.publish("D-1", outreach.CaseOpened(case_id="K-1", debtor_id="D-1", business_date="2031-03-04"))
    world.publish("D-1", contact.ContactDenied(contact_id="C", debtor_id="D-1", rule_ids=["DULY-PAID"]))
    story = world.story()
    assert [line.event for line in story] == [
        "invoice.issued", "risk.score_updated", "risk.score_updated", "case.opened", "contact.denied",
    ]  # fmt: skip
    assert story[0].text == "Invoice INV-1 of 240.00 USD was issued, due 2031-03-01."
    assert story[1].causation_id == issued
    assert story[2].text == "Risk is HIGH (0.50), it was LOW; said by champion risk 3."
    assert list(story[2].because) == ["two invoices are late"]
    assert list(story[4].because) == ["DULY-PAID"]


def test_an_older_score_and_a_shadow_do_not_replace_the_newest(world):
    world.publish("D-1", score(risk.RISK_BAND_HIGH, risk.RISK_BAND_LOW, 5))
    world.publish("D-1", score(risk.RISK_BAND_LOW, risk.RISK_BAND_UNSPECIFIED, 4))
    shadow = score(risk.RISK_BAND_CRITICAL, risk.RISK_BAND_LOW, 9)
    shadow.role = risk.MODEL_ROLE_SHADOW
    world.publish("D-1", shadow)
    assert (world.view().risk_band, world.view().model_role) == ("HIGH", "CHAMPION")


def test_case_and_contacts_are_counted(world):
    world.publish("D-1", outreach.CaseOpened(case_id="K-1", debtor_id="D-1"))
    sent = contact.ContactSent(contact_id="C", debtor_id="D-1", channel=types.CHANNEL_EMAIL, amount_claimed=[usd(5)])
    world.publish("D-1", sent)
    assert (world.view().open_case_id, world.view().contacts_sent) == ("K-1", 1)
    world.publish("D-1", outreach.CaseClosed(case_id="K-1", debtor_id="D-1"))
    assert world.view().open_case_id == ""


def test_pages_join_without_gap_or_repeat(world):
    for number in range(25):
        world.publish("D-1", invoice(f"INV-{number}", "2031-03-01", 100), day=f"2031-03-0{1 + number % 5}")
    whole = [line.event_id for line in world.story()]
    paged, token = [], ""
    while True:
        request = pb.QueryTimelineRequest(tenant_id="acme", debtor_id="D-1", page_size=4, page_token=token)
        page = world.insights.queries.query_timeline(request)
        paged += [line.event_id for line in page.entries]
        token = page.next_page_token
        if not token:
            break
    assert paged == whole
    assert len(whole) == 25


def test_an_unknown_debtor_another_tenants_debtor_and_a_forged_page_are_refused(world):
    world.publish("D-1", invoice("INV-1", "2031-03-01", 100))
    with pytest.raises(DebtorNotFound):
        world.view("D-2")
    with pytest.raises(DebtorNotFound):
        world.view("D-1", tenant="other")
    with pytest.raises(DebtorNotFound):
        world.story("D-1", tenant="other")
    with pytest.raises(InvalidRequest):
        request = pb.QueryTimelineRequest(tenant_id="acme", debtor_id="D-1", page_token="x")
        world.insights.queries.query_timeline(request)


def test_a_fact_that_cannot_be_projected_goes_to_the_dead_letters_alone(world):
    world.publish("D-1", invoice("INV-1", "2031-03-01", 100))
    world.publish("D-1", invoice("INV-2", "no date", 100))
    world.publish("D-1", invoice("INV-3", "2031-03-01", 100))
    assert world.view().open_invoices == 2
    assert len(world.log.records("ledger-events-dlq")) == 1
    status = world.insights.status()
    assert (status.outbox, status.work) == (0, 0)
    assert sum(status.positions["ledger-events"].values()) == 3
