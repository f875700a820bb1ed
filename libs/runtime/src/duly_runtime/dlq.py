"""Dead letters: a record that cannot be used, kept with its cause so that it can be replayed after a fix."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version

from duly_contracts.ids import ID_BYTES_MAX, named_id
from duly_contracts.keys import KEY_BYTES_MAX
from duly_contracts.topics import dlq_of

from duly_runtime.database import UnitOfWork
from duly_runtime.log import Headers, Record

# Just below what every producer of ours sends (1 000 000). A topic takes 1 MiB, so a record may be larger.
LETTER_BYTES_MAX = 990_000
NOTES = "dlq_"  # begins the names of our own headers
_HEADER_BYTES = 10  # its two lengths, at most


class Unusable(ValueError):
    """A record no retry can help. `code` is the stable reason, the text says what and where."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """What goes into the dead-letter topic for one record."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]


def dead_letter_of(record: Record, service: str, reason: str, detail: str, debtor_id: str = "") -> DeadLetter:
    """The record as it came, its headers and where it came from, why and by which version of the code it was put aside.

    Headers of a record that are named as our notes are left out: a sender must not be able to write them (a
    `dlq_settled` would hide this letter, and settle another one).
    Of a record that would be too large with these, `dlq_cut` tells the sizes and parts are left out; the record itself
    lies in its topic as long as that keeps it. debtor_id: whom it concerns, where the key does not say (a tick that one
    debtor's state could not bear).
    """
    notes = {
        "dlq_reason": reason,
        "dlq_detail": detail[:500],
        "dlq_service": service,
        "dlq_version": _version_of(service),
        "dlq_partition": str(record.partition),
        "dlq_offset": str(record.offset),
    }
    if debtor_id and not record.key.endswith(b"|" + debtor_id.encode()):
        notes["dlq_debtor"] = debtor_id
    added = [(name, value.encode()) for name, value in notes.items()]
    own = [(name, value or b"") for name, value in record.headers if not name.startswith(NOTES)]
    letter = DeadLetter(record.key, record.value, [*own, *added])
    return letter if _fits(letter) else _cut(record, own, added)


def _cut(record: Record, own: Headers, added: Headers) -> DeadLetter:
    """As much of the record as fits, and always the id that it is waited for by."""
    sizes = f"key {len(record.key)}, value {len(record.value)}, headers {_bytes_of(own)} bytes"
    notes = [*added, ("dlq_cut", sizes.encode())]
    last = [pair for pair in own if pair[0] == "ce_id"][-1:]
    named = [pair for pair in last if len(pair[1]) <= ID_BYTES_MAX]  # a longer one names nothing
    choices = [(value, headers) for headers in (own, named) for value in (record.value, b"")]
    letters = (DeadLetter(record.key[:KEY_BYTES_MAX], value, [*headers, *notes]) for value, headers in choices)
    return next(filter(_fits, letters))


def _fits(letter: DeadLetter) -> bool:
    return len(letter.key) + len(letter.value) + _bytes_of(letter.headers) <= LETTER_BYTES_MAX


def _bytes_of(headers: Headers) -> int:
    return sum(len(name.encode()) + len(value) + _HEADER_BYTES for name, value in headers)


@cache
def _version_of(service: str) -> str:
    try:
        return version(f"duly-{service}")
    except PackageNotFoundError:  # run from its sources
        return "unknown"


def dead_letter(uow: UnitOfWork, record: Record, service: str, reason: str, detail: str) -> None:
    """Put a record into its topic's dead-letter topic, through the outbox of the same transaction."""
    letter_id = named_id("dlq", service, record.topic, str(record.partition), str(record.offset))
    letter = dead_letter_of(record, service, reason, detail)
    uow.emit_raw(dlq_of(record.topic), letter.key, letter.value, letter.headers, letter_id, "dead_letter")
