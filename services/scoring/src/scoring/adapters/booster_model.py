"""A registered model, read from its three files and checked before it may serve.

`model.ubj` the Booster, with the constants frozen at fit as attribute `duly_frame`; `golden.npz` rows (n, features)
float32 and the `hazards` (n,) they must give, `measures` of invoices and the `curves` (n, 182) that must come of them,
closed days and all; `schema.json` what its columns mean, with `schema_sha256`.
"""

from __future__ import annotations

import io
import json
import lzma
import struct
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError
from typing import Any

import numpy as np
from duly_booster.artefact import BOOSTER_FILE, GOLDEN_FILE, SCHEMA_FILE, frame_of
from duly_booster.model import BoosterHazards, read_booster
from duly_risk.asking import hazards_of
from duly_risk.features import schema_sha256
from duly_risk.model import ModelInfo, Role
from duly_runtime.logging import get_logger

__all__ = [
    "BOOSTER_FILE",
    "FILES",
    "GOLDEN_FILE",
    "SCHEMA_FILE",
    "ModelRefused",
    "ModelUnavailable",
    "load_model",
    "promoted_schema",
]
_log = get_logger(__name__)
FILES = (BOOSTER_FILE, GOLDEN_FILE, SCHEMA_FILE)
# What bytes that are no model make their readers raise. Files are read, or at least opened, before anything of them is
# parsed, so that a fault of the disk is none of these. RuntimeError: an encrypted zip; OSError: its bzip2 is broken.
_NO_JSON = (ValueError, LookupError, TypeError, RecursionError)
_NO_ARRAYS = (
    *(ValueError, LookupError, TypeError, AttributeError, EOFError, SyntaxError, TokenError, RuntimeError, OSError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
)
_NO_MODEL = (ValueError, ArithmeticError, LookupError, TypeError, AttributeError, RecursionError)
# Equal bytes on the library build that fitted it; another build may differ in the last bits.
_GOLDEN_TOLERANCE = 1e-6


class ModelRefused(ValueError):
    """A model that must not serve: another feature schema, other golden hazards, or files that cannot be read."""

    code = "model_refused"


class ModelUnavailable(RuntimeError):
    """A model that cannot be had now, of which nothing else is known: to be asked for again."""

    code = "model_unavailable"


def load_model(folder: Path, version: str, role: Role = Role.CHAMPION) -> BoosterHazards:
    """The model in a folder, after all checks. role: what its scores will say. Raises ModelRefused, OSError."""
    schema = promoted_schema(folder, version)
    if schema != schema_sha256():
        raise ModelRefused(f"version {version} was fitted on feature schema {schema[:12]}, not on ours")
    rows, hazards, measures, curves = _golden(folder, version)
    with (folder / BOOSTER_FILE).open("rb"):
        pass  # XGBoost raises the same for a file it may not open as for one that is no model
    try:
        booster = read_booster(folder / BOOSTER_FILE)
        model = BoosterHazards(booster, ModelInfo("risk", version, role, schema, frame_of(booster)))
        answers = model.predict(np.ascontiguousarray(rows, dtype=np.float32)), hazards_of(model, measures)
    except _NO_MODEL as error:
        raise _refused(version, BOOSTER_FILE, error) from error
    for answer, golden in zip(answers, (hazards, curves), strict=True):
        if answer.shape != golden.shape or not np.allclose(answer, golden, rtol=0.0, atol=_GOLDEN_TOLERANCE):
            raise ModelRefused(f"version {version} does not answer its golden rows with its golden hazards")
    _log.info("scoring.model_loaded", version=version, path=model.path, reason=model.reason)
    return model


def promoted_schema(folder: Path, version: str) -> str:
    """The sha256 (hex) in a model's schema.json. Raises ModelRefused, OSError."""
    content = (folder / SCHEMA_FILE).read_bytes()
    try:
        return str(json.loads(content)["schema_sha256"])
    except _NO_JSON as error:
        raise _refused(version, SCHEMA_FILE, error) from error


def _golden(folder: Path, version: str) -> list[Any]:
    """rows, hazards, measures, curves."""
    content = (folder / GOLDEN_FILE).read_bytes()
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as golden:
            return [golden[name] for name in ("rows", "hazards", "measures", "curves")]
    except _NO_ARRAYS as error:
        raise _refused(version, GOLDEN_FILE, error) from error


def _refused(version: str, file: str, error: Exception) -> ModelRefused:
    return ModelRefused(f"version {version}: {file}: {type(error).__name__}: {error}")
