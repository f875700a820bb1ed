"""What a training came to, into the registry: artefact, pages for people, run, version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from duly_risk.book import LATE_DAYS
from duly_risk.days import date_of
from duly_risk.features import features_of

from duly_training.artefact import ArtefactHashes, write_artefact
from duly_training.closed_days import closed_words
from duly_training.fairness import GroupRow, by_group
from duly_training.fallback import RateModel, Serves
from duly_training.judged import late_name
from duly_training.monitor.reference import REFERENCE_FILE, reference_of
from duly_training.origin import FittedModel, Kind
from duly_training.pipeline import Released
from duly_training.registry import GATE_PASSED, GATE_REFUSED, RegisteredModel, Registry, RunRecord
from duly_training.report import write_fallback_report, write_report
from duly_training.request import TrainingRequest
from duly_training.roll_rate import roll_rates
from duly_training.splits import begin_before, left_out_words
from duly_training.timeline import Timeline
from duly_training.window import MODEL, Window


@dataclass(frozen=True, slots=True)
class Trained:
    """All that one training came to. groups: rows of the report for the groups that were asked for.

    rate: the model to register besides, where `serves` says so.
    """

    request: TrainingRequest
    timeline: Timeline
    released: Released
    groups: Sequence[GroupRow]
    serves: Serves
    rate: RateModel | None

    @property
    def inputs(self) -> dict[str, str]:
        return self.request.inputs(self.timeline.sha256)

    @property
    def known_until(self) -> str:
        return str(date_of(self.timeline.cut_day))

    def tags(self, kind: Kind) -> dict[str, str]:
        """Of the version. The rate carries the verdict on the model that it stands in for."""
        gate = GATE_PASSED if self.released.verdict.promote else GATE_REFUSED
        return {**self.inputs, "known_until": self.known_until, "gate": gate, "kind": kind.value}

    def params(self, facts: Mapping[str, str]) -> dict[str, str | int | float]:
        spelt = {name.replace(" ", "_"): value for name, value in facts.items()}
        return {**asdict(self.request.settings), **self.inputs, **spelt}


@dataclass(frozen=True, slots=True)
class Registered:
    """fitted: the judged model. rate: what was registered to serve in its place. report: on `fitted`, as Markdown."""

    fitted: RegisteredModel
    rate: RegisteredModel | None
    report: str


def register(registry: Registry, trained: Trained) -> Registered:
    """Each as a version with a run of its own. Raises MLflow's own errors where it does not answer."""
    with TemporaryDirectory(prefix="duly-training-") as name:
        fitted, report = _register_fitted(registry, trained, _Folders.below(Path(name) / "fitted"))
        if trained.rate is None:
            return Registered(fitted, None, report)
        folders = _Folders.below(Path(name) / "rate")
        return Registered(fitted, _register_rate(registry, trained, trained.rate, fitted.version, folders), report)


@dataclass(frozen=True, slots=True)
class _Folders:
    """artefact: what a loader reads. report: what a person reads of the run, and `duly monitor`."""

    artefact: Path
    report: Path

    @classmethod
    def below(cls, folder: Path) -> _Folders:
        folders = cls(folder / "artefact", folder / "report")
        folders.artefact.mkdir(parents=True)
        folders.report.mkdir()
        return folders

    def write(self, timeline: Timeline, fitted: FittedModel) -> ArtefactHashes:
        """The artefact, and what it is compared with once it serves."""
        (self.report / REFERENCE_FILE).write_text(reference_of(timeline, fitted.model, timeline.cut_day).to_json())
        return write_artefact(self.artefact, fitted)


def _register_fitted(registry: Registry, trained: Trained, folders: _Folders) -> tuple[RegisteredModel, str]:
    timeline, released = trained.timeline, trained.released
    window, verdict = released.window, released.verdict
    hashes = folders.write(timeline, released.final)
    facts = run_facts(timeline, released.final, window, trained.inputs)
    write_report(folders.report, released, facts, roll_rates(timeline, window.from_day), trained.groups)
    record = RunRecord(
        name=f"hazard {trained.known_until}",
        page=(folders.report / "model_card.md").read_text(),
        summary="The gate lets it be promoted." if verdict.promote else f"REFUSED by the gate: {verdict.reason}.",
        params=trained.params(facts),
        metrics=window.flat_metrics(),
        tags=trained.tags(Kind.HAZARD),
        report_folder=folders.report,
    )
    model = registry.register(released.final.booster, folders.artefact, hashes, record)
    return model, (folders.report / "report.md").read_text()


def _register_rate(
    registry: Registry, trained: Trained, rate: RateModel, refused: str, folders: _Folders
) -> RegisteredModel:
    """refused: the version in whose place it may serve."""
    hashes = folders.write(trained.timeline, rate.final)
    facts = run_facts(trained.timeline, rate.final, rate.window, trained.inputs)
    write_fallback_report(folders.report, trained.released.verdict, rate.window, facts, refused)
    record = RunRecord(
        name=f"debtor_rate {trained.known_until}",
        page=(folders.report / "model_card.md").read_text(),
        summary=f"The debtor's rate, in place of version {refused}, which the gate refused. It needs no gate.",
        params={**trained.params(facts), "kind": Kind.RATE.value, "instead_of_version": refused},
        metrics=rate.window.flat_metrics(),
        tags=trained.tags(Kind.RATE),
        report_folder=folders.report,
    )
    return registry.register(rate.final.booster, folders.artefact, hashes, record)


def group_rows(timeline: Timeline, released: Released, groups: Mapping[str, str]) -> tuple[GroupRow, ...]:
    """The judged invoices by group of their debtor; none where nothing was given."""
    judged = released.window.judged
    ripe = judged.ripe()
    if not groups or not ripe.any():
        return ()
    of = [groups.get(timeline.debtor_ids[debtor], "") for debtor in judged.debtor[ripe].tolist()]
    features = features_of(judged.measures[ripe], released.final.known.frame)
    return by_group(judged.late()[ripe], released.window.by_name[MODEL].p_late[LATE_DAYS][ripe], features, of)


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
