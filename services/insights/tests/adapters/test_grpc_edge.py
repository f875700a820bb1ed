"""The gRPC edge over loopback, with real tokens."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from duly_runtime.auth import TokenVerifier
from duly_runtime.metrics import Metrics
from insights.entrypoints.grpc_server import GrpcServer

from duly.insights.v1 import debtor_query_service_pb2 as pb
from duly.insights.v1 import debtor_query_service_pb2_grpc as stubs
from duly.ledger.v1 import events_pb2 as ledger

pytestmark = pytest.mark.postgres
KEY = Ed25519PrivateKey.generate()
JWKS = {"keys": [{**json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(KEY.public_key())), "kid": "k1", "alg": "EdDSA"}]}


def metadata(tenant: str = "acme", scope: str = "debtors:read"):
    claims = {"iss": "duly", "aud": "duly", "sub": "a", "tenant": tenant, "scope": scope,
              "exp": datetime.now(UTC) + timedelta(hours=1)}  # fmt: skip
    return (("authorization", "Bearer " + jwt.encode(claims, KEY, "EdDSA", headers={"kid": "k1"})),)


@pytest.fixture
def stub(world, fake_clock):
    server = GrpcServer("127.0.0.1:0", world.insights.queries, TokenVerifier(JWKS), fake_clock, Metrics(), 2)
    server.start()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield stubs.DebtorQueryServiceStub(channel)
    server.close()


def test_a_debtor_and_the_story_are_answered(world, stub):
    world.publish("D-1", ledger.PartyUpserted(party_id="D-1", debtor_id="D-1"))
    world.settle()
    found = stub.QueryDebtor(pb.QueryDebtorRequest(tenant_id="acme", debtor_id="D-1"), metadata=metadata(), timeout=5)
    assert found.debtor.debtor_id == "D-1"
    story = stub.QueryTimeline(
        pb.QueryTimelineRequest(tenant_id="acme", debtor_id="D-1"), metadata=metadata(), timeout=5
    )
    assert [line.event for line in story.entries] == ["party.upserted"]


@pytest.mark.parametrize(
    ("who", "status"),
    [
        ((), grpc.StatusCode.UNAUTHENTICATED),
        (metadata("other"), grpc.StatusCode.PERMISSION_DENIED),
        (metadata(scope="contacts:read"), grpc.StatusCode.PERMISSION_DENIED),
        (metadata(), grpc.StatusCode.NOT_FOUND),
    ],
)
def test_every_method_refuses_strangers(stub, who, status):
    for call, request in (
        (stub.QueryDebtor, pb.QueryDebtorRequest(tenant_id="acme", debtor_id="D-9")),
        (stub.QueryTimeline, pb.QueryTimelineRequest(tenant_id="acme", debtor_id="D-9")),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call(request, metadata=who, timeout=5)
        assert caught.value.code() is status
