"""One local stack: where everything of it is, what runs of it, and how it ends."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from duly_localstack.kafka import KafkaServer
from duly_localstack.mailbox_server import MailboxServer
from duly_localstack.mlflow_server import MlflowServer
from duly_localstack.postgres import PostgresServer
from duly_localstack.server import LocalServer
from duly_localstack.supervisor import ChildEvent, ChildSpec, Supervisor
from duly_runtime.clock import Clock, SystemClock

from duly_cli.credentials import Credentials
from duly_cli.errors import StackError
from duly_cli.folders import RunFolder, StateFolder
from duly_cli.ports import Ports

DEMO_TENANT = "demo"
# Stopped in this order, the children of one row side by side: whoever calls ends before whoever is called.
STOP_ORDER: tuple[tuple[str, ...], ...] = (
    ("outreach", "ledger-sync", "scoring"),
    ("gateway",),
    ("insights",),
    ("mailbox", "mlflow", "kafka", "postgres"),
)


@dataclass
class LocalStack:
    """Addresses, credentials and children. Use as a context manager: at its end nothing of it runs."""

    state: StateFolder
    run: RunFolder
    ports: Ports
    tenant: str = DEMO_TENANT
    clock: Clock = field(default_factory=SystemClock)

    def __post_init__(self) -> None:
        self.credentials = Credentials(self.run.credentials)
        self.supervisor = Supervisor(self._note)
        self._listeners: list[Callable[[ChildEvent], None]] = []
        self._events = (self.run.logs / "supervisor.jsonl").open("a", encoding="utf-8", buffering=1)
        self._stopping = threading.Event()

    @cached_property
    def kafka(self) -> KafkaServer:
        return KafkaServer(
            self.state.jars,
            self.run.root / "kafka",
            self.run.log_of("kafka"),
            self.ports.of("kafka", "clients"),
            self.ports.of("kafka", "controller"),
        )

    @cached_property
    def postgres(self) -> PostgresServer:
        return PostgresServer(
            self.run.root / "postgres",
            self.ports.of("postgres", "clients"),
            self.run.log_of("postgres"),
            self.credentials.password("postgres"),
        )

    @cached_property
    def mlflow(self) -> MlflowServer:
        return MlflowServer(self.state.mlflow, self.ports.of("mlflow", "http"), self.run.log_of("mlflow"))

    @cached_property
    def mailbox(self) -> MailboxServer:
        return MailboxServer(self.run.maildir, self.ports.of("mailbox", "smtp"), self.run.log_of("mailbox"))

    def address(self, owner: str, purpose: str) -> str:
        """host:port of one socket of the table."""
        return f"127.0.0.1:{self.ports.of(owner, purpose)}"

    def url(self, owner: str, purpose: str) -> str:
        """http://host:port of one socket of the table."""
        return f"http://{self.address(owner, purpose)}"

    def serve(self, server: LocalServer) -> None:
        """Prepare and start one server under supervision."""
        server.prepare()
        self.start(server.child_spec())

    def start(self, spec: ChildSpec) -> None:
        """Start one child and wait until it is ready. Raises StackError; nothing is started once the end has begun."""
        if self._stopping.is_set():
            raise StackError(f"{spec.name} is not started: the stack is stopping.")
        self.supervisor.start(spec)

    def on_event(self, listener: Callable[[ChildEvent], None]) -> None:
        """Be told of what happens to children; must not block."""
        self._listeners.append(listener)

    def failed(self) -> list[str]:
        """Children that are down for good."""
        return [name for name in self.supervisor.names() if self.supervisor.has_failed(name)]

    def stop(self) -> None:
        """Everything, in order. Again: nothing."""
        self._stopping.set()
        for names in STOP_ORDER:
            self._stop_together([name for name in names if name in self.supervisor.names()])
        self.supervisor.stop_all()
        self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _stop_together(self, names: Sequence[str]) -> None:
        threads = [threading.Thread(target=self.supervisor.stop, args=(name,), name=f"stop {name}") for name in names]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _note(self, event: ChildEvent) -> None:
        if not self._events.closed:
            line = {"time": self.clock.now().isoformat(), "child": event.name, "event": event.kind, "pid": event.pid}
            extra = {"exit_code": event.exit_code, "restart_in_seconds": event.restart_in_seconds}
            kept = {name: value for name, value in extra.items() if value is not None}
            self._events.write(json.dumps({**line, **kept}) + "\n")
        for listener in self._listeners:
            listener(event)
