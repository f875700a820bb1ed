"""`ContactGateway` over gRPC."""

from __future__ import annotations

import grpc

from duly.gateway.v1 import contact_service_pb2 as pb
from duly.gateway.v1.contact_service_pb2_grpc import ContactServiceStub
from outreach.application.ports import CallFaulted, GatewayUnavailable, RequestRefused

DEADLINE_SECONDS = 5.0
# The gateway will say the same however often it is asked.
_FINAL = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
# About this call alone, and it may pass: a debtor the gateway has not read of yet, a request that is still running
# when its cancellation comes, a fault inside. All other statuses are about the gateway: an outage, a token that is
# being renewed.
_FAULTS = frozenset(
    {
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DATA_LOSS,
    }
)


class GrpcContactGateway:
    """token: JSON Web Token with scope contacts:write. The channel connects when the first call is made."""

    def __init__(self, address: str, token: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._stub = ContactServiceStub(self._channel)
        self._authorization = ("authorization", f"Bearer {token}")

    def request_contact(self, request: pb.RequestContactRequest, traceparent: str = "") -> pb.RequestContactResponse:
        try:
            return self._stub.RequestContact(request, timeout=DEADLINE_SECONDS, metadata=self._metadata(traceparent))
        except grpc.RpcError as error:
            raise _translated(error) from error

    def cancel_contact(self, request: pb.CancelContactRequest, traceparent: str = "") -> pb.CancelContactResponse:
        try:
            return self._stub.CancelContact(request, timeout=DEADLINE_SECONDS, metadata=self._metadata(traceparent))
        except grpc.RpcError as error:
            raise _translated(error) from error

    def close(self) -> None:
        self._channel.close()

    def _metadata(self, traceparent: str) -> tuple[tuple[str, str], ...]:
        return (self._authorization, ("traceparent", traceparent)) if traceparent else (self._authorization,)


def _translated(error: grpc.RpcError) -> GatewayUnavailable | CallFaulted | RequestRefused:
    status = error.code()
    if status in _FINAL:
        return RequestRefused(status.name, f"{status.name}: {error.details()}")
    if status in _FAULTS:
        return CallFaulted(status.name)
    return GatewayUnavailable(status.name)
