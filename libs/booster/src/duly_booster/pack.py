"""A forest laid out for setwalk.c: per tree its static splits, and per leaf the days that reach it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from duly_risk.curves import HORIZON_DAYS
from duly_risk.features import day_of_month
from numpy.typing import NDArray

from duly_booster.day_columns import AS_OF, Calendar, DayColumn, Ramp
from duly_booster.trees import LEAVES_MAX, Forest, Tree, Unsupported

# As in setwalk.h.
DAYS = HORIZON_DAYS
# A leaf's days from issue and from due start or end nowhere: stays beyond every day of a curve in 16 bits.
NO_BOUND = 17_000
BOUND_MAX = 15_000
RANKS_MAX = 255
CALENDARS_MAX = 4
CONDITIONS_MAX = 65_536
FEATURES_MAX = 256

_LINE = 64
_HEAD = np.dtype(
    [
        ("splits", np.int32),
        ("split_room", np.int32),
        ("leaves", np.int32),
        ("leaf_room", np.int32),
        ("bytes", np.int32),
        ("unused", np.int32),
        ("missing_left", np.uint64),
        ("padding", np.uint8, 32),
    ]
)
_ALL = np.uint64(2**64 - 1)


@dataclass(frozen=True, slots=True)
class Packed:
    """What setwalk.h describes. stream: all trees as bytes, from a cache line on. features: static ones.

    ranks: (calendars,) thresholds + 1. rank: (calendars, days) uint8, thresholds at or below the day's value.
    condition_ranks: (conditions, calendars, 2) uint8, ranks from, to.
    """

    trees: int
    stream: NDArray[np.uint8]
    features: int
    base_score: float
    ranks: NDArray[np.int32]
    rank: NDArray[np.uint8]
    condition_ranks: NDArray[np.uint8]


def pack(forest: Forest, columns: Sequence[DayColumn]) -> Packed:
    """columns: how the last features of the forest follow from the day. Raises Unsupported."""
    static = forest.features - len(columns)
    if not 0 <= static <= FEATURES_MAX:
        raise Unsupported(f"{static} static features, more than {FEATURES_MAX}")
    calendars = _calendars(forest, columns, static)
    packer = _Packer(static, columns, calendars)
    stream = b"".join(packer.record(tree) for tree in forest.trees)
    if len(packer.conditions) > CONDITIONS_MAX:
        raise Unsupported(f"{len(packer.conditions)} calendar conditions, more than {CONDITIONS_MAX}")
    tables = [_rank_table(columns[at], thresholds) for at, thresholds in calendars.items()]
    return Packed(
        len(forest.trees),
        _aligned(stream),
        static,
        float(forest.base_score),
        np.array([len(thresholds) + 1 for thresholds in calendars.values()], dtype=np.int32),
        np.array(tables, dtype=np.uint8).reshape(len(tables), len(day_of_month())),
        np.array(list(packer.conditions), dtype=np.uint8).reshape(len(packer.conditions), len(tables), 2),
    )


def _aligned(stream: bytes) -> NDArray[np.uint8]:
    """The bytes from the start of a cache line on, where all arrays of all trees then start too."""
    room = np.empty(len(stream) + _LINE, dtype=np.uint8)
    start = -room.ctypes.data % _LINE
    aligned = room[start : start + len(stream)]
    aligned[:] = np.frombuffer(stream, dtype=np.uint8)
    return aligned


def _calendars(forest: Forest, columns: Sequence[DayColumn], static: int) -> dict[int, list[np.float32]]:
    """The rising thresholds on each calendar column, by its number among the day columns."""
    found: dict[int, list[np.float32]] = {}
    for at, column in enumerate(columns):
        if isinstance(column, Calendar):
            splits = [tree.threshold[(tree.left >= 0) & (tree.feature == static + at)] for tree in forest.trees]
            found[at] = list(np.unique(np.concatenate([*splits, np.empty(0, np.float32)])))
            if len(found[at]) >= RANKS_MAX:
                raise Unsupported(f"{len(found[at])} thresholds on a calendar feature, more than {RANKS_MAX - 1}")
    if len(found) > CALENDARS_MAX:
        raise Unsupported(f"{len(found)} calendar features, more than {CALENDARS_MAX}")
    return found


def _rank_table(column: DayColumn, thresholds: list[np.float32]) -> NDArray[np.uint8]:
    assert isinstance(column, Calendar)
    ranks = np.searchsorted(np.array(thresholds, dtype=np.float32), column.values, side="right")
    return np.asarray(ranks, dtype=np.uint8)


@dataclass(frozen=True, slots=True)
class _Reach:
    """The days that the day splits so far leave to a node. from_, to: by origin. ranks: (from, to) by calendar."""

    from_: tuple[int, int, int]
    to: tuple[int, int, int]
    ranks: tuple[tuple[int, int], ...]

    def starting(self, origin: int, day: int) -> _Reach:
        return replace(self, from_=_with(self.from_, origin, max(day, self.from_[origin])))

    def ending(self, origin: int, day: int) -> _Reach:
        return replace(self, to=_with(self.to, origin, min(day, self.to[origin])))


def _with(days: tuple[int, int, int], origin: int, day: int) -> tuple[int, int, int]:
    first, second, third = (day if at == origin else old for at, old in enumerate(days))
    return first, second, third


class _Record:
    """One tree in the making, with room for the most splits and leaves."""

    def __init__(self) -> None:
        self.splits = self.leaves = self.missing_left = 0
        self.threshold = np.zeros(LEAVES_MAX, dtype=np.float32)
        self.keep = np.full((2, LEAVES_MAX), _ALL)
        self.feature = np.zeros(LEAVES_MAX, dtype=np.uint8)
        self.from_ = np.full((3, LEAVES_MAX), DAYS, dtype=np.int16)  # a leaf that is not there is reached on no day
        self.to = np.zeros((3, LEAVES_MAX), dtype=np.int16)
        self.value = np.zeros(LEAVES_MAX, dtype=np.float32)
        self.condition = np.zeros(LEAVES_MAX, dtype=np.uint16)

    def to_bytes(self) -> bytes:
        s, leaves = -(-self.splits // 16) * 16, -(-self.leaves // 32) * 32
        arrays = (
            self.threshold[:s],
            self.keep[:, :s],
            self.from_[:, :leaves],
            self.to[:, :leaves],
            self.value[:leaves],
            self.condition[:leaves],
            self.feature[:s],
        )
        body = b"".join(array.tobytes() for array in arrays)
        body += bytes(-len(body) % _LINE)
        head = np.zeros((), dtype=_HEAD)
        head["splits"], head["split_room"], head["leaves"], head["leaf_room"] = self.splits, s, self.leaves, leaves
        head["bytes"], head["missing_left"] = _HEAD.itemsize + len(body), self.missing_left
        return head.tobytes() + body


@dataclass(slots=True)
class _Packer:
    static: int
    columns: Sequence[DayColumn]
    calendars: dict[int, list[np.float32]]
    conditions: dict[tuple[tuple[int, int], ...], int] = field(default_factory=dict)

    def record(self, tree: Tree) -> bytes:
        ranks = tuple((0, len(thresholds) + 1) for thresholds in self.calendars.values())
        record = _Record()
        self._node(record, tree, 0, _Reach((0, -NO_BOUND, -NO_BOUND), (DAYS, NO_BOUND, NO_BOUND), ranks))
        return record.to_bytes()

    def _node(self, record: _Record, tree: Tree, node: int, reach: _Reach) -> None:
        left, right = int(tree.left[node]), int(tree.right[node])
        if left < 0:
            self._leaf(record, float(tree.threshold[node]), reach)
            return
        feature, threshold = int(tree.feature[node]), tree.threshold[node]
        if feature >= self.static:
            below, above = self._split(feature - self.static, threshold, reach)
            self._node(record, tree, left, below)
            self._node(record, tree, right, above)
            return
        split, first = record.splits, record.leaves
        record.splits += 1
        record.feature[split], record.threshold[split] = feature, threshold
        record.missing_left |= int(tree.missing_left[node]) << split
        self._node(record, tree, left, reach)
        middle = record.leaves
        self._node(record, tree, right, reach)
        record.keep[0, split] = _ALL ^ _bits(middle, record.leaves)
        record.keep[1, split] = _ALL ^ _bits(first, middle)

    def _leaf(self, record: _Record, value: float, reach: _Reach) -> None:
        leaf = record.leaves
        record.leaves += 1
        record.value[leaf] = value
        record.from_[:, leaf], record.to[:, leaf] = reach.from_, reach.to
        record.condition[leaf] = self.conditions.setdefault(reach.ranks, len(self.conditions)) % CONDITIONS_MAX

    def _split(self, at: int, threshold: np.float32, reach: _Reach) -> tuple[_Reach, _Reach]:
        """The days with x < threshold, and the others. Day features are never missing."""
        column = self.columns[at]
        if isinstance(column, Calendar):
            calendar = list(self.calendars).index(at)
            rank = self.calendars[at].index(threshold) + 1
            low, high = reach.ranks[calendar]
            return (
                replace(reach, ranks=_with_range(reach.ranks, calendar, (low, max(low, min(high, rank))))),
                replace(reach, ranks=_with_range(reach.ranks, calendar, (min(high, max(low, rank)), high))),
            )
        return _split_ramp(column, float(threshold), reach)


def _split_ramp(ramp: Ramp, threshold: float, reach: _Reach) -> tuple[_Reach, _Reach]:
    if threshold <= ramp.low:
        return reach.ending(AS_OF, 0), reach
    if threshold > ramp.high:
        return reach, reach.starting(AS_OF, DAYS)
    day = math.ceil(threshold)  # the same for whole numbers
    if abs(day) > BOUND_MAX:
        raise Unsupported(f"a split at day {day}, beyond {BOUND_MAX}")
    if ramp.origin == AS_OF:
        day = min(DAYS, max(0, day - 1))  # day 0 of a curve is as-of + 1
    return reach.ending(ramp.origin, day), reach.starting(ramp.origin, day)


def _with_range(ranks: tuple[tuple[int, int], ...], calendar: int, new: tuple[int, int]) -> tuple[tuple[int, int], ...]:
    return tuple(new if at == calendar else old for at, old in enumerate(ranks))


def _bits(start: int, stop: int) -> np.uint64:
    return np.uint64((1 << stop) - (1 << start))
