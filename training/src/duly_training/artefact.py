"""The files beside `model.ubj` that let a loader trust it: golden rows and schema."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xgboost as xgb
from duly_booster.artefact import BOOSTER_FILE, FRAME_ATTRIBUTE, GOLDEN_FILE, SCHEMA_FILE
from duly_booster.model import predict
from duly_risk.features import FEATURES, schema_json, schema_sha256
from duly_risk.model import Rows

GOLDEN_ROWS = 128


@dataclass(frozen=True, slots=True)
class ArtefactHashes:
    """sha256 (hex) of model.ubj, of golden.npz, and of the feature schema (`duly_risk.features.schema_sha256`)."""

    model: str
    golden: str
    schema: str


def write_artefact(folder: Path, booster: xgb.Booster, rows: Rows) -> ArtefactHashes:
    """Writes model.ubj, golden.npz and schema.json. rows: (n, features), of which 128 spread evenly become golden."""
    booster.save_model(folder / BOOSTER_FILE)
    golden = rows[np.linspace(0, len(rows) - 1, min(GOLDEN_ROWS, len(rows))).astype(int)]
    buffer = io.BytesIO()
    np.savez(buffer, rows=golden, hazards=predict(booster, golden))
    (folder / GOLDEN_FILE).write_bytes(buffer.getvalue())
    schema = {
        "schema": json.loads(schema_json()),
        "schema_sha256": schema_sha256(),
        "frame": json.loads(str(booster.attr(FRAME_ATTRIBUTE))),
        "allowed": [{"name": f.name, "owner": f.owner, "reason": f.reason} for f in FEATURES],
    }
    (folder / SCHEMA_FILE).write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n")
    return ArtefactHashes(_sha256(folder / BOOSTER_FILE), _sha256(folder / GOLDEN_FILE), schema_sha256())


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
