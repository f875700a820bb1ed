"""The player: brings a ledger's history in, then plays its days through the public edges, one settled day at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Protocol
from zoneinfo import ZoneInfo

from duly_ledger_export import write_ledger
from duly_ledger_export.facts import DatedFact

from duly_simulator.erp import BATCH_EVENTS_MAX, Erp, Rejection
from duly_simulator.generate import days
from duly_simulator.inbox import Inbox, ReplySender
from duly_simulator.sources import LedgerSource

OPENING = time(0)
# Inside the contact hours of all zones of a country that is up to three hours wide.
CONTACT_TIME = time(11)
IMPORT_THREADS = 4
REJECTIONS_KEPT_MAX = 100


class Settling(Protocol):
    """The barrier."""

    def settle(self) -> float:
        """Returns when everything is done, with the seconds it took. Raises NotSettled."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a step is: done of total; day: the day being played."""

    done: int
    total: int
    day: date


OnProgress = Callable[[Progress], None]


@dataclass(slots=True)
class PlayReport:
    """What was sent and seen. rejections: the first 100 of rejected; settle_seconds: one entry per barrier."""

    history_facts: int = 0
    played_facts: int = 0
    days: int = 0
    ticks: int = 0
    mails: int = 0
    replies: int = 0
    rejected: int = 0
    rejections: list[Rejection] = field(default_factory=list)
    settle_seconds: list[float] = field(default_factory=list)

    def add_rejections(self, rejections: Sequence[Rejection]) -> None:
        self.rejected += len(rejections)
        self.rejections += rejections[: REJECTIONS_KEPT_MAX - len(self.rejections)]


class Player:
    """Plays one source. What it sends depends on the source and on the mails of each settled day, never on speed."""

    def __init__(
        self,
        source: LedgerSource,
        erp: Erp,
        barrier: Settling,
        inbox: Inbox,
        replies: ReplySender,
        contact_time: time = CONTACT_TIME,
    ) -> None:
        self.report = PlayReport()
        self._source = source
        self._erp = erp
        self._barrier = barrier
        self._inbox = inbox
        self._replies = replies
        self._contact_time = contact_time
        self._zone = ZoneInfo(source.settings.time_zone)

    def import_history(self, on_progress: OnProgress | None = None) -> PlayReport:
        """Sends all history as backfill, then one backfill tick of its last day.

        Chunks of one debtor may lie in different partitions of the ingress, so a debtor's next chunk is sent only after
        the one before has settled; debtors do not wait for each other inside a round.
        """
        facts = self._source.history()
        last_day = self._source.play_from - timedelta(days=1)
        rounds = _rounds(facts)
        sent = 0
        with ThreadPoolExecutor(max_workers=IMPORT_THREADS, thread_name_prefix="import") as pool:
            for chunks in rounds:
                for size, rejections in pool.map(self._send_history, chunks):
                    self.report.add_rejections(rejections)
                    sent += size
                    _tell(on_progress, Progress(sent, len(facts), last_day))
                self._settle()
        self.report.history_facts = sent
        self._tick(last_day, OPENING, backfill=True)
        self._settle()
        return self.report

    def play_days(self, on_progress: OnProgress | None = None) -> PlayReport:
        """Plays every day from play_from to play_until."""
        played = days(self._source.play_from, self._source.play_until + timedelta(days=1))
        for number, day in enumerate(played, start=1):
            self.play_day(day)
            _tell(on_progress, Progress(number, len(played), day))
        return self.report

    def play_day(self, day: date) -> None:
        """Opening tick; settle; facts; settle; tick in contact hours; settle; debtors' answers; settle."""
        self._tick(day, OPENING)
        self._settle()
        facts = self._source.facts_of_day(day)
        for debtor_facts in _by_debtor(facts):
            self.report.add_rejections(self._erp.send(debtor_facts, backfill=False))
        if facts:
            self._settle()
        self._tick(day, self._contact_time)
        self._settle()
        self._answer(day)
        self.report.played_facts += len(facts)
        self.report.days += 1

    def write_sent(self, path: Path) -> None:
        """Everything sent so far, as a ledger export: from it anybody can compute what the balances must be."""
        settings = replace(self._source.settings, until=self._last_day())
        write_ledger(path, settings, self._source.sent())

    def _answer(self, day: date) -> None:
        mails = self._inbox.new_mails()
        replies = self._source.mails_delivered(day, mails)
        for reply in replies:
            self._replies.send(reply)
        if replies:
            self._settle()
        self.report.mails += len(mails)
        self.report.replies += len(replies)

    def _send_history(self, facts: Sequence[DatedFact]) -> tuple[int, list[Rejection]]:
        return len(facts), self._erp.send(facts, backfill=True)

    def _tick(self, day: date, at: time, *, backfill: bool = False) -> None:
        instant = datetime.combine(day, at, self._zone).astimezone(UTC)
        self._erp.tick(day, instant, backfill=backfill)
        self.report.ticks += 1

    def _settle(self) -> None:
        self.report.settle_seconds.append(self._barrier.settle())

    def _last_day(self) -> date:
        return self._source.play_from + timedelta(days=self.report.days - 1)


def _by_debtor(facts: Iterable[DatedFact]) -> list[list[DatedFact]]:
    """One list per debtor, debtors by id, each list in the order given."""
    lists: dict[str, list[DatedFact]] = {}
    for fact in facts:
        lists.setdefault(fact.debtor_id, []).append(fact)
    return [lists[debtor_id] for debtor_id in sorted(lists)]


def _rounds(facts: Iterable[DatedFact]) -> list[list[list[DatedFact]]]:
    """Round k holds the kth chunk of every debtor that has one."""
    rounds: list[list[list[DatedFact]]] = []
    for debtor_facts in _by_debtor(facts):
        for k, start in enumerate(range(0, len(debtor_facts), BATCH_EVENTS_MAX)):
            if k == len(rounds):
                rounds.append([])
            rounds[k].append(debtor_facts[start : start + BATCH_EVENTS_MAX])
    return rounds


def _tell(on_progress: OnProgress | None, progress: Progress) -> None:
    if on_progress:
        on_progress(progress)
