"""Settings of scoring. It has no database, so they are not the common ones; names and loader are."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Settings(BaseModel):
    """Own fields are `DULY_SCORING_<FIELD>`; servers shared with other software keep their usual names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kafka_bootstrap_servers: str = Field(description="Kafka brokers, host:port, comma separated")
    data_dir: Path = Field(description="folder of this worker alone: cached model, local state")
    instance_id: str = Field(
        "scoring-0", description="stable name of this worker; a restart under it causes no rebalance"
    )
    mlflow_tracking_uri: str = Field("", description="model registry; empty = the rules score serves")
    models_kept: int = Field(
        16, ge=2, le=1000, description="models held in memory; at least three for each tenant with models of its own"
    )
    shell: Literal["batch", "take"] = Field(
        "batch", description="how records go through: whole batches, or Faust's stock agent (docs/adr/0014)"
    )
    store: Literal["memory", "rocksdb"] = Field(
        "memory", description="where the table lives: in the process, or in the data folder too, for a short recovery"
    )
    session_timeout_seconds: float = Field(45.0, ge=6, le=300, description="silence after which the group drops us")
    recovery_delay_seconds: float = Field(
        0.0, ge=0, le=60, description="pause before recovery, so that several workers starting together settle first"
    )
    batch_records: int = Field(512, ge=1, le=512, description="most records in one step")
    batches_in_flight: int = Field(
        4, ge=1, le=16, description="batch shell: steps done whose outputs or states are not acknowledged yet"
    )
    batch_wait_seconds: float = Field(
        0.005, gt=0, le=1, description="take shell: longest wait for a batch to fill, pure latency"
    )
    app_version: int = Field(1, ge=1, description="raise it to start with empty state and a full replay")
    replication_factor: int = Field(1, ge=1, description="replicas that topics are expected to have")
    admin_host: str = Field("127.0.0.1", description="address of the admin server (health, metrics, status)")
    admin_port: int = Field(9100, ge=0, le=65535, description="port of the admin server")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field("INFO", description="lowest level that is logged")
    otlp_endpoint: str = Field("", description="OpenTelemetry collector (OTLP over HTTP); empty = no traces")
    time_mode: Literal["real", "simulated"] = Field("real", description="ignored: nothing here follows a policy clock")
