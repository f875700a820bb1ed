"""Which dead letters are meant: by filters, by their ids, or by the ids of their events."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from duly_cli.dlq.letters import DeadLetters, Letter, LetterPlace, dlq_topics
from duly_cli.errors import CommandFailed

_HELD_BYTES_MAX = 64 * 1024 * 1024
_FIRST_SINCE, _NO_SINCE = datetime(1970, 1, 1, tzinfo=UTC), datetime.min.replace(tzinfo=UTC)
_WITHIN = {"m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters. Empty = all."""

    topic: str = ""
    reason: str = ""
    tenant: str = ""
    since: datetime | None = None

    def topics(self) -> list[str]:
        """Raises CommandFailed for a topic that has no dead letters."""
        if not self.topic:
            return dlq_topics()
        name = self.topic if self.topic.endswith("-dlq") else f"{self.topic}-dlq"
        if name not in dlq_topics():
            raise CommandFailed(f"{self.topic} has no dead letters. There are {', '.join(dlq_topics())}.")
        return [name]

    def fits(self, letter: Letter) -> bool:
        return self.reason in ("", letter.reason) and self.tenant in ("", letter.tenant)

    def found(self, letters: DeadLetters) -> Iterator[tuple[Letter, bool]]:
        """Each letter and whether it is settled, partition by partition."""
        for topic in self.topics():
            for partition in letters.partitions(topic):
                settled = letters.settled(topic, partition)
                for letter in letters.letters(topic, partition, self.since):
                    if self.fits(letter):
                        yield letter, letter.place.offset in settled


def unsettled(
    wanted: Wanted, letters: DeadLetters, limit: int, can_return: Callable[[Letter], bool]
) -> tuple[list[Letter], bool]:
    """The oldest of each partition that can return, at most `limit` and 64 MiB; and whether there are more."""
    chosen: list[Letter] = []
    held = 0
    for letter, settled in wanted.found(letters):
        if settled or not can_return(letter):
            continue
        if len(chosen) == limit or held > _HELD_BYTES_MAX:
            return chosen, True
        chosen.append(letter)
        held += len(letter.value)
    return chosen, False


def named(ids: Sequence[str], letters: DeadLetters) -> list[Letter]:
    """Letters by their places, and all letters about events, in the order of `ids`.

    Everything is read once where events are named. Raises CommandFailed for an id that is not there.
    """
    found: dict[str, list[Letter]] = {name: [] for name in ids}
    events = set[str]()
    for name in found:
        if "/" in name:
            found[name] = [letters.at(LetterPlace.parse(name))]
        else:
            events.add(name)
    for topic in dlq_topics() if events else []:
        for partition in letters.partitions(topic):
            for letter in letters.letters(topic, partition):
                if letter.event_id in events:
                    found[letter.event_id].append(letter)
    for name, of_it in found.items():
        if not of_it:
            raise CommandFailed(f"No dead letter is about event {name}. See `duly dlq list`.")
    return list({letter.place: letter for of_it in found.values() for letter in of_it}.values())


def since_of(text: str, now: datetime) -> datetime | None:
    """`2h`, `3d`, `30m` before now, or a date or instant since 1970; None for ''. Raises CommandFailed."""
    if not text:
        return None
    try:
        if match := re.fullmatch(r"([0-9]{1,6})([mhd])", text):
            moment = now - timedelta(**{_WITHIN[match[2]]: int(match[1])})
        else:
            moment = datetime.fromisoformat(text)
            moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        moment = _NO_SINCE
    if moment < _FIRST_SINCE:
        raise CommandFailed(f"--since {text}: say 30m, 2h, 3d, 2031-03-01 or 2031-03-01T12:00:00, not before 1970.")
    return moment
