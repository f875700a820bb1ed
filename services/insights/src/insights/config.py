"""Settings of insights."""

from __future__ import annotations

from duly_runtime.settings import ServiceSettings
from pydantic import Field


class Settings(ServiceSettings):
    """`DULY_INSIGHTS_<FIELD>`; see `duly_runtime.settings` for the shared ones."""

    jwks_file: str = Field(description="file with the JWKS whose keys sign callers' tokens")
    token_issuer: str = Field("duly", description="`iss` of callers' tokens")
    token_audience: str = Field("duly", description="`aud` of callers' tokens")
    grpc_address: str = Field("127.0.0.1:50052", description="host:port of the gRPC API")
    grpc_threads: int = Field(8, ge=1, le=64, description="gRPC calls worked on at once")
