"""Message keys and their partitions: one function each, the same for every client."""

from __future__ import annotations

# A tenant and a debtor's id of 200 characters each, in UTF-8, and room.
KEY_BYTES_MAX = 2_000
# Of a tick in one partition: more than any tenant needs, few enough for an index by slice.
SLICES_MAX = 100_000
_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def debtor_key(tenant: str, debtor_id: str) -> bytes:
    """Key of everything that concerns one debtor: UTF-8 `tenant|debtor`.

    Raises ValueError for an empty or `|`-carrying tenant: two debtors must never share a key.
    """
    if not tenant or "|" in tenant:
        raise ValueError(f"tenant {tenant!r} must be non-empty and hold no '|'")
    return f"{tenant}|{debtor_id}".encode()


def split_key(key: bytes) -> tuple[str, str]:
    """The tenant and the rest of a key made by `debtor_key`."""
    tenant, _, rest = key.decode().partition("|")
    return tenant, rest


def tenant_of(key: bytes) -> bytes:
    """The tenant of a key, in bytes as they came: of a key that is no text too."""
    return key.partition(b"|")[0]


def murmur2(data: bytes) -> int:
    """The 31-bit murmur2 hash Kafka's Java client uses (`Utils.murmur2` made positive)."""
    length = len(data)
    h = (_SEED ^ length) & _MASK
    whole = length - length % 4
    for i in range(0, whole, 4):
        k = int.from_bytes(data[i : i + 4], "little")
        k = (k * _M) & _MASK
        k ^= k >> 24
        k = (k * _M) & _MASK
        h = ((h * _M) & _MASK) ^ k
    tail = data[whole:]
    if tail:
        h ^= int.from_bytes(tail, "little")
        h = (h * _M) & _MASK
    h ^= h >> 13
    h = (h * _M) & _MASK
    h ^= h >> 15
    return h & 0x7FFFFFFF


def partition_of(key: bytes, partitions: int) -> int:
    """Partition of a key in a topic with that many partitions."""
    return murmur2(key) % partitions


def slice_of(key: bytes, partitions: int, slices: int) -> int:
    """Tick slice that moves this key's debtor; 1 <= `slices` <= SLICES_MAX."""
    return (murmur2(key) // partitions) % slices
