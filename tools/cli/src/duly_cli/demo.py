"""`duly demo`: start, import, play, prove, tell; then stay until somebody stops it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from duly_ledger_export import DatedFact, read_ledger
from duly_simulator.edge import EdgeRefused, EdgeUnavailable
from duly_simulator.play import Player, Progress
from duly_simulator.settle import NotSettled

from duly_cli.chaos import Chaos, plan_kills
from duly_cli.checks.collect import collect
from duly_cli.checks.digest import digest_of, unknown_since
from duly_cli.checks.evidence import Evidence
from duly_cli.checks.run_checks import run_checks
from duly_cli.counts import counts_of
from duly_cli.errors import CommandFailed
from duly_cli.fingerprint import RUNNING, code_fingerprint
from duly_cli.ledgers import LedgerChoice
from duly_cli.playing import Phase, Prepared, make_player
from duly_cli.stack.local import LocalStack
from duly_cli.stack.startup import Startup
from duly_cli.summary import Summary, machine_of_this_run
from duly_cli.terminal import Terminal, ending

BUSY_FAULTS = (NotSettled, EdgeRefused, EdgeUnavailable)


@dataclass
class DemoRun:
    """One run on one started stack. summary, evidence: after `prove`."""

    stack: LocalStack
    terminal: Terminal
    choice: LedgerChoice
    chaos_seed: int | None = None
    timings: dict[str, float] = field(default_factory=dict)
    startup: Startup = field(init=False)
    player: Player = field(init=False)
    chaos: Chaos | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self.startup = Startup(self.stack, self.choice)

    @property
    def prepared(self) -> Prepared:
        assert self.startup.prepared is not None  # `start` comes first
        return self.startup.prepared

    @property
    def fingerprint(self) -> str:
        """Of all that decides what a run does: ledger, window, seed, model, code."""
        source, model = self.prepared.source, self.startup.model
        parts = (
            self.prepared.ledger.fingerprint,
            source.play_from.isoformat(),
            source.play_until.isoformat(),
            str(self.choice.seed),
            model.registered.artifact_sha256 if model and model.registered else "",
            model.version if model else "",
            code_fingerprint(RUNNING),
        )
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def start(self) -> None:
        """Everything up and ready."""
        began = self.stack.clock.monotonic()
        steps = self.startup.run(self.terminal)
        self.timings |= {f"start {name}": seconds for name, seconds in steps.items()}
        self._took("start", began)

    def play(self) -> None:
        """History in, then day by day; with kills if a seed was given. Raises CommandFailed."""
        source = self.prepared.source
        on_phase: Callable[[date, Phase], None] | None = None
        if self.chaos_seed is not None:
            plan = plan_kills(self.chaos_seed, source.play_from, self.prepared.days)
            self.chaos = Chaos(self.stack, plan)
            on_phase = self.chaos.on_phase
        self.player = make_player(self.stack, self.prepared, on_phase)
        try:
            self._bar("import", "Import the history", self.player.import_history)
            self._bar("play", "Play day by day", self.player.play_days)
            if self.chaos is not None:
                self._finish_chaos(self.chaos)
        except BUSY_FAULTS as error:
            raise CommandFailed(f"{error}{self._down()} Logs: {self.stack.run.logs}.") from error
        self.player.write_sent(self.stack.run.played)
        if self.player.report.rejected:
            first = self.player.report.rejections[0]
            raise CommandFailed(
                f"ledger-sync rejected {self.player.report.rejected} facts, first {first.event} {first.event_id}: "
                f"{first.reason}"
            )

    def prove(self) -> tuple[Evidence, Summary]:
        """Gather what was left behind and check it."""
        began = self.stack.clock.monotonic()
        source = self.prepared.source
        evidence = collect(self.stack, self._facts(), source.settings.time_zone, source.play_until)
        checks = tuple(run_checks(evidence))
        self._took("check", began)
        summary = Summary(
            run=self.stack.run.name,
            fingerprint=self.fingerprint,
            ledger=self._ledger_words(),
            counts=counts_of(evidence),
            checks=checks,
            timings=self._timings(),
            digest=digest_of(evidence),
            unknown=unknown_since(evidence),
            kills=tuple(kill.to_json() for kill in self.chaos.done) if self.chaos else (),
            machine=machine_of_this_run(),
        )
        return evidence, summary

    def _timings(self) -> dict[str, float]:
        """Seconds: steps and phases, and what the barriers took (the services' work included)."""
        waits = sorted(self.player.report.settle_seconds)
        barriers = {"barriers": sum(waits), "barrier median": waits[len(waits) // 2], "barrier longest": waits[-1]}
        return {name: round(seconds, 3) for name, seconds in {**self.timings, **barriers}.items()}

    def _facts(self) -> Sequence[DatedFact]:
        """The input as it was played: the given ledger itself, or what the simulated company wrote down."""
        source = self.prepared.source
        if self.choice.path is not None:
            return [fact for fact in self.prepared.ledger.facts() if fact.known_on <= source.play_until]
        return list(read_ledger(self.stack.run.played, tenant=self.stack.tenant).facts())

    def _ledger_words(self) -> Mapping[str, object]:
        source = self.prepared.source
        return {
            "description": self.prepared.description,
            "history_fingerprint": self.prepared.ledger.fingerprint,
            "play_from": source.play_from.isoformat(),
            "play_until": source.play_until.isoformat(),
            "model": self.startup.model.description if self.startup.model else "",
            "notes": list(self.prepared.ledger.notes),
        }

    def _bar(self, name: str, title: str, work: Callable[[Callable[[Progress], None]], object]) -> None:
        began = self.stack.clock.monotonic()
        with self.terminal.steps():
            line = self.terminal.line(title)
            with ending(line):
                work(lambda step: line.progress(step.done, step.total, step.day.isoformat()))
            line.done("")
        self._took(name, began)

    def _finish_chaos(self, chaos: Chaos) -> None:
        missed = chaos.finish()
        for kill in sorted(chaos.done, key=lambda done: done.planned):
            self.terminal.say(f"  kill -9 {kill}")
        if missed:
            raise CommandFailed(f"{len(missed)} planned kills did not happen, first of {missed[0].service}.")

    def _down(self) -> str:
        failed = self.stack.failed()
        return f" Down for good: {', '.join(failed)}." if failed else ""

    def _took(self, name: str, began: float) -> None:
        self.timings[name] = self.stack.clock.monotonic() - began


def reference_file(folder: Path, fingerprint: str) -> Path:
    """Where the undisturbed summary of a fingerprint is kept."""
    return folder / f"{fingerprint[:24]}.json"
