"""The MLflow side of one tenant: one run per training, a version of model `risk`, tagged with the tenant.

One registered model holds the versions of all tenants. Nothing here sees, loads or compares with another tenant's: a
model's frame holds medians and billing cut points of the ledger it was fitted on. No prompts, no telemetry, no links.

MLflow keeps its tracking address in the process; a process trains against one server at a time.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import xgboost as xgb
from duly_booster.artefact import BOOSTER_FILE, GOLDEN_FILE, SCHEMA_FILE, frame_of
from duly_contracts.model_control import CHAMPION, MODEL_NAME, SHADOW
from duly_risk.features import N_FEATURES
from duly_risk.model import HazardModel

from duly_training.artefact import ArtefactHashes
from duly_training.fit import as_model
from duly_training.origin import Kind

ALIASES = {CHAMPION: "champion", SHADOW: "challenger"}
ROLES = {alias: role for role, alias in ALIASES.items()}
TENANT = "tenant"
GATE_PASSED, GATE_REFUSED = "passed", "refused"
EXPERIMENT = "risk"
_PAGE = 1_000
# What MLflow's run page shows above everything else, and how long it may be; the same of a version.
_DESCRIPTION, _DESCRIPTION_MAX, _SUMMARY_MAX = "mlflow.note.content", 8_000, 4_000
_LIBRARY_LOGGERS = ("mlflow", "alembic")
_XGBOOST = f"xgboost=={xgb.__version__}"


@dataclass(frozen=True, slots=True)
class RegisteredModel:
    """A version in the registry; hashes as in `risk.model_promoted`."""

    name: str
    version: str
    artifact_sha256: str
    schema_sha256: str
    golden_sha256: str
    run_id: str


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a run holds: params and metrics, tags that identify its inputs, and a folder of files.

    name, page: of the run in lists, and its description, as Markdown. summary: of the version, in a sentence.
    """

    name: str
    page: str
    summary: str
    params: Mapping[str, str | int | float]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    report_folder: Path


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """tags: of the version. metrics: of its run."""

    model: RegisteredModel
    tags: Mapping[str, str]
    metrics: Mapping[str, float]

    @property
    def kind(self) -> Kind:
        return Kind(self.tags.get("kind", Kind.HAZARD))

    @property
    def gate_passed(self) -> bool:
        """Whether it is a fitted model that its own gate let pass. A rate carries the refusal that it stands in for."""
        return self.kind is Kind.HAZARD and self.tags.get("gate") == GATE_PASSED


def alias_of(role: str, tenant: str) -> str:
    """What `models:/risk@<alias>` names: `champion-acme`. A tenant that an alias cannot spell is told by its hash."""
    spelt = tenant if re.fullmatch(r"[\w-]+", tenant) else hashlib.sha256(tenant.encode()).hexdigest()[:16]
    return f"{ALIASES[role]}-{spelt}"


class Registry:
    """One tenant's versions in an MLflow server. Imports MLflow when made: it takes seconds."""

    def __init__(self, tracking_uri: str, tenant: str) -> None:
        self.tenant = tenant
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        with _own_warnings_off():
            import mlflow

            # After the import, which sets them to INFO.
            for name in _LIBRARY_LOGGERS:
                logging.getLogger(name).setLevel(logging.WARNING)
            mlflow.set_tracking_uri(tracking_uri)
            mlflow.set_registry_uri(tracking_uri)
            self._mlflow = mlflow
            self.client = mlflow.MlflowClient(tracking_uri, tracking_uri)

    def champion(self) -> KnownVersion | None:
        """The version with the tenant's champion alias; None if there is none."""
        from mlflow.exceptions import MlflowException

        try:
            version = self.client.get_model_version_by_alias(MODEL_NAME, alias_of(CHAMPION, self.tenant))
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
        return self._known(version) if self.owns(version) else None

    def owns(self, version: Any) -> bool:
        """Whether it was fitted on this tenant's ledger."""
        return bool(version.tags.get(TENANT) == self.tenant)

    def versions(self) -> list[Any]:
        """The tenant's versions as MLflow gives them, the newest first."""
        found, token = [], None
        while token != "":
            page = self.client.search_model_versions(f"name='{MODEL_NAME}'", _PAGE, page_token=token)
            found += [version for version in page if self.owns(version)]
            token = page.token or ""
        return sorted(found, key=lambda version: -int(version.version))

    def fitted_on(self, inputs: Mapping[str, str]) -> KnownVersion | None:
        """The newest version whose tags hold all of `inputs`, whether it ever scored or not; None if there is none."""
        equal = (version for version in self.versions() if inputs.items() <= dict(version.tags).items())
        newest = next(equal, None)
        return self._known(newest) if newest else None

    def _known(self, version: Any) -> KnownVersion:
        tags = dict(version.tags)
        metrics = dict(self.client.get_run(version.run_id).data.metrics)
        return KnownVersion(registered(version, tags), tags, metrics)

    def load(self, model: RegisteredModel) -> HazardModel:
        """A registered version's Booster as a HazardModel."""
        with TemporaryDirectory(prefix="duly-model-") as folder:
            uri = f"models:/{model.name}/{model.version}"
            path = self._mlflow.artifacts.download_artifacts(uri, dst_path=folder)
            booster = xgb.Booster(model_file=Path(path) / BOOSTER_FILE)
        booster.set_param({"nthread": 1})
        return as_model(booster, frame_of(booster), model.version)

    def register(
        self, booster: xgb.Booster, folder: Path, hashes: ArtefactHashes, record: RunRecord
    ) -> RegisteredModel:
        """Logs the run and adds a version. What scores stays what it is: only a promotion moves that, and the alias.

        folder: from `artefact.write_artefact`.
        """
        with _own_warnings_off():
            from mlflow.models import ModelSignature
            from mlflow.types import Schema, TensorSpec
            from mlflow.xgboost import log_model

        rows = TensorSpec(np.dtype("float32"), (-1, N_FEATURES))
        signature = ModelSignature(Schema([rows]), Schema([TensorSpec(np.dtype("float32"), (-1,))]))
        tags = {
            **record.tags,
            TENANT: self.tenant,
            "artifact_sha256": hashes.model,
            "schema_sha256": hashes.schema,
            "golden_sha256": hashes.golden,
        }
        shown = {**tags, _DESCRIPTION: record.page[:_DESCRIPTION_MAX]}
        experiment = self._experiment()
        with (
            _own_warnings_off(),
            self._mlflow.start_run(experiment_id=experiment, run_name=record.name, tags=shown) as run,
        ):
            self._mlflow.log_params(dict(record.params))
            self._mlflow.log_metrics(dict(record.metrics))
            self._mlflow.log_artifacts(str(record.report_folder), "report")
            # Naming the requirements keeps MLflow from importing the model in a child process to guess them.
            requirements = [_XGBOOST, f"numpy=={np.__version__}"]
            info = log_model(
                booster, name="model", model_format="ubj", signature=signature, pip_requirements=requirements
            )
        for file in (GOLDEN_FILE, SCHEMA_FILE):
            self.client.log_model_artifact(info.model_id, str(folder / file))
        self._ensure_model()
        version = self.client.create_model_version(
            MODEL_NAME,
            info.model_uri,
            run.info.run_id,
            tags=tags,
            model_id=info.model_id,
            description=record.summary[:_SUMMARY_MAX],
        )
        return registered(version, tags)

    def _experiment(self) -> str:
        known = self.client.get_experiment_by_name(EXPERIMENT)
        return str(known.experiment_id) if known else str(self.client.create_experiment(EXPERIMENT))

    def _ensure_model(self) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(MODEL_NAME)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


@contextmanager
def _own_warnings_off() -> Iterator[None]:
    """MLflow warns about its own type hints and SQLAlchemy options while its parts are imported, some of them late."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def registered(version: object, tags: Mapping[str, str]) -> RegisteredModel:
    return RegisteredModel(
        MODEL_NAME,
        str(version.version),  # type: ignore[attr-defined]
        tags.get("artifact_sha256", ""),
        tags.get("schema_sha256", ""),
        tags.get("golden_sha256", ""),
        str(version.run_id),  # type: ignore[attr-defined]
    )
