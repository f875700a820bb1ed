"""A stack with exactly the servers and services that one bench needs, in a temporary state folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import psutil
from duly_cli.folders import StateFolder
from duly_cli.ports import Ports
from duly_cli.stack.local import LocalStack
from duly_cli.stack.services import SERVICES, child_spec, migrate
from duly_cli.stack.startup import Startup
from duly_cli.steps import Step, run_steps
from duly_cli.terminal import Terminal
from duly_runtime.clock import Clock
from duly_simulator.edge import open_edge, wait
from duly_simulator.erp import HttpErp
from duly_simulator.observe import HttpStatusReader, KafkaEndReader
from duly_simulator.settle import Barrier

T = TypeVar("T")
TENANT = "bench"
TOKEN_LIFE = timedelta(hours=2)
STARTS_AT_ONCE = 2
# What a run may keep from an earlier one: fetching jars and compiling bytecode is no part of any figure.
_KEPT = ("jars", "pycache")


class BenchFailed(RuntimeError):
    """A bench could not measure what it says: something did not come, or came in the wrong number."""

    code = "bench_failed"


@dataclass(frozen=True, slots=True)
class Bench:
    """What every bench is given. quick: smaller numbers, the same code. kept: state folder with the jars."""

    folder: Path
    kept: Path
    base_port: int
    quick: bool
    clock: Clock
    terminal: Terminal

    def size(self, full: T, quick: T) -> T:
        """What fits the run: a number, or a date that makes a history short."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Stage:
    """One running stack and the ways to speak to it."""

    bench: Bench
    stack: LocalStack

    @property
    def clock(self) -> Clock:
        return self.bench.clock

    @property
    def kafka(self) -> str:
        return self.stack.kafka.bootstrap_servers

    def start(self, *names: str, env: Mapping[str, str] | None = None) -> None:
        """Start services, with their databases migrated. env: settings on top of the local stack's."""
        services = [service for service in SERVICES if service.name in names]
        for service in services:
            if service.has_database:
                password = self.stack.credentials.password(service.name)
                self.stack.postgres.create_role_and_database(service.role, password)

        def bring_up(index: int) -> None:
            service = services[index]
            if service.has_database:
                migrate(self.stack, service)
            spec = child_spec(self.stack, service)
            self.stack.start(replace(spec, env={**spec.env, **(env or {})}))

        with ThreadPoolExecutor(STARTS_AT_ONCE, thread_name_prefix="start") as pool:
            list(pool.map(bring_up, range(len(services))))

    def token(self, *scopes: str) -> str:
        return self.stack.credentials.sign("bench", TENANT, scopes, self.clock.now(), TOKEN_LIFE)

    def erp(self, source: str) -> HttpErp:
        """An ERP in front of ledger-sync's HTTP edge."""
        token = self.token("ledger:write")
        return HttpErp(open_edge(self.stack.url("ledger-sync", "http"), lambda: token, self.clock), TENANT, source)

    def barrier(self, *names: str) -> Barrier:
        """Waits until these services have nothing left to do."""
        statuses = HttpStatusReader({name: self.stack.url(name, "admin") for name in names})
        return Barrier(statuses, KafkaEndReader(self.kafka), self.clock)

    def cpu_seconds(self, name: str) -> float:
        """User and system time of a child and all below it, since its start."""
        pid = self.stack.supervisor.pid(name)
        if pid is None:
            raise BenchFailed(f"{name} does not run; its log: {self.stack.run.log_of(name)}")
        root = psutil.Process(pid)
        times = [process.cpu_times() for process in (root, *root.children(recursive=True))]
        return sum(time.user + time.system for time in times)

    def running(self) -> tuple[str, ...]:
        """Names of everything that runs now."""
        return tuple(sorted(name for name in self.stack.supervisor.names() if self.stack.supervisor.pid(name)))

    def until(self, holds: Callable[[], bool], what: str, within_seconds: float, every_seconds: float = 0.01) -> None:
        """Poll. Raises BenchFailed at the deadline."""
        deadline = self.clock.monotonic() + within_seconds
        while not holds():
            if self.clock.monotonic() > deadline:
                raise BenchFailed(f"not within {within_seconds:.0f} s: {what}; logs: {self.stack.run.logs}")
            wait(every_seconds)


@contextmanager
def stage(bench: Bench, name: str, servers: Sequence[str]) -> Iterator[Stage]:
    """Servers up (`kafka` with all topics, `postgres`, `mlflow`, `mailbox`); at the end nothing of it runs."""
    state = StateFolder(bench.folder / name)
    state.make()
    for kept in _KEPT:
        (bench.kept / kept).mkdir(parents=True, exist_ok=True)
        (state.root / kept).symlink_to(bench.kept / kept, target_is_directory=True)
    run = state.new_run(bench.clock.now())
    with LocalStack(state, run, Ports(bench.base_port), tenant=TENANT, clock=bench.clock) as stack:
        wanted = {"credentials", *servers, *(("topics",) if "kafka" in servers else ())}
        run_steps(needed(Startup(stack).steps(), wanted), bench.terminal, bench.clock)
        yield Stage(bench, stack)


def needed(steps: Sequence[Step], wanted: set[str]) -> tuple[Step, ...]:
    """The wanted steps and all that they need, in the order given."""
    names = set(wanted)
    for step in reversed(steps):
        if step.name in names:
            names |= set(step.after)
    return tuple(step for step in steps if step.name in names)
