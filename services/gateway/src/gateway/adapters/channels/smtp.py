"""SMTP through `aiosmtplib`, one recipient per message, MAIL, RCPT and DATA as separate steps: the phase decides what a
failure means.

| where it breaks | outcome |
|---|---|
| no bare ASCII address | Refused for good, without a connection |
| wait for a free connection, connect, TLS, EHLO, login, RSET of a kept connection | NotSent |
| timeout, cut or a reply that is no answer in MAIL or RCPT | NotSent: no content has left |
| 4yz or 5yz to MAIL, RCPT or DATA, before or after the content | Refused, permanent for 5yz |
| another 2yz than 250 after the content | Accepted |
| timeout, cut or any other reply in DATA | Unknown: the server may have taken it |

A connection is kept only after a reply that was certainly the last one to this mail.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import threading
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.utils import parseaddr
from typing import Literal

import aiosmtplib
from aiosmtplib import SMTPException, SMTPResponseException

from gateway.adapters.channels.mail import build_mail
from gateway.application.ports import Handover
from gateway.domain.contact import Accepted, NotSent, Outcome, Refused, Unknown

_TAKEN = 250
_CLOSING = 421
# One "@" between visible ASCII without a comma; lengths as in RFC 5321.
_ADDR_SPEC = re.compile(r"[!-+\--?A-~]{1,64}@[!-+\--?A-~]{1,253}")
_ENHANCED_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?![^\s])")


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
        if not _is_addr_spec(handover.address):
            return Refused("550 5.1.3 bad address syntax", permanent=True)
        try:
            content = build_mail(handover, self._sender)
        except (ValueError, AttributeError, LookupError, MessageError):
            # Not the address's fault (RFC 3463 5.6.x): it must not land on the list of bad ones.
            return Refused("554 5.6.0 the mail cannot be built", permanent=True)
        return asyncio.run_coroutine_threadsafe(self._send(handover.address, content), self._loop).result()

    def close(self) -> None:
        asyncio.run_coroutine_threadsafe(self._close_idle(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _send(self, recipient: str, content: bytes) -> Outcome:
        """Waiting and connecting take one `timeout_seconds`, envelope and content two each: five, as a lease has."""
        try:
            async with asyncio.timeout(self._server.timeout_seconds):
                await self._slots.acquire()
                try:
                    client = await self._connection()
                except BaseException:
                    self._slots.release()
                    raise
        except (SMTPException, OSError) as error:
            return NotSent(f"connect: {_name(error)}")
        try:
            return await self._transfer(client, recipient, content)
        finally:
            self._slots.release()

    async def _transfer(self, client: aiosmtplib.SMTP, recipient: str, content: bytes) -> Outcome:
        clean = False  # until a reply says so: whatever is raised on the way leaves a connection nobody can trust
        try:
            refusal, in_step = await self._envelope(client, recipient)
            if refusal is not None:
                clean = in_step
                return refusal
            outcome, clean = await _content(client, content)
            return outcome
        finally:
            if clean:
                self._idle.append(client)
            else:
                client.close()

    async def _envelope(self, client: aiosmtplib.SMTP, recipient: str) -> tuple[Refused | NotSent | None, bool]:
        """MAIL and RCPT: what ends it here, or None, and whether the connection is in step."""
        try:
            async with asyncio.timeout(2 * self._server.timeout_seconds):
                await client.mail(self._sender.addr_spec)
                await client.rcpt(recipient)
        except SMTPResponseException as error:
            if _is_refusal(error):
                return _refused(error), error.code != _CLOSING
            return NotSent(f"envelope: reply {error.code}"), False
        except (SMTPException, OSError) as error:
            return NotSent(f"envelope: {_name(error)}"), False
        return None, True

    async def _connection(self) -> aiosmtplib.SMTP:
        """A kept connection that still answers, or a new one."""
        while self._idle:
            kept = self._idle.pop()
            try:
                await kept.rset()
            except (SMTPException, OSError):
                kept.close()
            except asyncio.CancelledError:  # our own time is over
                kept.close()
                raise
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


async def _content(client: aiosmtplib.SMTP, content: bytes) -> tuple[Outcome, bool]:
    """DATA. `aiosmtplib` raises SMTPDataError for every final reply but 250, and for every first one but 354."""
    try:
        response = await client.data(content)
    except SMTPResponseException as error:
        if _is_refusal(error):
            return _refused(error), False
        # 250 is raised only where it answers the command itself, before the content: that is no yes.
        if 200 <= error.code < 300 and error.code != _TAKEN:
            return Accepted(_reply_code(error.code, error.message)), False
        return Unknown(f"data: reply {error.code}"), False
    except (SMTPException, OSError) as error:
        return Unknown(f"data: {_name(error)}"), False
    return Accepted(_reply_code(response.code, response.message)), True


def _is_addr_spec(address: str) -> bool:
    """One bare ASCII mailbox (RFC 5322 addr-spec). Anything a header parser could read as more, or as less, is none."""
    return (
        _ADDR_SPEC.fullmatch(address) is not None
        and "=?" not in address  # an encoded word names one mailbox in the header and another in the envelope
        and parseaddr(address)[1] == address
    )


def _is_refusal(error: SMTPResponseException) -> bool:
    return 400 <= error.code < 600


def _refused(error: SMTPResponseException) -> Refused:
    """421 closes the channel and is no answer to the mail, but definite: nothing was taken."""
    return Refused(_reply_code(error.code, error.message), permanent=error.code >= 500)


def _reply_code(code: int, words: str) -> str:
    """Code and enhanced status (RFC 3463). The words stay here: servers quote addresses and names in them."""
    status = _ENHANCED_STATUS.match(words)
    return f"{code} {status[0]}" if status else str(code)


def _name(error: Exception) -> str:
    return type(error).__name__
