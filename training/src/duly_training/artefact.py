"""The files beside `model.ubj` that let a loader trust it: golden rows, schema, card, plot."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xgboost as xgb
from duly_booster.artefact import BOOSTER_FILE, FRAME_ATTRIBUTE, GOLDEN_FILE, SCHEMA_FILE
from duly_booster.model import predict
from duly_risk.features import FEATURES, schema_json, schema_sha256
from duly_risk.model import Rows
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from duly_training.evaluate import Judged, Predictions

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


def write_reliability_plot(
    path: Path, judged: Sequence[Judged], by_name: Mapping[str, Predictions], k: int = 5
) -> None:
    """Observed against predicted share of invoices late by k days, in ten bins of equal mass."""
    figure = Figure(figsize=(5, 5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    ripe = np.array([one.late[k] is not None for one in judged], dtype=bool)
    y = np.array([bool(one.late[k]) for one in judged])[ripe]
    for name, predictions in by_name.items():
        p = predictions.p_late[k][ripe]
        bins = [part for part in np.array_split(np.argsort(p, kind="stable"), 10) if len(part)]
        axes.plot([p[part].mean() for part in bins], [y[part].mean() for part in bins], marker="o", label=name)
    axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    axes.set_xlabel(f"predicted share late by {k} days")
    axes.set_ylabel("observed share")
    axes.legend()
    figure.savefig(path, dpi=90, metadata={"Software": None})


def model_card(facts: Mapping[str, str], metrics: Mapping[str, float]) -> str:
    """The card of a model as Markdown: what it is, how it was fitted, how it compares, what it must not be used for."""
    lines = [
        "# Risk model: daily payment hazard",
        "",
        "P(an open invoice is paid on day d | it was open before d).",
        "",
    ]
    lines += [f"- **{name}**: {value}" for name, value in facts.items()]
    names = ["constant", "debtor_rate", "logistic", "hazard"]
    measures = ["auc_late5", "logloss_late5", "brier_late5", "ece_late5", "auc_late1", "logloss_late1", "mae_days"]
    lines += ["", "| invoices after the training window | " + " | ".join(measures) + " |", "|---" * 8 + "|"]
    for name in names:
        values = [metrics.get(f"{name}_{measure}") for measure in measures]
        lines.append(f"| {name} | " + " | ".join("-" if value is None else f"{value:.4f}" for value in values) + " |")
    lines += [
        "",
        "## Limits",
        "",
        "- It knows only this ledger: another tenant, currency or kind of debtor needs its own fit.",
        "- The figures come from one split in time, without intervals; a sudden change of habits is not in them.",
        "- Probabilities are not calibrated after the fit.",
        "- No feature is a protected attribute or a stand-in for one; the allow-list is in schema.json.",
        "- It ranks and times reminders. It must not decide alone on credit, fees or legal steps against a person.",
        "",
    ]
    return "\n".join(lines)
