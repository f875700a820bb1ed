"""What is asked for, when, and what a person gets: the ladder through the whole service."""

from datetime import time

import pytest

from duly.ledger.v1 import events_pb2 as ledger
from duly.outreach.v1 import events_pb2 as pb
from duly.risk.v1 import events_pb2 as risk

pytestmark = pytest.mark.postgres


def test_an_overdue_invoice_opens_a_case_and_the_due_step_plans_one_contact(world):
    world.party()
    world.invoice("INV-1")
    world.tick("2026-06-01")
    assert world.names() == []

    world.play_day("2026-06-02")
    assert world.names() == ["invoice.overdue", "case.opened"]
    assert world.last("invoice.overdue")[1].dpd == 1

    world.tick("2026-06-04", time(0, 0))
    assert world.names() == []
    world.tick("2026-06-04", time(10, 0))
    assert world.names() == ["treatment.decided", "contact.planned"]
    decided, planned = world.last("treatment.decided"), world.last("contact.planned")
    assert planned[0].causation_id == decided[0].id
    assert decided[1].step_no == 1
    assert list(decided[1].invoice_ids) == ["INV-1"]
    assert "MEDIUM timing" in decided[1].reasons[0]
    assert list(decided[1].rule_ids) == ["LADDER-1"]
    request = world.gateway.contacts[0]
    assert (request.contact_id, request.causation_id) == (planned[1].contact_id, planned[0].id)
    assert request.as_of == request.not_before


@pytest.mark.parametrize(("band", "first_day"), [("HIGH", "2026-06-02"), ("LOW", "2026-06-08")])
def test_the_band_of_the_latest_score_times_the_step(world, band, first_day):
    world.party()
    world.invoice("INV-1")
    world.tick("2026-06-01")
    world.score(band)
    world.play_until(first_day, deliver=False)

    contacts = world.gateway.contacts
    assert [c.not_before.ToDatetime().date().isoformat() for c in contacts] == [first_day]
    assert world.last("treatment.decided")[1].risk_band == band
    assert f"risk band {band}" in world.last("treatment.decided")[1].reasons[0]


def test_a_rules_score_or_one_from_an_older_ledger_does_not_time_the_ladder(world):
    world.party()
    world.invoice("INV-1")
    world.tick("2026-06-01")
    world.score("MEDIUM", ledger_version=50)
    world.score("CRITICAL", ledger_version=49)
    world.score("CRITICAL", ledger_version=60, role=risk.MODEL_ROLE_SHADOW)
    world.play_day("2026-06-02")
    world.score("CRITICAL", ledger_version=70, role=risk.MODEL_ROLE_FALLBACK)
    world.play_day("2026-06-03")

    assert world.gateway.contacts == []


def test_a_second_tick_of_the_same_day_plans_no_second_contact(world):
    world.party()
    world.invoice("INV-1")
    world.play_day("2026-06-04")
    world.tick(at=time(12, 0))
    world.deliver()
    world.tick(at=time(15, 0))

    assert len(world.gateway.contacts) == 1


def test_at_01_after_a_missed_run_exactly_one_reminder_of_the_latest_step_is_sent(world):
    world.party()
    world.invoice("INV-1")
    world.play_day("2026-06-02")
    world.consumer.step(0)
    run, world.run = world.run, lambda: None
    for day in ("2026-06-10", "2026-06-11", "2026-06-12", "2026-06-15"):
        world.play_day(day)
    world.run = run
    for _ in range(3):
        world.consumer.step(0)
    world.run()

    sent = [c for c in world.gateway.contacts if c.contact_id not in {x.contact_id for x in world.gateway.cancels}]
    assert [contact.step_no for contact in sent] == [2]


def test_at_09_reminding_one_invoice_leaves_the_other_on_its_own_step(world):
    world.party()
    world.invoice("OLD", due="2026-06-01")
    world.invoice("NEW", due="2026-06-10")
    world.play_until("2026-06-11")
    steps = {row["invoice_id"]: row["step_sent"] for row in world.rows("select invoice_id, step_sent from invoice")}
    assert steps == {"OLD": 2, "NEW": 0}

    world.payment("P-1", "40.00")
    world.allocation("P-1", "OLD", "40.00")
    world.run()
    assert world.rows("select open_minor, step_sent from invoice where invoice_id = 'OLD'") == [
        {"open_minor": 20000, "step_sent": 2}
    ]


def test_at_12_invoices_in_two_currencies_are_one_contact(world):
    world.party()
    for n in range(5):
        world.invoice(f"INV-{n}", currency=("EUR", "USD")[n % 2])
    world.play_day("2026-06-04")

    assert [sorted(c.invoice_ids) for c in world.gateway.contacts] == [[f"INV-{n}" for n in range(5)]]


def test_at_13_after_the_old_invoice_is_paid_the_younger_one_goes_on_from_its_own_step(world):
    world.party()
    world.invoice("OLD", due="2026-04-20")
    world.invoice("NEW", due="2026-06-01")
    world.play_until("2026-06-04")
    world.pay("OLD")
    world.run()
    world.play_until("2026-06-12")

    last = world.gateway.contacts[-1]
    assert (last.step_no, list(last.invoice_ids)) == (2, ["NEW"])


def test_at_14_the_end_of_the_ladder_is_a_work_item_and_it_comes_once(world):
    world.party()
    world.invoice("INV-1", due="2026-05-29")
    world.play_until("2026-07-20")

    items = [m for _, m in world.all_events() if isinstance(m, pb.WorkItemCreated)]
    assert [(item.kind, item.due) for item in items] == [("call_task", "2026-07-03")]
    assert [c.step_no for c in world.gateway.contacts] == [1, 2, 3]
    decided = world.last("treatment.decided")[1]
    assert (decided.action, decided.autonomy, decided.treatment_id) == (
        "call_task",
        pb.AUTONOMY_APPROVE,
        items[0].treatment_id,
    )


def test_at_14_a_call_task_does_not_silence_a_younger_invoice(world):
    world.party()
    world.invoice("OLD", due="2026-05-01")
    world.play_until("2026-06-05")
    assert world.last("work_item.created")[1].kind == "call_task"
    world.invoice("NEW", due="2026-06-05")
    world.play_until("2026-06-08")

    assert [(c.step_no, sorted(c.invoice_ids)) for c in world.gateway.contacts] == [(3, ["OLD"]), (1, ["NEW", "OLD"])]


def test_at_23_history_causes_nothing_and_the_first_live_tick_enters_at_the_invoices_age(world):
    world.backfill = True
    world.party()
    world.invoice("INV-1", due="2026-05-01")
    world.tick("2026-05-20")
    assert world.names() == []
    assert world.rows("select * from debt_case") == []

    world.backfill = False
    world.play_day("2026-05-26")
    assert world.names() == ["invoice.overdue", "case.opened", "treatment.decided", "contact.planned"]
    assert world.gateway.contacts[0].step_no == 3


def test_at_24_cash_that_nobody_allocated_is_a_work_item_and_no_contact(world):
    world.party()
    world.invoice("INV-1")
    world.payment("P-1", "240.00")
    world.play_until("2026-06-12")

    items = [m for _, m in world.all_events() if isinstance(m, pb.WorkItemCreated)]
    assert [item.kind for item in items] == ["allocate_payment"]
    assert world.gateway.contacts == []


def test_outside_contact_hours_nothing_is_recorded_and_the_next_tick_asks_again(world):
    world.party()
    world.invoice("INV-1")
    world.tick("2026-06-04", time(0, 0))
    world.tick("2026-06-06")  # a Saturday: not for a business
    assert world.rows("select * from decision") == []

    world.tick("2026-06-08")
    assert len(world.gateway.contacts) == 1


def test_a_decision_keeps_the_question_that_was_answered(world):
    world.party()
    world.invoice("INV-1")
    world.play_day("2026-06-04")

    row = world.rows("select * from decision")[0]
    assert (row["answer"], row["step_no"]) == ("ALLOW", 1)
    assert '"phase":"PLAN"' in row["input"]
    assert "duly-default@2026.11.1" in row["pack_versions"]
    assert row["decision_id"] == world.last("treatment.decided")[1].decision_id


def test_an_unverified_address_is_a_work_item_once_and_never_a_contact(world):
    world.party(verified=False)
    world.invoice("INV-1")
    world.play_until("2026-06-10")

    items = [m for _, m in world.all_events() if isinstance(m, pb.WorkItemCreated)]
    assert [item.kind for item in items] == ["find_address"]
    assert world.gateway.contacts == []


def test_an_older_word_on_the_debtor_that_comes_last_changes_nothing(world):
    world.party(verified=False)
    point = ledger.ContactPoint(
        contact_point_id="D-1-email",
        channel=ledger.CONTACT_POINT_CHANNEL_EMAIL,
        address="old@example.com",
        verified=True,
    )
    older = ledger.PartyUpserted(
        party_id="D-1", debtor_id="D-1", country="DE", zones=["Europe/Berlin"], contact_points=[point]
    )
    world.publish(older, version="0000000000000000")
    world.invoice("INV-1")
    world.play_until("2026-06-10")

    assert world.gateway.contacts == []


def test_a_degraded_debtor_is_a_persons_matter_until_restored(world):
    world.party()
    world.invoice("INV-1")
    world.publish(risk.RiskDebtorDegraded(debtor_id="D-1"))
    world.play_until("2026-06-05")
    items = [m for _, m in world.all_events() if isinstance(m, pb.WorkItemCreated)]
    assert [item.kind for item in items] == ["decide_contact"]

    world.publish(risk.RiskDebtorRestored(debtor_id="D-1"))
    world.play_day("2026-06-08")
    assert [c.step_no for c in world.gateway.contacts] == [1]


def test_a_drifting_ledger_stops_contacts_until_it_is_cleared(world):
    world.party()
    world.invoice("INV-1")
    world.publish(ledger.LedgerDriftDetected(debtor_id="D-1"))
    world.play_until("2026-06-05")
    assert world.gateway.contacts == []

    world.publish(ledger.LedgerDriftCleared(debtor_id="D-1"))
    world.play_day("2026-06-08")
    assert len(world.gateway.contacts) == 1


def test_with_reminders_at_approve_a_person_gets_each_step(make_world):
    world = make_world(autonomy="reminder=APPROVE")
    world.party()
    world.invoice("INV-1")
    world.play_until("2026-06-12")

    items = [m for _, m in world.all_events() if isinstance(m, pb.WorkItemCreated)]
    assert [item.kind for item in items] == ["approve_contact", "approve_contact"]
    assert world.gateway.contacts == []
