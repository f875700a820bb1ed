"""A registered model, read from its three files and checked before it may serve.

`model.ubj` the Booster, with the constants frozen at fit as attribute `duly_frame`; `golden.npz` rows (n, features)
float32 and the `hazards` (n,) they must give, `measures` of invoices and the `curves` (n, 182) that must come of them,
closed days and all; `schema.json` what its columns mean, with `schema_sha256`.
"""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from pathlib import Path
from tokenize import TokenError

import numpy as np
from duly_booster.artefact import BOOSTER_FILE, GOLDEN_FILE, SCHEMA_FILE, frame_of
from duly_booster.model import BoosterHazards, read_booster
from duly_risk.asking import hazards_of
from duly_risk.features import schema_sha256
from duly_risk.model import ModelInfo, Role
from duly_runtime.logging import get_logger

__all__ = ["BOOSTER_FILE", "FILES", "GOLDEN_FILE", "SCHEMA_FILE", "UNREADABLE", "ModelRefused", "load_model"]
_log = get_logger(__name__)
FILES = (BOOSTER_FILE, GOLDEN_FILE, SCHEMA_FILE)
# What a file that is no model can make a library raise: json, numpy with its zip and its header, XGBoost. RuntimeError
# stands for deep nesting and for an encrypted zip too.
UNREADABLE = (
    *(ValueError, ArithmeticError, LookupError, TypeError, AttributeError, OSError, MemoryError, EOFError),
    *(RuntimeError, SyntaxError, TokenError, zipfile.BadZipFile, zlib.error, struct.error),
)
# Equal bytes on the library build that fitted it; another build may differ in the last bits.
_GOLDEN_TOLERANCE = 1e-6


class ModelRefused(ValueError):
    """A model that must not serve: another feature schema, other golden hazards, or files that cannot be read."""

    code = "model_refused"


def load_model(folder: Path, version: str, role: Role = Role.CHAMPION) -> BoosterHazards:
    """The model in a folder, after all checks. role: what its scores will say. Raises ModelRefused."""
    try:
        schema = str(json.loads((folder / SCHEMA_FILE).read_text("utf-8"))["schema_sha256"])
    except UNREADABLE as error:
        raise ModelRefused(f"version {version}: {type(error).__name__}: {error}") from error
    if schema != schema_sha256():
        raise ModelRefused(f"version {version} was fitted on feature schema {schema[:12]}, not on ours")
    try:
        # Opened here, as numpy leaves a zip open whose end is broken.
        with (folder / GOLDEN_FILE).open("rb") as file, np.load(file, allow_pickle=False) as golden:
            rows, hazards, measures, curves = (golden[name] for name in ("rows", "hazards", "measures", "curves"))
        booster = read_booster(folder / BOOSTER_FILE)
        model = BoosterHazards(booster, ModelInfo("risk", version, role, schema, frame_of(booster)))
        answers = model.predict(np.ascontiguousarray(rows, dtype=np.float32)), hazards_of(model, measures)
    except UNREADABLE as error:
        raise ModelRefused(f"version {version}: {type(error).__name__}: {error}") from error
    for answer, golden in zip(answers, (hazards, curves), strict=True):
        if answer.shape != golden.shape or not np.allclose(answer, golden, rtol=0.0, atol=_GOLDEN_TOLERANCE):
            raise ModelRefused(f"version {version} does not answer its golden rows with its golden hazards")
    _log.info("scoring.model_loaded", version=version, path=model.path, reason=model.reason)
    return model
