"""Settings of the gateway."""

from __future__ import annotations

from typing import Literal

from duly_runtime.settings import ServiceSettings
from pydantic import Field, SecretStr


class Settings(ServiceSettings):
    """`DULY_GATEWAY_<FIELD>`; see `duly_runtime.settings` for the shared ones."""

    jwks_file: str = Field(description="file with the JWKS whose keys sign callers' tokens")
    token_issuer: str = Field("duly", description="`iss` of callers' tokens")
    token_audience: str = Field("duly", description="`aud` of callers' tokens")
    grpc_address: str = Field("127.0.0.1:50051", description="host:port of the gRPC API")
    grpc_threads: int = Field(16, ge=1, le=64, description="gRPC calls worked on at once")
    grpc_reflection: bool = Field(False, description="lets gRPC clients list the services; off in production")
    rest_host: str = Field("127.0.0.1", description="address of the REST API")
    rest_port: int = Field(8080, ge=0, le=65535, description="port of the REST API")
    insights_address: str = Field("127.0.0.1:50052", description="host:port of insights' gRPC API")
    policy_pack: str = Field("duly-default", description="rule packs of the contact gate, comma separated")
    auto_actions: str = Field("reminder", description="actions sent without approval, comma separated")
    creditor_name: str = Field("Your supplier", description="who asks, as messages name it")
    email_sender: str = Field("receivables@duly.example", description="address e-mails come from")
    smtp_host: str = Field("127.0.0.1", description="mail server; empty = no e-mail channel")
    smtp_port: int = Field(25, ge=1, le=65535, description="port of the mail server")
    smtp_tls: Literal["none", "starttls", "tls"] = Field("starttls", description="how the way to the server is secured")
    smtp_username: str = Field("", description="login at the mail server; empty = none")
    smtp_password: SecretStr = Field(SecretStr(""), description="password at the mail server")
    smtp_timeout_seconds: float = Field(5.0, gt=0, le=60, description="longest wait for one answer of the mail server")
    smtp_connections: int = Field(4, ge=1, le=50, description="connections to the mail server at once")
    dispatch_workers: int = Field(8, ge=1, le=50, description="contacts handed over at once")
    lease_seconds: float = Field(30.0, gt=0, le=600, description="a hand-over without an outcome is unknown after it")
    backoff_seconds: float = Field(1.0, gt=0, le=60, description="first wait before a contact that was not sent")
    refused_tries_max: int = Field(5, ge=1, le=50, description="tries of a contact that is refused for the moment")
    database_connections: int = Field(20, ge=4, le=100, description="connections to the database at once")
