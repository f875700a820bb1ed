"""Which debtors of a partition a tick visits: those with open invoices, in key order."""

from __future__ import annotations

from collections import defaultdict

from duly_contracts.keys import slice_of, split_key


class OpenDebtors:
    """Index of the state table, kept in step with it by the one writer, rebuilt by a scan after recovery."""

    def __init__(self) -> None:
        self._keys: dict[tuple[int, str], set[bytes]] = defaultdict(set)

    def note(self, partition: int, key: bytes, is_open: bool) -> None:
        """Remember whether the debtor has open invoices."""
        keys = self._keys[partition, split_key(key)[0]]
        if is_open:
            keys.add(key)
        else:
            keys.discard(key)

    def walk(self, partition: int, tenant: str, partitions: int, part: int, parts: int) -> list[bytes]:
        """Open debtors of a tenant that slice `part` of `parts` moves, in key order. partitions: of the topic."""
        keys = self._keys.get((partition, tenant), ())
        if parts <= 1:
            return sorted(keys)
        return sorted(key for key in keys if slice_of(key, partitions, parts) == part)

    def clear(self) -> None:
        """Forget everything: partitions moved, a scan follows."""
        self._keys.clear()

    def __len__(self) -> int:
        return sum(len(keys) for keys in self._keys.values())
