"""Who calls: JSON Web Tokens signed by a key of the JWKS, carrying one tenant and scopes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jwt

_ALGORITHMS = ["RS256", "ES256", "EdDSA"]
ALL_TENANTS_SCOPE = "tenants:all"


class KeySetUnusable(ValueError):
    """The file of signing keys is missing, is no JWKS, or holds no key."""

    code = "key_set_unusable"


class Unauthenticated(ValueError):
    """No token, or one that is expired, malformed, for another audience, or signed by an unknown key."""

    code = "unauthenticated"


class PermissionDenied(ValueError):
    """The token is good, but not for this tenant or this action."""

    code = "permission_denied"


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of one request."""

    subject: str
    tenant: str
    scopes: frozenset[str]

    def require(self, tenant: str, scope: str) -> None:
        """Raises PermissionDenied unless the token is for that tenant and has that scope."""
        if scope not in self.scopes:
            raise PermissionDenied(f"the token lacks scope {scope}")
        if tenant != self.tenant and ALL_TENANTS_SCOPE not in self.scopes:
            raise PermissionDenied("the token is for another tenant")


class TokenVerifier:
    """Checks tokens against a JWKS (RFC 7517), issuer and audience."""

    def __init__(self, jwks: Mapping[str, object], issuer: str = "duly", audience: str = "duly") -> None:
        keys = jwt.PyJWKSet.from_dict(dict(jwks)).keys
        self._keys = {key.key_id: key for key in keys}
        self._issuer = issuer
        self._audience = audience

    @staticmethod
    def from_file(path: str, issuer: str = "duly", audience: str = "duly") -> TokenVerifier:
        """Keys from a JWKS file. Raises KeySetUnusable, naming the file."""
        try:
            return TokenVerifier(json.loads(Path(path).read_text(encoding="utf-8")), issuer, audience)
        except (OSError, ValueError, AttributeError, jwt.PyJWTError) as error:
            raise KeySetUnusable(f"{path}: no usable key set (RFC 7517) there: {error}") from error

    def verify(self, authorization: str | None) -> Principal:
        """The caller named by an `Authorization` header. Raises Unauthenticated; never says which part was wrong."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("send a token: Authorization: Bearer <token>")
        try:
            key = self._keys[jwt.get_unverified_header(token).get("kid")]
            claims = jwt.decode(
                token,
                key,
                algorithms=_ALGORITHMS,
                issuer=self._issuer,
                audience=self._audience,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except (jwt.PyJWTError, KeyError) as error:
            raise Unauthenticated("the token is not valid here") from error
        tenant, scope = claims.get("tenant", ""), claims.get("scope", "")
        if not isinstance(tenant, str) or not isinstance(scope, str) or not tenant:
            raise Unauthenticated("the token is not valid here")
        return Principal(str(claims["sub"]), tenant, frozenset(scope.split()))
