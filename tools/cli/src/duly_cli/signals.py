"""Ctrl-C, SIGTERM and SIGHUP become one exception on the main thread; while stopping they are not heard again."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from duly_cli.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible() -> Iterator[None]:
    """Inside, a signal raises Interrupted once; a second one is ignored, so that the orderly stop ends undisturbed."""
    heard = threading.Event()

    def hear(number: int, frame: FrameType | None) -> None:
        if not heard.is_set():
            heard.set()
            raise Interrupted(signal.Signals(number).name)

    before = {number: signal.signal(number, hear) for number in _SIGNALS}
    try:
        yield
    finally:
        heard.set()
        for number, handler in before.items():
            signal.signal(number, handler)


def wait_for_signal() -> None:
    """Until Interrupted is raised by a signal."""
    forever = threading.Event()
    while True:
        forever.wait(3600)
