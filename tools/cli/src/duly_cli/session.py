"""Whole commands: a demo from lock to last line, a stack that stays up, chaos against its undisturbed reference."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from duly_runtime.clock import Clock, SystemClock

from duly_cli.checks.comparison import compare
from duly_cli.checks.evidence import Evidence
from duly_cli.counts import WITHOUT_ADDRESS
from duly_cli.demo import DemoRun, reference_file
from duly_cli.errors import CommandFailed
from duly_cli.folders import RUNS_KEPT, RunFolder, StateFolder, announce, only_stack
from duly_cli.ledgers import LedgerChoice
from duly_cli.options import STATE
from duly_cli.ports import Ports
from duly_cli.signals import wait_for_signal
from duly_cli.stack.local import LocalStack
from duly_cli.stack.startup import Startup, speed_up_next_start
from duly_cli.story import cause_words, choose_debtor, read_timeline, story_begins, tell
from duly_cli.summary import Reference, Summary, checks_table, counts_table, read_reference, write_summary
from duly_cli.terminal import Terminal


@dataclass(frozen=True, slots=True)
class Session:
    """Where and how a command runs."""

    state: StateFolder
    ports: Ports
    terminal: Terminal
    clock: Clock = dataclasses.field(default_factory=SystemClock)

    @contextmanager
    def stack(self) -> Iterator[LocalStack]:
        """A stack in a fresh run folder; at the end nothing of it runs."""
        run = self.state.new_run(self.clock.now())
        try:
            with LocalStack(self.state, run, self.ports, clock=self.clock) as stack:
                announce(self.state, run, self.ports.base)
                try:
                    yield stack
                finally:
                    self.terminal.say("Stopping what was started.")
        finally:
            self._tell_kept(run)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """With the state folder made and locked."""
        self.state.make()
        with only_stack(self.state):
            yield

    def up(self) -> None:
        """Start everything and stay until a signal."""
        with self.alone(), self.stack() as stack:
            Startup(stack).run(self.terminal)
            self._addresses(stack)
            self._stay(stack)

    def demo(self, choice: LedgerChoice, *, once: bool) -> bool:
        """Start, play, prove, tell. Returns whether everything holds."""
        with self.alone(), self.stack() as stack:
            run = DemoRun(stack, self.terminal, choice)
            summary, evidence = self._played(run)
            self._keep_reference(summary)
            write_summary(summary, stack.run.summary, self.state.summary)
            self._report(run, summary, evidence)
            if not once:
                speed_up_next_start(stack)
                self._stay(stack)
            return summary.passed

    def chaos(self, choice: LedgerChoice, seed: int, reference: Path | None) -> bool:
        """An undisturbed run (or its kept summary), then one with kills; both must hold and be equal."""
        with self.alone():
            known = read_reference(reference) if reference is not None else None
            with self.stack() as stack:
                run = DemoRun(stack, self.terminal, choice)
                run.start()
                known = known or self._kept_reference(run)
                if known is not None:
                    return self._disturbed(run, seed, known)
                self.terminal.say("First the undisturbed run, to compare with.")
                known = self._undisturbed(run)
            with self.stack() as stack:
                run = DemoRun(stack, self.terminal, choice)
                run.start()
                return self._disturbed(run, seed, known)

    def _undisturbed(self, run: DemoRun) -> Reference:
        run.play()
        _, summary = run.prove()
        write_summary(summary, run.stack.run.summary)
        self._keep_reference(summary)
        if not summary.passed:
            self.terminal.say(checks_table(summary.checks))
            raise CommandFailed("The undisturbed run does not hold, so there is nothing to compare with.")
        return read_reference(run.stack.run.summary)

    def _disturbed(self, run: DemoRun, seed: int, reference: Reference) -> bool:
        if reference.fingerprint != run.fingerprint:
            raise CommandFailed(
                f"The reference of run {reference.run} belongs to another ledger, window, model or code than this one."
            )
        self.terminal.say(f"Now with kills, seed {seed}; compared with run {reference.run}.")
        run.chaos_seed = seed
        run.play()
        _, summary = run.prove()
        comparison = compare(reference.digest, summary.digest, reference.unknown, summary.unknown)
        summary = dataclasses.replace(summary, comparison=comparison)
        write_summary(summary, run.stack.run.summary, self.state.summary)
        self.terminal.say(counts_table(summary.counts))
        self.terminal.say(checks_table(summary.checks))
        compared = ", ".join(f"{count} {name}" for name, count in comparison.compared.items())
        self.terminal.say(f"Compared with the undisturbed run: {compared}.")
        for debtor, day in comparison.unknown.items():
            self.terminal.say(f"  {debtor} had an attempt that ended unknown on {day}: compared up to it")
        for difference in comparison.differences:
            self.terminal.say(f"  differs: {difference}")
        self.terminal.say("Equal." if comparison.equal else f"{comparison.count} differences.")
        return summary.passed

    def _played(self, run: DemoRun) -> tuple[Summary, Evidence]:
        run.start()
        run.play()
        evidence, summary = run.prove()
        return summary, evidence

    def _report(self, run: DemoRun, summary: Summary, evidence: Evidence) -> None:
        stack, say = run.stack, self.terminal.say
        debtor = choose_debtor(evidence)
        if debtor:
            say(f"\nThe story of {debtor}, as the gateway's API tells it:")
            since = story_begins(evidence, debtor, run.prepared.source.play_from).isoformat()
            for text in tell(read_timeline(stack, debtor), since, cause_words(evidence)):
                self.terminal.plain(text)
        say()
        say(counts_table(summary.counts))
        say(checks_table(summary.checks))
        if summary.counts[WITHOUT_ADDRESS]:
            say(
                f"{summary.counts[WITHOUT_ADDRESS]:,} debtors were due a reminder that nobody could send: they have no "
                "e-mail address that may be used (rule DULY-ADDR). Each is a work item for a person; an address comes "
                "with its party (email in parties.csv)."
            )
        say(f"E-mails: {stack.run.maildir}")
        say(f"Summary: {self.state.summary}")
        self._addresses(stack)

    def _addresses(self, stack: LocalStack) -> None:
        say = self.terminal.say
        for name, address in stack.ports.addresses().items():
            say(f"{name + ':':8} {address}")
        say(f"Logs:    {stack.run.logs}")
        say(f"A token: duly token --scope debtors:read --scope contacts:read{self._where()}")

    def _tell_kept(self, run: RunFolder) -> None:
        megabytes = run.size_bytes() // 1_000_000
        if not megabytes:  # it never came to start a server
            return
        self.terminal.say(
            f"What it left stays in {run.root}: {megabytes:,} MB. The newest {RUNS_KEPT} runs are kept; delete any of "
            f"them when you like, or everything, models and jars too, with `duly purge{self._where()}`."
        )

    def _where(self) -> str:
        return "" if self.state.root == STATE else f" --state {self.state.root}"

    def _stay(self, stack: LocalStack) -> None:
        self.terminal.say("Running. Ctrl-C stops everything.")
        wait_for_signal()

    def _keep_reference(self, summary: Summary) -> None:
        if summary.passed:
            write_summary(summary, reference_file(self.state.references, summary.fingerprint))

    def _kept_reference(self, run: DemoRun) -> Reference | None:
        file = reference_file(self.state.references, run.fingerprint)
        return read_reference(file) if file.exists() else None
