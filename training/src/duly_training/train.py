"""`train`: a ledger in, a judged and registered model out; `duly promote` lets it score."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from duly_risk.book import LATE_DAYS
from duly_risk.days import date_of, day_of
from duly_risk.features import features_of, schema_sha256

from duly_training.artefact import write_artefact
from duly_training.closed_days import closed_words
from duly_training.fairness import GroupRow, by_group
from duly_training.fit import FitSettings
from duly_training.folding import timeline_of
from duly_training.gate import Gate, Verdict, verdict_of
from duly_training.history import FactSource, read_history
from duly_training.judged import late_name
from duly_training.model_versions import ModelVersions
from duly_training.monitor.reference import REFERENCE_FILE, reference_of
from duly_training.origin import FittedModel, Kind
from duly_training.pipeline import STAGES, Champion, Released, release, steps_of
from duly_training.progress import OnProgress, silent_stages
from duly_training.registry import KnownVersion, RegisteredModel, Registry, RunRecord
from duly_training.report import write_fallback_report, write_report
from duly_training.roll_rate import roll_rates
from duly_training.splits import begin_before, left_out_words, without_strays
from duly_training.timeline import Timeline
from duly_training.window import MODEL, Window

DEFAULT_SETTINGS = FitSettings()
_PASSED, _REFUSED = "passed", "refused"


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
    ledger: FactSource,
    registry: Registry,
    known_until: date,
    seed: int,
    on_progress: OnProgress = silent_stages,
    settings: FitSettings = DEFAULT_SETTINGS,
    groups: Mapping[str, str] | None = None,
    gate: Gate = verdict_of,
) -> TrainingReport:
    """Fits on everything known before `known_until`, judges on the last part of that, registers; promotes nothing.

    registry: of the tenant whose ledger it is. on_progress(stage, done, total): before each stage and once at the end.
    groups: debtor id -> group of an attribute that the tenant lawfully holds; only the report sees it.
    Raises EventUnusable, TooFewSettledInvoices, or MLflow's own errors when the registry does not answer.
    """
    on_progress(STAGES[0], 0, len(STAGES))
    history = without_strays(read_history(ledger, known_until))
    inputs = {
        "data_sha256": history.sha256,
        "fit_sha256": settings.sha256(),
        "schema_sha256": schema_sha256(),
        "seed": str(seed),
    }
    champion = registry.champion()
    fitted = registry.fitted_on(inputs)
    if fitted is not None and (_may_serve(fitted) or _may_serve(champion)):
        on_progress(STAGES[-1], len(STAGES), len(STAGES))
        # Of a refused model and its fallback the newer is the fallback; the verdict is on the model.
        judged = registry.fitted_on({**inputs, "kind": Kind.HAZARD.value}) or fitted
        return _reused(registry, fitted, judged, champion, history.sha256)
    timeline = timeline_of(history, steps_of(on_progress, 1))
    sectors = [history.sectors.get(debtor_id, "") for debtor_id in timeline.debtor_ids]
    del history  # of a large ledger a gigabyte that nobody reads any more
    released = release(timeline, settings, seed, on_progress, _serving(registry, champion), sectors, gate)
    rows = group_rows(timeline, released, groups or {})
    on_progress(STAGES[-1], len(STAGES) - 1, len(STAGES))
    with tempfile.TemporaryDirectory(prefix="duly-training-") as name:
        report = _register(registry, timeline, released, settings, inputs, Path(name), rows)
    on_progress(STAGES[-1], len(STAGES), len(STAGES))
    return report


def _reused(
    registry: Registry, fitted: KnownVersion, judged: KnownVersion, champion: KnownVersion | None, data_sha256: str
) -> TrainingReport:
    """What was said when it was fitted: a refused model left the champion of that time where it was."""
    serving = champion if champion is not None and not _may_serve(fitted) else fitted
    kind = Kind(serving.tags.get("kind", Kind.HAZARD))
    versions, number = ModelVersions(registry), judged.model.version
    verdict, report = versions.version(number).verdict, versions.report(number)
    return TrainingReport(serving.model, True, data_sha256, serving.metrics, number, verdict, report, kind)


def _may_serve(version: KnownVersion | None) -> bool:
    """Whether it is promoted without a reason of somebody: a rate, or a model that its gate let pass."""
    return version is not None and (version.tags.get("kind") == Kind.RATE or version.tags.get("gate") == _PASSED)


def _serving(registry: Registry, champion: KnownVersion | None) -> Callable[[], Champion | str]:
    """The champion to compare with, downloaded only when it is asked for; else why not."""

    def serving() -> Champion | str:
        if champion is None:
            return "there is no champion"
        if champion.model.schema_sha256 != schema_sha256():
            return f"version {champion.model.version} has other features: not comparable on the same rows"
        known_until = champion.tags.get("known_until", "")
        if not known_until:
            return f"version {champion.model.version} does not say what it had seen"
        return Champion(registry.load(champion.model), day_of(date.fromisoformat(known_until)))

    return serving


def _register(
    registry: Registry,
    timeline: Timeline,
    released: Released,
    settings: FitSettings,
    inputs: Mapping[str, str],
    folder: Path,
    groups: Sequence[GroupRow],
) -> TrainingReport:
    artefact, report = folder / "artefact", folder / "report"
    artefact.mkdir()
    report.mkdir()
    hashes = write_artefact(artefact, released.final)
    facts = run_facts(timeline, released.final, released.window, inputs)
    write_report(report, released, facts, roll_rates(timeline, released.window.from_day), groups)
    (report / REFERENCE_FILE).write_text(reference_of(timeline, released.final.model, timeline.cut_day).to_json())
    text = (report / "report.md").read_text()
    known_until = str(date_of(timeline.cut_day))
    tags = {**inputs, "known_until": known_until, "gate": _gate_word(released.verdict), "kind": Kind.HAZARD.value}
    metrics = released.window.flat_metrics()
    verdict = released.verdict
    record = RunRecord(
        name=f"hazard {known_until}",
        page=(report / "model_card.md").read_text(),
        summary="The gate lets it be promoted." if verdict.promote else f"REFUSED by the gate: {verdict.reason}.",
        params=_params(settings, inputs, facts),
        metrics=metrics,
        tags=tags,
        report_folder=report,
    )
    model = registry.register(released.final.booster, artefact, hashes, record)
    kind, number = Kind.HAZARD, model.version
    if not verdict.promote:
        model, kind = _fallback(registry, timeline, released, settings, tags, folder / "fallback", number)
    return TrainingReport(model, False, timeline.sha256, metrics, number, released.verdict, text, kind)


def _params(settings: FitSettings, inputs: Mapping[str, str], facts: Mapping[str, str]) -> dict[str, str | int | float]:
    return {**asdict(settings), **inputs, **{name.replace(" ", "_"): value for name, value in facts.items()}}


def _fallback(
    registry: Registry,
    timeline: Timeline,
    released: Released,
    settings: FitSettings,
    tags: Mapping[str, str],
    folder: Path,
    refused: str,
) -> tuple[RegisteredModel, Kind]:
    """What serves instead of a refused model: the champion if its gate let it pass, else the debtor's rate."""
    champion = registry.champion()
    if champion is not None and champion.tags.get("kind") == Kind.HAZARD and _may_serve(champion):
        return champion.model, Kind.HAZARD
    if released.fallback is None:
        raise ValueError("a refused model comes with a fallback")
    artefact, report = folder / "artefact", folder / "report"
    artefact.mkdir(parents=True)
    report.mkdir()
    fitted, window = released.fallback.final, released.fallback.window
    hashes = write_artefact(artefact, fitted)
    inputs = {name: tags[name] for name in ("data_sha256", "schema_sha256", "fit_sha256", "seed")}
    facts = run_facts(timeline, fitted, window, inputs)
    write_fallback_report(report, released, released.fallback, facts, refused)
    (report / REFERENCE_FILE).write_text(reference_of(timeline, fitted.model, timeline.cut_day).to_json())
    record = RunRecord(
        name=f"debtor_rate {tags['known_until']}",
        page=(report / "model_card.md").read_text(),
        summary=f"The debtor's rate, in place of version {refused}, which the gate refused. It needs no gate.",
        params={**_params(settings, inputs, facts), "kind": Kind.RATE.value, "instead_of_version": refused},
        metrics=window.flat_metrics(),
        tags={**tags, "kind": Kind.RATE.value},
        report_folder=report,
    )
    return registry.register(fitted.booster, artefact, hashes, record), Kind.RATE


def group_rows(timeline: Timeline, released: Released, groups: Mapping[str, str]) -> tuple[GroupRow, ...]:
    """The judged invoices by group of their debtor; none where nothing was given."""
    judged = released.window.judged
    ripe = judged.ripe()
    if not groups or not ripe.any():
        return ()
    of = [groups.get(timeline.debtor_ids[debtor], "") for debtor in judged.debtor[ripe].tolist()]
    features = features_of(judged.measures[ripe], released.final.known.frame)
    return by_group(judged.late()[ripe], released.window.by_name[MODEL].p_late[LATE_DAYS][ripe], features, of)


def _gate_word(verdict: Verdict) -> str:
    return _PASSED if verdict.promote else _REFUSED


def run_facts(timeline: Timeline, final: FittedModel, window: Window, inputs: Mapping[str, str]) -> dict[str, str]:
    """What a person wants to know of a run before its figures."""
    judged = window.metrics.get(MODEL, {}).get(late_name("rate"))
    begin = begin_before(timeline, timeline.cut_day)
    first = str(date_of(timeline.first_day))
    if begin != timeline.first_day:
        first += f", a stray: the parts of the history count from {date_of(begin)}"
    left_out = left_out_words(timeline.left_out)
    return {
        "known until": "; ".join(filter(None, (f"{date_of(timeline.cut_day)} (exclusive)", left_out))),
        "first invoice": first,
        "judged from": str(date_of(window.from_day)),
        "rounds counted and calibrated from": str(date_of(final.validation_from)),
        "late share in the judged window": "-" if judged is None else f"{judged:.4f}",
        "invoices": f"{int(final.known.outcomes.known.sum())}",
        "settled": f"{final.known.outcomes.settled}",
        "debtors": f"{len(timeline.debtor_ids)}",
        "person-days fitted on": f"{final.rows}",
        "payments in them": f"{final.events}",
        "rounds": f"{final.rounds}",
        "calibration of the logit": f"{final.calibration.intercept:+.4f} {final.calibration.slope:.4f} x",
        "closed besides weekends": closed_words(final.known.frame.closed_rules),
        "data sha256": inputs["data_sha256"],
        "feature schema sha256": inputs["schema_sha256"],
        "seed": inputs["seed"],
    }
