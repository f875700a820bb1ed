"""The five services as children of the stack: their environment, migrations and readiness."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import httpx
from duly_localstack.errors import last_lines
from duly_localstack.process import bytecode_cache
from duly_localstack.supervisor import ChildSpec

from duly_cli.errors import StackError
from duly_cli.stack.local import LocalStack

READY_WITHIN_SECONDS = 120.0
MIGRATE_WITHIN_SECONDS = 120
STOP_GRACE_SECONDS = 30.0
_LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class ServiceKind:
    """One service. has_database: it gets a database and a role of its own."""

    name: str
    module: str
    has_database: bool = True

    @property
    def role(self) -> str:
        return self.module


SERVICES: tuple[ServiceKind, ...] = (
    ServiceKind("ledger-sync", "ledger_sync"),
    ServiceKind("scoring", "scoring", has_database=False),
    ServiceKind("outreach", "outreach"),
    ServiceKind("gateway", "gateway"),
    ServiceKind("insights", "insights"),
)
SERVICE_NAMES = tuple(service.name for service in SERVICES)


def migrate(stack: LocalStack, service: ServiceKind) -> None:
    """Bring a service's database to its newest schema, in a process of the service. Raises StackError."""
    log_file = stack.run.log_of(f"{service.name}-migrate")
    with log_file.open("ab") as log:
        done = subprocess.run(
            [sys.executable, "-m", f"{service.module}.bootstrap", "migrate"],
            env={**os.environ, **service_env(stack, service)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            timeout=MIGRATE_WITHIN_SECONDS,
            check=False,
        )
    if done.returncode != 0:
        raise StackError(
            f"The database of {service.name} cannot be migrated (exit code {done.returncode}). "
            f"Log: {log_file}. Its last lines:\n{last_lines(log_file)}"
        )


def child_spec(stack: LocalStack, service: ServiceKind) -> ChildSpec:
    """How the supervisor runs a service."""
    return ChildSpec(
        name=service.name,
        argv=(sys.executable, "-m", f"{service.module}.bootstrap", "run"),
        env=service_env(stack, service),
        log_file=stack.run.log_of(service.name),
        cwd=stack.run.root,
        stop_grace_seconds=STOP_GRACE_SECONDS,
        is_ready=readiness(stack, service.name),
        ready_within_seconds=READY_WITHIN_SECONDS,
        ports=stack.ports.numbers((service.name,)),
    )


def readiness(stack: LocalStack, name: str) -> Callable[[], bool]:
    """Asks a service's `/ready`."""
    url = f"{stack.url(name, 'admin')}/ready"

    def is_ready() -> bool:
        try:
            return httpx.get(url, timeout=2.0, trust_env=False).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    return is_ready


def service_env(stack: LocalStack, service: ServiceKind) -> dict[str, str]:
    """Everything a service is configured with; on top of this process's environment."""
    own = {
        "admin_host": _LOOPBACK,
        "admin_port": str(stack.ports.of(service.name, "admin")),
        "instance_id": f"{service.name}-0",
        **_OWN_FIELDS[service.name](stack),
    }
    prefix = f"DULY_{service.name.replace('-', '_').upper()}_"
    return {
        "KAFKA_BOOTSTRAP_SERVERS": stack.kafka.bootstrap_servers,
        "DATABASE_URL": _database_url(stack, service),
        "MLFLOW_TRACKING_URI": stack.mlflow.tracking_uri,
        "DULY_TIME": "simulated",
        "OTEL_EXPORTER_OTLP_ENDPOINT": os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
        "OMP_NUM_THREADS": "1",
        **bytecode_cache(stack.state.root / "pycache"),
        **{f"{prefix}{field.upper()}": value for field, value in own.items()},
    }


def _database_url(stack: LocalStack, service: ServiceKind) -> str:
    if not service.has_database:
        return "postgresql://unused@127.0.0.1/unused"
    return stack.postgres.dsn(service.role, stack.credentials.password(service.name))


def _ledger_sync(stack: LocalStack) -> Mapping[str, str]:
    return {
        "http_host": _LOOPBACK,
        "http_port": str(stack.ports.of("ledger-sync", "http")),
        "jwks_file": str(stack.credentials.jwks_file.absolute()),
    }


def _scoring(stack: LocalStack) -> Mapping[str, str]:
    return {"data_dir": str((stack.run.root / "scoring").absolute())}


def _outreach(stack: LocalStack) -> Mapping[str, str]:
    return {
        "gateway_address": stack.address("gateway", "grpc"),
        "gateway_token_file": str(stack.credentials.token_file("outreach").absolute()),
    }


def _gateway(stack: LocalStack) -> Mapping[str, str]:
    return {
        "grpc_address": stack.address("gateway", "grpc"),
        "grpc_reflection": "true",
        "rest_host": _LOOPBACK,
        "rest_port": str(stack.ports.of("gateway", "rest")),
        "jwks_file": str(stack.credentials.jwks_file.absolute()),
        "insights_address": stack.address("insights", "grpc"),
        "smtp_host": _LOOPBACK,
        "smtp_port": str(stack.ports.of("mailbox", "smtp")),
        "smtp_tls": "none",
    }


def _insights(stack: LocalStack) -> Mapping[str, str]:
    return {
        "grpc_address": stack.address("insights", "grpc"),
        "jwks_file": str(stack.credentials.jwks_file.absolute()),
    }


_OWN_FIELDS: Mapping[str, Callable[[LocalStack], Mapping[str, str]]] = {
    "ledger-sync": _ledger_sync,
    "scoring": _scoring,
    "outreach": _outreach,
    "gateway": _gateway,
    "insights": _insights,
}
