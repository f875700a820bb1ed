"""What a person sees of long work, and that a person can end it."""

from __future__ import annotations

import io
import os
import signal
import threading

import pytest
from duly_cli.aside import Aside
from duly_cli.errors import CommandFailed, Interrupted
from duly_cli.signals import interruptible
from duly_cli.terminal import QUIET_SECONDS, Abandoned, Terminal, ending
from duly_testing.clock import FakeClock
from rich.console import Console


class Screen:
    def __init__(self, *, live: bool = False) -> None:
        self.file, self.clock = io.StringIO(), FakeClock()
        self.terminal = Terminal(Console(file=self.file, width=200, force_terminal=live), self.clock)

    @property
    def text(self) -> str:
        return self.file.getvalue()

    def pass_seconds(self, seconds: float) -> None:
        self.clock.advance(seconds)


def test_a_line_that_has_had_nothing_to_say_for_a_while_says_that_it_is_at_work() -> None:
    screen = Screen()
    line = screen.terminal.line("Read the ledger")
    screen.pass_seconds(QUIET_SECONDS - 1)
    line.remind()  # type: ignore[attr-defined]
    assert screen.text == ""
    screen.pass_seconds(1)
    line.remind()  # type: ignore[attr-defined]
    assert screen.text == "Read the ledger .. (15 s)\n"
    line.progress(2, 5, "fit and judge")
    screen.pass_seconds(QUIET_SECONDS)
    line.remind()  # type: ignore[attr-defined]
    assert screen.text.splitlines()[-1] == "Read the ledger .. 2/5 fit and judge (30 s)"


def test_a_line_ends_once() -> None:
    screen = Screen()
    line = screen.terminal.line("Train")
    line.done("version 1")
    line.failed()
    line.stopped()
    assert screen.text == "Train: version 1 (0.0 s)\n"


@pytest.mark.parametrize("live", [False, True])
def test_a_signal_ends_work_that_is_busy_at_its_next_word(live: bool) -> None:
    screen, ended = Screen(live=live), threading.Event()

    def work() -> None:
        with screen.terminal.steps():
            line = screen.terminal.line("Train")
            try:
                with ending(line):
                    os.kill(os.getpid(), signal.SIGINT)
                    while True:
                        line.progress(1, 5)
            except Abandoned:
                ended.set()

    with pytest.raises(Interrupted, match="SIGINT"), interruptible():
        Aside(screen.terminal).run(work)
    assert ended.is_set()
    assert "stopped" in screen.text
    assert "FAILED" not in screen.text


def test_work_that_never_says_a_word_is_left_after_its_grace() -> None:
    screen, over = Screen(), threading.Event()
    aside = Aside(screen.terminal)
    aside.grace_seconds = 0.01

    def work() -> None:
        screen.terminal.line("Train")
        os.kill(os.getpid(), signal.SIGINT)
        over.wait(60)

    with pytest.raises(Interrupted), interruptible():
        aside.run(work)
    over.set()
    assert screen.text == "Train: stopped\n"


def test_after_a_stop_no_new_line_begins() -> None:
    screen = Screen()
    screen.terminal.stop_lines()
    with pytest.raises(Abandoned):
        screen.terminal.line("Train")


def test_what_work_gives_or_raises_is_the_callers() -> None:
    terminal = Screen().terminal

    def failing() -> None:
        raise CommandFailed("no disk")

    assert Aside(terminal).run(lambda: 7) == 7
    with pytest.raises(CommandFailed, match="no disk"):
        Aside(terminal).run(failing)
