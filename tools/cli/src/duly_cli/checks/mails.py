"""The e-mails of a run, read from the Maildir with the standard library."""

from __future__ import annotations

import email
import hashlib
from dataclasses import dataclass
from email import policy
from pathlib import Path

CONTACT_HEADER = "X-Contact-Id"
# Differ between two equal runs: when it was sent, and boundaries that a library draws.
_VARYING_HEADERS = ("date", "received", "content-type", "mime-version")


@dataclass(frozen=True, slots=True)
class Mail:
    """One delivered e-mail. text: the plain part."""

    file: str
    contact_id: str
    to: str
    subject: str
    text: str
    headers: tuple[tuple[str, str], ...]
    body_sha256: str


def read_maildir(maildir: Path) -> list[Mail]:
    """All e-mails, sorted by contact."""
    files = [file for part in ("new", "cur") for file in sorted((maildir / part).glob("*"))]
    return sorted((_read(file) for file in files), key=lambda mail: (mail.contact_id, mail.subject, mail.file))


def _read(file: Path) -> Mail:
    message = email.message_from_bytes(file.read_bytes(), policy=policy.default)
    plain = message.get_body(("plain",))
    parts = [part.get_content() for part in message.walk() if not part.is_multipart()]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else str(part).encode())
    headers = sorted((name.lower(), str(value)) for name, value in message.items())
    return Mail(
        file=file.name,
        contact_id=str(message.get(CONTACT_HEADER, "")),
        to=str(message.get("Delivered-To", message.get("To", ""))),
        subject=str(message.get("Subject", "")),
        text=str(plain.get_content()) if plain is not None else "",
        headers=tuple(header for header in headers if header[0] not in _VARYING_HEADERS),
        body_sha256=digest.hexdigest(),
    )
