"""Prints the contact where a person looks on. A screen, not a log: the text is meant to be read."""

from __future__ import annotations

from threading import Lock
from typing import TextIO

from gateway.application.ports import Handover
from gateway.domain.contact import Accepted, NotSent, Outcome


class ConsoleChannel:
    provider = "console"

    def __init__(self, screen: TextIO) -> None:
        self._screen = screen
        self._lock = Lock()

    def send(self, handover: Handover) -> Outcome:
        text = f"--- {handover.rendered.subject}\n{handover.rendered.text}---\n"
        try:
            with self._lock:
                self._screen.write(text)
                self._screen.flush()
        except OSError as error:
            return NotSent(f"console: {error.strerror}")
        return Accepted(f"console-{handover.attempt.attempt_id}")

    def close(self) -> None:
        """The screen is not ours to close."""
