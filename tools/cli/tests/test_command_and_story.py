"""What a person meets: exit codes and sentences, and the story of a debtor."""

from __future__ import annotations

from datetime import date
from email.message import EmailMessage

import pytest
from duly_cli import summary as summaries
from duly_cli.checks.mails import read_maildir
from duly_cli.counts import contact_states, counts_of
from duly_cli.errors import CommandFailed
from duly_cli.folders import StateFolder, only_stack
from duly_cli.ledgers import LedgerChoice, address_words, read_given, window_of
from duly_cli.main import EXIT_FAULT, run
from duly_cli.story import StoryLine, cause_words, choose_debtor, in_causal_order, story_begins, tell
from duly_cli.summary import read_reference, write_summary

from duly.outreach.v1 import events_pb2 as outreach


def test_a_token_without_a_stack_is_refused_in_one_sentence(tmp_path, capsys):
    assert run(["token", "--scope", "debtors:read", "--state", str(tmp_path)]) == EXIT_FAULT
    assert capsys.readouterr().err.startswith("duly: Nothing runs")


def test_a_second_stack_on_the_same_folder_is_refused_in_one_sentence(tmp_path, capsys):
    state = StateFolder(tmp_path / "state")
    state.make()
    with only_stack(state):
        assert run(["up", "--state", str(state.root)]) == EXIT_FAULT
    assert "Another stack already runs" in capsys.readouterr().err


def test_a_base_port_out_of_range_is_refused_in_one_sentence(tmp_path, capsys):
    assert run(["ports", "--base-port", "80"]) == EXIT_FAULT
    assert capsys.readouterr().err == "duly: The base port must lie in 1024..65484, 80 does not.\n"


def test_an_unknown_option_shows_the_usage(capsys):
    assert run(["demo", "--colour"]) == EXIT_FAULT
    assert "No such option: --colour" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    ["up", "demo", "demo-once", "down", "purge", "import", "train", "evaluate", "token", "status", "quarantine"],
)
def test_every_command_explains_itself(command, capsys):
    assert run([command, "--help"]) == 0
    assert "Options:" in capsys.readouterr().out


def test_down_and_status_without_a_stack_say_so(tmp_path, capsys):
    assert run(["down", "--state", str(tmp_path)]) == 0
    assert run(["status", "--state", str(tmp_path)]) == 1
    assert capsys.readouterr().out == "Nothing runs.\nNothing runs.\n"


def test_a_ledger_with_faults_is_refused_with_its_findings(tmp_path):
    (tmp_path / "invoices.csv").write_text(
        "invoice_id,debtor_id,issue_date,due_date,total,currency\nI,D,2026-01-01,2026-02-01,lots,USD\n"
    )
    with pytest.raises(CommandFailed, match="'lots'"):
        read_given(tmp_path, "demo")


@pytest.fixture
def given(tmp_path):
    rows = [f"I-{day},D,2026-01-{day:02d},2026-01-28,10.00,USD,2026-01-29" for day in range(1, 11)]
    header = "invoice_id,debtor_id,issue_date,due_date,total,currency,paid_on"
    (tmp_path / "invoices.csv").write_text("\n".join([header, *rows]) + "\n")
    return read_given(tmp_path, "demo")


def test_a_given_ledger_is_played_from_its_median_issue_date_to_its_end(given):
    window = window_of(given, LedgerChoice())
    assert (window.play_from, window.play_until, window.days) == (date(2026, 1, 5), date(2026, 1, 29), 25)


def test_days_and_play_from_bound_the_play(given):
    window = window_of(given, LedgerChoice(play_from=date(2026, 1, 8), days=3))
    assert (window.play_from, window.play_until) == (date(2026, 1, 8), date(2026, 1, 10))
    with pytest.raises(CommandFailed, match="must lie within the ledger"):
        window_of(given, LedgerChoice(play_from=date(2025, 1, 8)))


def test_the_story_is_told_of_a_debtor_who_was_contacted(evidence):
    assert choose_debtor(evidence) == "D-1"


def test_a_story_begins_a_month_before_the_first_contact_but_within_the_play(evidence):
    assert story_begins(evidence, "D-1", date(2026, 1, 1)) == date(2026, 2, 2)
    assert story_begins(evidence, "D-1", date(2026, 3, 1)) == date(2026, 3, 1)
    assert story_begins(evidence, "D-2", date(2026, 3, 1)) == date(2026, 3, 1)


def test_each_line_of_a_story_names_its_cause_in_words(evidence):
    line = StoryLine("x", "contact.sent", "2026-03-04", "An e-mail was sent.", "planned-1", ("reminder", "LADDER-1"))
    before = StoryLine("y", "payment.received", "2026-02-09", "Paid.", "", ())
    told = tell([before, line], "2026-03-01", cause_words(evidence))
    assert [text.strip() for text in told] == [
        "2026-03-04  contact.sent              An e-mail was sent.",
        "<- contact.planned of 2026-03-04",
        "reminder",
        "LADDER-1",
    ]


def test_ids_are_left_out_of_a_story():
    line = StoryLine("x", "case.opened", "2026-03-04", "Opened.", "", ("c512bf2e-de83-5f93-b07a-ed57ab899021",))
    assert tell([line], "2026-03-01", {}) == ["2026-03-04  case.opened               Opened."]


def test_a_contact_counts_by_its_last_word(world):
    world.add(outreach.ContactPlanned(contact_id="c-2", debtor_id="D-1"), "planned-2", "D-1")
    world.add(outreach.ContactCancelled(contact_id="c-2", debtor_id="D-1"), "cancelled-2", "D-1")
    evidence = world.evidence()
    assert contact_states(evidence) == {"contact-1": "sent", "c-2": "cancelled"}
    counts = counts_of(evidence)
    assert (counts["invoices"], counts["payments"], counts["open_balance"]) == (3, 1, {"USD": 17_000})


def test_debtors_that_were_due_a_reminder_and_have_no_address_are_counted(world, made):
    first, again = made.decided("treatment-2"), made.decided("treatment-3")
    call = made.decided("treatment-4")
    call.action, call.debtor_id = "call_task", "D-2"  # a person calls: no address of ours is needed
    for number, message in enumerate((first, again, call)):
        message.rule_ids.append("DULY-ADDR")
        world.add(message, f"denied-{number}", message.debtor_id)
    assert counts_of(world.evidence())["debtors_without_address"] == 1


def test_a_ledger_of_invoices_only_says_that_nobody_can_be_written_to(tmp_path):
    (tmp_path / "invoices.csv").write_text(
        "invoice_id,debtor_id,issue_date,due_date,total,currency\n"
        "I1,D1,2024-01-01,2024-02-01,10.00,EUR\nI2,D2,2024-01-01,2024-02-01,10.00,EUR\n"
    )
    assert address_words(read_given(tmp_path, "demo")).startswith("; 2 debtors have no e-mail address")
    (tmp_path / "parties.csv").write_text("debtor_id,email\nD1,a@d.example\nD2,b@d.example\n")
    assert address_words(read_given(tmp_path, "demo")) == ""


def test_a_maildir_is_read_with_the_contact_of_each_mail(tmp_path):
    message = EmailMessage()
    message["To"], message["Subject"], message["X-Contact-Id"] = "d@debtors.example", "Reminder", "contact-1"
    message.set_content("Please pay INV-1.")
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "1.eml").write_bytes(message.as_bytes())
    (found,) = read_maildir(tmp_path)
    assert (found.contact_id, found.to, found.text.strip()) == ("contact-1", "d@debtors.example", "Please pay INV-1.")


def test_a_summary_can_be_read_back_as_a_reference(tmp_path):
    summary = summaries.Summary("run-1", "print", {}, {}, (), {}, {"emails": {}}, {"D-1": "2026-03-04"})
    write_summary(summary, tmp_path / "summary.json")
    reference = read_reference(tmp_path / "summary.json")
    assert (reference.run, reference.fingerprint, reference.passed) == ("run-1", "print", True)
    assert reference.unknown == {"D-1": "2026-03-04"}


def test_a_file_that_is_no_summary_is_refused(tmp_path):
    (tmp_path / "x.json").write_text("{}")
    with pytest.raises(CommandFailed, match="cannot be read as a summary"):
        read_reference(tmp_path / "x.json")


def test_an_effect_that_was_projected_first_is_told_behind_its_cause():
    def line(event_id: str, cause: str) -> StoryLine:
        return StoryLine(event_id, "e", "2026-03-04", "", cause, ())

    told = in_causal_order(
        [line("sent", "planned"), line("fact", "erp"), line("planned", "decided"), line("decided", "tick")]
    )

    assert [one.event_id for one in told] == ["fact", "decided", "planned", "sent"]


def test_lines_that_cause_each_other_are_told_all_the_same():
    told = in_causal_order([StoryLine(a, "e", "2026-03-04", "", b, ()) for a, b in (("x", "y"), ("y", "x"))])

    assert {one.event_id for one in told} == {"x", "y"}
