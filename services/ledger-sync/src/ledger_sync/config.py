"""Settings of ledger-sync."""

from __future__ import annotations

import json
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from duly_runtime.settings import ServiceSettings
from pydantic import BaseModel, ConfigDict, Field, field_validator


class TenantCalendar(BaseModel):
    """A tenant whose business date follows real time in its zone."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tenant: str = Field(min_length=1, max_length=100, pattern=r"^[^|/]+$")
    zone: str

    @field_validator("zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{value!r} is no IANA time zone") from None
        return value


class Settings(ServiceSettings):
    """`DULY_LEDGER_SYNC_*`."""

    http_host: str = Field("127.0.0.1", description="address of the HTTP edge")
    http_port: int = Field(8080, ge=0, le=65535, description="port of the HTTP edge; 0 = any free one")
    jwks_file: str = Field(description="file with the JSON Web Key Set that signs tokens")
    token_issuer: str = Field("duly", description="`iss` a token must carry")
    token_audience: str = Field("duly", description="`aud` a token must carry")
    tenants: tuple[TenantCalendar, ...] = Field(
        (), description='calendars of real time, JSON: [{"tenant": "demo", "zone": "Europe/Berlin"}]'
    )

    debtors_per_slice: int = Field(
        100, ge=1, description="debtors that one record of a tick moves; facts come through between two of them"
    )
    # 100 debtors with 10 open invoices take scoring 37 ms of one core where it was measured (its README).
    slice_pause_seconds: float = Field(
        0.055,
        ge=0,
        le=10,
        description="real time: pause of a replica between two records of ticks that have several slices, of all "
        "tenants together; divided by the replicas longer than scoring takes for one, else facts wait behind the tick",
    )

    @field_validator("tenants", mode="before")
    @classmethod
    def _from_json(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            raise ValueError('a JSON list such as [{"tenant": "demo", "zone": "Europe/Berlin"}] is needed') from None
