"""Tokens: the right key, audience, time and tenant, or nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from duly_runtime.auth import KeySetUnusable, PermissionDenied, TokenVerifier, Unauthenticated
from jwt.algorithms import OKPAlgorithm

KEY = Ed25519PrivateKey.generate()
OTHER_KEY = Ed25519PrivateKey.generate()


def verifier() -> TokenVerifier:
    jwk = {**json.loads(OKPAlgorithm.to_jwk(KEY.public_key())), "kid": "k1", "alg": "EdDSA"}
    return TokenVerifier({"keys": [jwk]})


def token(key: Ed25519PrivateKey = KEY, kid: str = "k1", algorithm: str = "EdDSA", **claims: object) -> str:
    now = datetime.now(UTC)
    body = {"iss": "duly", "aud": "duly", "sub": "erp", "tenant": "t", "scope": "ledger:write debtors:read",
            "exp": now + timedelta(minutes=5), **claims}  # fmt: skip
    return "Bearer " + jwt.encode(
        body, key if algorithm == "EdDSA" else "x" * 32, algorithm=algorithm, headers={"kid": kid}
    )


def test_a_good_token_names_its_caller() -> None:
    principal = verifier().verify(token())
    assert (principal.subject, principal.tenant) == ("erp", "t")
    principal.require("t", "ledger:write")


@pytest.mark.parametrize(
    "authorization",
    [
        None, "", "Bearer", "Bearer x.y.z", "Basic abc", token(OTHER_KEY), token(kid="k2"), token(algorithm="HS256"),
        token(aud="else"), token(iss="else"), token(tenant=""), token(tenant=7),
        token(exp=datetime(2020, 1, 1, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_anything_else_is_refused(authorization: str | None) -> None:
    with pytest.raises(Unauthenticated):
        verifier().verify(authorization)


def test_another_tenant_is_refused() -> None:
    with pytest.raises(PermissionDenied, match="tenant"):
        verifier().verify(token()).require("other", "ledger:write")


def test_a_missing_scope_is_named() -> None:
    with pytest.raises(PermissionDenied, match="contacts:write"):
        verifier().verify(token()).require("t", "contacts:write")


def test_only_a_token_for_all_tenants_crosses_tenants() -> None:
    verifier().verify(token(scope="ledger:write tenants:all")).require("other", "ledger:write")


@pytest.mark.parametrize("content", [None, "", "[]", "{}", '{"keys": []}', '{"keys": [{"kty": "?"}]}'])
def test_a_key_set_that_cannot_be_used_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "jwks.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(KeySetUnusable, match=r"jwks\.json"):
        TokenVerifier.from_file(str(file))
