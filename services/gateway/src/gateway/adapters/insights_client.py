"""`DebtorQueries` by gRPC: asks insights in the caller's name, with the caller's own token."""

from __future__ import annotations

import grpc
from duly_runtime.auth import PermissionDenied, Unauthenticated

from duly.insights.v1 import debtor_query_service_pb2 as pb
from duly.insights.v1 import debtor_query_service_pb2_grpc as stubs
from gateway.application.debtor_queries import DebtorQueries
from gateway.application.errors import DebtorNotFound, InvalidRequest, QueriesUnavailable

_DEADLINE_SECONDS = 5.0


class GrpcDebtorQueries(DebtorQueries):
    """One channel, kept open."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._stub = stubs.DebtorQueryServiceStub(self._channel)

    def query_debtor(self, request: pb.QueryDebtorRequest, authorization: str) -> pb.QueryDebtorResponse:
        try:
            answer = self._stub.QueryDebtor(request, timeout=_DEADLINE_SECONDS, metadata=_metadata(authorization))
        except grpc.RpcError as error:
            raise _fault(error) from error
        return answer

    def query_timeline(self, request: pb.QueryTimelineRequest, authorization: str) -> pb.QueryTimelineResponse:
        try:
            answer = self._stub.QueryTimeline(request, timeout=_DEADLINE_SECONDS, metadata=_metadata(authorization))
        except grpc.RpcError as error:
            raise _fault(error) from error
        return answer

    def close(self) -> None:
        self._channel.close()


def _metadata(authorization: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", authorization),)


def _fault(error: grpc.RpcError) -> Exception:
    match getattr(error, "code", lambda: grpc.StatusCode.UNKNOWN)():
        case grpc.StatusCode.NOT_FOUND:
            return DebtorNotFound("no such debtor")
        case grpc.StatusCode.INVALID_ARGUMENT:
            return InvalidRequest("page_token", "is not one that was given out")
        case grpc.StatusCode.UNAUTHENTICATED:
            return Unauthenticated("the token is not valid here")
        case grpc.StatusCode.PERMISSION_DENIED:
            return PermissionDenied("the token is for another tenant or lacks a scope")
        case _:
            return QueriesUnavailable("the read models do not answer")
