"""End to end with an MLflow of its own: the registry holds what was fitted, and nothing is fitted twice."""

import hashlib
import json
from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import xgboost as xgb
from duly_contracts.model_control import CHAMPION
from duly_risk.asking import hazards_of
from duly_risk.curves import HORIZON_DAYS
from duly_risk.days import day_of
from duly_risk.features import schema_sha256
from duly_risk.model import FeatureFrame
from duly_training.fit import FitSettings, as_model
from duly_training.gate import GateLine, Verdict
from duly_training.model_versions import ModelVersions, VersionUnknown
from duly_training.origin import Kind
from duly_training.promotion import control_key, promotion_event
from duly_training.registry import Registry
from duly_training.request import TrainingRequest
from duly_training.train import train_on

from duly.risk.v1 import events_pb2 as risk

SETTINGS = FitSettings(7, parallel_trees=2, rounds_max=20, rounds_min=15)


@pytest.fixture
def tracking_uri(tmp_path, monkeypatch):
    # MLflow writes artefacts of a database store below the working folder.
    monkeypatch.chdir(tmp_path)
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


@pytest.fixture
def registry(tracking_uri):
    return Registry(tracking_uri, "acme")


@pytest.fixture
def asked(known_until) -> TrainingRequest:
    return TrainingRequest(known_until, SETTINGS)


def with_seed(asked: TrainingRequest, seed: int) -> TrainingRequest:
    return replace(asked, settings=replace(asked.settings, seed=seed))


def test_a_refused_model_serves_nobody_and_says_why(made_up_ledger, known_until, asked, registry, capfd):
    stages: list[tuple[str, int, int]] = []
    report = train_on(made_up_ledger, registry, asked, lambda *stage: stages.append(stage))
    assert not report.reused
    assert not report.may_be_promoted
    assert list(dict.fromkeys(done for _, done, _ in stages)) == [0, 1, 2, 3, 4, 5]
    assert len({stage for stage, done, _ in stages if done == 2}) > 10, "a stage of minutes tells its steps"
    assert "Verdict: REFUSED" in report.report
    # Version 1 is the refused one; what serves is the debtor's rate, in the form of any other artefact.
    assert (report.model.name, report.model.version) == ("risk", "2")
    versions = ModelVersions(registry)
    rate, refused = versions.all()
    assert (rate.model, rate.kind, rate.aliases) == (report.model, Kind.RATE, ())
    assert refused.verdict is not None
    assert "logloss gain over logistic" in [line.name for line in refused.verdict.failed]
    model, reference = versions.load("2")
    assert model.info.version == "2"
    assert reference.fitted_until == day_of(known_until)
    assert reference.bins["p_late_5"].shares
    again = train_on(made_up_ledger, registry, asked)
    assert (again.reused, again.model, again.verdict) == (True, report.model, report.verdict)
    assert again.report == report.report
    assert not again.may_be_promoted
    # A refused version under the champion alias, as `--force-reason` leaves it, is nothing to fall back to.
    versions.point(CHAMPION, "1")
    assert [one.aliases for one in versions.all()] == [(), ("champion-acme",)]
    for unknown in ("9", "one"):
        with pytest.raises(VersionUnknown, match=f"no version {unknown} of model 'risk': there are 2, 1"):
            versions.version(unknown)
    assert versions.version("1").aliases == ("champion-acme",)
    assert train_on(made_up_ledger, registry, asked).model == report.model
    other = train_on(made_up_ledger, registry, with_seed(asked, 8))
    assert (other.kind, other.model.version) == (Kind.RATE, "4")
    assert not any(word in "".join(capfd.readouterr()) for word in ("Warning", "Successfully registered", "View run"))
    _assert_artefact(_downloaded("models:/risk/2"), report.model)
    _assert_run_page(_refused_run())
    _assert_rate_page()


def test_a_model_that_passes_is_not_fitted_twice_and_is_nobody_elses(made_up_ledger, asked, registry, tracking_uri):
    # The small ledger is refused in truth; here the gate waves everything through.
    passed = Verdict((GateLine("a wave", True, "-", "-"),))
    report = train_on(made_up_ledger, registry, replace(asked, gate=lambda *_: passed))
    assert report.may_be_promoted
    assert report.model.version == "1"
    again = train_on(made_up_ledger, registry, asked)
    assert (again.reused, again.verdict, again.report) == (True, report.verdict, report.report)
    assert again.model == report.model
    assert again.metrics == pytest.approx(dict(report.metrics))
    # What must be equal for a model to be reused.
    assert registry.champion() is None
    ModelVersions(registry).point(CHAMPION, "1")
    champion = registry.champion()
    assert champion is not None
    assert {name: champion.tags[name] for name in ("data_sha256", "fit_sha256", "schema_sha256", "seed")} == {
        "data_sha256": report.data_sha256,
        "fit_sha256": SETTINGS.sha256(),
        "schema_sha256": schema_sha256(),
        "seed": "7",
    }
    _assert_none_of_it_is_anothers(registry, tracking_uri, report.data_sha256)
    # Another seed is another candidate: refused, it leaves the champion alone.
    stages: list[str] = []
    refused = train_on(made_up_ledger, registry, with_seed(asked, 8), lambda stage, *_: stages.append(stage))
    assert not any("debtor's rate" in stage for stage in stages), "nothing is fitted that will not serve"
    assert not refused.may_be_promoted
    assert refused.model == report.model
    assert "the champion has seen all but" in refused.report
    assert FitSettings(7).sha256() != SETTINGS.sha256() == replace(SETTINGS, seed=8).sha256()


def _assert_none_of_it_is_anothers(registry, tracking_uri, data_sha256):
    other = Registry(tracking_uri, "b/other's")
    inputs = {"data_sha256": data_sha256}
    assert registry.fitted_on(inputs) is not None
    assert (other.fitted_on(inputs), other.champion(), other.versions()) == (None, None, [])
    with pytest.raises(VersionUnknown, match="not fitted on the ledger of b/other's"):
        ModelVersions(other).load("1")
    # A name that no alias can spell gets one all the same, and it leaves the first tenant's alone.
    ModelVersions(other).point(CHAMPION, "1")
    assert other.champion() is None
    ModelVersions(other).unpoint(CHAMPION)
    champion = registry.champion()
    assert champion is not None
    assert champion.model.version == "1"


def _downloaded(uri: str) -> Path:
    import mlflow

    return Path(mlflow.artifacts.download_artifacts(uri))


def _refused_run() -> Path:
    import mlflow

    client = mlflow.MlflowClient()
    run = client.get_run(client.get_model_version("risk", "1").run_id)
    assert run.data.tags["gate"] == "refused"
    assert run.data.metrics["hazard_auc_late5"] > 0.8
    assert run.data.metrics["gain_logloss_over_constant_low"] > 0
    assert {"judged_from", "data_sha256", "first_invoice"} <= run.data.params.keys()
    return Path(client.download_artifacts(run.info.run_id, "report"))


def _assert_rate_page() -> None:
    """What serves instead of a refused model has a page of its own, with its own figures."""
    import mlflow

    client = mlflow.MlflowClient()
    version = client.get_model_version("risk", "2")
    assert "in place of version 1, which the gate refused" in version.description
    run = client.get_run(version.run_id)
    assert run.info.run_name.startswith("debtor_rate 20")
    page = run.data.tags["mlflow.note.content"]
    assert page.startswith("# The debtor's rate, in place of version 1")
    assert "logloss gain over logistic" in page
    assert "| debtor_rate_curve |" in page
    assert run.data.metrics["debtor_rate_curve_auc_late5"] > 0.8
    assert {"judged_from", "data_sha256", "rounds", "instead_of_version"} <= run.data.params.keys()
    folder = Path(client.download_artifacts(run.info.run_id, "report"))
    assert {"report.md", "model_card.md", "reliability.png", "forecast.png"} <= {one.name for one in folder.iterdir()}
    report = (folder / "report.md").read_text()
    for part in (page.strip(), "# The verdict on version 1", "What the columns mean", "**debtor_rate_curve**"):
        assert part in report


def _assert_run_page(folder: Path) -> None:
    names = {"report.md", "model_card.md", "gate.json", "slices.json", "gain.json", "reference.json"}
    assert names | {"reliability.png", "forecast.png", "gain.png"} == {file.name for file in folder.iterdir()}
    verdict = json.loads((folder / "gate.json").read_text())
    assert not verdict["promote"]
    assert "logloss gain over logistic" in [line["name"] for line in verdict["lines"] if not line["passed"]]
    text = (folder / "report.md").read_text()
    assert "closed besides weekends" in (folder / "model_card.md").read_text()
    for part in (
        "closed besides weekends",
        "Verdict",
        "Judged on",
        "Slices",
        "Roll rates",
        "What it looks at",
        "What the columns mean",
        "Limits",
    ):
        assert part in text


def _assert_artefact(folder: Path, model) -> None:
    assert hashlib.sha256((folder / "model.ubj").read_bytes()).hexdigest() == model.artifact_sha256
    assert hashlib.sha256((folder / "golden.npz").read_bytes()).hexdigest() == model.golden_sha256
    assert json.loads((folder / "schema.json").read_text())["schema_sha256"] == schema_sha256() == model.schema_sha256
    booster = xgb.Booster(model_file=folder / "model.ubj")
    booster.set_param({"nthread": 1})
    with np.load(folder / "golden.npz") as golden:
        rows, hazards, measures, curves = (golden[name] for name in ("rows", "hazards", "measures", "curves"))
    assert len(rows) >= 64
    assert curves.shape == (16, HORIZON_DAYS)
    served = as_model(booster, FeatureFrame.from_json(booster.attr("duly_frame")))
    assert hazards_of(served, measures).tobytes() == curves.tobytes()
    assert booster.inplace_predict(rows).astype(np.float32).tobytes() == hazards.tobytes()
    assert FeatureFrame.from_json(booster.attr("duly_frame")).amount_median_minor["EUR"] > 0


def test_a_promotion_names_what_a_loader_has_to_check(made_up_ledger):
    from duly_training.registry import RegisteredModel

    model = RegisteredModel("risk", "3", "a", "s", "g", "run")
    message = promotion_event(model, date(2026, 4, 1), "demo", "first model")
    assert (message.model_version, message.artifact_sha256, message.golden_sha256) == ("3", "a", "g")
    assert message.role == risk.MODEL_ROLE_CHAMPION
    assert control_key("demo", "risk") == b"demo|risk|CHAMPION"
