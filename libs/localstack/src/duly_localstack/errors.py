"""The one error of the local stack."""

from __future__ import annotations

from pathlib import Path

LAST_LOG_LINES = 12
_TAIL_BYTES = 16 * 1024


class StackError(Exception):
    """A foreseeable fault of the local stack, told as: what happened, where, and what to do about it.

    The text is meant for a person at a terminal; callers print `str(error)` and no traceback.
    """


def last_lines(log_file: Path, count: int = LAST_LOG_LINES) -> str:
    """The end of a log, indented, for the text of a `StackError`. Empty if there is no log."""
    try:
        with log_file.open("rb") as log:
            size = log.seek(0, 2)
            log.seek(max(0, size - _TAIL_BYTES))
            text = log.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join("    " + line for line in text.splitlines()[-count:])
