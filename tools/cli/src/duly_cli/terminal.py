"""What a person sees: moving bars on a terminal, plain lines elsewhere. Both say the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from duly_runtime.clock import Clock, SystemClock
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from duly_cli.errors import Interrupted

PLAIN_EVERY_SECONDS = 5.0


class Line(Protocol):
    """One step on its way."""

    def progress(self, done: int, total: int, detail: str = "") -> None:
        """How far it is. `detail` stands behind the bar."""

    def done(self, result: str) -> None:
        """It is over; `result` says what came of it."""

    def failed(self) -> None:
        """It is over, badly."""

    def stopped(self) -> None:
        """A person ended it."""


@contextmanager
def ending(line: Line) -> Iterator[None]:
    """Inside, what is raised ends the line."""
    try:
        yield
    except Interrupted:
        line.stopped()
        raise
    except BaseException:
        line.failed()
        raise


class Terminal:
    """Where the command writes. Safe for several threads."""

    def __init__(self, console: Console | None = None, clock: Clock | None = None) -> None:
        self.console = console or Console(highlight=False, soft_wrap=True)
        self._clock = clock or SystemClock()
        self._lock = threading.RLock()
        self._progress: Progress | None = None

    @property
    def is_live(self) -> bool:
        """Whether lines may move."""
        return self.console.is_terminal

    def say(self, text: RenderableType = "") -> None:
        """A line, or any rich thing."""
        with self._lock:
            self.console.print(text)

    def plain(self, text: str) -> None:
        """A line as it is: brackets in it mean nothing."""
        with self._lock:
            self.console.print(text, markup=False)

    @contextmanager
    def steps(self) -> Iterator[None]:
        """While open, lines of `line` share one moving area (on a terminal)."""
        if not self.is_live:
            yield
            return
        progress = Progress(
            _Mark(),
            TextColumn("{task.description}"),
            _Bar(bar_width=24),
            TextColumn("[dim]{task.fields[detail]}"),
            TimeElapsedColumn(),
            console=self.console,
        )
        with progress:
            self._progress = progress
            try:
                yield
            finally:
                self._progress = None

    def line(self, title: str) -> Line:
        """A step that begins now."""
        if self._progress is not None:
            return _LiveLine(self._progress, escape(title))
        return _PlainLine(self, title, self._clock)


class _Mark(SpinnerColumn):
    def render(self, task: Task) -> RenderableType:
        state = task.fields.get("state", "")
        if state == "done":
            return Text("✓", style="green")
        if state == "failed":
            return Text("✗", style="red")
        return super().render(task)


class _Bar(BarColumn):
    """Only where there is something to count, and only until it is done."""

    def render(self, task: Task) -> RenderableType:  # type: ignore[override]  # rich declares its own bar type
        if not task.fields.get("counts") or task.fields.get("state"):
            return Text("")
        return super().render(task)


@dataclass(slots=True)
class _LiveLine:
    _progress: Progress
    _task: TaskID

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=None, detail="", state="", counts=False)

    def progress(self, done: int, total: int, detail: str = "") -> None:
        self._progress.update(self._task, completed=done, total=total, detail=escape(detail), counts=True)

    def done(self, result: str) -> None:
        self._progress.update(self._task, total=1, completed=1, detail=escape(result), state="done")

    def failed(self) -> None:
        self._progress.update(self._task, state="failed", total=1, completed=1)

    def stopped(self) -> None:
        self._progress.update(self._task, state="failed", detail="stopped", total=1, completed=1)


class _PlainLine:
    def __init__(self, terminal: Terminal, title: str, clock: Clock) -> None:
        self._terminal = terminal
        self._title = title
        self._clock = clock
        self._began = self._said = clock.monotonic()

    def progress(self, done: int, total: int, detail: str = "") -> None:
        now = self._clock.monotonic()
        if now - self._said >= PLAIN_EVERY_SECONDS:
            self._said = now
            self._terminal.plain(f"{self._title} .. {done}/{total} {detail}".rstrip())

    def done(self, result: str) -> None:
        seconds = self._clock.monotonic() - self._began
        self._terminal.plain(
            f"{self._title}: {result} ({seconds:.1f} s)" if result else f"{self._title} ({seconds:.1f} s)"
        )

    def failed(self) -> None:
        self._terminal.plain(f"{self._title}: FAILED")

    def stopped(self) -> None:
        self._terminal.plain(f"{self._title}: stopped")
