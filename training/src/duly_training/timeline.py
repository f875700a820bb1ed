"""A history folded once: landmark snapshots of every invoice, and how each invoice's outcome was known day by day.

A snapshot is an invoice's measures as they were known at t0, by the fold that also serves; they hold no model's
constants. An outcome is kept as the list of its changes. So one fold serves every cut, every split and every frame:
`snapshots_before(day)` and `outcomes_before(day)` are what a history cut off before `day` would have given.

Landmarks are the day an invoice became known, then some days before and after due while it is open. A snapshot at t0
sees the facts known before t0 and the invoice's own terms; nothing later.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from duly_risk.measures import COLUMN, Measures
from numpy.typing import NDArray

# Landmark of the day an invoice became known; the others are days after due, `duly_risk.measures.LANDMARKS`.
FIRST = -(2**15)
# A day that has not come. Whole days since 1970-01-01 stay far below.
NEVER = 2**31 - 1

Days = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Snapshots:
    """n snapshots, debtor by debtor in the order of t0.

    measures: (n, >= N_MEASURES), see `duly_risk.measures`. invoice: (n,) index into `Timeline.invoice_ids`.
    landmark: (n,) days after due, or FIRST.
    """

    measures: Measures
    invoice: NDArray[np.int64]
    landmark: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.invoice)

    @property
    def as_of(self) -> Days:
        return self.measures[:, COLUMN["as_of_day"]].astype(np.int64)

    def where(self, kept: NDArray[np.bool_]) -> Snapshots:
        if kept.all():
            return self  # of a large ledger more than a gigabyte, which nobody changes
        return Snapshots(self.measures[kept], self.invoice[kept], self.landmark[kept])


@dataclass(frozen=True, slots=True)
class Outcomes:
    """How every invoice stands, by invoice index; all (n_invoices,), days since 1970-01-01.

    known: whether it had been heard of. issue, due, total_minor: of its last revision. paid: NEVER = not paid in full.
    censored: day from which it can no longer be paid (voided, credited), else NEVER; an invoice written off can be, so
    its rows go on without an event.
    """

    known: NDArray[np.bool_]
    issue: Days
    due: Days
    total_minor: NDArray[np.int64]
    paid: Days
    censored: Days

    @property
    def settled(self) -> int:
        return int((self.paid < NEVER).sum())


@dataclass(frozen=True, slots=True)
class Changes:
    """Each time an invoice's outcome became another one: (m,) arrays, per invoice in known order.

    known_on: the day it became known; the rest as in `Outcomes`.
    """

    invoice: NDArray[np.int64]
    known_on: Days
    issue: Days
    due: Days
    total_minor: NDArray[np.int64]
    paid: Days
    censored: Days


_CHANGE_COLUMNS = tuple(column.name for column in fields(Changes))


@dataclass(frozen=True, slots=True)
class Timeline:
    """See the module. cut_day: nothing known on it or later is inside. debtor, currency: by invoice index.

    sha256: fingerprint of the facts. left_out: how many facts were taken away as strays. sectors: by debtor index, "" =
    unknown; only to slice results by, never a feature.
    """

    cut_day: int
    sha256: str
    debtor_ids: tuple[str, ...]
    invoice_ids: tuple[str, ...]
    debtor: NDArray[np.int64]
    currency: tuple[str, ...]
    snapshots: Snapshots
    changes: Changes
    left_out: int = 0
    sectors: tuple[str, ...] = ()

    @property
    def first_day(self) -> int:
        """Day on which the first invoice became known; cut_day for an empty history."""
        return int(self.changes.known_on.min(initial=self.cut_day))

    def before(self, day: int) -> Timeline:
        """The timeline of what was known before an earlier day. Names and the fingerprint stay those of the whole."""
        day = min(day, self.cut_day)
        changes = self.changes
        seen = changes.known_on < day
        earlier = Changes(*(getattr(changes, name)[seen] for name in _CHANGE_COLUMNS))
        return replace(self, cut_day=day, snapshots=self.snapshots_before(day), changes=earlier)

    def snapshots_before(self, day: int) -> Snapshots:
        """The snapshots that a history cut off before `day` gives: at least one day after t0 can be seen."""
        return self.snapshots.where(self.snapshots.as_of < day - 1)

    def outcomes_before(self, day: int) -> Outcomes:
        """Outcomes by what was known before `day`."""
        changes = self.changes
        seen = np.flatnonzero(changes.known_on < day)
        # Of an invoice's changes, which lie in known order, the last one seen counts.
        last = np.full(len(self.invoice_ids), -1, dtype=np.int64)
        last[changes.invoice[seen]] = seen
        known = last >= 0

        def column(values: NDArray[np.int64], unknown: int) -> NDArray[np.int64]:
            return np.where(known, values[last], unknown) if len(values) else np.full(len(known), unknown)

        return Outcomes(
            known,
            column(changes.issue, 0),
            column(changes.due, 0),
            column(changes.total_minor, 0),
            column(changes.paid, NEVER),
            column(changes.censored, NEVER),
        )
