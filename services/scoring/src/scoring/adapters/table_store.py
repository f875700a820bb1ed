"""The blobs in the Faust table's store, by partition and key, without Faust's current event. Private to Faust 0.15.3.

Writing here writes no changelog: the batch shell and the recovery do that, or have it, by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import rocksdict
from faust.stores.memory import Store as MemoryStore
from faust.stores.rocksdb import RocksDBOptions
from faust.stores.rocksdb import Store as RocksStore
from google.protobuf.message import DecodeError

# Write buffers are of one partition, the cache is of all. Faust's defaults are 3 buffers of 64 MB and a cache of 2 GiB
# for each partition.
_BUFFER_BYTES, _BUFFERS = 4 << 20, 2
_CACHE_BYTES = 64 << 20
_BLOOM_BITS = 10

# The applied offset in a blob. Raises DecodeError.
Applied = Callable[[bytes], int]
# A file beside the tables: the next start throws them away.
DAMAGED = "damaged"


class StoreDamaged(RuntimeError):
    """The local copy of the state cannot be read or written. It is a cache: the next start makes it anew."""

    code = "store_damaged"


class Blobs(Protocol):
    """What a store can do. One writer; reads may come from another thread."""

    def get(self, partition: int, key: bytes) -> bytes | None: ...

    def put(self, partition: int, blobs: Mapping[bytes, bytes], changelog_offset: int | None = None) -> None:
        """Write blobs together. changelog_offset: of the last one, when the changelog has it already."""

    def persist_offset(self, partition: int, first: int, last: int) -> None:
        """Our own records of a changelog partition, from offset `first` to `last`, are in the store."""

    def note(self, partition: int, key: bytes) -> None:
        """A blob was written through the table."""

    def places(self) -> Iterable[tuple[int, bytes]]:
        """(partition, key) of every debtor."""


def blobs_of(table: Any) -> Blobs:
    """The table's store, whichever it is."""
    return MemoryBlobs(table.data) if isinstance(table.data, MemoryStore) else RocksBlobs(table.data)


def recover(blobs: Blobs, applied: Applied, partition: int, records: Iterable[Any]) -> None:
    """Put in what a changelog partition says. records: in offset order, with `key`, `value` and `offset`.

    An evicted worker may have written an old blob after a new one (the changelog knows no fencing): the higher applied
    offset wins.
    """
    newest: dict[bytes, bytes] = {}
    offset = None
    for record in records:
        offset = record.offset
        known = newest.get(record.key) or blobs.get(partition, record.key)
        if record.value and (known is None or _follows(applied, record.value, known)):
            newest[record.key] = record.value
    blobs.put(partition, newest, offset)


def _follows(applied: Applied, blob: bytes, known: bytes) -> bool:
    """Where one of them cannot be read, the order of the changelog counts: the step finds out, a recovery goes on."""
    try:
        return applied(blob) >= applied(known)
    except DecodeError:
        return True


class MemoryBlobs:
    """Faust's dict. It forgets the keys of partitions that went away, if it is told whose they are."""

    def __init__(self, store: Any) -> None:
        self._blobs: dict[bytes, bytes] = store.data
        self._partitions: dict[bytes, int] = store._key_partition

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self._blobs.get(key)

    def put(self, partition: int, blobs: Mapping[bytes, bytes], changelog_offset: int | None = None) -> None:
        self._blobs.update(blobs)
        self._partitions.update(dict.fromkeys(blobs, partition))

    def persist_offset(self, partition: int, first: int, last: int) -> None:
        """Nothing outlives the process."""

    def note(self, partition: int, key: bytes) -> None:
        self._partitions[key] = partition

    def places(self) -> Iterable[tuple[int, bytes]]:
        return [(partition, key) for key, partition in self._partitions.items()]


class SharedCacheOptions(RocksDBOptions):  # type: ignore[misc]  # Faust is untyped here
    """Memory that does not grow with the partitions a worker holds."""

    def __init__(self) -> None:
        super().__init__(write_buffer_size=_BUFFER_BYTES, max_write_buffer_number=_BUFFERS, block_cache_size=0)
        self._cache = rocksdict.Cache(_CACHE_BYTES)

    def as_options(self) -> rocksdict.Options:
        options: rocksdict.Options = super().as_options()
        tables = rocksdict.BlockBasedOptions()
        tables.set_block_cache(self._cache)
        tables.set_bloom_filter(_BLOOM_BITS, block_based=False)
        options.set_block_based_table_factory(tables)
        return options


def with_our_options(store: Any) -> Any:
    """A store that has opened nothing yet."""
    if isinstance(store, RocksStore):
        store.rocksdb_options = SharedCacheOptions()
    return store


class RocksBlobs:
    """One RocksDB per partition. Raises StoreDamaged."""

    def __init__(self, store: Any) -> None:
        self._store = store

    def get(self, partition: int, key: bytes) -> bytes | None:
        try:
            blob: bytes | None = self._store._db_for_partition(partition).get(key)
        except Exception as error:  # rocksdict raises nothing narrower
            raise self._damaged(partition, error) from error
        return blob

    def put(self, partition: int, blobs: Mapping[bytes, bytes], changelog_offset: int | None = None) -> None:
        batch = rocksdict.WriteBatch(raw_mode=True)
        for key, blob in blobs.items():
            batch.put(key, blob)
        if changelog_offset is not None:
            batch.put(self._store.offset_key, str(changelog_offset).encode())
        try:
            self._store._db_for_partition(partition).write(batch)
        except Exception as error:  # rocksdict raises nothing narrower
            raise self._damaged(partition, error) from error

    def _damaged(self, partition: int, error: Exception) -> StoreDamaged:
        (self._store.path / DAMAGED).touch()
        return StoreDamaged(f"local state of partition {partition}: {error}; the next start recovers the changelog")

    def persist_offset(self, partition: int, first: int, last: int) -> None:
        """Records before `first` that are not ours either are another worker's, who had the partition while this one
        was frozen: the store lacks them, so the next recovery must begin before them."""
        known = self.get(partition, self._store.offset_key)
        if first == (int(known) + 1 if known else 0):
            self.put(partition, {}, last)

    def note(self, partition: int, key: bytes) -> None:
        """Each partition is a folder of its own."""

    def places(self) -> Iterable[tuple[int, bytes]]:
        actives = {tp.partition for tp in self._store.app.assignor.assigned_actives()}
        for partition in sorted(actives & set(self._store._dbs)):
            for key in self._store._visible_keys(self._store._dbs[partition]):
                yield partition, key
