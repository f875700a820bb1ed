"""The gRPC edge over loopback, with real tokens."""

from __future__ import annotations

import base64
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
def metrics():
    return Metrics()


@pytest.fixture
def stub(world, fake_clock, metrics):
    server = GrpcServer("127.0.0.1:0", world.insights.queries, TokenVerifier(JWKS), fake_clock, metrics, 2)
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


@pytest.mark.parametrize("number", ["9223372036854775808", "9" * 30, "9" * 5000, "-1"], ids=len)
def test_a_page_that_was_never_given_out_is_refused(stub, number):
    token = base64.urlsafe_b64encode(f"2031-03-04 {number}".encode()).decode()
    request = pb.QueryTimelineRequest(tenant_id="acme", debtor_id="D-1", page_token=token)
    with pytest.raises(grpc.RpcError) as caught:
        stub.QueryTimeline(request, metadata=metadata(), timeout=5)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("method", "request_type", "field"),
    [
        (name, request_type, field.name)
        for name, request_type in (("QueryDebtor", pb.QueryDebtorRequest), ("QueryTimeline", pb.QueryTimelineRequest))
        for field in request_type.DESCRIPTOR.fields
        if field.type == field.TYPE_STRING
    ],
)
def test_a_nul_in_any_text_is_refused(stub, method, request_type, field):
    request = request_type(**({"tenant_id": "acme", "debtor_id": "D-1"} | {field: "a\x00b"}))
    with pytest.raises(grpc.RpcError) as caught:
        getattr(stub, method)(request, metadata=metadata(), timeout=5)
    assert (caught.value.code(), caught.value.details()) == (
        grpc.StatusCode.INVALID_ARGUMENT, f"{field}: holds a NUL character",
    )  # fmt: skip


def test_an_error_nobody_foresaw_is_measured_as_one(world, stub, metrics, monkeypatch):
    def fail(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr(world.insights.queries._queries, "debtor", fail)
    with pytest.raises(grpc.RpcError) as caught:
        stub.QueryDebtor(pb.QueryDebtorRequest(tenant_id="acme", debtor_id="D-1"), metadata=metadata(), timeout=5)
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    found = metrics.registry.get_sample_value("duly_rpc_seconds_count", {"method": "QueryDebtor", "code": "UNKNOWN"})
    assert found == 1
