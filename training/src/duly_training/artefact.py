"""The files beside `model.ubj` that let a loader trust it: golden rows and schema."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from duly_booster.artefact import BOOSTER_FILE, FRAME_ATTRIBUTE, GOLDEN_FILE, SCHEMA_FILE
from duly_booster.model import predict
from duly_risk.asking import hazards_of
from duly_risk.features import FEATURES, schema_json, schema_sha256
from numpy.typing import NDArray

from duly_training.origin import FittedModel

GOLDEN_ROWS, GOLDEN_CURVES = 128, 16


@dataclass(frozen=True, slots=True)
class ArtefactHashes:
    """sha256 (hex) of model.ubj, of golden.npz, and of the feature schema (`duly_risk.features.schema_sha256`)."""

    model: str
    golden: str
    schema: str


def write_artefact(folder: Path, fitted: FittedModel) -> ArtefactHashes:
    """Writes model.ubj, golden.npz and schema.json.

    Golden are 128 rows with the hazards that the Booster gives them, and the measures of 16 invoices with the whole
    curves that come of them: by the frame, its closed days and its landmarks.
    """
    booster = fitted.booster
    booster.save_model(folder / BOOSTER_FILE)
    rows = fitted.sample.x[_spread(len(fitted.sample.x), GOLDEN_ROWS)]
    measures = fitted.sample_measures[_spread(len(fitted.sample_measures), GOLDEN_CURVES)]
    curves = hazards_of(fitted.model, measures)
    buffer = io.BytesIO()
    np.savez(buffer, rows=rows, hazards=predict(booster, rows), measures=measures, curves=curves)
    (folder / GOLDEN_FILE).write_bytes(buffer.getvalue())
    schema = {
        "schema": json.loads(schema_json()),
        "schema_sha256": schema_sha256(),
        "frame": json.loads(str(booster.attr(FRAME_ATTRIBUTE))),
        "allowed": [{"name": f.name, "owner": f.owner, "reason": f.reason} for f in FEATURES],
    }
    (folder / SCHEMA_FILE).write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n")
    return ArtefactHashes(_sha256(folder / BOOSTER_FILE), _sha256(folder / GOLDEN_FILE), schema_sha256())


def _spread(length: int, count: int) -> NDArray[np.int64]:
    """So many places of a length, evenly; all where there are fewer."""
    return np.linspace(0, length - 1, min(count, length)).astype(np.int64)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
