"""gRPC edge: threads, because the database driver is synchronous; decode, authorise, call, encode."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from duly_runtime.auth import TokenVerifier
from duly_runtime.clock import Clock
from duly_runtime.logging import get_logger
from duly_runtime.metrics import RPC_SECONDS, Metrics
from google.protobuf.message import Message
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection  # type: ignore[import-untyped]
from grpc_status import rpc_status  # type: ignore[import-untyped]

from gateway.entrypoints.errors import EXPECTED, fault_of, status_of
from gateway.entrypoints.operations import Operation, identify

_log = get_logger(__name__)
MESSAGE_BYTES_MAX = 1024 * 1024
_CALLS_WAITING_MAX = 200
_GRACE_SECONDS = 5.0


class GrpcServer:
    """Serves the table of operations, health, and reflection where it is wanted. Bound when it is made."""

    def __init__(
        self,
        address: str,
        operations: Iterable[Operation],
        verifier: TokenVerifier,
        clock: Clock,
        metrics: Metrics,
        threads: int = 16,
        with_reflection: bool = False,
    ) -> None:
        self._server = grpc.server(
            ThreadPoolExecutor(threads, thread_name_prefix="grpc"),
            maximum_concurrent_rpcs=threads + _CALLS_WAITING_MAX,
            options=[
                ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
                ("grpc.so_reuseport", 0),  # a port in use must fail, not share the calls
            ],
        )
        by_service: dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]] = defaultdict(dict)
        for operation in operations:
            by_service[operation.full_service][operation.method] = grpc.unary_unary_rpc_method_handler(
                _serve(operation, verifier, clock, metrics),
                request_deserializer=operation.request.FromString,
                response_serializer=operation.response.SerializeToString,
            )
        for service, methods in by_service.items():
            self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, methods),))
        self._health = health.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        for service in ("", *by_service):
            self._health.set(service, health_pb2.HealthCheckResponse.SERVING)
        if with_reflection:
            names = (*by_service, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self._server)
        self.port = self._server.add_insecure_port(address)

    def start(self) -> None:
        self._server.start()

    def close(self) -> None:
        """Say so, let running calls end, then stop."""
        self._health.enter_graceful_shutdown()
        self._server.stop(_GRACE_SECONDS).wait()


def _serve(
    operation: Operation, verifier: TokenVerifier, clock: Clock, metrics: Metrics
) -> Callable[[Message, grpc.ServicerContext], Message]:
    def serve(request: Message, context: grpc.ServicerContext) -> Message:
        started = clock.monotonic()
        code = "UNKNOWN"  # what gRPC tells a caller of an error nobody foresaw
        metadata = {key: str(value) for key, value in context.invocation_metadata()}
        try:
            caller = identify(verifier, metadata.get("authorization"), metadata.get("traceparent", ""))
            answer = operation.call(request, caller)
            code = "OK"
            return answer
        except EXPECTED as error:
            fault = fault_of(error)
            code = fault.answer.status.name
            if code == "UNAVAILABLE":
                _log.warning("gateway.call_failed", method=operation.method, reason=fault.reason, error=str(error))
            context.abort_with_status(rpc_status.to_status(status_of(fault)))
            raise  # not reached: abort raises
        finally:
            metrics.observe(RPC_SECONDS, clock.monotonic() - started, method=operation.method, code=code)

    return serve
