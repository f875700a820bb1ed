"""Credentials of one run: a signing key, its JWKS, random passwords, a token per service. Nothing is a default."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from duly_cli.errors import CommandFailed

ISSUER = AUDIENCE = "duly"
KEY_ID = "local-1"
ALL_TENANTS = "tenants:all"
SCOPES = (
    "ledger:write",
    "debtors:read",
    "contacts:read",
    "contacts:write",
    "inbox:write",
    "control:write",
    ALL_TENANTS,
)
SERVICE_TOKEN_LIFE = timedelta(days=30)
# What each caller may do. Only outreach acts for all tenants; the player and the reader are ordinary clients, and the
# gateway asks insights in its caller's name.
SERVICE_SCOPES: Mapping[str, tuple[str, ...]] = {
    "outreach": ("contacts:read", "contacts:write", ALL_TENANTS),
    "player": ("ledger:write", "inbox:write"),
    "reader": ("debtors:read", "contacts:read"),
}
PASSWORDS = ("postgres", "ledger-sync", "outreach", "gateway", "insights", "scoring")


class ScopeUnknown(CommandFailed):
    """A scope that no service knows."""

    code = "scope_unknown"


@dataclass(frozen=True, slots=True)
class Credentials:
    """The files below `<run>/credentials`, each readable by its owner only."""

    folder: Path

    @property
    def key_file(self) -> Path:
        return self.folder / "signing-key.pem"

    @property
    def jwks_file(self) -> Path:
        return self.folder / "jwks.json"

    def password(self, name: str) -> str:
        """The database password of a role."""
        return self._read(f"{name}.password")

    def token_file(self, name: str) -> Path:
        return self.folder / f"{name}.token"

    def token(self, name: str) -> str:
        """The token of a service, the player or the reader."""
        return self._read(f"{name}.token")

    def secret(self, name: str) -> str:
        """A random secret of that name, made at first use."""
        file = self.folder / f"{name}.secret"
        if not file.exists():
            _write_private(file, secrets.token_urlsafe(32))
        return self._read(file.name)

    def make(self, now: datetime, tenant: str) -> None:
        """Everything that is not there yet."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.key_file.exists():
            self._make_key()
        for name in PASSWORDS:
            if not (self.folder / f"{name}.password").exists():
                _write_private(self.folder / f"{name}.password", secrets.token_urlsafe(24))
        for name, scopes in SERVICE_SCOPES.items():
            token = self.sign(f"service:{name}", tenant, scopes, now, SERVICE_TOKEN_LIFE)
            _write_private(self.token_file(name), token)

    def sign(self, subject: str, tenant: str, scopes: Iterable[str], now: datetime, life: timedelta) -> str:
        """A token. Raises ScopeUnknown, or CommandFailed where there is no key."""
        wanted = tuple(dict.fromkeys(scopes))
        unknown = [scope for scope in wanted if scope not in SCOPES]
        if unknown:
            raise ScopeUnknown(f"No such scope: {', '.join(unknown)}. There are {', '.join(SCOPES)}.")
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "tenant": tenant,
            "scope": " ".join(wanted),
            "iat": int(now.timestamp()),
            "exp": int((now + life).timestamp()),
        }
        return jwt.encode(claims, self._key(), algorithm="EdDSA", headers={"kid": KEY_ID})

    def _make_key(self) -> None:
        key = Ed25519PrivateKey.generate()
        pem = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = json.loads(OKPAlgorithm.to_jwk(key.public_key()))
        jwks = {"keys": [{**public, "kid": KEY_ID, "use": "sig", "alg": "EdDSA"}]}
        _write_private(self.jwks_file, json.dumps(jwks, indent=1))
        _write_private(self.key_file, pem.decode())

    def _key(self) -> Ed25519PrivateKey:
        try:
            key = serialization.load_pem_private_key(self.key_file.read_bytes(), password=None)
        except (OSError, ValueError) as error:
            raise CommandFailed(f"There is no usable signing key in {self.folder}: start the stack first.") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise CommandFailed(f"{self.key_file} holds no Ed25519 key.")
        return key

    def _read(self, name: str) -> str:
        return (self.folder / name).read_text("utf-8").strip()


def _write_private(file: Path, text: str) -> None:
    """Readable by the owner alone from its first byte on."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as out:
        out.write(text)
