"""Long work beside the main thread, so that a signal ends the command whatever compiled code is busy with.

A signal's exception is raised on the main thread, between two steps of Python: in the middle of a fit it comes late,
and where the library calls back into Python it is swallowed. A main thread that waits hears it at once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from duly_cli.errors import Interrupted
from duly_cli.terminal import Terminal

T = TypeVar("T")
# What an end by a person waits for: nothing that counts; a round of trees, whose files are removed then; a
# registration, which is whole or not at all.
GRACE_SECONDS, FIT_SECONDS, REGISTER_SECONDS = 2.0, 15.0, 60.0


class Aside:
    """One piece of work. grace_seconds: how long an end by a person waits for it; the work moves it as it goes on."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self.grace_seconds = GRACE_SECONDS

    def run(self, work: Callable[[], T]) -> T:
        """What the work gives, or raises. On Interrupted its lines say so, and it ends at its next word of progress;
        what has not ended after the grace ends with the process.
        """
        made: list[T] = []
        faults: list[BaseException] = []
        over = threading.Event()  # a join that a signal interrupts takes the thread for ended (CPython 3.11)

        def working() -> None:
            try:
                made.append(work())
            except BaseException as fault:  # handed to the main thread, which raises it
                faults.append(fault)
            over.set()

        try:
            threading.Thread(target=working, name="work", daemon=True).start()
            over.wait()
        except Interrupted:
            self._terminal.stop_lines()
            over.wait(self.grace_seconds)
            raise
        if faults:
            raise faults[0]
        return made[0]
