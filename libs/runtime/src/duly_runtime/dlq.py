"""Dead letters: a record that cannot be used, kept with its cause so that it can be replayed after a fix."""

from __future__ import annotations

from functools import cache
from importlib.metadata import PackageNotFoundError, version

from duly_contracts.ids import named_id
from duly_contracts.topics import dlq_of

from duly_runtime.database import UnitOfWork
from duly_runtime.log import Record


class Unusable(ValueError):
    """A record no retry can help. `code` is the stable reason, the text says what and where."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def dead_letter_headers(
    record: Record, service: str, reason: str, detail: str, debtor_id: str = ""
) -> list[tuple[str, bytes]]:
    """The record's own headers plus where it came from, why and by which version of the code it was put aside.

    debtor_id: whom it concerns, where the key does not say (a tick that one debtor's state could not bear).
    """
    added = {
        "dlq_reason": reason,
        "dlq_detail": detail[:500],
        "dlq_service": service,
        "dlq_version": _version_of(service),
        "dlq_partition": str(record.partition),
        "dlq_offset": str(record.offset),
    }
    if debtor_id and not record.key.endswith(b"|" + debtor_id.encode()):
        added["dlq_debtor"] = debtor_id
    return [*record.headers, *((name, value.encode()) for name, value in added.items())]


@cache
def _version_of(service: str) -> str:
    try:
        return version(f"duly-{service}")
    except PackageNotFoundError:  # run from its sources
        return "unknown"


def dead_letter(uow: UnitOfWork, record: Record, service: str, reason: str, detail: str) -> None:
    """Put a record into its topic's dead-letter topic, through the outbox of the same transaction."""
    letter_id = named_id("dlq", service, record.topic, str(record.partition), str(record.offset))
    headers = dead_letter_headers(record, service, reason, detail)
    uow.emit_raw(dlq_of(record.topic), record.key, record.value, headers, letter_id, "dead_letter")
