"""gRPC and REST over loopback, with real tokens."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import grpc
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from duly_runtime.auth import TokenVerifier
from duly_runtime.metrics import Metrics
from gateway.entrypoints.grpc_server import GrpcServer
from gateway.entrypoints.rest import ROUTES, rest_app
from gateway.entrypoints.rest_server import RestServer
from google.protobuf.json_format import MessageToDict
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from grpc_status import rpc_status

from duly.contact.v1 import types_pb2 as types
from duly.gateway.v1 import contact_service_pb2 as pb
from duly.gateway.v1 import control_service_pb2 as control
from duly.gateway.v1 import debtor_service_pb2 as debtor
from duly.gateway.v1 import inbox_service_pb2 as inbox

pytestmark = pytest.mark.postgres
KEY = Ed25519PrivateKey.generate()
JWKS = {"keys": [{**json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(KEY.public_key())), "kid": "k1", "alg": "EdDSA"}]}
REQUESTS = {
    "RequestContact": pb.RequestContactRequest,
    "GetContact": pb.GetContactRequest,
    "ListContacts": pb.ListContactsRequest,
    "CancelContact": pb.CancelContactRequest,
    "EvaluateGate": pb.EvaluateGateRequest,
    "IngestMessage": inbox.IngestMessageRequest,
    "SetKillSwitch": control.SetKillSwitchRequest,
    "GetDebtor": debtor.GetDebtorRequest,
    "GetTimeline": debtor.GetTimelineRequest,
}
ALL = "contacts:read contacts:write debtors:read inbox:write control:write"


def token(tenant: str = "acme", scope: str = ALL, seconds: int = 3600) -> str:
    claims = {
        "iss": "duly", "aud": "duly", "sub": "ann", "tenant": tenant, "scope": scope,
        "exp": datetime.now(UTC) + timedelta(seconds=seconds),
    }  # fmt: skip
    return "Bearer " + jwt.encode(claims, KEY, "EdDSA", headers={"kid": "k1"})


@dataclass
class Edges:
    world: Any
    channel: grpc.Channel
    http: httpx.Client
    metrics: Metrics

    def grpc_call(self, method: str, request: Any, authorization: str | None = None) -> Any:
        operation = self.world.gateway.operations[method]
        call = self.channel.unary_unary(
            f"/{operation.full_service}/{method}",
            request_serializer=operation.request.SerializeToString,
            response_deserializer=operation.response.FromString,
        )
        metadata = (("authorization", authorization if authorization is not None else token()),)
        return call(request, timeout=5, metadata=metadata)


@pytest.fixture
def edges(world) -> Iterator[Edges]:
    verifier = TokenVerifier(JWKS)
    metrics = Metrics()
    grpc_server = GrpcServer(
        "127.0.0.1:0", world.gateway.operations.values(), verifier, world.clock, metrics, 4, with_reflection=True
    )
    rest_server = RestServer(rest_app(world.gateway.operations, verifier, world.clock, metrics), "127.0.0.1", 0)
    grpc_server.start()
    rest_server.start()
    with (
        grpc.insecure_channel(f"127.0.0.1:{grpc_server.port}") as channel,
        httpx.Client(base_url=f"http://127.0.0.1:{rest_server.port}", headers={"authorization": token()}) as http,
    ):
        yield Edges(world, channel, http, metrics)
    grpc_server.close()
    rest_server.close()


def reason_of(error: grpc.RpcError) -> str:
    status = rpc_status.from_call(error)
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    assert info.domain == "duly"
    return info.reason


def test_a_contact_asked_for_by_grpc_is_seen_over_rest(edges):
    edges.world.ready()
    answer = edges.grpc_call("RequestContact", edges.world.request())
    assert answer.state == pb.CONTACT_STATE_RESERVED
    found = edges.http.get("/v1/contacts/C-T-D-1").json()["contact"]
    assert found["state"] == "CONTACT_STATE_RESERVED"
    assert found["decision"]["answer"] == "GATE_ANSWER_ALLOW"
    listed = edges.http.get("/v1/contacts", params={"debtor_id": "D-1", "page_size": 1}).json()
    assert [contact["contact_id"] for contact in listed["contacts"]] == ["C-T-D-1"]


def test_a_contact_asked_for_by_rest_with_the_key_in_the_header_is_asked_once(edges):
    edges.world.ready()
    body = MessageToDict(edges.world.request(), preserving_proto_field_name=True)
    del body["idempotency_key"], body["tenant_id"]
    first = edges.http.post("/v1/contacts", json=body, headers={"idempotency-key": "abc"})
    again = edges.http.post("/v1/contacts", json=body, headers={"idempotency-key": "abc"})
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json()["state"] == "CONTACT_STATE_RESERVED"
    assert again.headers["idempotent-replayed"] == "true"
    other = edges.http.post("/v1/contacts", json=body | {"step_no": 7}, headers={"idempotency-key": "abc"})
    assert (other.status_code, other.json()["reason"]) == (422, "idempotency_key_reused")
    assert other.headers["content-type"] == "application/problem+json"


def test_errors_say_the_same_on_both_edges(edges):
    edges.world.ready()
    with pytest.raises(grpc.RpcError) as caught:
        edges.grpc_call("GetContact", pb.GetContactRequest(tenant_id="acme", contact_id="none"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert reason_of(caught.value) == "contact_not_found"
    answer = edges.http.get("/v1/contacts/none")
    assert (answer.status_code, answer.json()["reason"]) == (404, "contact_not_found")
    answer = edges.http.post("/v1/contacts", content=b"{")
    assert (answer.status_code, answer.json()["reason"]) == (400, "malformed_body")
    answer = edges.http.post("/v1/contacts", json={"no_such_field": 1})
    assert answer.status_code == 400


def test_a_gate_question_over_rest_changes_nothing(edges):
    edges.world.ready()
    question = {"debtor_id": "D-1", "invoice_ids": ["INV-D-1"], "channel": "CHANNEL_EMAIL", "purpose": "collection"}
    answer = edges.http.post("/v1/gate:evaluate", json=question | {"action": "reminder"})
    assert answer.json()["decision"]["answer"] == "GATE_ANSWER_ALLOW"
    assert edges.http.get("/v1/contacts").json() == {}


def test_cancel_over_rest(edges):
    edges.world.ready()
    edges.world.ask()
    answer = edges.http.post(
        "/v1/contacts/C-T-D-1:cancel", json={"reason": "mistake"}, headers={"idempotency-key": "x"}
    )
    assert answer.json()["state"] == "CONTACT_STATE_CANCELLED"


@pytest.mark.parametrize("bad", ["", "Bearer nonsense", "Basic eA==", token(seconds=-60)])
def test_no_credential_no_answer(edges, bad):
    with pytest.raises(grpc.RpcError) as caught:
        edges.grpc_call("GetContact", pb.GetContactRequest(tenant_id="acme", contact_id="x"), bad)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED
    assert edges.http.get("/v1/contacts/x", headers={"authorization": bad}).status_code == 401


def test_every_method_refuses_another_tenant_and_a_missing_scope(edges):
    world = edges.world
    for tenant in ("acme", "other"):
        world.debtor("D-1", tenant)
        world.invoice("D-1", "INV-D-1", tenant=tenant)
    world.tick("2031-03-04", datetime(2031, 3, 4, 15, 0, tzinfo=UTC))
    world.settle()
    world.ask()
    for method, operation in world.gateway.operations.items():
        request = operation.request(tenant_id="acme")
        for name in ("contact_id", "debtor_id", "idempotency_key", "reason", "body"):
            if name in operation.request.DESCRIPTOR.fields_by_name:
                setattr(request, name, {"contact_id": "C-T-D-1", "debtor_id": "D-1"}.get(name, "x"))
        for authorization in (token("other"), token(scope="none")):
            with pytest.raises(grpc.RpcError) as caught:
                edges.grpc_call(method, request, authorization)
            assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED, method
    for route in ROUTES:
        path = route.path.format(contact_id="C-T-D-1", debtor_id="D-1")
        for tenant_id, expected in (("acme", {403}), ("", {400, 404})):
            where = {"tenant_id": tenant_id} if tenant_id else {}
            answer = edges.http.request(
                route.verb,
                path,
                headers={"authorization": token("other"), "idempotency-key": f"{route.method}{tenant_id}"},
                **({"json": where} if route.verb == "POST" else {"params": where}),
            )
            if route.method == "ListContacts" and not tenant_id:
                assert answer.json() == {}
            else:
                assert answer.status_code in expected, route
    assert world.state() == "RESERVED"


TEXT_FIELDS = [
    (method, field)
    for method, request in REQUESTS.items()
    for field in (f.name for f in request.DESCRIPTOR.fields if f.type == f.TYPE_STRING)
]


@pytest.mark.parametrize(("method", "field"), TEXT_FIELDS)
def test_a_nul_in_any_text_is_refused_on_both_edges(edges, method, field):
    assert set(edges.world.gateway.operations) == set(REQUESTS)
    operation = edges.world.gateway.operations[method]
    repeated = field == "invoice_ids"
    values = {"tenant_id": "acme"} | {field: ["a\x00b"] if repeated else "a\x00b"}
    with pytest.raises(grpc.RpcError) as caught:
        edges.grpc_call(method, operation.request(**values))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert reason_of(caught.value) == "invalid_request"
    route = next(route for route in ROUTES if route.method == method)
    path = route.path.format(**{name: quote(str(values.get(name, "x"))) for name in ("contact_id", "debtor_id")})
    sent = {name: value for name, value in values.items() if f"{{{name}}}" not in route.path}
    how = {"json": sent} if route.verb == "POST" else {"params": sent}
    answer = edges.http.request(route.verb, path, **how)
    assert (answer.status_code, answer.json()["field"]) == (400, field)


@pytest.mark.parametrize("number", ["9223372036854775808", "9" * 30, "9" * 5000, "-1"], ids=len)
def test_a_page_that_was_never_given_out_is_refused_on_both_edges(edges, number):
    forged = base64.urlsafe_b64encode(number.encode()).decode()
    with pytest.raises(grpc.RpcError) as caught:
        edges.grpc_call("ListContacts", pb.ListContactsRequest(tenant_id="acme", page_token=forged))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert edges.http.get("/v1/contacts", params={"page_token": forged}).status_code == 400


def test_an_error_nobody_foresaw_is_measured_as_one_on_both_edges(edges, monkeypatch):
    def fail(*_):
        raise RuntimeError("broken")

    monkeypatch.setattr("gateway.adapters.postgres.store.PostgresStore.contact", fail)
    with pytest.raises(grpc.RpcError) as caught:
        edges.grpc_call("GetContact", pb.GetContactRequest(tenant_id="acme", contact_id="x"))
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    assert edges.http.get("/v1/contacts/x").status_code == 500
    for method, code in (("GetContact", "UNKNOWN"), ("GetContact REST", "500")):
        labels = {"method": method, "code": code}
        assert edges.metrics.registry.get_sample_value("duly_rpc_seconds_count", labels) == 1


def test_health_reflection_and_the_openapi_document_are_served(edges):
    health = health_pb2_grpc.HealthStub(edges.channel)
    answer = health.Check(health_pb2.HealthCheckRequest(service="duly.gateway.v1.ContactService"), timeout=5)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING
    listing = reflection_pb2_grpc.ServerReflectionStub(edges.channel).ServerReflectionInfo(
        iter([reflection_pb2.ServerReflectionRequest(list_services="")]), timeout=5
    )
    names = {service.name for service in next(listing).list_services_response.service}
    assert "duly.gateway.v1.InboxService" in names
    document = edges.http.get("/openapi.json").json()
    assert {route.method for route in ROUTES} == {
        operation["operationId"] for path in document["paths"].values() for operation in path.values()
    }
    schema = document["components"]["schemas"]["RequestContactRequest"]
    assert schema["properties"]["channel"]["enum"][1] == types.Channel.Name(types.CHANNEL_EMAIL)
    references = json.dumps(document).split('"#/components/schemas/')[1:]
    assert {part.partition('"')[0] for part in references} <= set(document["components"]["schemas"])
