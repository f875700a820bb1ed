"""How much poison is too much: past these limits this version of the code, not the data, must be at fault."""

from __future__ import annotations

IN_A_ROW_MAX = 100
WINDOW_RECORDS = 10_000
WINDOW_POISON_MAX = WINDOW_RECORDS // 100


class TooMuchPoison(RuntimeError):
    """The process must stop uncommitted, or a bad deploy drains the topic into the dead letters."""

    code = "too_much_poison"


class PoisonMeter:
    """Counts unusable records: 100 in a row, or more than 1 % of a window of 10 000, is too much."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._window_records = 0
        self._window_poison = 0

    def good(self) -> None:
        """One record was used."""
        self._in_a_row = 0
        self._count()

    def poison(self) -> None:
        """One record was put aside. Raises TooMuchPoison."""
        self._in_a_row += 1
        self._window_poison += 1
        if self._in_a_row >= IN_A_ROW_MAX:
            raise TooMuchPoison(f"{self._in_a_row} unusable records in a row")
        if self._window_poison > WINDOW_POISON_MAX:
            raise TooMuchPoison(f"{self._window_poison} of {self._window_records + 1} records unusable")
        self._count()

    def _count(self) -> None:
        self._window_records += 1
        if self._window_records >= WINDOW_RECORDS:
            self._window_records = self._window_poison = 0
