"""`duly dlq list | show | replay | dismiss`: arguments in, lines out."""

from __future__ import annotations

import heapq
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from duly_runtime.clock import SystemClock
from duly_runtime.kafka_log import KafkaLog

from duly_cli.dlq.causes import cause_of
from duly_cli.dlq.letters import DeadLetters, Letter, Place, dlq_topics, printable
from duly_cli.dlq.payload import shown_value
from duly_cli.dlq.replay import Return, dismissed, replayed, send, target_partition
from duly_cli.errors import CommandFailed
from duly_cli.folders import STATE_VARIABLE, StateFolder, running_stack
from duly_cli.ports import Ports

ASK_ABOVE = 10
# Half of what makes a service stop for a bad deploy (duly_runtime.poison_meter): a replay whose fix does not hold must
# not stop anybody.
AT_ONCE = 50
_HELD_BYTES_MAX = 64 * 1024 * 1024
_WITHIN = {"m": "minutes", "h": "hours", "d": "days"}

app = typer.Typer(help="Dead letters: what could not be used, why, and the way back.", no_args_is_help=True)

KafkaOption = Annotated[
    str, typer.Option("--kafka", envvar="KAFKA_BOOTSTRAP_SERVERS", help="host:port; default: the running stack's.")
]
StateOption = Annotated[
    Path, typer.Option("--state", envvar=STATE_VARIABLE, help="Folder of the running stack.", file_okay=False)
]
TopicOption = Annotated[str, typer.Option("--topic", help="Only of this topic, with or without `-dlq`.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Only with this reason.")]
TenantOption = Annotated[str, typer.Option("--tenant", help="Only of this tenant.")]
SinceOption = Annotated[str, typer.Option("--since", help="2h, 3d, 30m, or a date or instant (UTC).")]
IdsArgument = Annotated[
    list[str] | None, typer.Argument(metavar="[ID]...", help="As `list` prints them, or event ids.", show_default=False)
]
YesOption = Annotated[bool, typer.Option("--yes", help=f"Do not ask, also above {ASK_ABOVE} records.")]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Only say what would be sent.")]
_STATE = Path(".duly")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters. Empty = all."""

    topic: str = ""
    reason: str = ""
    tenant: str = ""
    since: datetime | None = None
    event_id: str = ""

    def topics(self) -> list[str]:
        """Raises CommandFailed for a topic that has no dead letters."""
        if not self.topic:
            return dlq_topics()
        name = self.topic if self.topic.endswith("-dlq") else f"{self.topic}-dlq"
        if name not in dlq_topics():
            raise CommandFailed(f"{self.topic} has no dead letters. There are {', '.join(dlq_topics())}.")
        return [name]

    def fits(self, letter: Letter) -> bool:
        return (
            self.reason in ("", letter.reason)
            and self.tenant in ("", letter.tenant)
            and self.event_id in ("", letter.event_id)
        )

    def found(self, letters: DeadLetters) -> Iterator[tuple[Letter, bool]]:
        """Each letter and whether it is settled, partition by partition."""
        for topic in self.topics():
            for partition in letters.partitions(topic):
                settled = letters.settled(topic, partition)
                for letter in letters.letters(topic, partition, self.since):
                    if self.fits(letter):
                        yield letter, letter.place.offset in settled


@app.command("list")
def list_(
    topic: TopicOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    since: SinceOption = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="The newest so many.")] = 50,
    kafka: KafkaOption = "",
    state: StateOption = _STATE,
) -> None:
    """The newest dead letters, newest last."""
    wanted = Wanted(topic, reason, tenant, _since(since))
    count = 0
    newest: list[tuple[datetime, Place, Letter, bool]] = []
    with closing(DeadLetters(_address(kafka, state))) as letters:
        for letter, settled in wanted.found(letters):
            count += 1
            entry = (letter.when, letter.place, replace(letter, value=b""), settled)
            (heapq.heappush if len(newest) < limit else heapq.heappushpop)(newest, entry)
    _table([_row(letter, settled) for _, _, letter, settled in sorted(newest, key=lambda entry: entry[:2])])
    more = f", the newest {limit} are shown" if count > limit else ""
    typer.echo(f"{count} dead letters{more}." if count else "No dead letters.")


@app.command()
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As `list` prints it, or an event id.")],
    reveal: Annotated[bool, typer.Option("--reveal", help="Also what may be about a person.")] = False,
    kafka: KafkaOption = "",
    state: StateOption = _STATE,
) -> None:
    """All of a dead letter: cause, headers, payload, what to do."""
    with closing(DeadLetters(_address(kafka, state))) as letters:
        for number, letter in enumerate(_named([id_], letters)):
            settled = letter.place.offset in letters.settled(letter.place.topic, letter.place.partition)
            for line in ["", *_story(letter, settled, reveal)] if number else _story(letter, settled, reveal):
                _say(line)


@app.command()
def replay(
    ids: IdsArgument = None,
    topic: TopicOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    since: SinceOption = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=100_000, help="At most so many.")] = AT_ONCE,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    kafka: KafkaOption = "",
    state: StateOption = _STATE,
) -> None:
    """Send records again, byte for byte and under their own ids: after a fix. Again and again is harmless.

    Without ids: all that fit --reason, --topic, --tenant, --since and have not been replayed or dismissed.
    """
    wanted = Wanted(topic, reason, tenant, _since(since))
    if bool(ids) == (wanted != Wanted()):
        raise CommandFailed("Say which: ids, or --reason, --topic, --tenant, --since (not both).")
    _return(lambda letters: _chosen(ids, wanted, letters, limit), replayed, dry_run, yes, _address(kafka, state))


@app.command()
def dismiss(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="As `list` prints them, or event ids.")],
    because: Annotated[str, typer.Option("--because", help="Why nothing is left to apply; kept in the log.")],
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    kafka: KafkaOption = "",
    state: StateOption = _STATE,
) -> None:
    """Settle records that will never be usable: their facts came anew, or never were.

    Final: their ids count as applied.
    """
    if not because.strip():
        raise CommandFailed("Say why with --because: it stands in the log and in the debtor's story.")
    now = SystemClock().now()
    _return(
        lambda letters: _named(ids, letters),
        lambda letter: dismissed(letter, because.strip(), now),
        dry_run,
        yes,
        _address(kafka, state),
    )


def _return(
    choose: Callable[[DeadLetters], Sequence[Letter]],
    make: Callable[[Letter], Return],
    dry_run: bool,
    yes: bool,
    address: str,
) -> None:
    with closing(DeadLetters(address)) as letters:
        returns = [make(letter) for letter in choose(letters)]
    if not returns:
        typer.echo("Nothing to send.")
        return
    log = KafkaLog(address)
    for (topic, reason), count in Counter((one.topic, one.letter.reason or "no reason") for one in returns).items():
        _say(f"{count} to {topic}: {reason}")
    if dry_run:
        for one in returns:
            at = f"{one.topic} partition {target_partition(one, log.partitions(one.topic))}"
            _say(f"would go to {at}: event {one.letter.event_id or '?'} of {one.letter.place}")
        return
    if len(returns) > ASK_ABOVE and not yes:
        risk = f" A service stops when 100 in a row are unusable; up to {AT_ONCE} are safe." * (len(returns) > AT_ONCE)
        typer.confirm(f"Send {len(returns)} records?{risk}", abort=True)
    sent = send(log, returns, _say)
    typer.echo(f"{sent} records sent for {len(returns)} dead letters.")


def _chosen(ids: list[str] | None, wanted: Wanted, letters: DeadLetters, limit: int) -> list[Letter]:
    """Oldest first within a partition; at most `limit` of them and 64 MiB are held."""
    if ids:
        return _named(ids, letters)
    chosen: list[Letter] = []
    held = 0
    for letter, settled in wanted.found(letters):
        if settled:
            continue
        if len(chosen) == limit or held > _HELD_BYTES_MAX:
            typer.echo("There are more. See that these are used, then run it again.")
            break
        chosen.append(letter)
        held += len(letter.value)
    return chosen


def _named(ids: Sequence[str], letters: DeadLetters) -> list[Letter]:
    """Raises CommandFailed for an id that is not there."""
    found: list[Letter] = []
    for name in ids:
        if "/" in name:
            found.append(letters.at(Place.parse(name)))
            continue
        of_event = [letter for letter, _ in Wanted(event_id=name).found(letters)]
        if not of_event:
            raise CommandFailed(f"No dead letter is about event {name}. See `duly dlq list`.")
        found += of_event
    return list({letter.place: letter for letter in found}.values())


def _row(letter: Letter, settled: bool) -> tuple[str, ...]:
    origin = "/".join(map(str, letter.origin)) if letter.origin else "?"
    return (
        f"{letter.when:%Y-%m-%d %H:%M:%S}",
        str(letter.place),
        origin,
        letter.reason or "?",
        letter.service or "?",
        letter.notes.get("dlq_version", "?"),
        f"{letter.tenant}|{letter.debtor}" if letter.tenant else "?",
        letter.event_id or "?",
        "yes" if settled else "no",
    )


def _table(rows: Sequence[tuple[str, ...]]) -> None:
    """Plain columns, as wide as they need be: lines can be cut and searched."""
    heads = ("when (UTC)", "id", "was at", "reason", "by", "version", "debtor", "event", "settled")
    if not rows:
        return
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    for row in (heads, *rows):
        _say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _story(letter: Letter, settled: bool, reveal: bool) -> list[str]:
    cause = cause_of(letter.reason)
    origin = f"partition {letter.origin[0]} offset {letter.origin[1]}" if letter.origin else "place unknown"
    by = f"{letter.service or '?'} {letter.notes.get('dlq_version', '')}".rstrip()
    done = "It was replayed or dismissed." if settled else "Nothing was done about it yet."
    return [
        f"Dead letter {letter.place}, {letter.when:%Y-%m-%d %H:%M:%S} UTC",
        f"From {letter.topic}, {origin}; put aside by {by}",
        f"Of {letter.tenant or '?'}, debtor {letter.debtor or '-'}. {done}",
        "",
        f"Cause: {cause.means}",
        f"  {letter.reason or '?'}: {letter.notes.get('dlq_detail', '-')}",
        f"To do: {cause.help.format(place=letter.place)}",
        "",
        "Headers:",
        *(f"  {name}: {value.decode(errors='backslashreplace')}" for name, value in letter.headers),
        *(f"  {name}: {value}" for name, value in sorted(letter.notes.items())),
        "",
        f"Key: {letter.key.decode(errors='backslashreplace')}",
        f"Value ({letter.event_type or 'no type'}):",
        *shown_value(letter.event_type, letter.value, reveal),
    ]


def _say(line: str) -> None:
    typer.echo(printable(line))


def _address(kafka: str, state: Path) -> str:
    if kafka:
        return kafka
    stack = running_stack(StateFolder(state))
    if stack is None:
        raise CommandFailed("Nothing runs here: `duly up` first, or name the brokers with --kafka host:port.")
    return f"127.0.0.1:{Ports(stack.base_port).of('kafka', 'clients')}"


def _since(text: str) -> datetime | None:
    """Raises CommandFailed."""
    if not text:
        return None
    if match := re.fullmatch(r"(\d{1,6})([mhd])", text):
        return SystemClock().now() - timedelta(**{_WITHIN[match[2]]: int(match[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise CommandFailed(f"--since {text}: say 30m, 2h, 3d, 2031-03-01 or 2031-03-01T12:00:00.") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
