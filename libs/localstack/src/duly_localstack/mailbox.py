"""A local SMTP inbox: takes every mail, delivers nothing, keeps all in a Maildir. No mail ever leaves this machine
through it.

`python -m duly_localstack.mailbox --port N --maildir DIR` until SIGTERM. A mail is written to `tmp/`, synced and
renamed into `new/` before it is acknowledged, so a kill leaves a whole mail or none. Some recipients behave like the
hard cases of real servers, by their local part:

| local part | behaviour |
|---|---|
| `nouser` | 550 5.1.1 to RCPT: no such mailbox, for good |
| `greylist` | 451 4.7.1 to RCPT, always: try later |
| `full` | 452 4.2.2 to RCPT: mailbox full |
| `content` | 554 5.7.1 after DATA: refused for its content, nothing kept |
| `vanish` | the mail is kept, but no answer ever comes: the sender cannot know |
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import signal
import socket
import sys
import time
from functools import partial
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from duly_localstack.ports import LOOPBACK

MAIL_BYTES_MAX = 1024 * 1024
RECIPIENTS_MAX = 100
MAILS_MAX = 50_000  # then 452: an inbox that nobody empties must not fill the disk
IDLE_SECONDS = 300.0

NO_USER = "550 5.1.1 No such mailbox"
GREYLISTED = "451 4.7.1 Greylisted, try again later"
MAILBOX_FULL = "452 4.2.2 Mailbox full"
CONTENT_REFUSED = "554 5.7.1 Refused for its content"
ANSWERS_TO_RECIPIENT = {"nouser": NO_USER, "greylist": GREYLISTED, "full": MAILBOX_FULL}


class Maildir:
    """Atomic writes into one Maildir; readable with the standard library's `mailbox.Maildir`."""

    def __init__(self, folder: Path, *, mails_max: int = MAILS_MAX) -> None:
        self.folder = folder
        self._mails_max = mails_max
        for part in ("tmp", "new", "cur"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        for half in (folder / "tmp").iterdir():  # left by a kill: was never acknowledged
            half.unlink(missing_ok=True)
        self._count = sum(1 for part in ("new", "cur") for _ in (folder / part).iterdir())

    def deliver(self, content: bytes) -> Path:
        """Keep one mail; it is on disk when this returns. Raises OSError (disk full, too many)."""
        if self._count >= self._mails_max:
            raise OSError(f"{self._mails_max} mails are kept already")
        name = f"{time.time_ns()}.{os.getpid()}_{secrets.token_hex(4)}.duly"
        part = self.folder / "tmp" / name
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        final = self.folder / "new" / name
        part.rename(final)
        self._count += 1
        return final


class Inbox:
    """The handler of `aiosmtpd`."""

    def __init__(self, maildir: Maildir) -> None:
        self._maildir = maildir

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, rcpt_options: list[str]
    ) -> str:
        """Refuse by local part, or take the recipient."""
        answer = ANSWERS_TO_RECIPIENT.get(_local_part(address))
        if answer is not None:
            return answer
        if len(envelope.rcpt_tos) >= RECIPIENTS_MAX:
            return "452 4.5.3 Too many recipients"
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(rcpt_options)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Keep the mail once, with the envelope in front of its headers."""
        behaviours = {_local_part(address) for address in envelope.rcpt_tos}
        if "content" in behaviours:
            return CONTENT_REFUSED
        content = envelope.content if isinstance(envelope.content, bytes) else (envelope.content or "").encode()
        trace = [
            f"Return-Path: <{envelope.mail_from or ''}>",
            *(f"Delivered-To: {address}" for address in envelope.rcpt_tos),
        ]
        mail = "".join(f"{line}\r\n" for line in trace).encode() + content
        try:
            await asyncio.to_thread(self._maildir.deliver, mail)
        except OSError as error:
            print(f"mail not kept: {error}", file=sys.stderr, flush=True)
            return "452 4.3.1 Cannot be stored now"
        if "vanish" in behaviours:
            await asyncio.Event().wait()  # until the sender gives up or we end
        return "250 2.0.0 Kept"


def _local_part(address: str) -> str:
    """Before the `@`, without a `+tag`."""
    return address.rpartition("@")[0].partition("+")[0].strip('"').lower()


async def serve(port: int, maildir: Path) -> None:
    """Serve until SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    inbox = Inbox(Maildir(maildir))
    protocol = partial(
        SMTP,
        inbox,
        data_size_limit=MAIL_BYTES_MAX,
        hostname="localhost",
        ident="Duly mailbox",
        timeout=IDLE_SECONDS,
        loop=loop,
    )
    server = await loop.create_server(protocol, LOOPBACK, port, family=socket.AF_INET)
    await ending.wait()
    server.close()


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Local SMTP inbox into a Maildir.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--maildir", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        asyncio.run(serve(arguments.port, arguments.maildir))
    except OSError as error:
        sys.exit(f"The mailbox cannot listen on {LOOPBACK}:{arguments.port} or write to {arguments.maildir}: {error}")


if __name__ == "__main__":
    main()
