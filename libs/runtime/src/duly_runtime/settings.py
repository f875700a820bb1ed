"""One frozen settings object per service, read once from the environment; every fault is reported at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

# Servers shared with other software keep their usual names.
_SHARED = {
    "kafka_bootstrap_servers": "KAFKA_BOOTSTRAP_SERVERS",
    "database_url": "DATABASE_URL",
    "mlflow_tracking_uri": "MLFLOW_TRACKING_URI",
    "time_mode": "DULY_TIME",
    "otlp_endpoint": "OTEL_EXPORTER_OTLP_ENDPOINT",
    "log_level": "DULY_LOG_LEVEL",
}


class SettingsInvalid(ValueError):
    """The environment does not configure this service; the text lists every fault with its variable."""

    code = "settings_invalid"


class ServiceSettings(BaseModel):
    """What every service needs. Subclasses add their own fields as `DULY_<SERVICE>_<FIELD>`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka_bootstrap_servers: str = Field(description="Kafka brokers, host:port, comma separated")
    database_url: SecretStr = Field(description="PostgreSQL connection URL of this service's own database")
    time_mode: Literal["real", "simulated"] = Field("real", description="what the policy clock follows")
    admin_host: str = Field("127.0.0.1", description="address of the admin server (health, metrics, status)")
    admin_port: int = Field(9100, ge=0, le=65535, description="port of the admin server")
    instance_id: str = Field(
        "", pattern=r"^[A-Za-z0-9_-]*$", description="stable name of this replica: its restart causes no rebalance"
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="lowest level that is logged")
    otlp_endpoint: str = Field("", description="OpenTelemetry collector (OTLP over HTTP); empty = no traces")


S = TypeVar("S", bound=BaseModel)


def variable_of(service: str, field: str) -> str:
    """The environment variable of a setting, e.g. `DULY_LEDGER_SYNC_HTTP_PORT`."""
    return _SHARED.get(field, f"DULY_{service.replace('-', '_').upper()}_{field.upper()}")


def load_settings(model: type[S], service: str, env: Mapping[str, str]) -> S:
    """Settings from `env`. Secrets may come from a file: `<VARIABLE>_FILE`. Raises SettingsInvalid."""
    values: dict[str, str] = {}
    faults: list[str] = []
    for field in model.model_fields:
        variable = variable_of(service, field)
        if variable in env:
            values[field] = env[variable]
        elif f"{variable}_FILE" in env:
            try:
                with open(env[f"{variable}_FILE"], encoding="utf-8") as file:
                    values[field] = file.read().strip()
            except OSError as error:
                faults.append(f"{variable}_FILE: {error.strerror}")
    try:
        settings = model.model_validate(values)
    except ValidationError as error:
        faults += [
            f"{variable_of(service, str(fault['loc'][0]))}: {fault['msg'].lower()}"
            for fault in error.errors(include_input=False, include_url=False)
        ]
        raise SettingsInvalid(_text(service, faults)) from None
    if faults:
        raise SettingsInvalid(_text(service, faults))
    return settings


def _text(service: str, faults: list[str]) -> str:
    return f"{service} cannot start, fix these environment variables:\n" + "\n".join(f"  {fault}" for fault in faults)
