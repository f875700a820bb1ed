"""Dead letters as they lie in the log: one record of a `<topic>-dlq` topic, read without trusting any of it."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

import kafka
from duly_contracts.ids import record_id
from duly_contracts.keys import split_key
from duly_contracts.topics import topics
from duly_runtime.dlq import NOTES
from duly_runtime.kafka_log import records_until
from kafka.errors import KafkaError, KafkaTimeoutError

from duly_cli.errors import CommandFailed

_SUFFIX = "-dlq"
SETTLED = "dlq_settled"  # header of the note that follows a letter: its offset and what was done
_FETCH_BYTES_MAX = 4 * 1024 * 1024
_MILLISECONDS_MAX = 253_402_300_799_000  # the last second of the year 9999
_DIGITS_MAX = 18  # of a number that 64 bits hold


class LetterPlace(NamedTuple):
    """Where a letter lies; its name for people."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises CommandFailed."""
        parts = text.split("/")
        if len(parts) != 3 or parts[0] not in dlq_topics() or _number(parts[1]) is None or _number(parts[2]) is None:
            raise CommandFailed(
                f"{text} names no dead letter. It is written as `duly dlq list` prints it: ledger-events-dlq/3/41, "
                f"or as an event id."
            )
        return cls(parts[0], int(parts[1]), int(parts[2]))


@dataclass(frozen=True, slots=True)
class Letter:
    """headers: as the record had them, without ours. notes: our `dlq_*` headers."""

    place: LetterPlace
    when: datetime
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]
    notes: Mapping[str, str]

    @property
    def topic(self) -> str:
        """Where the record came from."""
        return self.place.topic.removesuffix(_SUFFIX)

    @property
    def reason(self) -> str:
        return self.notes.get("dlq_reason", "")

    @property
    def service(self) -> str:
        return self.notes.get("dlq_service", "")

    @property
    def is_cut(self) -> bool:
        """Whether the record was too large to be kept whole."""
        return "dlq_cut" in self.notes

    @property
    def origin(self) -> tuple[int, int] | None:
        """(partition, offset) in the original topic; None if the letter does not say."""
        partition, offset = (_number(self.notes.get(name, "")) for name in ("dlq_partition", "dlq_offset"))
        return None if partition is None or offset is None else (partition, offset)

    @property
    def event_id(self) -> str:
        """Of a record that names none, the id that services know it by; '' where that cannot be told either."""
        return record_id(self.headers, self.topic, *self.origin) if self.origin else self.header("ce_id")

    @property
    def event_type(self) -> str:
        return self.header("ce_type")

    @property
    def tenant(self) -> str:
        return self._split()[0] or self.header("ce_tenantid")

    @property
    def debtor(self) -> str:
        """'' for a tick, a delivery, or where nobody can tell."""
        if self.topic == "ingress-raw":
            return ""
        return self.notes.get("dlq_debtor", "") or self._split()[1]

    def header(self, name: str) -> str:
        """Of several the last, as in an envelope; '' if it is not there."""
        return _text(dict(self.headers).get(name))

    def _split(self) -> tuple[str, str]:
        try:
            return split_key(self.key)
        except UnicodeDecodeError:
            return "", ""


@dataclass(frozen=True, slots=True)
class Settled:
    """Offsets of the letters of one partition that were replayed or dismissed: 8 bytes each."""

    offsets: array[int]

    def __contains__(self, offset: int) -> bool:
        at = bisect_left(self.offsets, offset)
        return at < len(self.offsets) and self.offsets[at] == offset


class DeadLetters:
    """Reads dead-letter topics one record at a time, without a consumer group. Close it."""

    def __init__(self, bootstrap_servers: str) -> None:
        try:
            self._reader = kafka.KafkaConsumer(
                bootstrap_servers=bootstrap_servers.split(","),
                group_id=None,
                enable_auto_commit=False,
                allow_auto_create_topics=False,
                auto_offset_reset="earliest",
                fetch_max_bytes=_FETCH_BYTES_MAX,
            )
        except KafkaError as error:
            raise CommandFailed(f"Kafka at {bootstrap_servers} does not answer: {error}.") from error

    def close(self) -> None:
        self._reader.close()

    def partitions(self, topic: str) -> list[int]:
        """Empty if the broker has no such topic."""
        return sorted(self._reader.partitions_for_topic(topic) or ())

    def settled(self, topic: str, partition: int) -> Settled:
        """Which letters of a partition have been replayed or dismissed."""
        offsets = array("q")
        for raw in self._records(topic, partition, None):
            offset = _number(_note(raw).partition(" ")[0])
            if offset is not None:
                offsets.append(offset)
        return Settled(array("q", sorted(offsets)))

    def letters(self, topic: str, partition: int, since: datetime | None = None) -> Iterator[Letter]:
        """The letters of a partition, oldest first; since: by the time at which the broker took them."""
        for raw in self._records(topic, partition, since):
            if not _note(raw):
                yield _letter(raw)

    def at(self, place: LetterPlace) -> Letter:
        """One letter. Raises CommandFailed if it is not there (any more)."""
        tp = kafka.TopicPartition(place.topic, place.partition)
        if place.partition in self.partitions(place.topic):
            first, end = self._reader.beginning_offsets([tp])[tp], self._reader.end_offsets([tp])[tp]
            if first <= place.offset < end:
                for raw in self._records(place.topic, place.partition, None, start=place.offset):
                    if raw.offset == place.offset and not _note(raw):
                        return _letter(raw)
                    break
        raise CommandFailed(f"There is no dead letter {place}: they are kept for 90 days. See `duly dlq list`.")

    def _records(self, topic: str, partition: int, since: datetime | None, start: int | None = None) -> Iterator[Any]:
        reader, tp = self._reader, kafka.TopicPartition(topic, partition)
        reader.assign([tp])
        end = reader.end_offsets([tp])[tp]
        first = reader.beginning_offsets([tp])[tp] if start is None else start
        if since is not None:
            found = reader.offsets_for_times({tp: int(since.timestamp() * 1000)})[tp]
            first = end if found is None else max(first, found.offset)
        reader.seek(tp, first)
        try:
            yield from (raw for raw in records_until(reader, {tp: end}) if raw.offset < end)
        except KafkaTimeoutError as error:
            raise CommandFailed(f"{error}. Try again.") from error


def dlq_topics() -> list[str]:
    """Every dead-letter topic of the registry."""
    return [name for name in topics() if name.endswith(_SUFFIX)]


def _note(raw: Any) -> str:
    return next((_text(value) for name, value in raw.headers or () if name == SETTLED), "")


def _letter(raw: Any) -> Letter:
    headers = tuple((name, value or b"") for name, value in raw.headers or ())
    return Letter(
        place=LetterPlace(raw.topic, raw.partition, raw.offset),
        when=datetime.fromtimestamp(min(max(raw.timestamp or 0, 0), _MILLISECONDS_MAX) / 1000, UTC),
        key=raw.key or b"",
        value=raw.value or b"",
        headers=tuple(pair for pair in headers if not pair[0].startswith(NOTES)),
        notes={name: _text(value) for name, value in headers if name.startswith(NOTES)},
    )


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() and len(text) <= _DIGITS_MAX else None


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")  # as the services name events by what is no text


def printable(text: str) -> str:
    """Without what moves a terminal's cursor: records may hold anything."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
