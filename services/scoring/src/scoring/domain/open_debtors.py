"""Which debtors of a partition a tick visits: those with open invoices, in key order."""

from __future__ import annotations

from collections import defaultdict

from duly_contracts.keys import slice_of, split_key


class OpenDebtors:
    """Index of the state table, kept in step with it by the one writer, rebuilt by a scan after recovery."""

    def __init__(self) -> None:
        self._books: dict[tuple[int, str], _Book] = defaultdict(_Book)

    def note(self, partition: int, key: bytes, is_open: bool) -> None:
        """Remember whether the debtor has open invoices."""
        self._books[partition, split_key(key)[0]].note(key, is_open)

    def walk(self, partition: int, tenant: str, partitions: int, part: int, parts: int) -> list[bytes]:
        """Open debtors of a tenant that slice `part` of `parts` moves, in key order. partitions: of the topic."""
        book = self._books.get((partition, tenant))
        return [] if book is None else sorted(book.slice(partitions, part, parts))

    def clear(self) -> None:
        """Forget everything: partitions moved, a scan follows."""
        self._books.clear()

    def __len__(self) -> int:
        return sum(len(book.keys) for book in self._books.values())


class _Book:
    """Open debtors of one tenant in one partition; by slice too, since all slices of a tick ask one after the other."""

    def __init__(self) -> None:
        self.keys: set[bytes] = set()
        self._cut: tuple[int, int] | None = None  # partitions, parts
        self._slices: dict[int, set[bytes]] = {}  # those that hold anybody: a tick may have 100,000 parts

    def note(self, key: bytes, is_open: bool) -> None:
        if is_open == (key in self.keys):
            return
        books = [self.keys]
        if self._cut is not None:
            books.append(self._slices.setdefault(slice_of(key, *self._cut), set()))
        for keys in books:
            if is_open:
                keys.add(key)
            else:
                keys.discard(key)

    def slice(self, partitions: int, part: int, parts: int) -> set[bytes]:
        """Keys of one slice. A tick that is cut otherwise than the last one costs a pass over all keys."""
        if parts <= 1:
            return self.keys
        if self._cut != (partitions, parts):
            self._cut = (partitions, parts)
            self._slices = {}
            for key in self.keys:
                self._slices.setdefault(slice_of(key, partitions, parts), set()).add(key)
        return self._slices.get(part, set())
