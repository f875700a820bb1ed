"""SMTP through `aiosmtplib`, one recipient per message, MAIL, RCPT and DATA as separate steps: the phase decides what a
failure means.

| where it breaks | outcome |
|---|---|
| connect, TLS, EHLO, login, RSET of a kept connection | NotSent |
| timeout or cut in MAIL or RCPT | NotSent: no content has left |
| 4yz or 5yz to MAIL, RCPT or DATA, before or after the content | Refused, permanent for 5yz |
| timeout or cut in DATA | Unknown: the server may have taken it |
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from dataclasses import dataclass
from email.headerregistry import Address
from typing import Literal

import aiosmtplib
from aiosmtplib import SMTPException, SMTPResponseException

from gateway.adapters.channels.mail import build_mail
from gateway.application.ports import Handover
from gateway.domain.contact import Accepted, NotSent, Outcome, Refused, Unknown

_CONTROL_CHARACTERS = set(map(chr, (*range(32), 127)))


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """Where mails go. timeout_seconds: of one step; the attempt's lease must outlast five of them."""

    host: str
    port: int
    tls: Literal["none", "starttls", "tls"] = "starttls"
    username: str = ""
    password: str = ""
    timeout_seconds: float = 10.0
    connections_max: int = 4


class SmtpChannel:
    """Keeps up to `connections_max` connections. Thread-safe: calls meet on an event loop in a thread of its own."""

    provider = "smtp"

    def __init__(self, server: SmtpServer, sender: Address) -> None:
        self._server = server
        self._sender = sender
        self._idle: list[aiosmtplib.SMTP] = []
        self._loop = asyncio.new_event_loop()
        self._slots = asyncio.Semaphore(server.connections_max)
        self._thread = threading.Thread(target=self._loop.run_forever, name="smtp", daemon=True)
        self._thread.start()

    def send(self, handover: Handover) -> Outcome:
        if not handover.address or _CONTROL_CHARACTERS & set(handover.address):
            return Refused("550 5.1.3 bad address syntax", permanent=True)
        content = build_mail(handover, self._sender)
        return asyncio.run_coroutine_threadsafe(self._send(handover.address, content), self._loop).result()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close_idle(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _send(self, recipient: str, content: bytes) -> Outcome:
        async with self._slots:
            try:
                client = await self._connection()
            except (SMTPException, OSError) as error:
                return NotSent(f"connect: {_code(error)}")
            return await self._transfer(client, recipient, content)

    async def _transfer(self, client: aiosmtplib.SMTP, recipient: str, content: bytes) -> Outcome:
        try:
            await client.mail(self._sender.addr_spec)
            await client.rcpt(recipient)
        except SMTPResponseException as error:
            self._idle.append(client)
            return _refused(error)
        except (SMTPException, OSError) as error:
            client.close()
            return NotSent(f"envelope: {_code(error)}")
        try:
            response = await client.data(content)
        except SMTPResponseException as error:
            client.close()
            return _refused(error)
        except (SMTPException, OSError) as error:
            client.close()
            return Unknown(f"data: {_code(error)}")
        self._idle.append(client)
        return Accepted(f"{response.code} {response.message}"[:200])

    async def _connection(self) -> aiosmtplib.SMTP:
        """A kept connection that still answers, or a new one."""
        while self._idle:
            kept = self._idle.pop()
            try:
                await kept.rset()
            except (SMTPException, OSError):
                kept.close()
            else:
                return kept
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            timeout=server.timeout_seconds,
            use_tls=server.tls == "tls",
            start_tls=server.tls == "starttls",
            tls_context=None if server.tls == "none" else ssl.create_default_context(),
            username=server.username or None,
            password=server.password or None,
        )
        await client.connect()
        return client

    async def _close_idle(self) -> None:
        while self._idle:
            client = self._idle.pop()
            try:
                await client.quit()
            except (SMTPException, OSError):
                client.close()


def _refused(error: SMTPResponseException) -> Refused:
    """421 closes the channel and is no answer to the mail, but definite: nothing was taken."""
    return Refused(f"{error.code} {error.message}"[:200], permanent=500 <= error.code < 600)


def _code(error: Exception) -> str:
    return type(error).__name__
