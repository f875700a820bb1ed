"""Settings of the gateway."""

from __future__ import annotations

from typing import Literal

from duly_runtime.settings import ServiceSettings
from pydantic import Field, SecretStr, ValidationInfo, field_validator

SMTP_WAITS_MAX = 5
CHANNELS = ("EMAIL", "CONSOLE", "NOOP")


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
    channels: str = Field(
        "EMAIL", validate_default=True, description="channels that may be used, comma separated: EMAIL, CONSOLE, NOOP"
    )
    dispatch_workers: int = Field(8, ge=1, le=50, description="contacts handed over at once")
    lease_seconds: float = Field(
        30.0,
        gt=0,
        le=600,
        validate_default=True,
        description="a hand-over without an outcome is unknown after it; more than 5 waits for the mail server",
    )
    backoff_seconds: float = Field(1.0, gt=0, le=60, description="first wait before a contact that was not sent")
    refused_tries_max: int = Field(5, ge=1, le=50, description="tries of a contact that is refused for the moment")
    database_connections: int = Field(20, ge=4, le=100, description="connections to the database at once")

    # Of fields, not of the model: a fault must name its variable.
    @field_validator("lease_seconds")
    @classmethod
    def _outlasts_a_hand_over(cls, lease: float, known: ValidationInfo) -> float:
        """A call that still waits must not be told unknown; `adapters/channels/smtp.py` waits five times at most."""
        timeout = known.data.get("smtp_timeout_seconds", 0.0)
        if lease <= SMTP_WAITS_MAX * timeout:
            raise ValueError(f"must be more than {SMTP_WAITS_MAX} times smtp_timeout_seconds, which is {timeout:g}")
        return lease

    @field_validator("channels")
    @classmethod
    def _known_channels(cls, channels: str) -> str:
        unknown = set(words(channels)) - set(CHANNELS)
        if unknown:
            raise ValueError(f"knows {', '.join(CHANNELS)}")
        return channels


def words(text: str) -> list[str]:
    """The parts of a comma-separated setting."""
    return [word.strip() for word in text.split(",") if word.strip()]
