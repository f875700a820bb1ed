"""Where a played ledger comes from: simulated debtors that react, or an export that is replayed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from duly_ledger_export.facts import DatedFact
from duly_ledger_export.ledger import Ledger
from duly_ledger_export.records import LedgerRecords, LedgerSettings

from duly.ledger.v1 import events_pb2 as pb
from duly_simulator.behaviour import promise_in, reply_to
from duly_simulator.books import Books
from duly_simulator.generate import ledger_of, play_history
from duly_simulator.inbox import Mail, Reply
from duly_simulator.parameters import SimulationSettings


class PlayWindowInvalid(ValueError):
    """The days to be played do not lie inside the ledger."""

    code = "play_window_invalid"


class LedgerSource(Protocol):
    """A ledger to be played: history before play_from, then day by day to play_until (inclusive)."""

    @property
    def play_from(self) -> date: ...

    @property
    def play_until(self) -> date: ...

    @property
    def settings(self) -> LedgerSettings: ...

    def history(self) -> Sequence[DatedFact]:
        """Facts known before play_from, in known order."""

    def facts_of_day(self, day: date) -> Sequence[DatedFact]:
        """Facts that become known that day, in order. Days are asked for in order, each once."""

    def mails_delivered(self, day: date, mails: Sequence[Mail]) -> list[Reply]:
        """Tells the debtors of mails that reached them that day; returns what they answer."""

    def sent(self) -> LedgerRecords:
        """Records of everything handed out so far, for an independent check of the balances."""


class SimulatedSource:
    """The seeded company: payments depend on the mails that its debtors got."""

    def __init__(self, settings: SimulationSettings) -> None:
        self._simulation = settings
        self.books: Books = play_history(settings)
        self._history = list(ledger_of(self.books).facts())
        self._debtors = {debtor.party.email: debtor for debtor in self.books.debtors.values()}
        self._contacts: dict[str, list[date]] = {}

    @property
    def play_from(self) -> date:
        return self._simulation.play_from

    @property
    def play_until(self) -> date:
        return self._simulation.play_until

    @property
    def settings(self) -> LedgerSettings:
        return self.books.ledger_settings()

    def history(self) -> Sequence[DatedFact]:
        return self._history

    def facts_of_day(self, day: date) -> Sequence[DatedFact]:
        return self.books.facts_of_day(day, self._contacts)

    def mails_delivered(self, day: date, mails: Sequence[Mail]) -> list[Reply]:
        """At most one answer per debtor and day, to the first contact by id."""
        replies: dict[str, Reply] = {}
        for mail in sorted(mails):
            debtor = self._debtors.get(mail.address)
            if debtor is None:
                continue
            contacts = self._contacts.setdefault(debtor.id, [])
            contacts.append(day)
            body = reply_to(self._simulation.seed, debtor, day, contacts)
            if body and debtor.id not in replies:
                replies[debtor.id] = Reply(mail.contact_id, debtor.id, body)
                if promise := promise_in(self._simulation.seed, debtor, body, day):
                    self.books.promise(debtor.id, promise)
        return [replies[debtor_id] for debtor_id in sorted(replies)]

    def sent(self) -> LedgerRecords:
        return self.books.records()


class RecordedSource:
    """An export, replayed as it happened: nobody in it can be moved, so nobody answers."""

    def __init__(self, ledger: Ledger, play_from: date | None = None, play_until: date | None = None) -> None:
        """play_from: default the median issue date. play_until: default the ledger's end.

        Raises PlayWindowInvalid, LedgerEmpty.
        """
        self._ledger = ledger
        self._play_from = play_from or ledger.median_issue_date()
        self._play_until = play_until or ledger.until
        if not ledger.first_day < self._play_from <= self._play_until:
            raise PlayWindowInvalid(
                f"cannot play {self._play_from}..{self._play_until}: the ledger begins on {ledger.first_day}; "
                "there must be a day of history and a day to play"
            )
        self._handed_out_before = self._play_from

    @property
    def play_from(self) -> date:
        return self._play_from

    @property
    def play_until(self) -> date:
        return self._play_until

    @property
    def settings(self) -> LedgerSettings:
        return self._ledger.settings

    def history(self) -> Sequence[DatedFact]:
        return list(self._ledger.facts(known_until=self._play_from))

    def facts_of_day(self, day: date) -> Sequence[DatedFact]:
        self._handed_out_before = day + timedelta(days=1)
        return list(self._ledger.facts(known_from=day, known_until=self._handed_out_before))

    def mails_delivered(self, day: date, mails: Sequence[Mail]) -> list[Reply]:
        return []

    def sent(self) -> LedgerRecords:
        """Only parties that were announced: a debtor's first fact may lie beyond the end."""
        zone = ZoneInfo(self._ledger.time_zone)
        records = self._ledger.records.known_before(self._handed_out_before, zone)
        known = {
            fact.debtor_id
            for fact in self._ledger.facts(known_until=self._handed_out_before)
            if isinstance(fact.message, pb.PartyUpserted)
        }
        records.parties[:] = [party for party in records.parties if party.debtor_id in known]
        return records
