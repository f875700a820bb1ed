"""Commands that use a stack which runs already: import a history."""

from __future__ import annotations

from datetime import timedelta

from duly_ledger_export import LedgerEmpty
from duly_simulator.edge import EdgeRefused, EdgeUnavailable
from duly_simulator.settle import NotSettled
from duly_simulator.sources import PlayWindowInvalid, RecordedSource

from duly_cli.errors import CommandFailed
from duly_cli.folders import StateFolder, running_stack
from duly_cli.ledgers import LedgerChoice, address_words, read_given
from duly_cli.playing import Prepared, make_player, prepare_ledger
from duly_cli.ports import Ports
from duly_cli.stack.local import DEMO_TENANT, LocalStack
from duly_cli.terminal import Terminal


def import_history(stack: LocalStack, prepared: Prepared, terminal: Terminal) -> None:
    """All of the history, as backfill. Raises CommandFailed."""
    player = make_player(stack, prepared)
    with terminal.steps():
        line = terminal.line(f"Import {prepared.description}")
        try:
            report = player.import_history(lambda step: line.progress(step.done, step.total, "facts"))
        except (NotSettled, EdgeRefused, EdgeUnavailable) as error:
            line.failed()
            raise CommandFailed(f"The import stopped: {error}. Logs: {stack.run.logs}.") from error
        line.done(f"{report.history_facts:,} facts, {report.rejected:,} rejected")
    for rejection in report.rejections[:10]:
        terminal.plain(f"  rejected {rejection.event} {rejection.event_id}: {rejection.reason}")


def attached(state: StateFolder) -> LocalStack:
    """Addresses and credentials of the stack that runs; it is never stopped through this. Raises CommandFailed."""
    running = running_stack(state)
    if running is None:
        raise CommandFailed("Nothing runs to do this with: `duly up` first.")
    return LocalStack(state, running.run, Ports(running.base_port), tenant=DEMO_TENANT)


def prepared_history(stack: LocalStack, choice: LedgerChoice) -> Prepared:
    """What was known before `choice.known_until` (default: all); without a path the simulated company's history."""
    if choice.path is None:
        if choice.known_until is not None:
            raise CommandFailed("--until is for a ledger of your own; the simulated history is imported as a whole.")
        return prepare_ledger(choice, stack.tenant)
    ledger = read_given(choice.path, stack.tenant)
    try:
        end = choice.known_until or ledger.until + timedelta(days=1)
        source = RecordedSource(ledger, end, end)
    except (LedgerEmpty, PlayWindowInvalid) as error:
        raise CommandFailed(f"The ledger cannot be imported: {error}.") from error
    invoices = sum(invoice.issue_date < end for invoice in ledger.records.invoices)
    return Prepared(source, ledger, f"{invoices:,} invoices known before {end}{address_words(ledger)}")
