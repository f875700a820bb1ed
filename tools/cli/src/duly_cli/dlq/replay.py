"""The way back: the same record into the same topic, or word that nothing is left to do about it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from duly_contracts.envelope import Envelope, EnvelopeInvalid, parse_instant
from duly_contracts.events import encode, event_of
from duly_contracts.keys import debtor_key, partition_of
from duly_runtime.log import EventLog, Headers, SendFailed

from duly.ledger.v1 import events_pb2 as ledger
from duly_cli.dlq.letters import SETTLED, Letter
from duly_cli.errors import CommandFailed

_SEND_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Return:
    """A record to send because of a letter. partition None: by the key."""

    letter: Letter
    topic: str
    key: bytes
    value: bytes
    headers: Headers
    partition: int | None
    word: str


class CannotReturn(CommandFailed):
    """The letter says too little to send anything because of it."""

    code = "cannot_return"


def replayed(letter: Letter) -> Return:
    """The record as it was: key, value, headers and so its id; one without an id gets the one it is waited for by.

    To the partition of its key; a tick, whose key names no debtor, to the partition it was for. Raises CannotReturn.
    """
    if letter.is_cut:
        at = "/".join(map(str, (letter.topic, *(letter.origin or ()))))
        raise CannotReturn(
            f"{letter.place} holds only a part of its record, which was too large ({letter.notes['dlq_cut']}) and lies "
            f"at {at} as long as that topic keeps it. Let the source send the fact anew, then dismiss the letter."
        )
    headers = letter.headers
    if letter.event_id and not letter.header("ce_id"):
        headers = (*headers, ("ce_id", letter.event_id.encode()))
    if _names_somebody(letter):
        return Return(letter, letter.topic, letter.key, letter.value, headers, None, "replayed")
    if letter.origin is None:
        raise CannotReturn(f"{letter.place} does not say which partition it came from, and its key does not tell.")
    return Return(letter, letter.topic, letter.key, letter.value, headers, letter.origin[0], "replayed")


def dismissed(letter: Letter, because: str, now: datetime) -> Return:
    """Word under the event's own id that nothing is left to apply of it: who waits for that id waits no longer.

    Raises CannotReturn for a letter that names no event or no debtor (nobody waits for it), or names that no event has.
    """
    if not (letter.event_id and letter.tenant and letter.debtor):
        raise CannotReturn(f"{letter.place} names no event of a debtor, so nobody waits for it: leave it where it is.")
    try:
        original = Envelope.from_headers(letter.headers)
        day, correlation = original.business_date, original.correlation_id
    except EnvelopeInvalid:
        day, correlation = None, ""
    try:
        key, headers = debtor_key(letter.tenant, letter.debtor), _word(letter, now, day, correlation).to_headers()
        Envelope.from_headers(headers)
        value = encode(ledger.LedgerEventDismissed(debtor_id=letter.debtor, reason=because))
    except ValueError as error:
        raise CannotReturn(f"{letter.place} cannot be dismissed: {error}. Leave it where it is.") from error
    return Return(letter, letter.topic, key, value, headers, None, "dismissed")


def _word(letter: Letter, now: datetime, day: date | None, correlation: str) -> Envelope:
    return Envelope(
        id=letter.event_id,
        type=event_of(ledger.LedgerEventDismissed()).type,
        source=f"/tenants/{letter.tenant}/operators/duly",
        subject=letter.debtor,
        time=_time_of(letter) or now,
        tenant=letter.tenant,
        business_date=day,
        correlation_id=correlation,
    )


def send(log: EventLog, returns: Sequence[Return], tell: Callable[[str], None]) -> int:
    """Send each and note it beside its letter; records that several services put aside go once. How many records went.

    A note is written after its record: stopped in between, the record goes again next time, which is harmless.
    Raises CommandFailed if the broker does not take one; what was sent before is noted.
    """
    producer = log.producer("duly-dlq")
    sent: dict[object, str] = {}
    try:
        for one in returns:
            letter = one.letter
            source = (one.topic, letter.origin or letter.place, letter.debtor if one.word == "dismissed" else "")
            if source not in sent:
                place = producer.send(one.topic, one.key, one.value, one.headers, one.partition).result(_SEND_SECONDS)
                sent[source] = f"{one.topic} partition {place[0]} offset {place[1]}"
            note = [(SETTLED, f"{letter.place.offset} {one.word}".encode())]
            producer.send(letter.place.topic, letter.key, b"", note, letter.place.partition).result(_SEND_SECONDS)
            tell(f"{one.word} {letter.place}: event {letter.event_id or '?'} is now {sent[source]}")
    except SendFailed as error:
        raise CommandFailed(f"The broker did not take {letter.place}: {error}. Run the same command again.") from error
    finally:
        producer.close()
    return len(sent)


def target_partition(one: Return, partitions: int) -> int:
    """Where it will lie."""
    return partition_of(one.key, partitions) if one.partition is None else one.partition


def _names_somebody(letter: Letter) -> bool:
    """A key without a debtor is a tick's. One that is no text has a partition like any other."""
    tail = letter.key.partition(b"|")[2]
    return bool(tail)


def _time_of(letter: Letter) -> datetime | None:
    try:
        return parse_instant(letter.header("ce_time"))
    except ValueError:
        return None
