"""A small process supervisor for use inside a Python program: start in order, wait until ready, restart with backoff,
stop in reverse.

Why ours: circus is a daemon with sockets (zmq) that is told what to do over them; supervisor (supervisord) is one
driven by config files and XML-RPC, and its children outlive its own kill -9; honcho runs a Procfile in the foreground
and never restarts. None can be asked for a pid, sent a signal for one child, or given a ready check, in-process. What
is left is 200 lines on top of `process.py`.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Self

from duly_localstack.errors import StackError
from duly_localstack.process import bury, end, spawn, wait_until_ready

POLL_SECONDS = 0.1
JOIN_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ChildSpec:
    """How to run one child. `is_ready` is asked at the first start only; it is quick and raises StackError if waiting
    is of no use. `ports`: name -> number, on which it and nobody else listens when it is ready.
    """

    name: str
    argv: tuple[str, ...]
    log_file: Path
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    restart: bool = True
    stop_signal: int = signal.SIGTERM
    stop_grace_seconds: float = 10.0
    is_ready: Callable[[], bool] | None = None
    ready_within_seconds: float = 60.0
    ports: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Doubling delays between restarts; too many restarts within the window mean that restarting does not help."""

    delay_seconds_first: float = 0.2
    delay_seconds_max: float = 10.0
    restarts_max: int = 10
    window_seconds: float = 60.0


class EventKind(StrEnum):
    """What can happen to a child."""

    STARTED = "started"
    READY = "ready"
    EXITED = "exited"  # by itself or by a signal; a restart follows if the spec says so
    FAILED = "failed"  # given up: it exited and is not restarted, or it was restarted too often
    STOPPED = "stopped"  # because we asked


@dataclass(frozen=True, slots=True)
class ChildEvent:
    """Handed to `on_event`, from the thread that noticed it. `exit_code`: negative for a signal, as in `subprocess`."""

    name: str
    kind: EventKind
    pid: int
    exit_code: int | None = None
    restart_in_seconds: float | None = None


@dataclass(slots=True)
class _Child:
    spec: ChildSpec
    process: subprocess.Popen[bytes]
    restarts: int = 0
    restarted_at: deque[float] = field(default_factory=deque)
    due_at: float | None = None
    failed: bool = False
    reaped: bool = False


class Supervisor:
    """Runs children, and restarts those that end.

    Everything is stopped with `stop_all()` or at the end of a `with` block. If this process is killed, even with -9,
    the children and all below them are killed too. All methods may be called from any thread. `on_event` must not block
    and not call back. With `background=False` nothing happens between calls of `poll()`: for tests with a clock of
    their own.
    """

    def __init__(
        self,
        on_event: Callable[[ChildEvent], None] | None = None,
        *,
        policy: RestartPolicy | None = None,
        clock: Callable[[], float] = time.monotonic,
        background: bool = True,
    ) -> None:
        self._on_event = on_event or (lambda event: None)
        self._policy = policy or RestartPolicy()
        self._clock = clock
        self._children: dict[str, _Child] = {}  # in order of start
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._background = background

    def start(self, spec: ChildSpec) -> None:
        """Start a child and wait until it is ready. A child of that name that runs is an error; one that failed is
        replaced.

        Raises StackError if it cannot be started, ends before it is ready, or is not ready in time; then nothing of it
        is left.
        """
        with self._lock:
            old = self._children.get(spec.name)
            if old is not None and not old.failed:
                raise StackError(f"A child named {spec.name} is already supervised; stop it first.")
            child = _Child(spec, spawn(spec.argv, log_file=spec.log_file, env=spec.env, cwd=spec.cwd))
            self._emit(child, EventKind.STARTED)
            if spec.is_ready is None:
                self._adopt(child)
                return
        try:  # not supervised yet: an end before readiness is a failed start, not a reason to restart
            wait_until_ready(
                spec.name,
                child.process,
                spec.is_ready,
                spec.log_file,
                within_seconds=spec.ready_within_seconds,
                ports=spec.ports,
            )
        except BaseException:
            bury(child.process)
            raise
        with self._lock:
            self._emit(child, EventKind.READY)
            self._adopt(child)

    def stop(self, name: str) -> None:
        """Stop one child: its stop signal, after the grace SIGKILL, and what is left below it. Nothing if unknown."""
        with self._lock:
            child = self._children.pop(name, None)
        if child is not None and not child.reaped:  # outside the lock: others go on being watched meanwhile
            code = end(child.process, stop_signal=child.spec.stop_signal, grace_seconds=child.spec.stop_grace_seconds)
            self._emit(child, EventKind.STOPPED, exit_code=code)

    def stop_all(self) -> None:
        """Stop all children, last started first, and the background thread."""
        self._closing.set()
        for name in reversed(self.names()):
            self.stop(name)
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(JOIN_SECONDS)
        self._thread = None

    def kill(self, name: str, sig: int = signal.SIGKILL) -> None:
        """Send a signal to a child's process group, for chaos tests. A child that ends by it is restarted as after any
        crash.
        """
        with self._lock:
            child = self._children.get(name)
            if child is None or child.process.poll() is not None:
                raise StackError(f"No child named {name} is running.")
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.process.pid, sig)

    def names(self) -> list[str]:
        """All supervised children in order of start."""
        with self._lock:
            return list(self._children)

    def pid(self, name: str) -> int | None:
        """The process of a child, None while it is down or if unknown."""
        with self._lock:
            child = self._children.get(name)
            return child.process.pid if child is not None and child.process.poll() is None else None

    def restarts(self, name: str) -> int:
        """How often a child was restarted."""
        with self._lock:
            return self._children[name].restarts if name in self._children else 0

    def has_failed(self, name: str) -> bool:
        """Whether a child is down for good."""
        with self._lock:
            return name in self._children and self._children[name].failed

    def poll(self) -> None:
        """Look once: bury the dead, restart those that are due. The background thread does this every 0.1 s."""
        with self._lock:
            for child in self._children.values():
                if child.failed:
                    continue
                if child.due_at is not None:
                    self._restart_if_due(child)
                elif child.process.poll() is not None:
                    self._note_exit(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_all()

    def _adopt(self, child: _Child) -> None:
        self._children.pop(child.spec.name, None)  # a failed one of that name
        self._children[child.spec.name] = child
        self._closing.clear()
        if self._background and self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        while not self._closing.wait(POLL_SECONDS):
            self.poll()

    def _note_exit(self, child: _Child) -> None:
        code = bury(child.process)
        child.reaped = True
        now = self._clock()
        while child.restarted_at and now - child.restarted_at[0] > self._policy.window_seconds:
            child.restarted_at.popleft()
        recent = len(child.restarted_at)
        if not child.spec.restart or recent >= self._policy.restarts_max:
            child.failed = True
            self._emit(child, EventKind.FAILED, exit_code=code)
            return
        delay = min(self._policy.delay_seconds_first * 2**recent, self._policy.delay_seconds_max)
        child.due_at = now + delay
        self._emit(child, EventKind.EXITED, exit_code=code, restart_in_seconds=delay)

    def _restart_if_due(self, child: _Child) -> None:
        now = self._clock()
        if child.due_at is None or now < child.due_at or self._closing.is_set():
            return
        spec = child.spec
        child.restarts += 1
        child.restarted_at.append(now)
        try:
            child.process = spawn(spec.argv, log_file=spec.log_file, env=spec.env, cwd=spec.cwd)
        except StackError:  # no memory, disk full, program gone: counts as a restart, and the next waits longer
            self._note_exit(child)
            return
        child.due_at, child.reaped = None, False
        self._emit(child, EventKind.STARTED)

    def _emit(
        self, child: _Child, kind: EventKind, *, exit_code: int | None = None, restart_in_seconds: float | None = None
    ) -> None:
        self._on_event(ChildEvent(child.spec.name, kind, child.process.pid, exit_code, restart_in_seconds))
