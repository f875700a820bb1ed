"""gRPC edge: threads, because the database driver is synchronous; authorise, call, encode."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from duly_runtime.auth import PermissionDenied, TokenVerifier, Unauthenticated
from duly_runtime.clock import Clock
from duly_runtime.database import TRANSIENT_ERRORS
from duly_runtime.metrics import RPC_SECONDS, Metrics
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from psycopg_pool import PoolTimeout

from duly.insights.v1 import debtor_query_service_pb2 as pb
from insights.application.debtor_queries import DebtorNotFound, DebtorQueries, InvalidRequest, refuse_nul

SERVICE = "duly.insights.v1.DebtorQueryService"
SCOPE = "debtors:read"
MESSAGE_BYTES_MAX = 1024 * 1024
_CALLS_WAITING_MAX = 200
_GRACE_SECONDS = 5.0

ERRORS: dict[type[Exception], grpc.StatusCode] = {
    InvalidRequest: grpc.StatusCode.INVALID_ARGUMENT,
    DebtorNotFound: grpc.StatusCode.NOT_FOUND,
    Unauthenticated: grpc.StatusCode.UNAUTHENTICATED,
    PermissionDenied: grpc.StatusCode.PERMISSION_DENIED,
    PoolTimeout: grpc.StatusCode.UNAVAILABLE,
    **dict.fromkeys(TRANSIENT_ERRORS, grpc.StatusCode.UNAVAILABLE),
}
_EXPECTED = tuple(ERRORS)


class GrpcServer:
    """DebtorQueryService and health. Bound when it is made."""

    def __init__(
        self,
        address: str,
        queries: DebtorQueries,
        verifier: TokenVerifier,
        clock: Clock,
        metrics: Metrics,
        threads: int,
    ) -> None:
        self._server = grpc.server(
            ThreadPoolExecutor(threads, thread_name_prefix="grpc"),
            maximum_concurrent_rpcs=threads + _CALLS_WAITING_MAX,
            options=[
                ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
                ("grpc.so_reuseport", 0),  # a port in use must fail, not share the calls
            ],
        )
        methods: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
            "QueryDebtor": grpc.unary_unary_rpc_method_handler(
                _serve("QueryDebtor", queries.query_debtor, verifier, clock, metrics),
                request_deserializer=pb.QueryDebtorRequest.FromString,
                response_serializer=pb.QueryDebtorResponse.SerializeToString,
            ),
            "QueryTimeline": grpc.unary_unary_rpc_method_handler(
                _serve("QueryTimeline", queries.query_timeline, verifier, clock, metrics),
                request_deserializer=pb.QueryTimelineRequest.FromString,
                response_serializer=pb.QueryTimelineResponse.SerializeToString,
            ),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, methods),))
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        for service in ("", SERVICE):
            self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        self.port = self._server.add_insecure_port(address)

    def start(self) -> None:
        self._server.start()

    def close(self) -> None:
        """Say so, let running calls end, then stop."""
        self._health.enter_graceful_shutdown()
        self._server.stop(_GRACE_SECONDS).wait()


def _serve(
    method: str, query: Callable[[Any], Message], verifier: TokenVerifier, clock: Clock, metrics: Metrics
) -> Callable[[Any, grpc.ServicerContext], Message]:
    def serve(request: Any, context: grpc.ServicerContext) -> Message:
        started = clock.monotonic()
        code = "UNKNOWN"  # what gRPC tells a caller of an error nobody foresaw
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        try:
            principal = verifier.verify(metadata.get("authorization"))
            refuse_nul(request)
            principal.require(request.tenant_id, SCOPE)
            answer = query(request)
            code = "OK"
            return answer
        except _EXPECTED as error:
            status = next(ERRORS[ancestor] for ancestor in type(error).__mro__ if ancestor in ERRORS)
            code = status.name
            away = status is grpc.StatusCode.UNAVAILABLE
            context.abort(status, "the database does not answer" if away else str(error))
            raise  # not reached: abort raises
        finally:
            metrics.observe(RPC_SECONDS, clock.monotonic() - started, method=method, code=code)

    return serve
