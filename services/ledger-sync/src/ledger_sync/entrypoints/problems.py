"""Every error the HTTP edge can answer, as problem+json (RFC 9457)."""

from __future__ import annotations

from dataclasses import dataclass

from duly_runtime.auth import PermissionDenied, Unauthenticated
from fastapi.responses import JSONResponse

from ledger_sync.application.advance_business_date import TicksNotAllowed
from ledger_sync.application.delivery import Fault
from ledger_sync.application.ports import RawUnavailable
from ledger_sync.application.receive_delivery import DeliveryRefused
from ledger_sync.domain.calendar import TickBackwards, TickTooFar

RETRY_AFTER_SECONDS = 30

FAULT_STATUS = {Fault.MALFORMED: 400, Fault.FOREIGN: 403, Fault.TOO_LARGE: 413, Fault.INVALID: 422}
_REFUSED_STATUS = {"unsupported_media_type": 415, "body_too_large": 413, "delivery_id_invalid": 400}
# Class -> status. DeliveryRefused: by its code.
ERROR_STATUS: dict[type[Exception], int] = {
    Unauthenticated: 401,
    PermissionDenied: 403,
    TicksNotAllowed: 409,
    TickBackwards: 409,
    TickTooFar: 409,
    RawUnavailable: 503,
}
_TITLES = {
    400: "Malformed request", 401: "Not authenticated", 403: "Not allowed", 409: "Conflict", 413: "Too large",
    415: "Unsupported media type", 422: "Invalid content", 503: "Try again later",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Problem:
    """One answer that is an error. `extra`: more members of the problem document."""

    status: int
    code: str
    detail: str
    extra: dict[str, object] | None = None

    def response(self) -> JSONResponse:
        content = {
            "type": f"urn:duly:problem:{self.code}",
            "title": _TITLES[self.status],
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            **(self.extra or {}),
        }
        headers = {}
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.status == 503:
            headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return JSONResponse(content, self.status, headers, media_type="application/problem+json")


def problem_of(error: Exception) -> Problem | None:
    """The problem an error is; None for one that nobody foresaw."""
    if isinstance(error, DeliveryRefused):
        return Problem(_REFUSED_STATUS[error.code], error.code, str(error))
    status = ERROR_STATUS.get(type(error))
    if status is None:
        return None
    return Problem(status, getattr(error, "code", "error"), str(error))
