"""A whole ledger: its records, its facts in known order, and what can be asked of both."""

from __future__ import annotations

import hashlib
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property

from duly_contracts.events import encode

from duly_ledger_export.facts import DatedFact, facts_by_debtor, facts_of
from duly_ledger_export.records import LedgerRecords, LedgerSettings


class LedgerEmpty(ValueError):
    """A question that needs at least one invoice was asked of a ledger without any."""

    code = "ledger_empty"


@dataclass(frozen=True)
class Ledger:
    """An export that was read without findings. notes: what was read over (unknown columns, unused files)."""

    settings: LedgerSettings
    records: LedgerRecords
    notes: tuple[str, ...] = ()

    @property
    def tenant(self) -> str:
        return self.settings.tenant

    @property
    def source(self) -> str:
        """Slug that names this ledger in event ids and in `/tenants/<tenant>/ledgers/<source>`."""
        return self.settings.source

    @property
    def currency(self) -> str:
        """Default currency; "" where every row names its own."""
        return self.settings.currency

    @property
    def country(self) -> str:
        return self.settings.country

    @property
    def time_zone(self) -> str:
        return self.settings.time_zone

    @property
    def until(self) -> date:
        """`until` of ledger.yaml, else the day of the last fact. Raises LedgerEmpty."""
        return self.settings.until or self._last_day()

    @property
    def first_day(self) -> date:
        """`from` of ledger.yaml, else the day of the first fact. Raises LedgerEmpty."""
        return self.settings.from_day or self._first_day()

    def facts(self, known_until: date | None = None, known_from: date | None = None) -> Iterator[DatedFact]:
        """Facts in known order with known_from <= known_on < known_until.

        The end is exclusive: a day's tick comes before its facts, so the tick of day D sees `facts(known_until=D)`.
        """
        low = bisect_left(self._days, known_from) if known_from else 0
        high = bisect_left(self._days, known_until) if known_until else len(self._days)
        return iter(self._facts[low:high])

    def facts_by_debtor(self, known_until: date | None = None) -> Iterator[tuple[str, list[DatedFact]]]:
        """The same facts debtor by debtor, in the order of their ids, each one's in known order.

        They are made on the way and not kept: a fold over a ledger of millions never holds them all.
        """
        for debtor_id, facts in facts_by_debtor(self.settings, self.records):
            known = [fact for fact in facts if known_until is None or fact.known_on < known_until]
            if known:
                yield debtor_id, known

    def debtors(self) -> tuple[str, ...]:
        """Every debtor id, sorted."""
        records = self.records
        tables = (records.parties, records.invoices, records.credit_notes, records.payments)
        return tuple(sorted({row.debtor_id for table in tables for row in table}))

    def median_issue_date(self) -> date:
        """The lower median of the invoices' issue dates. Raises LedgerEmpty."""
        issued = sorted(invoice.issue_date for invoice in self.records.invoices)
        if not issued:
            raise LedgerEmpty("the ledger holds no invoice")
        return issued[(len(issued) - 1) // 2]

    @cached_property
    def fingerprint(self) -> str:
        """sha256 (hex) over all canonical facts in order: equal ledgers, equal fingerprint."""
        digest = hashlib.sha256()
        for fact in self._facts:
            value = encode(fact.message)
            digest.update(f"{fact.known_on} {fact.event_id} {fact.event} {len(value)}\n".encode())
            digest.update(value)
        return digest.hexdigest()

    @cached_property
    def _facts(self) -> list[DatedFact]:
        return facts_of(self.settings, self.records)

    @cached_property
    def _days(self) -> list[date]:
        return [fact.known_on for fact in self._facts]

    def _first_day(self) -> date:
        return self._known_days()[0]

    def _last_day(self) -> date:
        return self._known_days()[1]

    def _known_days(self) -> tuple[date, date]:
        """Of the first and the last fact."""
        first, last = date.max, date.min
        for _, facts in self.facts_by_debtor():
            first, last = min(first, facts[0].known_on), max(last, facts[-1].known_on)
        if first > last:
            raise LedgerEmpty("the ledger holds no fact")
        return first, last
