"""`duly dlq list | show | replay | dismiss`: arguments in, lines out."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import Annotated

import typer
from duly_runtime.clock import SystemClock
from duly_runtime.kafka_log import KafkaLog
from duly_runtime.poison_meter import IN_A_ROW_MAX

from duly_cli.dlq.choosing import Wanted, named, since_of, unsettled
from duly_cli.dlq.letters import DeadLetters, Letter, LetterPlace, printable
from duly_cli.dlq.replay import CannotReturn, Return, dismissed, replayed, send, target_partition
from duly_cli.dlq.shown import story, table
from duly_cli.errors import CommandFailed
from duly_cli.folders import StateFolder
from duly_cli.options import STATE, StateOption
from duly_cli.servers import kafka_of

ASK_ABOVE = 10
# Half of what makes a service stop for a bad deploy: a replay whose fix does not hold must not stop anybody.
AT_ONCE = IN_A_ROW_MAX // 2

app = typer.Typer(help="Dead letters: what could not be used, why, and the way back.", no_args_is_help=True)

KafkaOption = Annotated[
    str, typer.Option("--kafka", envvar="KAFKA_BOOTSTRAP_SERVERS", help="host:port; default: the running stack's.")
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


@app.command("list")
def list_(
    topic: TopicOption = "",
    reason: ReasonOption = "",
    tenant: TenantOption = "",
    since: SinceOption = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=10_000, help="The newest so many.")] = 50,
    kafka: KafkaOption = "",
    state: StateOption = STATE,
) -> None:
    """The newest dead letters, newest last."""
    wanted = Wanted(topic, reason, tenant, since_of(since, SystemClock().now()))
    count = 0
    newest: list[tuple[datetime, LetterPlace, Letter, bool]] = []
    with closing(DeadLetters(kafka_of(StateFolder(state), kafka))) as letters:
        for letter, settled in wanted.found(letters):
            count += 1
            entry = (letter.when, letter.place, replace(letter, value=b""), settled)
            (heapq.heappush if len(newest) < limit else heapq.heappushpop)(newest, entry)
    for line in table([entry[2:] for entry in sorted(newest, key=lambda entry: entry[:2])]):
        _say(line)
    more = f", the newest {limit} are shown" if count > limit else ""
    typer.echo(f"{count} dead letters{more}." if count else "No dead letters.")


@app.command()
def show(
    id_: Annotated[str, typer.Argument(metavar="ID", help="As `list` prints it, or an event id.")],
    reveal: Annotated[bool, typer.Option("--reveal", help="Also what may be about a person.")] = False,
    kafka: KafkaOption = "",
    state: StateOption = STATE,
) -> None:
    """All of a dead letter: cause, headers, payload, what to do."""
    with closing(DeadLetters(kafka_of(StateFolder(state), kafka))) as letters:
        for number, letter in enumerate(named([id_], letters)):
            settled = letter.place.offset in letters.settled(letter.place.topic, letter.place.partition)
            for line in [""] * (number > 0) + story(letter, settled, reveal):
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
    state: StateOption = STATE,
) -> None:
    """Send records again, byte for byte and under their own ids: after a fix. Again and again is harmless.

    Without ids: all that fit --reason, --topic, --tenant, --since and have not been replayed or dismissed; of which too
    little is kept is skipped.
    """
    wanted = Wanted(topic, reason, tenant, since_of(since, SystemClock().now()))
    if bool(ids) == (wanted != Wanted()):
        raise CommandFailed("Say which: ids, or --reason, --topic, --tenant, --since (not both).")
    _return(
        lambda letters: named(ids, letters) if ids else _unsettled(wanted, letters, limit),
        replayed,
        dry_run,
        yes,
        kafka_of(StateFolder(state), kafka),
    )


@app.command()
def dismiss(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="As `list` prints them, or event ids.")],
    because: Annotated[str, typer.Option("--because", help="Why nothing is left to apply; kept in the log.")],
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    kafka: KafkaOption = "",
    state: StateOption = STATE,
) -> None:
    """Settle records that will never be usable: their facts came anew, or never were.

    Final: their ids count as applied.
    """
    if not because.strip():
        raise CommandFailed("Say why with --because: it stands in the log and in the debtor's story.")
    now = SystemClock().now()
    _return(
        lambda letters: named(ids, letters),
        lambda letter: dismissed(letter, because.strip(), now),
        dry_run,
        yes,
        kafka_of(StateFolder(state), kafka),
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
        risk = f" A service stops when {IN_A_ROW_MAX} in a row are unusable; up to {AT_ONCE} are safe."
        typer.confirm(f"Send {len(returns)} records?{risk * (len(returns) > AT_ONCE)}", abort=True)
    sent = send(log, returns, _say)
    typer.echo(f"{sent} records sent for {len(returns)} dead letters.")


def _unsettled(wanted: Wanted, letters: DeadLetters, limit: int) -> list[Letter]:
    """Without those that nothing can be sent for: each is told, and none may hold the others up."""

    def can_return(letter: Letter) -> bool:
        try:
            replayed(letter)
        except CannotReturn as error:
            _say(f"skipped: {error}")
            return False
        return True

    chosen, are_more = unsettled(wanted, letters, limit, can_return)
    if are_more:
        typer.echo("There are more. See that these are used, then run it again.")
    return chosen


def _say(line: str) -> None:
    typer.echo(printable(line))
