"""The player of `duly_simulator`, wired to a running stack and its ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from enum import StrEnum
from zoneinfo import ZoneInfo

from duly_ledger_export import DatedFact, Ledger, LedgerEmpty
from duly_localstack.errors import last_lines
from duly_simulator.edge import open_edge
from duly_simulator.erp import Erp, HttpErp, Rejection
from duly_simulator.inbox import HttpReplySender, MaildirInbox
from duly_simulator.observe import HttpStatusReader, KafkaEndReader
from duly_simulator.parameters import SimulationSettings
from duly_simulator.play import Player
from duly_simulator.settle import Barrier, ServiceStatus, StatusReader
from duly_simulator.sources import LedgerSource, PlayWindowInvalid, RecordedSource, SimulatedSource

from duly_cli.errors import CommandFailed
from duly_cli.ledgers import PLAY_DAYS_DEFAULT, LedgerChoice, address_words, read_given, window_of
from duly_cli.stack.local import LocalStack
from duly_cli.stack.services import SERVICE_NAMES


class Phase(StrEnum):
    """A moment inside a played day."""

    OPENING = "opening"
    FACTS = "facts"
    CONTACTS = "contacts"


OnPhase = Callable[[date, Phase], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """A ledger ready to be played. ledger: holds all that training may see (and, where it was given, the rest too)."""

    source: LedgerSource
    ledger: Ledger
    description: str

    @property
    def days(self) -> int:
        return (self.source.play_until - self.source.play_from).days + 1


def prepare_ledger(choice: LedgerChoice, tenant: str) -> Prepared:
    """Read the given ledger, or let the simulator play its history. Raises CommandFailed."""
    if choice.path is not None:
        return _recorded(choice, tenant)
    return _simulated(choice, tenant)


def _recorded(choice: LedgerChoice, tenant: str) -> Prepared:
    assert choice.path is not None  # the caller has looked
    ledger = read_given(choice.path, tenant)
    window = window_of(ledger, choice)
    try:
        source = RecordedSource(ledger, window.play_from, window.play_until)
    except (PlayWindowInvalid, LedgerEmpty) as error:
        raise CommandFailed(f"The ledger cannot be played: {error}.") from error
    invoices, debtors = len(ledger.records.invoices), len(ledger.debtors())
    what = f"{invoices:,} invoices of {debtors:,} debtors from {choice.path.name}{address_words(ledger)}"
    return Prepared(source, ledger, what)


def _simulated(choice: LedgerChoice, tenant: str) -> Prepared:
    if choice.play_from is not None:
        raise CommandFailed("--play-from is for a ledger of your own; the simulated one always begins on the same day.")
    settings = SimulationSettings(seed=choice.seed, tenant=tenant, play_days=choice.days or PLAY_DAYS_DEFAULT)
    source = SimulatedSource(settings)
    history = Ledger(source.settings, source.sent())
    what = f"{len(history.records.invoices):,} invoices of {settings.debtors:,} simulated debtors, seed {settings.seed}"
    return Prepared(source, history, what)


@dataclass(frozen=True, slots=True)
class _ToldErp:
    """Tells of the phases of a day on the way to the real edge."""

    erp: Erp
    zone: ZoneInfo
    on_phase: OnPhase

    def send(self, facts: Sequence[DatedFact], *, backfill: bool) -> list[Rejection]:
        if not backfill and facts:
            self.on_phase(facts[0].known_on, Phase.FACTS)
        return self.erp.send(facts, backfill=backfill)

    def tick(self, business_date: date, instant: datetime, *, backfill: bool) -> None:
        if not backfill:
            opening = instant.astimezone(self.zone).time() == time(0)
            self.on_phase(business_date, Phase.OPENING if opening else Phase.CONTACTS)
        self.erp.tick(business_date, instant, backfill=backfill)


@dataclass(frozen=True, slots=True)
class _WatchedStatuses:
    """Gives up at once when a service is down for good: waiting for it to settle would only take long."""

    reader: StatusReader
    stack: LocalStack

    def read(self) -> Mapping[str, ServiceStatus | None]:
        failed = self.stack.failed()
        if failed:
            log_file = self.stack.run.log_of(failed[0])
            raise CommandFailed(
                f"{failed[0]} ended again and again and is not restarted any more. Log: {log_file}. "
                f"Its last lines:\n{last_lines(log_file)}"
            )
        return self.reader.read()


def make_player(stack: LocalStack, prepared: Prepared, on_phase: OnPhase | None = None) -> Player:
    """A player that speaks the stack's public edges with its own token."""
    settings = prepared.source.settings

    def token() -> str:
        return stack.credentials.token("player")

    erp: Erp = HttpErp(open_edge(stack.url("ledger-sync", "http"), token, stack.clock), stack.tenant, settings.source)
    if on_phase is not None:
        erp = _ToldErp(erp, ZoneInfo(settings.time_zone), on_phase)
    statuses = HttpStatusReader({name: stack.url(name, "admin") for name in SERVICE_NAMES})
    watched = _WatchedStatuses(statuses, stack)
    barrier = Barrier(watched, KafkaEndReader(stack.kafka.bootstrap_servers), stack.clock)
    replies = HttpReplySender(open_edge(stack.url("gateway", "rest"), token, stack.clock), stack.tenant)
    return Player(prepared.source, erp, barrier, MaildirInbox(stack.run.maildir), replies)
