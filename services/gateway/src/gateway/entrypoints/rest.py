"""REST edge: the same operations, as the JSON form of the same messages (field names as in the proto files).

A JWT names the tenant, so `tenant_id` may be left out. `Idempotency-Key` may be a header or the body's field.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from duly_runtime.auth import TokenVerifier
from duly_runtime.clock import Clock
from duly_runtime.logging import get_logger
from duly_runtime.metrics import RPC_SECONDS, Metrics
from fastapi import FastAPI, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import JSONResponse, Response
from google.protobuf.json_format import MessageToJson, ParseDict, ParseError
from google.protobuf.message import Message
from starlette.concurrency import run_in_threadpool

from gateway.entrypoints.errors import EXPECTED, MalformedBody, fault_of, problem_of
from gateway.entrypoints.json_schema import reference, schemas_of
from gateway.entrypoints.operations import Caller, Operation, identify

_log = get_logger(__name__)
BODY_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Route:
    """verb, path: as FastAPI takes them; path parameters are fields of the request."""

    method: str
    verb: str
    path: str
    summary: str


ROUTES = (
    Route("RequestContact", "POST", "/v1/contacts", "Ask for a contact; DEFER, DENY and HUMAN are answers"),
    Route("ListContacts", "GET", "/v1/contacts", "Contacts, oldest first"),
    Route("CancelContact", "POST", "/v1/contacts/{contact_id}:cancel", "Call a contact off"),
    Route("GetContact", "GET", "/v1/contacts/{contact_id}", "One contact with its last gate decision"),
    Route("EvaluateGate", "POST", "/v1/gate:evaluate", "What would the gate say now? Changes nothing"),
    Route("GetDebtor", "GET", "/v1/debtors/{debtor_id}", "One debtor: ageing, score, open case"),
    Route("GetTimeline", "GET", "/v1/debtors/{debtor_id}/timeline", "One debtor's story, each line with its cause"),
    Route("IngestMessage", "POST", "/v1/messages", "What a debtor answered; a stop word acts at once"),
    Route("SetKillSwitch", "POST", "/v1/control/kill-switch", "Stop or release every contact of the tenant"),
)


def rest_app(operations: Mapping[str, Operation], verifier: TokenVerifier, clock: Clock, metrics: Metrics) -> FastAPI:
    """The ASGI application."""
    app = FastAPI(title="Duly gateway", version="1", docs_url="/docs", redoc_url=None)
    for route in ROUTES:
        operation = operations[route.method]
        app.add_api_route(
            route.path,
            _endpoint(route, operation, verifier, clock, metrics),
            methods=[route.verb],
            operation_id=route.method,
            summary=route.summary,
            tags=[operation.service],
            response_class=Response,
            openapi_extra=_documentation(route, operation),
        )
    app.openapi = lambda: _openapi(app, operations)  # type: ignore[method-assign]
    return app


def _endpoint(route: Route, operation: Operation, verifier: TokenVerifier, clock: Clock, metrics: Metrics) -> Any:
    async def endpoint(request: Request) -> Response:
        started = clock.monotonic()
        code = "500"  # what a caller is told of an error nobody foresaw
        try:
            caller = identify(verifier, request.headers.get("authorization"), request.headers.get("traceparent", ""))
            message = await _read(request, operation, caller)
            answer = await run_in_threadpool(operation.call, message, caller)
            response = Response(_json(answer), 200, media_type="application/json", headers=_headers(answer))
            code = "200"
            return response
        except EXPECTED as error:
            fault = fault_of(error)
            code = str(fault.answer.http)
            if fault.answer.http >= 500:
                _log.warning("gateway.call_failed", method=route.method, reason=fault.reason, error=str(error))
            return JSONResponse(problem_of(fault), fault.answer.http, media_type="application/problem+json",
                                headers={"retry-after": "1"} if fault.answer.retryable else None)  # fmt: skip
        finally:
            metrics.observe(RPC_SECONDS, clock.monotonic() - started, method=f"{route.method} REST", code=code)

    return endpoint


async def _read(request: Request, operation: Operation, caller: Caller) -> Message:
    """Body, query and path make one request message; the path wins over the rest."""
    values: dict[str, Any] = dict(request.query_params)
    if request.method == "POST":
        values |= await _body(request)
    values |= request.path_params
    fields = operation.request.DESCRIPTOR.fields_by_name
    key = request.headers.get("idempotency-key")
    if key and "idempotency_key" in fields:
        values["idempotency_key"] = key
    values.setdefault("tenant_id", caller.principal.tenant)
    try:
        return ParseDict(values, operation.request())
    except ParseError as error:
        raise MalformedBody(str(error)) from error


async def _body(request: Request) -> dict[str, Any]:
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > BODY_BYTES_MAX:
            raise MalformedBody(f"the body is larger than {BODY_BYTES_MAX} bytes")
    try:
        body = json.loads(bytes(content) or b"{}")
    except ValueError as error:
        raise MalformedBody("the body is not JSON") from error
    if not isinstance(body, dict):
        raise MalformedBody("the body is not a JSON object")
    return body


def _json(message: Message) -> str:
    return MessageToJson(message, preserving_proto_field_name=True, indent=None)


def _headers(answer: Message) -> dict[str, str]:
    return {"idempotent-replayed": "true"} if getattr(answer, "idempotent_replayed", False) else {}


def _documentation(route: Route, operation: Operation) -> dict[str, Any]:
    fields = operation.request.DESCRIPTOR.fields
    in_path = {part.partition("}")[0] for part in route.path.split("{")[1:]}
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in sorted(in_path)
    ]
    documented: dict[str, Any] = {
        "responses": {
            "200": {
                "description": "Answered",
                "content": {"application/json": {"schema": reference(operation.response)}},
            },
            "default": {
                "description": "A problem (RFC 9457)",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
        "security": [{"token": [operation.scope]}],
    }
    if route.verb == "POST":
        documented["requestBody"] = {
            "required": True,
            "content": {"application/json": {"schema": reference(operation.request)}},
        }
        if "idempotency_key" in operation.request.DESCRIPTOR.fields_by_name:
            parameters.append(
                {"name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string"}}
            )
    else:
        parameters += [
            {"name": field.name, "in": "query", "required": False, "schema": {"type": "string"}}
            for field in fields
            if field.name not in in_path
        ]
    documented["parameters"] = parameters
    return documented


def _openapi(app: FastAPI, operations: Mapping[str, Operation]) -> dict[str, Any]:
    if app.openapi_schema is None:
        document = get_openapi(title=app.title, version=app.version, routes=app.routes)
        messages = [m for row in operations.values() for m in (row.request, row.response)]
        components = document.setdefault("components", {})
        components.setdefault("schemas", {}).update(schemas_of(messages))
        components["schemas"]["Problem"] = {
            "type": "object",
            "properties": {
                **{name: {"type": "string"} for name in ("type", "title", "detail", "reason", "field")},
                "status": {"type": "integer"},
                "retryable": {"type": "boolean"},
            },
        }
        components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}}
        app.openapi_schema = document
    return app.openapi_schema
