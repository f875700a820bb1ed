"""The gRPC adapter against a real server on a Unix socket."""

from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from outreach.adapters.gateway_client import GrpcContactGateway
from outreach.application.ports import CallFaulted, GatewayUnavailable, RequestRefused

from duly.gateway.v1 import contact_service_pb2 as pb
from duly.gateway.v1.contact_service_pb2_grpc import ContactServiceServicer, add_ContactServiceServicer_to_server


class Servicer(ContactServiceServicer):
    status = None
    metadata = None

    def RequestContact(self, request, context):
        self.metadata = dict(context.invocation_metadata())
        if self.status is not None:
            context.abort(self.status, "told to")
        return pb.RequestContactResponse(contact_id=request.contact_id, state=pb.CONTACT_STATE_RESERVED)

    def CancelContact(self, request, context):
        if self.status is not None:
            context.abort(self.status, "told to")
        return pb.CancelContactResponse(contact_id=request.contact_id, state=pb.CONTACT_STATE_CANCELLED)

    def GetContact(self, request, context): ...
    def ListContacts(self, request, context): ...
    def EvaluateGate(self, request, context): ...


@pytest.fixture
def servicer():
    return Servicer()


@pytest.fixture
def client(servicer, tmp_path):
    server = grpc.server(ThreadPoolExecutor(1))
    add_ContactServiceServicer_to_server(servicer, server)
    address = f"unix:{tmp_path}/g.sock"
    server.add_insecure_port(address)
    server.start()
    client = GrpcContactGateway(address, "secret-token")
    yield client
    client.close()
    server.stop(None).wait()


def test_a_request_carries_the_token_and_the_trace(client, servicer):
    answer = client.request_contact(pb.RequestContactRequest(contact_id="C-1"), "00-aa-bb-01")

    assert (answer.contact_id, answer.state) == ("C-1", pb.CONTACT_STATE_RESERVED)
    assert servicer.metadata["authorization"] == "Bearer secret-token"
    assert servicer.metadata["traceparent"] == "00-aa-bb-01"


@pytest.mark.parametrize("name", ["UNAVAILABLE", "ABORTED", "RESOURCE_EXHAUSTED", "UNAUTHENTICATED"])
def test_what_may_pass_is_to_be_tried_again(client, servicer, name):
    servicer.status = grpc.StatusCode[name]
    with pytest.raises(GatewayUnavailable, match=name):
        client.request_contact(pb.RequestContactRequest())


@pytest.mark.parametrize("name", ["NOT_FOUND", "INTERNAL", "UNKNOWN"])
def test_a_fault_of_one_call_says_nothing_about_the_others(client, servicer, name):
    servicer.status = grpc.StatusCode[name]
    with pytest.raises(CallFaulted, match=name):
        client.request_contact(pb.RequestContactRequest())
    with pytest.raises(CallFaulted, match=name):
        client.cancel_contact(pb.CancelContactRequest())


@pytest.mark.parametrize("name", ["INVALID_ARGUMENT", "FAILED_PRECONDITION", "ALREADY_EXISTS"])
def test_what_will_never_pass_is_refused_with_its_status(client, servicer, name):
    servicer.status = grpc.StatusCode[name]
    with pytest.raises(RequestRefused) as error:
        client.request_contact(pb.RequestContactRequest())
    assert error.value.reason == name
