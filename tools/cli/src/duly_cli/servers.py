"""Where a command finds Kafka and MLflow: as the environment says, else those of the stack that runs here."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from duly_cli.errors import CommandFailed
from duly_cli.folders import StateFolder, running_stack
from duly_cli.ports import Ports

if TYPE_CHECKING:
    from duly_cli.stack.local import LocalStack

KAFKA, MLFLOW = "KAFKA_BOOTSTRAP_SERVERS", "MLFLOW_TRACKING_URI"


@dataclass(frozen=True, slots=True)
class Servers:
    """kafka, tracking_uri: addresses. scoring: URL of the local worker's admin server, '' where none is known."""

    kafka: str
    tracking_uri: str
    scoring: str = ""


def servers_of(state: StateFolder, env: Mapping[str, str] | None = None) -> Servers:
    """Both from the environment, or both of the running stack: nobody mixes two systems. Raises CommandFailed."""
    given = {name: (os.environ if env is None else env).get(name, "") for name in (KAFKA, MLFLOW)}
    if all(given.values()):
        return Servers(given[KAFKA], given[MLFLOW])
    if any(given.values()):
        missing = next(name for name, value in given.items() if not value)
        raise CommandFailed(f"{missing} is not set: name both servers, or neither for the stack that runs here.")
    stack = _running(state, f"set {KAFKA} and {MLFLOW}")
    return Servers(stack.kafka.bootstrap_servers, stack.mlflow.tracking_uri, stack.url("scoring", "admin"))


def kafka_of(state: StateFolder, given: str) -> str:
    """The brokers that are given, else those of the stack that runs here. Raises CommandFailed."""
    return given or _running(state, "name the brokers with --kafka host:port").kafka.bootstrap_servers


def _running(state: StateFolder, otherwise: str) -> LocalStack:
    from duly_cli.stack.local import LocalStack

    running = running_stack(state)
    if running is None:
        raise CommandFailed(f"Nothing runs here: `duly up` first, or {otherwise}.")
    return LocalStack(state, running.run, Ports(running.base_port))
