"""The one error a person meets: what happened, where, what to do. Printed without a traceback."""

from __future__ import annotations

from duly_localstack.errors import StackError

__all__ = ["CommandFailed", "Interrupted", "StackError"]

EXIT_NOT_HELD, EXIT_FAULT, EXIT_INTERRUPTED = 1, 2, 130


class CommandFailed(Exception):
    """A foreseeable fault of a command, told in one sentence or two."""

    code = "command_failed"


class Interrupted(BaseException):
    """Ctrl-C, SIGTERM or SIGHUP: stop in order and leave. Not an Exception, so that no handler swallows it."""
