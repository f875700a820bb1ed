"""The debtors' side: mails that reached them, and the answers they give."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from email.parser import BytesHeaderParser
from email.utils import parseaddr
from pathlib import Path
from typing import Protocol

from duly_contracts.ids import named_id

from duly_simulator.edge import Edge

_HEADER_BYTES_MAX = 64 * 1024


@dataclass(frozen=True, slots=True, order=True)
class Mail:
    """One delivered message, by the headers that the player needs."""

    contact_id: str
    address: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A debtor's answer to one contact."""

    contact_id: str
    debtor_id: str
    body: str


class Inbox(Protocol):
    """Where delivered mails lie."""

    def new_mails(self) -> list[Mail]:
        """Mails not returned before, sorted by contact, so that the order of arrival does not matter."""


class ReplySender(Protocol):
    """Where debtors' answers go."""

    def send(self, reply: Reply) -> None:
        """Hands the answer over; returns when it is kept."""


@dataclass(slots=True)
class MaildirInbox:
    """Reads `new/` and `cur/` of a Maildir. Mails without an X-Contact-Id are not ours and left alone."""

    path: Path
    _seen: set[str] = field(default_factory=set)

    def new_mails(self) -> list[Mail]:
        """Raises OSError where a mail cannot be read."""
        mails = []
        for folder in (self.path / "new", self.path / "cur"):
            for entry in os.scandir(folder) if folder.is_dir() else ():
                # Moving from new/ to cur/ adds ":2,<flags>" to the name of the same mail.
                name = entry.name.partition(":")[0]
                if name not in self._seen:
                    self._seen.add(name)
                    mails.append(_read_mail(Path(entry.path)))
        return sorted(mail for mail in mails if mail.contact_id)


@dataclass(frozen=True, slots=True)
class HttpReplySender:
    """Posts answers to the gateway's REST edge."""

    edge: Edge
    tenant: str

    def send(self, reply: Reply) -> None:
        """One answer per contact, by its idempotency key. Raises as `Edge.post`."""
        key = named_id("reply", self.tenant, reply.contact_id)
        body = {
            "tenant_id": self.tenant,
            "idempotency_key": key,
            "contact_id": reply.contact_id,
            "debtor_id": reply.debtor_id,
            "channel": "CHANNEL_EMAIL",
            "body": reply.body,
        }
        content = json.dumps(body, sort_keys=True).encode()
        self.edge.post("/v1/messages", content, {"Content-Type": "application/json", "Idempotency-Key": key})


def _read_mail(path: Path) -> Mail:
    with path.open("rb") as file:
        headers = BytesHeaderParser().parsebytes(file.read(_HEADER_BYTES_MAX))
    address = parseaddr(str(headers.get("To", "")))[1]
    return Mail(str(headers.get("X-Contact-Id", "")).strip(), address.lower())
