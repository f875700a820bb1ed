"""The versions in the registry, as people who promote see them: alias, verdict of the gate, hashes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from duly_training.registry import MODEL_NAME, RegisteredModel, Registry, registered

GATE_FILE = "gate.json"


class VersionUnknown(ValueError):
    """The registry has no such version."""

    code = "version_unknown"


@dataclass(frozen=True, slots=True)
class GateLine:
    """One check of the gate, in the words of the run."""

    check: str
    value: str
    bound: str
    passed: bool


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the gate said of a run."""

    passed: bool
    lines: Sequence[GateLine]

    @property
    def failed(self) -> list[GateLine]:
        return [line for line in self.lines if not line.passed]


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """verdict None: the run has none, so nobody judged it. made: aware UTC."""

    model: RegisteredModel
    aliases: tuple[str, ...]
    verdict: Verdict | None
    made: datetime


class ModelVersions:
    """Of one MLflow server. Raises MLflow's own errors where it does not answer."""

    def __init__(self, registry: Registry) -> None:
        self._client = registry.client

    def all(self) -> list[ModelVersion]:
        """The newest first."""
        found = self._client.search_model_versions(f"name='{MODEL_NAME}'")
        numbers = sorted((int(one.version) for one in found), reverse=True)
        return [self.version(str(number)) for number in numbers]

    def version(self, version: str) -> ModelVersion:
        """One version with its verdict. Raises VersionUnknown."""
        from mlflow.exceptions import MlflowException

        try:
            found = self._client.get_model_version(MODEL_NAME, version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise VersionUnknown(f"the registry has no version {version} of model {MODEL_NAME!r}") from error
            raise
        model = registered(found, found.tags)
        made = datetime.fromtimestamp(found.creation_timestamp / 1000, UTC)
        return ModelVersion(model, tuple(found.aliases), self._verdict(str(found.run_id)), made)

    def point(self, alias: str, version: str) -> None:
        """Move an alias: what people and notebooks load as `models:/risk@<alias>`. The stream does not read it."""
        self._client.set_registered_model_alias(MODEL_NAME, alias, version)

    def unpoint(self, alias: str) -> None:
        """Remove an alias; one that is not there is no error."""
        if alias in self._client.get_registered_model(MODEL_NAME).aliases:
            self._client.delete_registered_model_alias(MODEL_NAME, alias)

    def _verdict(self, run_id: str) -> Verdict | None:
        import mlflow

        names = {file.path for file in self._client.list_artifacts(run_id)}
        if GATE_FILE not in names:
            return None
        return verdict_of(json.loads(mlflow.artifacts.load_text(f"runs:/{run_id}/{GATE_FILE}")))


def verdict_of(document: Any) -> Verdict:
    """`gate.json`: {"passed": bool, "lines": [{"check", "value", "bound", "passed"}]}. Unreadable lines count as
    failed: nobody is promoted by a typing error."""
    rows = document.get("lines", []) if isinstance(document, dict) else []
    lines = [
        GateLine(
            str(row.get("check", "?")),
            str(row.get("value", "?")),
            str(row.get("bound", "?")),
            row.get("passed") is True,
        )
        for row in rows
        if isinstance(row, dict)
    ]
    passed = isinstance(document, dict) and document.get("passed") is True and all(line.passed for line in lines)
    return Verdict(passed, lines)
