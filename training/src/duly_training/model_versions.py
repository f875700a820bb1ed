"""A tenant's versions in the registry, as people who promote see them: alias, verdict of the gate, hashes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from duly_contracts.model_control import MODEL_NAME
from duly_risk.model import HazardModel

from duly_training.gate import GateLine, Verdict
from duly_training.monitor.reference import REFERENCE_FILE, FitReference, ReferenceUnreadable
from duly_training.origin import Kind
from duly_training.registry import RegisteredModel, Registry, alias_of, registered

REPORT_FOLDER = "report"
_NAMED = 10
GATE_FILE, REPORT_FILE = "gate.json", "report.md"


class VersionUnknown(ValueError):
    """The registry has no such version of this tenant."""

    code = "version_unknown"


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """verdict: of the run, None if nobody judged it; a rate stands in for the model that the verdict refused.

    made: aware UTC.
    """

    model: RegisteredModel
    kind: Kind
    aliases: tuple[str, ...]
    verdict: Verdict | None
    made: datetime


class ModelVersions:
    """Of one tenant and MLflow server. Raises MLflow's own errors where it does not answer."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._client = registry.client

    def all(self) -> list[ModelVersion]:
        """The newest first."""
        found = self._registry.versions()
        aliases = self._aliases() if found else {}
        return [self._version(one, aliases) for one in found]

    def version(self, version: str) -> ModelVersion:
        """One version with its verdict. Raises VersionUnknown, also for another tenant's."""
        from mlflow.exceptions import MlflowException

        try:
            found = self._client.get_model_version(MODEL_NAME, version)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise VersionUnknown(
                    f"the registry has no version {version} of model {MODEL_NAME!r}{self._known()}"
                ) from error
            raise
        if not self._registry.owns(found):
            raise VersionUnknown(
                f"version {version} was not fitted on the ledger of {self._registry.tenant}{self._known()}"
            )
        return self._version(found, self._aliases())

    def _known(self) -> str:
        """The newest of the tenant's versions, for somebody who named none of them."""
        names = [str(found.version) for found in self._registry.versions()]
        more = ", ..." if len(names) > _NAMED else ""
        return f": there are {', '.join(names[:_NAMED])}{more}" if names else ": train one first"

    def _aliases(self) -> dict[str, str]:
        """Alias -> version. Versions that a search gives carry none."""
        return dict(self._client.get_registered_model(MODEL_NAME).aliases)

    def _version(self, found: Any, aliases: Mapping[str, str]) -> ModelVersion:
        model = registered(found, found.tags)
        made = datetime.fromtimestamp(found.creation_timestamp / 1000, UTC)
        return ModelVersion(
            model,
            Kind(found.tags.get("kind", Kind.HAZARD)),
            tuple(sorted(alias for alias, version in aliases.items() if str(version) == model.version)),
            self._verdict(str(found.run_id)),
            made,
        )

    def load(self, version: str) -> tuple[HazardModel, FitReference]:
        """A version and what it was fitted on. Raises VersionUnknown, ReferenceUnreadable (of an older release)."""
        model = self.version(version).model
        text = self._text(model.run_id, REFERENCE_FILE)
        if text is None:
            raise ReferenceUnreadable(f"its run has no {REFERENCE_FILE}")
        return self._registry.load(model), FitReference.from_json(text)

    def report(self, version: str) -> str:
        """What was written for people when it was fitted, as Markdown; '' where there is nothing."""
        return self._text(self.version(version).model.run_id, REPORT_FILE) or ""

    def point(self, role: str, version: str) -> None:
        """Move an alias: what people and notebooks load as `models:/risk@champion-<tenant>`. No stream reads it."""
        self._client.set_registered_model_alias(MODEL_NAME, alias_of(role, self._registry.tenant), version)

    def unpoint(self, role: str) -> None:
        """Remove an alias; one that is not there is no error."""
        alias = alias_of(role, self._registry.tenant)
        if alias in self._aliases():
            self._client.delete_registered_model_alias(MODEL_NAME, alias)

    def _verdict(self, run_id: str) -> Verdict | None:
        text = self._text(run_id, GATE_FILE)
        return None if text is None else verdict_from_json(json.loads(text))

    def _text(self, run_id: str, file: str) -> str | None:
        """A file of the run's report; None where it has none of that name."""
        import mlflow

        path = f"{REPORT_FOLDER}/{file}"
        if path not in {found.path for found in self._client.list_artifacts(run_id, REPORT_FOLDER)}:
            return None
        return str(mlflow.artifacts.load_text(f"runs:/{run_id}/{path}"))


def verdict_from_json(document: Any) -> Verdict:
    """The verdict in a `gate.json`. A file that is none, or says less than all, is a refusal with a line for it."""
    try:
        lines = [
            GateLine(str(row["name"]), row["passed"] is True, str(row["value"]), str(row["limit"]))
            for row in document["lines"]
        ]
        said = document["promote"] is True
    except (KeyError, TypeError) as error:
        return Verdict((GateLine(GATE_FILE, False, f"cannot be read ({type(error).__name__}: {error})", "a verdict"),))
    if not lines or said != all(line.passed for line in lines):
        lines.append(GateLine(GATE_FILE, False, "its lines do not say what it says", "one verdict"))
    return Verdict(tuple(lines))
