"""`train`: a ledger export in, a registered champion out."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from duly_ledger_export import read_ledger
from duly_risk.days import date_of
from duly_risk.features import schema_sha256

from duly_training.artefact import model_card, write_artefact, write_reliability_plot
from duly_training.fit import FitSettings
from duly_training.history import FactSource, read_history
from duly_training.pipeline import STAGES, Fitted, OnProgress, fit_and_judge
from duly_training.registry import RegisteredModel, Registry, RunRecord

DEFAULT_SETTINGS = FitSettings()


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """reused: the champion was fitted on the same data by the same code, so nothing was done."""

    model: RegisteredModel
    reused: bool
    data_sha256: str
    metrics: Mapping[str, float]


def _silent(stage: str, done: int, total: int) -> None: ...


def train(
    ledger_dir: Path,
    tracking_uri: str,
    known_until: date,
    seed: int,
    on_progress: OnProgress = _silent,
    settings: FitSettings = DEFAULT_SETTINGS,
) -> TrainingReport:
    """Fits on everything known before `known_until`, judges it on the last part of that, registers it as champion.

    on_progress(stage, done, total): before each stage and once at the end. Raises LedgerInvalid, EventUnusable,
    TooFewSettledInvoices, or MLflow's own errors when the registry does not answer.
    """
    on_progress(STAGES[0], 0, len(STAGES))
    return train_on(read_ledger(ledger_dir), tracking_uri, known_until, seed, on_progress, settings)


def train_on(
    ledger: FactSource,
    tracking_uri: str,
    known_until: date,
    seed: int,
    on_progress: OnProgress = _silent,
    settings: FitSettings = DEFAULT_SETTINGS,
) -> TrainingReport:
    """`train` for a ledger already read."""
    history = read_history(ledger, known_until)
    registry = Registry(tracking_uri)
    inputs = {
        "data_sha256": history.sha256,
        "fit_sha256": settings.sha256(),
        "schema_sha256": schema_sha256(),
        "seed": str(seed),
    }
    champion = registry.champion()
    if champion is not None and inputs.items() <= champion.tags.items():
        on_progress(STAGES[-1], len(STAGES), len(STAGES))
        return TrainingReport(champion.model, True, history.sha256, champion.metrics)
    fitted = fit_and_judge(history, settings, seed, on_progress)
    on_progress(STAGES[-1], len(STAGES) - 1, len(STAGES))
    with tempfile.TemporaryDirectory(prefix="duly-training-") as name:
        model = _register(registry, fitted, settings, inputs, Path(name))
    on_progress(STAGES[-1], len(STAGES), len(STAGES))
    return TrainingReport(model, False, history.sha256, fitted.metrics)


def _register(
    registry: Registry, fitted: Fitted, settings: FitSettings, inputs: Mapping[str, str], folder: Path
) -> RegisteredModel:
    artefact, report = folder / "artefact", folder / "report"
    artefact.mkdir()
    report.mkdir()
    hashes = write_artefact(artefact, fitted.booster, fitted.known.rows.x)
    facts = _card_facts(fitted, inputs)
    (report / "model_card.md").write_text(model_card(facts, fitted.metrics))
    if fitted.judged:
        write_reliability_plot(report / "reliability.png", fitted.judged, fitted.predictions)
    params = {**asdict(settings), **inputs, **{name.replace(" ", "_"): value for name, value in facts.items()}}
    return registry.register(fitted.booster, artefact, hashes, RunRecord(params, fitted.metrics, inputs, report))


def _card_facts(fitted: Fitted, inputs: Mapping[str, str]) -> dict[str, str]:
    splits = fitted.splits
    return {
        "known until": f"{date_of(splits.cut_day)} (exclusive)",
        "first invoice": str(date_of(splits.first_day)),
        "trees counted from": str(date_of(splits.validation_from)),
        "judged from": str(date_of(splits.test_from)),
        "trees": str(fitted.trees),
        "invoices": str(len(fitted.known.outcomes)),
        "rows": str(len(fitted.known.rows.y)),
        "payments in rows": str(fitted.known.rows.events),
        "data sha256": inputs["data_sha256"],
        "feature schema sha256": inputs["schema_sha256"],
    }
