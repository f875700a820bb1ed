"""What a person sees: moving bars on a terminal, plain lines elsewhere. Both say the same."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from duly_runtime.clock import Clock, SystemClock
from rich.console import Console, RenderableType
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from duly_cli.errors import Interrupted

PLAIN_EVERY_SECONDS = 5.0
# So long a plain line may say nothing while its step works; then it says that it does.
QUIET_SECONDS = 15.0
_LOOK_SECONDS = 1.0


class Abandoned(Exception):
    """A person has ended the command: work that is under way beside the main thread stops here."""

    code = "abandoned"


class Line(Protocol):
    """One step on its way."""

    def progress(self, done: int, total: int, detail: str = "") -> None:
        """How far it is. `detail` stands behind the bar. Raises Abandoned once the terminal's lines were stopped."""

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
        self._open: list[_LiveLine | _PlainLine] = []
        self._stopped = False

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
        """While open, lines of `line` share one moving area (on a terminal), or remind of themselves (elsewhere)."""
        if not self.is_live:
            with self._reminding():
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
            with self._lock:
                self._progress = progress
            try:
                yield
            finally:
                self._close_lines()

    def line(self, title: str) -> Line:
        """A step that begins now. Raises Abandoned once the lines were stopped."""
        made: _LiveLine | _PlainLine
        with self._lock:  # a line that begins while the lines are stopped is either stopped too, or never begins
            self.require_wanted()
            if self._progress is not None:
                made = _LiveLine(self, self._progress, escape(title))
            else:
                made = _PlainLine(self, title, self._clock)
            self._open.append(made)
        return made

    def stop_lines(self) -> None:
        """A person ended the command: every open line says so, and what they are told from now on is not shown."""
        with self._lock:
            self._stopped = True
            for line in list(self._open):
                line.stopped()
            if self._progress is not None:
                self._progress.stop()

    def require_wanted(self) -> None:
        """Raises Abandoned once the lines were stopped."""
        if self._stopped:
            raise Abandoned

    def ends(self, line: _LiveLine | _PlainLine) -> bool:
        """Whether the line ends now; False if it has ended before."""
        with self._lock:
            if line not in self._open:
                return False
            self._open.remove(line)
            return True

    @contextmanager
    def _reminding(self) -> Iterator[None]:
        over = threading.Event()

        def remind() -> None:
            while not over.wait(_LOOK_SECONDS):
                with self._lock:
                    open_now = list(self._open)
                for line in open_now:
                    line.remind()

        threading.Thread(target=remind, name="reminder", daemon=True).start()
        try:
            yield
        finally:
            over.set()
            self._close_lines()

    def _close_lines(self) -> None:
        with self._lock:
            self._progress = None
            self._open = []


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


class _LiveLine:
    def __init__(self, terminal: Terminal, progress: Progress, title: str) -> None:
        self._terminal = terminal
        self._progress = progress
        self._task = progress.add_task(title, total=None, detail="", state="", counts=False)

    def progress(self, done: int, total: int, detail: str = "") -> None:
        self._terminal.require_wanted()
        self._progress.update(self._task, completed=done, total=total, detail=escape(detail), counts=True)

    def remind(self) -> None:
        """It moves by itself."""

    def done(self, result: str) -> None:
        if self._terminal.ends(self):
            self._progress.update(self._task, total=1, completed=1, detail=escape(result), state="done")

    def failed(self) -> None:
        if self._terminal.ends(self):
            self._progress.update(self._task, state="failed", total=1, completed=1)

    def stopped(self) -> None:
        if self._terminal.ends(self):
            self._progress.update(self._task, state="failed", detail="stopped", total=1, completed=1)


class _PlainLine:
    def __init__(self, terminal: Terminal, title: str, clock: Clock) -> None:
        self._terminal = terminal
        self._title = title
        self._clock = clock
        self._began = self._said = clock.monotonic()
        self._words = ""

    def progress(self, done: int, total: int, detail: str = "") -> None:
        self._terminal.require_wanted()
        self._words = f"{done}/{total} {detail}".rstrip()
        if self._clock.monotonic() - self._said >= PLAIN_EVERY_SECONDS:
            self._say(f".. {self._words}")

    def remind(self) -> None:
        """Say that it is still at work, after a while without a word."""
        now = self._clock.monotonic()
        if now - self._said >= QUIET_SECONDS:
            self._say(" ".join(filter(None, ("..", self._words, f"({now - self._began:.0f} s)"))))

    def done(self, result: str) -> None:
        seconds = self._clock.monotonic() - self._began
        self._end(f": {result} ({seconds:.1f} s)" if result else f" ({seconds:.1f} s)")

    def failed(self) -> None:
        self._end(": FAILED")

    def stopped(self) -> None:
        self._end(": stopped")

    def _say(self, words: str) -> None:
        self._said = self._clock.monotonic()
        self._terminal.plain(f"{self._title} {words}")

    def _end(self, words: str) -> None:
        if self._terminal.ends(self):
            self._terminal.plain(f"{self._title}{words}")
