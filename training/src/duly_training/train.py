"""`train`: a ledger in, a judged and registered model out; `duly promote` lets it score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from duly_risk.days import day_of
from duly_risk.features import schema_sha256

from duly_training.fallback import Serves, rate_model, serves
from duly_training.folding import timeline_of
from duly_training.gate import Verdict
from duly_training.history import FactSource, read_history
from duly_training.model_versions import ModelVersions
from duly_training.origin import Kind
from duly_training.pipeline import STAGES, Champion, release, steps_of
from duly_training.progress import OnProgress, silent_stages
from duly_training.registration import Registered, Trained, group_rows, register
from duly_training.registry import KnownVersion, RegisteredModel, Registry
from duly_training.request import TrainingRequest
from duly_training.splits import without_strays
from duly_training.timeline import Timeline


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """reused: a version was fitted on the same data by the same code, so nothing was done; all else is as it was then.

    model: what should score: the fitted model, or, where the gate refused it, the champion whose gate let it pass, or
    else the debtor's rate (kind says which). Nothing scores until it is promoted. judged_version: of the fitted model.
    verdict: on that, None if its run does not say. report: what was written for people, as Markdown.
    """

    model: RegisteredModel
    reused: bool
    data_sha256: str
    metrics: Mapping[str, float]
    judged_version: str
    verdict: Verdict | None = None
    report: str = ""
    kind: Kind = Kind.HAZARD

    @property
    def may_be_promoted(self) -> bool:
        return self.verdict is not None and self.verdict.promote


def train_on(
    ledger: FactSource, registry: Registry, request: TrainingRequest, on_progress: OnProgress = silent_stages
) -> TrainingReport:
    """Fits, judges, asks the gate, settles what should score, registers; promotes nothing.

    registry: of the tenant whose ledger it is. on_progress(stage, done, total): before each stage and once at the end.
    Raises EventUnusable, TooFewSettledInvoices, or MLflow's own errors when the registry does not answer.
    """
    on_progress(STAGES[0], 0, len(STAGES))
    history = without_strays(read_history(ledger, request.known_until))
    champion = registry.champion()
    report = _reused(registry, request.inputs(history.sha256), champion)
    if report is None:
        timeline = timeline_of(history, steps_of(on_progress, 1))
        del history  # of a large ledger a gigabyte that nobody reads any more
        trained = _trained(timeline, request, registry, champion, on_progress)
        on_progress(STAGES[-1], len(STAGES) - 1, len(STAGES))
        report = _report(trained, register(registry, trained), champion)
    on_progress(STAGES[-1], len(STAGES), len(STAGES))
    return report


def _reused(registry: Registry, inputs: Mapping[str, str], champion: KnownVersion | None) -> TrainingReport | None:
    """What was said when it was fitted; None where nothing of these inputs was, or what has to serve now was not."""
    fitted = registry.fitted_on(inputs)
    if fitted is None:
        return None
    serving = fitted
    if fitted.kind is Kind.HAZARD:  # a rate was what had to serve when it was registered
        choice = serves(fitted.gate_passed, champion)
        if choice is Serves.RATE:
            return None
        if choice is Serves.CHAMPION:
            assert champion is not None
            serving = champion
    # Of a refused model and its rate the newer is the rate; the verdict is on the model.
    judged = registry.fitted_on({**inputs, "kind": Kind.HAZARD.value}) or fitted
    versions, number = ModelVersions(registry), judged.model.version
    verdict, report = versions.version(number).verdict, versions.report(number)
    data_sha256 = inputs["data_sha256"]
    return TrainingReport(serving.model, True, data_sha256, serving.metrics, number, verdict, report, serving.kind)


def _trained(
    timeline: Timeline,
    request: TrainingRequest,
    registry: Registry,
    champion: KnownVersion | None,
    on_progress: OnProgress,
) -> Trained:
    released = release(timeline, request, _comparable(registry, champion), on_progress)
    choice = serves(released.verdict.promote, champion)
    rate = None
    if choice is Serves.RATE:
        told = steps_of(on_progress, 3, "fit the debtor's rate")
        rate = rate_model(timeline, released.window, request.settings, told)
    return Trained(request, timeline, released, group_rows(timeline, released, request.groups), choice, rate)


def _report(trained: Trained, registered: Registered, champion: KnownVersion | None) -> TrainingReport:
    model, kind = registered.fitted, Kind.HAZARD
    if trained.serves is Serves.CHAMPION:
        assert champion is not None
        model = champion.model
    elif trained.serves is Serves.RATE:
        assert registered.rate is not None
        model, kind = registered.rate, Kind.RATE
    metrics, verdict = trained.released.window.flat_metrics(), trained.released.verdict
    sha256, judged = trained.timeline.sha256, registered.fitted.version
    return TrainingReport(model, False, sha256, metrics, judged, verdict, registered.report, kind)


def _comparable(registry: Registry, champion: KnownVersion | None) -> Champion | str:
    """The champion to compare with; else why not."""
    if champion is None:
        return "there is no champion"
    if champion.model.schema_sha256 != schema_sha256():
        return f"version {champion.model.version} has other features: not comparable on the same rows"
    known_until = champion.tags.get("known_until", "")
    if not known_until:
        return f"version {champion.model.version} does not say what it had seen"
    return Champion(registry.load(champion.model), day_of(date.fromisoformat(known_until)))
