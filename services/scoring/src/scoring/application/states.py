"""The states that the step works on, decoded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable

from duly_risk.codec import decode_state
from duly_risk.state import DebtorState, StateUnreadable

from scoring.application.ports import StateStore

# Decoded states that are kept: each takes some 10 kB (tracemalloc, 5 open and 20 closed invoices), a tick over many
# debtors finds none of its own among them. Three times as many saved 3 % of the step: what is cold costs as much.
CACHED_STATES_MAX = 4_096
# And the bytes that they came from, of which a decoded state takes about three times as many: one may be 512 KiB.
CACHED_BYTES_MAX = 16 * 1024 * 1024

Place = tuple[int, bytes]
_Known = tuple[bytes, DebtorState]


class States:
    """Decoded states over the store: this portion's changes, what it has read, then the store itself, beside which a
    bounded cache saves the decoding."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._changed: dict[Place, _Known] = {}
        self._read: dict[Place, _Known] = {}
        self._cache: OrderedDict[Place, _Known] = OrderedDict()
        self._cached_bytes = 0

    def load(self, partition: int, key: bytes) -> DebtorState:
        """The newest state; an unknown debtor starts empty."""
        return self._load(partition, key)[1]

    def blob_if_unchanged(self, partition: int, key: bytes, state: DebtorState) -> bytes | None:
        """The stored bytes, if `state` is what they decoded to: a replay re-writes exactly them."""
        blob, known = self._load(partition, key)
        return blob if known is state and blob else None

    def change(self, partition: int, key: bytes, blob: bytes, state: DebtorState) -> None:
        self._changed[partition, key] = (blob, state)

    def keep(self, written: Iterable[Place]) -> None:
        """The batch is over: what it changed is what the store is about to hold."""
        for place in written:
            self._remember(place, self._changed[place])
        self._changed.clear()
        self._read.clear()

    def clear(self) -> None:
        self._changed.clear()
        self._read.clear()
        self._cache.clear()
        self._cached_bytes = 0

    def _load(self, partition: int, key: bytes) -> _Known:
        place = (partition, key)
        known = self._changed.get(place) or self._read.get(place)
        if known is None:
            known = self._read[place] = self._from_store(place)
        return known

    def _from_store(self, place: Place) -> _Known:
        blob = self._store.get(*place)
        if blob is None:
            return b"", DebtorState()
        cached = self._cache.get(place)
        return cached if cached is not None and cached[0] == blob else (blob, _decoded(blob))

    def _remember(self, place: Place, known: _Known) -> None:
        before = self._cache.pop(place, None)
        self._cache[place] = known
        self._cached_bytes += len(known[0]) - (len(before[0]) if before else 0)
        while len(self._cache) > CACHED_STATES_MAX or self._cached_bytes > CACHED_BYTES_MAX:
            _, (blob, _) = self._cache.popitem(last=False)
            self._cached_bytes -= len(blob)


def _decoded(blob: bytes) -> DebtorState:
    """The state; of bytes that nobody can read, one that keeps them and takes no event."""
    try:
        return decode_state(blob)
    except StateUnreadable:
        return DebtorState(unreadable=blob)
