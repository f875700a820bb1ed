"""Promoted models, loaded aside and checked: in memory, else from the disk, else from the registry.

A copy on the disk is named by its version and its hash, so another registry's version of the same number is not taken
for it. Files of a version promoted again or rolled back to are not downloaded again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from duly_contracts.model_control import MODEL_NAME, Promotion
from duly_risk.model import HazardModel, Role

from scoring.adapters.booster_model import (
    BOOSTER_FILE,
    FILES,
    GOLDEN_FILE,
    SCHEMA_FILE,
    ModelRefused,
    ModelUnavailable,
    load_model,
    promoted_schema,
)

_FAULTS_MAX = 1_000
# Beside those of the models in memory.
_FOLDERS_KEPT = 32


class ModelFiles(Protocol):
    """Where the files of a version come from (`MlflowRegistry`)."""

    def download(self, name: str, version: str, folder: Path) -> None:
        """Raises ModelUnavailable, OSError."""


class ModelKey(NamedTuple):
    """What makes a promoted model another one. The role is part of what a model says of itself."""

    role: Role
    version: str
    artifact_sha256: str
    schema_sha256: str
    golden_sha256: str


def key_of(promotion: Promotion) -> ModelKey:
    """The model that a promotion names."""
    hashes = (promotion.artifact_sha256, promotion.schema_sha256, promotion.golden_sha256)
    return ModelKey(Role(promotion.role), promotion.version, *hashes)


class ModelStore:
    """Thread-safe. Loading happens one at a time; asking for what is loaded never waits for it.

    kept_max: models in memory, the least recently used go first, and no fewer stay on the disk; the one before the
    serving one is among them, so that a roll-back needs no download. loader: (folder, version, role) -> model, raises
    ModelRefused, OSError, MemoryError.
    """

    def __init__(
        self,
        files: ModelFiles | None,
        folder: Path,
        kept_max: int,
        loader: Callable[[Path, str, Role], HazardModel] = load_model,
    ) -> None:
        self._files = files
        self._folder = folder
        self._kept_max = kept_max
        self._loader = loader
        self._loading = threading.Lock()
        self._lock = threading.Lock()
        self._models: OrderedDict[ModelKey, HazardModel] = OrderedDict()
        self._faults: dict[ModelKey, ModelRefused | ModelUnavailable] = {}

    def usable(self, promotion: Promotion) -> HazardModel | None:
        """The model, None where it cannot be had. What failed once is not tried again here, only by `try_again`."""
        key = key_of(promotion)
        with self._lock:
            if key in self._models:
                self._models.move_to_end(key)
                return self._models[key]
            if key in self._faults:
                return None
        return self.try_again(promotion)

    def try_again(self, promotion: Promotion) -> HazardModel | None:
        """Load and check, whatever came of it before. `fault` says why not."""
        key = key_of(promotion)
        with self._loading:
            with self._lock:
                if key in self._models:
                    return self._models[key]
            try:
                model = self._load(key)
            except (ModelRefused, ModelUnavailable) as error:
                with self._lock:
                    self._faults.pop(key, None)
                    self._faults[key] = error
                    while len(self._faults) > _FAULTS_MAX:
                        self._faults.pop(next(iter(self._faults)))
                return None
            with self._lock:
                self._faults.pop(key, None)
                self._models[key] = model
                while len(self._models) > self._kept_max:
                    self._models.popitem(last=False)
            return model

    def fault(self, promotion: Promotion) -> ModelRefused | ModelUnavailable | None:
        """Why the model could not be had, None where it could or was not asked for. Only a refusal is final."""
        with self._lock:
            return self._faults.get(key_of(promotion))

    def _load(self, key: ModelKey) -> HazardModel:
        folder = self._folder_of(key)
        try:
            if all((folder / file).is_file() for file in FILES):
                os.utime(folder)
            else:
                self._fetch(key, folder)
            _require_promoted_files(key, folder)
            return self._loader(folder, key.version, key.role)
        except (OSError, MemoryError) as error:  # a full disk, no more files or memory: it says nothing of the model
            raise ModelUnavailable(f"version {key.version}: {type(error).__name__}: {error}") from error

    def _fetch(self, key: ModelKey, folder: Path) -> None:
        """Complete or absent: neither a kill nor wrong files may leave a folder that is taken for the model."""
        if self._files is None:
            raise ModelUnavailable("no model registry is configured")
        partial = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(partial, ignore_errors=True)
        self._files.download(MODEL_NAME, key.version, partial)
        _require_promoted_files(key, partial)
        shutil.rmtree(folder, ignore_errors=True)
        partial.replace(folder)
        self._drop_unused()

    def _drop_unused(self) -> None:
        """The folders longest not loaded go; what is in memory stays, for a restart without the registry."""
        with self._lock:
            in_memory = {self._folder_of(key) for key in self._models}
        others = sorted(set(self._folder.iterdir()) - in_memory, key=lambda path: path.stat().st_mtime_ns)
        for old in others[: -max(_FOLDERS_KEPT, self._kept_max)]:
            shutil.rmtree(old, ignore_errors=True)

    def _folder_of(self, key: ModelKey) -> Path:
        return self._folder / f"v{key.version}-{key.artifact_sha256[:16]}"


def _require_promoted_files(key: ModelKey, folder: Path) -> None:
    """The files are those that were promoted. Raises ModelRefused, OSError."""
    for file, promoted in ((BOOSTER_FILE, key.artifact_sha256), (GOLDEN_FILE, key.golden_sha256)):
        if hashlib.sha256((folder / file).read_bytes()).hexdigest() != promoted:
            raise ModelRefused(f"version {key.version}: {file} is not the promoted one")
    if promoted_schema(folder, key.version) != key.schema_sha256:
        raise ModelRefused(f"version {key.version}: {SCHEMA_FILE} is not the promoted one")
