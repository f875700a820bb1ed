"""A debtor's score state: open invoices in full, the newest closed ones packed, everything older as counts.

No fact changes a sum that a reversal would have to undo: what is packed is unpacked first (`packing`), delays, rates
and balances are derived from the records again, so the same set of facts gives the same answers in any order. Dicts
are never changed in place. Fields that do not compare (`encoded`, `memo`) are no part of a value: what was once
computed from it. They stand last, with defaults, and a class constant is a `ClassVar`: see `duly_compiled.place`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from operator import attrgetter
from typing import Any, ClassVar, NamedTuple, TypeVar

from duly_risk.facts import Position
from duly_risk.score import Band, Segment

FORMAT_VERSION = 2
# A dispute over everything that is open.
WHOLE = 2**63 - 1


class StateUnreadable(ValueError):
    """Bytes that are no state of this or the previous format version, or a state whose packed part is damaged."""

    code: ClassVar[str] = "state_unreadable"


class Closing(StrEnum):
    """How an invoice left the open book. Only PAID is an event of the model; the others are censored."""

    PAID = "PAID"
    CREDITED = "CREDITED"
    VOIDED = "VOIDED"
    WRITTEN_OFF = "WRITTEN_OFF"


class Settlement(NamedTuple):
    """open_minor: total - standing allocations - write-offs, never below 0. closing: None while open or unknown."""

    open_minor: int
    closing: Closing | None = None
    closed_day: int = 0

    @property
    def is_open(self) -> bool:
        return self.open_minor > 0


@dataclass(frozen=True, slots=True)
class Allocation:
    allocation_id: str
    source_id: str = ""
    amount_minor: int = 0
    discount_minor: int = 0
    on_day: int = 0
    credit_note: bool = False
    applied: bool = False
    removed: bool = False


@dataclass(frozen=True, slots=True)
class WriteOff:
    write_off_id: str
    amount_minor: int
    on_day: int
    loss: bool


@dataclass(frozen=True, slots=True)
class Invoice:
    """known: False while only allocations, disputes or write-offs of it have come.

    undisturbed: memo of `balances.settle` for the usual case that no payment was taken back; no part of the value.
    """

    invoice_id: str
    known: bool = False
    issue_day: int = 0
    due_day: int = 0
    total_minor: int = 0
    currency: str = ""
    source_version: str = ""
    voided: bool = False
    voided_day: int = 0
    disputed_minor: int = 0
    dispute_day: int = 0
    dispute_version: str = ""
    dispute_resolved: bool = False
    allocations: tuple[Allocation, ...] = ()
    write_offs: tuple[WriteOff, ...] = ()
    undisturbed: Settlement | None = field(default=None, repr=False, compare=False)
    memo: Any = field(default=None, repr=False, compare=False)
    encoded: bytes | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Reversal:
    reversal_id: str
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Source:
    """A payment or a credit note.

    archived_minor: allocated to invoices that have left the blob; settled_minor: to packed closed ones.
    """

    source_id: str
    credit_note: bool = False
    known: bool = False
    amount_minor: int = 0
    currency: str = ""
    day: int = 0
    voided: bool = False
    reversals: tuple[Reversal, ...] = ()
    archived_minor: int = 0
    settled_minor: int = 0
    encoded: bytes | None = field(default=None, repr=False, compare=False)

    @property
    def reversed_minor(self) -> int:
        return self.amount_minor if self.voided else sum(reversal.amount_minor for reversal in self.reversals)

    @property
    def stands(self) -> bool:
        """False once all of it was taken back: its allocations no longer count."""
        if self.voided:
            return False
        return not self.reversals or (self.known and self.reversed_minor < self.amount_minor)


@dataclass(frozen=True, slots=True)
class Archive:
    """Invoices that closed long ago, as counts. delays: paid ones by delay, clipped to -60..120 days."""

    invoices: int = 0
    delays: Mapping[int, int] = field(default_factory=dict)
    days_to_pay_sum: int = 0
    first_issue_day: int = 0
    last_issue_day: int = 0
    last_paid_day: int = 0
    billed: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # currency -> (minor units, invoices)
    invoice_digests: bytes = b""
    unapplied: Mapping[str, int] = field(default_factory=dict)
    late_facts: int = 0
    encoded: bytes | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Closed:
    """The newest closed invoices, packed, and what features need of them.

    packed: a `ClosedInvoices` message, oldest first; count: how many. last: (closed day, issue day, id) of the last.
    named: digests of their ids, and of the payments they have allocations from (`packing.names`).
    delays: of the paid ones, in order, clipped to -60..120 days. The other fields are as in `Archive`.
    """

    packed: bytes = b""
    named: bytes = b""
    count: int = 0
    last: tuple[int, int, str] = (0, 0, "")
    delays: tuple[int, ...] = ()
    invoices: int = 0
    days_to_pay_sum: int = 0
    first_issue_day: int = 0
    last_issue_day: int = 0
    last_paid_day: int = 0
    billed: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    encoded: bytes | None = field(default=None, repr=False, compare=False)
    memo: Any = field(default=None, repr=False, compare=False)


_NO_SEGMENT = Segment()


class Standing(NamedTuple):
    """What scoring said last; only `conclude` writes it, no feature reads it. segment_day: of the last segment told."""

    band: Band = Band.NONE
    ticks_below: tuple[int, int, int] = (0, 0, 0)
    stepped_down_day: int = 0
    last_score_id: str = ""
    model_version: str = ""
    segment: Segment = _NO_SEGMENT
    segment_day: int = 0


# Shared by all states that have none; dicts are never changed in place.
_NO_STANDING = Standing()
_NO_INVOICES: Mapping[str, Invoice] = {}
_NO_SOURCES: Mapping[str, Source] = {}
_NONE_CLOSED, _NONE_ARCHIVED = Closed(), Archive()


# This and what every score is made of are named tuples: to make one costs a third of a frozen dataclass.
class DebtorState(NamedTuple):
    """See the module. business_day and tick_day are days since 1970-01-01, 0 = none yet.

    invoices: open and pending ones; between `packing.unpacked` and `packing.packed` all of them, as are sources.
    recent_facts, earlier_facts: digests of fact ids of the week from week_day, and of the one before.
    degraded_event_ids: the newest events that could not be used; degraded_earlier: digests of those before them.
    unreadable: the blob that no `decode_state` could read; no event folds into such a state.
    """

    applied: Position | None = None
    business_day: int = 0
    tick_day: int = 0
    facts_applied: int = 0
    invoices: Mapping[str, Invoice] = _NO_INVOICES
    sources: Mapping[str, Source] = _NO_SOURCES
    closed: Closed = _NONE_CLOSED
    archive: Archive = _NONE_ARCHIVED
    recent_facts: bytes = b""
    earlier_facts: bytes = b""
    week_day: int = 0
    standing: Standing = _NO_STANDING
    degraded_event_ids: tuple[str, ...] = ()
    degraded_earlier: bytes = b""
    unreadable: bytes = b""

    @property
    def degraded(self) -> bool:
        """Whether an event of this debtor is missing."""
        return bool(self.degraded_event_ids or self.degraded_earlier)


T = TypeVar("T")


def replaced(value: T, **changes: object) -> T:
    """`dataclasses.replace` at half its cost, for the values of this module: the fold does little else."""
    kind = type(value)
    place, read = _SHAPES.get(kind) or _shape(kind)
    values = list(read(value))
    for name, new in changes.items():
        values[place[name]] = new
    return kind(*values)


_Shape = tuple[dict[str, int], Callable[[object], tuple[object, ...]]]
_SHAPES: dict[type, _Shape] = {}


def _shape(kind: type) -> _Shape:
    """Fields by place, memos aside, and what reads them all: worked out once per class."""
    names = [one.name for one in fields(kind) if one.compare]
    shape: _Shape = ({name: index for index, name in enumerate(names)}, attrgetter(*names))
    return _SHAPES.setdefault(kind, shape)
