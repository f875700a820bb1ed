"""A played day, call by call; history in chunks that cannot overtake each other; the same run at any speed."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from duly_contracts.money import Money
from duly_ledger_export import DatedFact, Ledger, LedgerSettings, read_ledger
from duly_ledger_export.records import Invoice, LedgerRecords, Payment
from duly_simulator.erp import Rejection
from duly_simulator.inbox import Mail, MaildirInbox, Reply
from duly_simulator.parameters import DebtorType, SimulationSettings
from duly_simulator.play import Player, Progress
from duly_simulator.sources import LedgerSource, PlayWindowInvalid, RecordedSource, SimulatedSource

SETTINGS = LedgerSettings(currency="USD", country="US", time_zone="America/New_York", source="books")
SMALL = SimulationSettings(debtors=12, history_from=date(2025, 10, 1), play_from=date(2026, 3, 1), play_days=45)


class Company:
    """Edge, barrier, inbox and gateway in memory, writing one list of calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.sent: list[DatedFact] = []
        self.replies: list[Reply] = []
        self.waiting: list[Mail] = []
        self.rejected: list[Rejection] = []
        self.remind: list[str] = []
        self._mails = 0
        self._lock = threading.Lock()

    def send(self, facts: Sequence[DatedFact] | Reply, *, backfill: bool = False) -> list[Rejection]:
        if isinstance(facts, Reply):
            self.replies.append(facts)
            self.calls.append(f"reply {facts.debtor_id} {facts.body}")
            return []
        with self._lock:
            self.sent += facts
            names = " ".join(f"{fact.event}:{fact.order[2]}" for fact in facts)
            self.calls.append(f"{'backfill' if backfill else 'facts'} {facts[0].debtor_id} {names}")
        return self.rejected

    def tick(self, business_date: date, instant: datetime, *, backfill: bool) -> None:
        self.calls.append(f"tick {business_date} {instant:%Y-%m-%dT%H:%MZ}{' backfill' if backfill else ''}")
        if instant.hour > 12:
            for address in self.remind:
                self._mails += 1
                self.waiting.append(Mail(f"C{self._mails:04d}", address))

    def settle(self) -> float:
        self.calls.append("settle")
        return 0.01

    def new_mails(self) -> list[Mail]:
        self.calls.append("read inbox")
        mails, self.waiting = sorted(self.waiting), []
        return mails


def invoice(number: str, debtor_id: str, issued: str) -> Invoice:
    day = date.fromisoformat(issued)
    return Invoice(number, debtor_id, day, day + timedelta(days=30), Money(5000, "USD"))


def player_of(source: LedgerSource, company: Company) -> Player:
    return Player(source, company, company, company, company)


def recorded() -> RecordedSource:
    records = LedgerRecords(
        invoices=[
            invoice("I1", "D1", "2026-01-01"),
            invoice("I2", "D2", "2026-01-02"),
            invoice("I3", "D1", "2026-03-09"),
            invoice("I4", "D1", "2026-03-20"),
        ],
        payments=[
            Payment("P2", "D2", date(2026, 3, 9), Money(5000, "USD")),
            Payment("P1", "D1", date(2026, 3, 9), Money(5000, "USD"), reversed_on=date(2026, 3, 20)),
        ],
    )
    return RecordedSource(Ledger(SETTINGS, records), date(2026, 3, 7), date(2026, 3, 9))


def test_a_played_day_is_opening_facts_contact_tick_and_answers() -> None:
    company = Company()
    player = player_of(recorded(), company)
    player.import_history()
    company.calls.clear()
    player.play_days()
    assert company.calls == [
        "tick 2026-03-07 2026-03-07T05:00Z",
        "settle",
        "tick 2026-03-07 2026-03-07T16:00Z",
        "settle",
        "read inbox",
        # The clocks go forward on 8 March: midnight is still winter time, eleven o'clock is not.
        "tick 2026-03-08 2026-03-08T05:00Z",
        "settle",
        "tick 2026-03-08 2026-03-08T15:00Z",
        "settle",
        "read inbox",
        "tick 2026-03-09 2026-03-09T04:00Z",
        "settle",
        "facts D1 invoice.issued:I3 payment.received:P1",
        "facts D2 payment.received:P2",
        "settle",
        "tick 2026-03-09 2026-03-09T15:00Z",
        "settle",
        "read inbox",
    ]
    report = player.report
    assert (report.history_facts, report.played_facts, report.days, report.ticks) == (4, 3, 3, 7)


def test_history_is_sent_per_debtor_then_one_backfill_tick() -> None:
    company = Company()
    seen: list[Progress] = []
    player_of(recorded(), company).import_history(seen.append)
    assert sorted(company.calls[:2]) == [
        "backfill D1 party.upserted:D1 invoice.issued:I1",
        "backfill D2 party.upserted:D2 invoice.issued:I2",
    ]
    assert company.calls[2:] == ["settle", "tick 2026-03-06 2026-03-06T05:00Z backfill", "settle"]
    assert seen[-1] == Progress(4, 4, date(2026, 3, 6))


def test_a_debtors_next_chunk_waits_until_the_one_before_has_settled() -> None:
    invoices = [invoice(f"I{n:04d}", "D1", "2026-01-01") for n in range(1_100)] + [invoice("J1", "D2", "2026-01-01")]
    source = RecordedSource(Ledger(SETTINGS, LedgerRecords(invoices=invoices)), date(2026, 1, 2), date(2026, 1, 3))
    company = Company()
    player_of(source, company).import_history()
    shape = [call.split(" ", 2)[:2] for call in company.calls]
    assert sorted(shape[:2]) == [["backfill", "D1"], ["backfill", "D2"]]
    assert shape[2:] == [
        ["settle"],
        ["backfill", "D1"],
        ["settle"],
        ["backfill", "D1"],
        ["settle"],
        ["tick", "2026-01-01"],
        ["settle"],
    ]
    assert [fact for fact in company.sent if fact.debtor_id == "D1"] == [
        fact for fact in source.history() if fact.debtor_id == "D1"
    ]


def test_what_was_sent_is_written_and_nothing_that_came_later(tmp_path: Path) -> None:
    company = Company()
    player = player_of(recorded(), company)
    player.import_history()
    player.play_days()
    player.write_sent(tmp_path)
    written = read_ledger(tmp_path)
    assert sorted(fact.event_id for fact in written.facts()) == sorted(fact.event_id for fact in company.sent)
    assert written.records.payments[0].reversed_on is None
    assert written.until == date(2026, 3, 9)


def test_debtors_answer_the_mails_that_reached_them_and_the_answers_settle() -> None:
    company, source = Company(), SimulatedSource(SMALL)
    company.remind = [debtor.party.email for debtor in source.books.debtors.values()]
    player = player_of(source, company)
    player.import_history()
    player.play_days()
    assert player.report.mails == 12 * 45
    assert player.report.replies == len(company.replies) > 0
    types = {source.books.debtors[reply.debtor_id].type for reply in company.replies}
    assert types.isdisjoint({DebtorType.AUTOPILOT, DebtorType.INSOLVENT})
    last = company.calls.index(f"reply {company.replies[0].debtor_id} {company.replies[0].body}")
    assert "settle" in company.calls[last : last + 13]


def test_two_mails_to_one_debtor_on_one_day_get_one_answer() -> None:
    source = SimulatedSource(SMALL)
    mails = [Mail(f"C{n}", debtor.party.email) for debtor in source.books.debtors.values() for n in range(3)]
    answers = [
        source.mails_delivered(SMALL.play_from + timedelta(days=n), [*mails, Mail("C9", "nobody@debtors.example")])
        for n in range(30)
    ]
    assert sum(map(len, answers)) > 0
    for replies in answers:
        assert len({reply.debtor_id for reply in replies}) == len(replies)
        assert {reply.contact_id for reply in replies} <= {"C0"}


def test_two_runs_that_see_the_same_mails_in_another_order_are_equal() -> None:
    def run(backwards: bool) -> tuple[list[DatedFact], list[Reply]]:
        company, source = Company(), SimulatedSource(SMALL)
        addresses = sorted(debtor.party.email for debtor in source.books.debtors.values())
        company.remind = addresses
        company.new_mails = lambda: _shuffled(company, backwards)  # type: ignore[method-assign]
        player = player_of(source, company)
        for day in range(45):
            player.play_day(SMALL.play_from + timedelta(days=day))
        return company.sent, company.replies

    assert run(backwards=False) == run(backwards=True)


def _shuffled(company: Company, backwards: bool) -> list[Mail]:
    mails, company.waiting = sorted(company.waiting, reverse=backwards), []
    return mails


def test_a_reminded_run_and_a_silent_one_differ_only_after_the_first_mail() -> None:
    def run(remind: bool) -> list[DatedFact]:
        company, source = Company(), SimulatedSource(SMALL)
        company.remind = [debtor.party.email for debtor in source.books.debtors.values()] if remind else []
        player = player_of(source, company)
        player.play_days()
        return company.sent

    reminded, silent = run(True), run(False)
    assert reminded != silent
    first = SMALL.play_from + timedelta(days=1)
    assert [fact for fact in reminded if fact.known_on < first] == [fact for fact in silent if fact.known_on < first]


def test_rejections_are_counted_and_kept_up_to_a_bound() -> None:
    company = Company()
    company.rejected = [Rejection("e", "invoice.issued", "no")] * 70
    player = player_of(recorded(), company)
    player.import_history()
    assert (player.report.rejected, len(player.report.rejections)) == (140, 100)


def test_a_window_outside_the_ledger_is_refused() -> None:
    ledger = Ledger(SETTINGS, LedgerRecords(invoices=[invoice("I1", "D1", "2026-01-01")]))
    with pytest.raises(PlayWindowInvalid, match="the ledger begins on 2026-01-01"):
        RecordedSource(ledger, date(2026, 1, 1), date(2026, 1, 5))


def test_a_maildir_is_read_once_and_by_contact(tmp_path: Path) -> None:
    inbox = MaildirInbox(tmp_path)
    assert inbox.new_mails() == []
    for folder in ("new", "cur"):
        (tmp_path / folder).mkdir()
    text = "Delivered-To: d2@debtors.example\r\nTo: Debtor <D2@debtors.example>\r\nX-Contact-Id: {}\r\n\r\nHello"
    (tmp_path / "new" / "1.a").write_text(text.format("C2"))
    (tmp_path / "new" / "2.b").write_text(text.format("C1"))
    (tmp_path / "new" / "3.c").write_text("To: somebody@debtors.example\r\n\r\nnot ours")
    assert inbox.new_mails() == [Mail("C1", "d2@debtors.example"), Mail("C2", "d2@debtors.example")]
    (tmp_path / "new" / "1.a").rename(tmp_path / "cur" / "1.a:2,S")
    assert inbox.new_mails() == []
