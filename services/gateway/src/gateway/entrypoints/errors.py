"""The one table from what can go wrong to what a caller sees: gRPC status, HTTP status, whether to try again."""

from __future__ import annotations

from dataclasses import dataclass

import grpc
from duly_runtime.auth import PermissionDenied, Unauthenticated
from duly_runtime.clock import PolicyClockUnset
from duly_runtime.database import TRANSIENT_ERRORS
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc import code_pb2, error_details_pb2, status_pb2  # type: ignore[import-untyped]
from psycopg_pool import PoolTimeout

from gateway.application.errors import (
    ContactExists,
    ContactNotFound,
    DebtorNotFound,
    InvalidRequest,
    KeyReused,
    QueriesUnavailable,
)

DOMAIN = "duly"
_RETRY_SECONDS = 1


class MalformedBody(ValueError):
    """A REST body that is not the JSON form of the request message."""

    code = "malformed_body"


@dataclass(frozen=True, slots=True)
class Answer:
    """status: gRPC. text: what is told in place of the error's own words ('' = those)."""

    status: grpc.StatusCode
    http: int
    retryable: bool = False
    text: str = ""
    reason: str = ""


_DATABASE_AWAY = Answer(
    grpc.StatusCode.UNAVAILABLE, 503, retryable=True, text="the database does not answer", reason="database_away"
)

ERRORS: dict[type[Exception], Answer] = {
    InvalidRequest: Answer(grpc.StatusCode.INVALID_ARGUMENT, 400),
    MalformedBody: Answer(grpc.StatusCode.INVALID_ARGUMENT, 400),
    KeyReused: Answer(grpc.StatusCode.INVALID_ARGUMENT, 422),
    Unauthenticated: Answer(grpc.StatusCode.UNAUTHENTICATED, 401),
    PermissionDenied: Answer(grpc.StatusCode.PERMISSION_DENIED, 403),
    ContactNotFound: Answer(grpc.StatusCode.NOT_FOUND, 404),
    DebtorNotFound: Answer(grpc.StatusCode.NOT_FOUND, 404),
    ContactExists: Answer(grpc.StatusCode.FAILED_PRECONDITION, 409),
    PolicyClockUnset: Answer(grpc.StatusCode.UNAVAILABLE, 503, retryable=True),
    QueriesUnavailable: Answer(grpc.StatusCode.UNAVAILABLE, 503, retryable=True),
    PoolTimeout: _DATABASE_AWAY,
    **dict.fromkeys(TRANSIENT_ERRORS, _DATABASE_AWAY),
}
EXPECTED = tuple(ERRORS)


@dataclass(frozen=True, slots=True)
class Fault:
    """One error as both edges tell it. reason: stable, for programs; field: the malformed one, or ''."""

    answer: Answer
    reason: str
    text: str
    field: str = ""


def fault_of(error: Exception) -> Fault:
    """The row of the error's class or its nearest ancestor. Raises KeyError for an error without a row."""
    answer = next(ERRORS[ancestor] for ancestor in type(error).__mro__ if ancestor in ERRORS)
    reason = answer.reason or str(getattr(error, "code", type(error).__name__))
    return Fault(answer, reason, answer.text or str(error), str(getattr(error, "field", "")))


def status_of(fault: Fault) -> status_pb2.Status:
    """google.rpc.Status with ErrorInfo, and RetryInfo or BadRequest where they apply."""
    details = [_any(error_details_pb2.ErrorInfo(reason=fault.reason, domain=DOMAIN))]
    if fault.answer.retryable:
        details.append(_any(error_details_pb2.RetryInfo(retry_delay=Duration(seconds=_RETRY_SECONDS))))
    if fault.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=fault.field, description=fault.text)
        details.append(_any(error_details_pb2.BadRequest(field_violations=[violation])))
    code = code_pb2.Code.Value(fault.answer.status.name)
    return status_pb2.Status(code=code, message=fault.text, details=details)


def problem_of(fault: Fault) -> dict[str, object]:
    """RFC 9457."""
    problem: dict[str, object] = {
        "type": f"urn:duly:problem:{fault.reason}",
        "title": fault.reason.replace("_", " "),
        "status": fault.answer.http,
        "detail": fault.text,
        "reason": fault.reason,
        "retryable": fault.answer.retryable,
    }
    if fault.field:
        problem["field"] = fault.field
    return problem


def _any(message: error_details_pb2.ErrorInfo | error_details_pb2.RetryInfo | error_details_pb2.BadRequest) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
