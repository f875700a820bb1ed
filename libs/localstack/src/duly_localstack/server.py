"""What all local servers share: prepare, start, wait until it answers, stop."""

from __future__ import annotations

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from duly_localstack.errors import StackError
from duly_localstack.ports import require_free_ports
from duly_localstack.process import bury, end, spawn, wait_until_ready
from duly_localstack.supervisor import ChildSpec


class LocalServer(ABC):
    """One server on loopback that lives at most as long as this Python process.

    Two ways to run it: `start()` / `stop()` here, or `prepare()` and then `Supervisor.start(server.child_spec())`,
    which also restarts it. It can be started again after a stop or a kill; the data stays. Not thread-safe: one owner
    starts and stops it.
    """

    name: str
    stop_signal: int = signal.SIGTERM
    stop_grace_seconds: float = 15.0
    start_within_seconds: float = 60.0

    def __init__(self, log_file: Path) -> None:
        self.log_file = log_file.absolute()
        self._child: subprocess.Popen[bytes] | None = None

    @abstractmethod
    def ports(self) -> Mapping[str, int]:
        """What it listens on: purpose -> port."""

    @abstractmethod
    def _prepare(self) -> None:
        """What `prepare` does; an OSError becomes a StackError there."""

    @abstractmethod
    def argv(self) -> Sequence[str]:
        """The command that runs it in the foreground."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Whether it answers now. Quick; raises StackError only if waiting longer is of no use."""

    def env(self) -> Mapping[str, str]:
        """Environment variables on top of this process's."""
        return {}

    @property
    def pid(self) -> int | None:
        """The process started by `start()`, while it lives."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    def prepare(self) -> None:
        """Everything before the start that needs doing once: folders, files, formats. Idempotent. Raises StackError."""
        try:
            self._prepare()
        except OSError as error:
            raise StackError(
                f"{self.name} cannot use its folder: {error}. Free some disk space, or mend the rights of that folder."
            ) from error

    def start(self) -> None:
        """Start, wait until it answers; nothing if it runs. Raises StackError, with the last log lines if it dies."""
        if self.pid is not None:
            return
        self._forget()
        self.prepare()
        require_free_ports(self.ports())
        self._child = spawn(self.argv(), log_file=self.log_file, env=self.env())
        try:
            wait_until_ready(
                self.name,
                self._child,
                self.is_ready,
                self.log_file,
                within_seconds=self.start_within_seconds,
                ports=self.ports(),
            )
        except BaseException:
            self._forget()
            raise

    def stop(self) -> None:
        """Stop it cleanly, then by force; nothing of it is left. Nothing if it does not run."""
        if self._child is not None:
            end(self._child, stop_signal=self.stop_signal, grace_seconds=self.stop_grace_seconds)
            self._child = None

    def kill(self, sig: int = signal.SIGKILL) -> None:
        """Send a signal to the server's process, for chaos tests. After SIGKILL it is gone when this returns; `start()`
        works again.
        """
        if self._child is not None and self._child.poll() is None:
            os.kill(self._child.pid, sig)
            if sig == signal.SIGKILL:
                self._child.wait()

    def child_spec(self, *, restart: bool = True) -> ChildSpec:
        """How a `Supervisor` runs this server. Call `prepare()` first."""
        return ChildSpec(
            name=self.name,
            argv=tuple(self.argv()),
            env=dict(self.env()),
            log_file=self.log_file,
            restart=restart,
            stop_signal=self.stop_signal,
            stop_grace_seconds=self.stop_grace_seconds,
            is_ready=self.is_ready,
            ready_within_seconds=self.start_within_seconds,
            ports=self.ports(),
        )

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _forget(self) -> None:
        if self._child is not None:
            bury(self._child)
            self._child = None
