"""setwalk.c from Python: the compiled library, and one call with everything checked before it."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_float, c_int32, c_int64, c_void_p
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from duly_risk.model import CurveDays, Hazards, Rows
from numpy.typing import NDArray

from duly_booster.pack import CALENDARS_MAX, DAYS, RANKS_MAX, Packed

ABI = 1
_WIDE_FEATURES_MAX = 64
# Fewer invoices cost less unsorted.
_SORTED_FROM = 8


class Width(IntEnum):
    """The paths of setwalk.c, from slow to fast; each gives the same bytes."""

    ANY = 0
    AVX2 = 1
    AVX512 = 2


class _Model(ctypes.Structure):
    _fields_ = (
        ("trees", c_int32),
        ("features", c_int32),
        ("conditions", c_int32),
        ("calendars", c_int32),
        ("calendar_days", c_int32),
        ("base", c_float),
        ("tree", c_void_p),
        ("before", c_void_p),
        ("bit", c_void_p),
        ("ranks", c_void_p),
        ("rank", c_void_p),
        ("condition_ranks", c_void_p),
    )


class _Request(ctypes.Structure):
    _fields_ = (
        ("n", c_int64),
        ("rows", c_void_p),
        ("as_of", c_void_p),
        ("issue", c_void_p),
        ("due", c_void_p),
        ("order", c_void_p),
        ("room", c_void_p),
        ("out", c_void_p),
    )


class LibraryUnusable(RuntimeError):
    """A library file that cannot be loaded, or is not the one this code was written for."""

    code = "library_unusable"


@dataclass(frozen=True, slots=True)
class Library:
    """widest: the fastest path that this CPU runs."""

    functions: Any
    widest: Width


def load(file: Path) -> Library:
    """Raises LibraryUnusable."""
    try:
        functions = ctypes.CDLL(str(file))
        functions.setwalk_abi.restype = c_int32
        functions.setwalk_widest.restype = c_int32
        functions.setwalk_margin_of.restype = c_float
        functions.setwalk_margin_of.argtypes = (c_float,)
        functions.setwalk_curves.restype = c_int64
        functions.setwalk_curves.argtypes = (POINTER(_Model), POINTER(_Request), c_int32, c_int32)
        if functions.setwalk_abi() != ABI:
            raise LibraryUnusable(f"{file.name} has other structures than this code")
        return Library(functions, Width(functions.setwalk_widest()))
    except (OSError, AttributeError) as error:
        raise LibraryUnusable(f"{file.name}: {error}") from error


class SetWalk:
    """A packed model in a library. Immutable after its construction, so several threads may call it at once."""

    def __init__(self, library: Library, packed: Packed, widest: Width = Width.AVX512) -> None:
        """widest: not a faster path than this one."""
        width = min(library.widest, widest)
        if width is Width.AVX512 and packed.features > _WIDE_FEATURES_MAX:
            width = Width.AVX2
        self.width = width
        self._curves = library.functions.setwalk_curves
        self._features = packed.features
        self._room = (len(packed.condition_ranks) + CALENDARS_MAX * (RANKS_MAX + 1)) * 4
        bit, before = _day_bits(four_in_a_lane=width is Width.AVX512)
        arrays = (packed.stream, before, bit, packed.ranks, packed.rank, packed.condition_ranks)
        self._pointed_to = arrays
        self._last_day = packed.rank.shape[1] - DAYS - 1
        self._model = _Model(
            packed.trees,
            packed.features,
            *packed.condition_ranks.shape[:2],
            packed.rank.shape[1],
            library.functions.setwalk_margin_of(packed.base_score),
            *(array.ctypes.data for array in arrays),
        )

    def curves(self, static: Rows, days: CurveDays, *, margins: bool = False) -> Hazards:
        """`HazardModel.curves`; margins: before the sigmoid. Invoices with equal dates share work, wherever they stand.

        Raises ValueError for arrays of another shape or type, or an as_of outside 1970..2169.
        """
        n = len(static)
        if static.shape != (n, self._features) or static.dtype != np.float32 or not static.flags.c_contiguous:
            raise ValueError(f"static is {static.shape} {static.dtype}, not (n, {self._features}) float32 in C order")
        as_of, issue, due = _days(days.as_of, n), _days(days.issue, n), _days(days.due, n)
        order = np.lexsort((due, issue, as_of)) if n >= _SORTED_FROM else np.arange(n)
        out = np.empty((n, DAYS), dtype=np.float32)
        room = np.empty(self._room, dtype=np.uint64)
        arrays = (static, as_of, issue, due, order, room, out)
        request = _Request(n, *[array.ctypes.data for array in arrays])
        done = self._curves(byref(self._model), byref(request), self.width, margins)
        if done != n:
            raise ValueError(f"as_of of row {done + n} is day {as_of[done + n]}, not 0..{self._last_day}")
        return out


def _days(days: NDArray[np.int64], n: int) -> NDArray[np.int64]:
    if days.shape != (n,) or days.dtype != np.int64:
        raise ValueError(f"days are {days.shape} {days.dtype}, not ({n},) int64")
    return np.ascontiguousarray(days)


def _day_bits(*, four_in_a_lane: bool) -> tuple[NDArray[np.uint8], NDArray[np.uint64]]:
    """The bit of each day, (182,), and the sets of days before day j, (183, 4).

    The AVX-512 path reads four days from one 32-bit lane: of each 64 days, i, i + 16, i + 32 and i + 48 stand together.
    """
    day = np.arange(DAYS)
    bit = day // 64 * 64 + (day % 16 * 4 + day % 64 // 16 if four_in_a_lane else day % 64)
    before = np.zeros((DAYS + 1, 4), dtype=np.uint64)
    for j in range(DAYS):
        before[j + 1] = before[j]
        before[j + 1, bit[j] // 64] |= np.uint64(1 << int(bit[j]) % 64)
    return bit.astype(np.uint8), before
