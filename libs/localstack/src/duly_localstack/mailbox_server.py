"""The SMTP inbox of `mailbox.py` as a local server of the stack."""

from __future__ import annotations

import os
import smtplib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from duly_localstack.ports import LOOPBACK
from duly_localstack.server import LocalServer


class MailboxServer(LocalServer):
    """Takes every mail on 127.0.0.1 into a Maildir; see `mailbox.py` for recipients with special behaviour."""

    name = "mailbox"
    stop_grace_seconds = 3.0

    def __init__(self, maildir: Path, port: int, log_file: Path) -> None:
        super().__init__(log_file)
        self.maildir = maildir.absolute()
        self.port = port

    def ports(self) -> Mapping[str, int]:
        """The SMTP port."""
        return {"SMTP inbox": self.port}

    def _prepare(self) -> None:
        """Make the folder above the Maildir."""
        self.maildir.parent.mkdir(parents=True, exist_ok=True)

    def argv(self) -> Sequence[str]:
        """The one process."""
        return [
            sys.executable,
            "-m",
            "duly_localstack.mailbox",
            "--port",
            str(self.port),
            "--maildir",
            str(self.maildir),
        ]

    def env(self) -> Mapping[str, str]:
        """This package found also when it is only on our path."""
        here = str(Path(__file__).parents[1])
        return {"PYTHONPATH": os.pathsep.join(part for part in (here, os.environ.get("PYTHONPATH", "")) if part)}

    def is_ready(self) -> bool:
        """Whether it greets."""
        try:
            with smtplib.SMTP(LOOPBACK, self.port, timeout=2.0):
                return True
        except (OSError, smtplib.SMTPException):
            return False
