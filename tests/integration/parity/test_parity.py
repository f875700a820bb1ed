"""One log, read by training, by a back-test and by a worker that is killed on the way: equal bytes everywhere.

A closed day lies among the live ones, and another before and behind them.

DULY_PARITY_EVENTS sets the size of the log; `make parity` takes 100,000.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path

import numpy as np
import pytest
from duly_booster.artefact import label
from duly_chaos.broker import Broker
from duly_chaos.checker import check
from duly_chaos.ledger_log import START, Ledger, play
from duly_chaos.registry import Registry, put_in_force
from duly_chaos.worker import Worker
from duly_contracts.keys import split_key
from duly_risk.asking import hazards_of
from duly_risk.closed_days import HAZARD_LEFT, rules_of_day
from duly_risk.codec import decode_state
from duly_risk.curves import survival
from duly_risk.days import date_of, day_of, on_business_day
from duly_risk.facts import RiskEvent
from duly_risk.fallback import RulesModel
from duly_risk.model import HazardModel
from duly_risk.plan import plan_of
from duly_risk.step import has_open_invoices
from duly_testing.eventually import eventually
from duly_training.artefact import write_artefact
from duly_training.backtest.answering import survival_of
from duly_training.backtest.questions import AskedDays, Purpose, questions_of
from duly_training.fit import FitSettings
from duly_training.folding import timeline_of
from duly_training.history import History
from duly_training.origin import fit_before
from duly_training.timeline import FIRST
from scoring.adapters.booster_model import load_model
from scoring.adapters.memory import MemoryStates
from scoring.application.decode_record import Usable, decode_record
from scoring.application.score_batch import Scorer

EVENTS = int(os.environ.get("DULY_PARITY_EVENTS", "20000"))
DAYS, LIVE = 160, 12
EVENTS_PER_DEBTOR = 64
FIRST_LIVE = day_of(START) + DAYS - LIVE
KILLS = 5
# The first workday from the fourth live day on.
CLOSED_DAY = on_business_day(FIRST_LIVE + 3)
pytestmark = [pytest.mark.kafka, pytest.mark.timeout(1800)]


@dataclass(frozen=True, slots=True)
class PromotedForTheFirstLiveDay:
    """Facts of earlier days that are no backfill are scored as well: by the rules, as nothing was promoted for them."""

    model: HazardModel

    def serving(self, tenant: str, day: int) -> HazardModel:
        return self.model if day >= FIRST_LIVE else RulesModel()

    def shadow(self, tenant: str, day: int) -> HazardModel | None:
        return None


# (debtor, invoice, day) -> bytes
Seen = dict[tuple[str, str, int], bytes]


@pytest.fixture(scope="module")
def book() -> Ledger:
    """Late invoices, early payments, duplicates, poison; twelve days of it live."""
    log = play(5, EVENTS // EVENTS_PER_DEBTOR, DAYS, live_days=LIVE, poison_every_days=10)
    assert len(log.records) >= EVENTS
    return log


@pytest.fixture(scope="module")
def history(book: Ledger) -> History:
    """The log as training reads a ledger: facts by debtor, without ticks and without what nobody can use."""
    by_debtor: dict[str, list[RiskEvent]] = {}
    for record in book.records:
        decoded = decode_record(record)
        if isinstance(decoded, Usable) and not decoded.event.is_tick:
            by_debtor.setdefault(decoded.debtor_id, []).append(decoded.event)
    ordered = {debtor_id: tuple(by_debtor[debtor_id]) for debtor_id in sorted(by_debtor)}
    return History(FIRST_LIVE + LIVE, ordered, "parity")


@pytest.fixture(scope="module")
def released(history: History, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """The artefact of a model fitted on what was known before the first live day, and its hashes. The made-up debtors
    know no holiday: the model is told of some."""
    folder = tmp_path_factory.mktemp("registry") / "v1"
    folder.mkdir()
    fitted = fit_before(timeline_of(history.before(FIRST_LIVE)), FIRST_LIVE, FitSettings(seed=1))
    rules = [rules_of_day(day)[0] for day in (CLOSED_DAY - 21, CLOSED_DAY, CLOSED_DAY + 28)]
    frame = replace(fitted.known.frame, closed_rules=tuple(rules))
    label(fitted.booster, frame)
    hashes = write_artefact(folder, replace(fitted, known=replace(fitted.known, frame=frame)))
    names = {"artifact_sha256": hashes.model, "golden_sha256": hashes.golden, "schema_sha256": hashes.schema}
    return folder, names


@pytest.fixture(scope="module")
def model(released: tuple[Path, dict[str, str]]) -> HazardModel:
    """As a worker loads it."""
    return load_model(released[0], "1")


@dataclass(slots=True)
class Live:
    """Measures and curves of every open invoice in the stream's states: after the opening tick of each live day, and at
    its end."""

    opening: Seen = field(default_factory=dict)
    closing: Seen = field(default_factory=dict)
    curves: Seen = field(default_factory=dict)


@pytest.fixture(scope="module")
def live(book: Ledger, model: HazardModel) -> Live:
    """The worker's own step, in memory, cut into batches of 1 to 333 records."""
    states, seen = MemoryStates(), Live()
    scorer, sizes = Scorer(states, book.partitions), cycle((1, 7, 50, 333))
    for run, opens in _runs(book):
        start = 0
        while start < len(run):
            batch = run[start : start + next(sizes)]
            for (partition, key), blob in scorer.score(batch, PromotedForTheFirstLiveDay(model)).blobs.items():
                states.put(partition, key, blob)
            start += len(batch)
        _look(states, model, seen, opens)
    return seen


def _runs(book: Ledger) -> Iterator[tuple[list, bool]]:
    """The log cut behind the opening ticks and at the end of each live day; whether it was the opening."""
    ticks = [decoded for record in book.records if (decoded := decode_record(record)) and _is_tick(decoded)]
    cuts: dict[int, bool] = {}
    for number in range(LIVE):
        of_day = [tick.record for tick in ticks if tick.event.business_day == FIRST_LIVE + number]
        opening = [record for record in of_day if b"T10:" not in dict(record.headers)["ce_time"]]
        for records, opens in ((opening, True), (of_day, False)):
            cuts[max(book.records.index(record) for record in records) + 1] = opens
    start = 0
    for stop, opens in sorted(cuts.items()):
        yield book.records[start:stop], opens
        start = stop


def _is_tick(decoded: object) -> bool:
    return isinstance(decoded, Usable) and decoded.event.is_tick


def _look(states: MemoryStates, model: HazardModel, seen: Live, opens: bool) -> None:
    for partition, key in states.places():
        blob = states.get(partition, key)
        assert blob is not None
        state = decode_state(blob)
        if state.business_day >= FIRST_LIVE and has_open_invoices(state):
            plan = plan_of(state)
            curves = hazards_of(model, plan.measures)
            for row, claim in enumerate(plan.claims):
                place = split_key(key)[1], claim.terms.invoice_id, plan.as_of_day
                (seen.opening if opens else seen.closing)[place] = plan.measures[row].tobytes()
                if not opens:
                    seen.curves[place] = curves[row].tobytes()


def test_training_saw_the_measures_of_the_live_stream(history: History, live: Live) -> None:
    timeline = timeline_of(history)
    later = timeline.snapshots.where(timeline.snapshots.landmark != FIRST)
    later = later.where(later.as_of >= FIRST_LIVE)
    compared = 0
    for row, invoice in enumerate(later.invoice):
        place = timeline.debtor_ids[timeline.debtor[invoice]], timeline.invoice_ids[invoice], int(later.as_of[row])
        assert live.opening[place] == later.measures[row].tobytes()
        compared += 1
    assert compared >= EVENTS // 200


def test_a_back_test_asks_with_the_measures_and_hears_the_curves_of_the_live_stream(
    history: History, live: Live, model: HazardModel
) -> None:
    days = frozenset(range(FIRST_LIVE, FIRST_LIVE + LIVE))
    sought = AskedDays(FIRST_LIVE + LIVE, FIRST_LIVE + LIVE, FIRST_LIVE + LIVE, days)
    asked = ahead = 0
    for question in questions_of(history, sought):
        assert question.purpose is Purpose.OPEN
        place = question.debtor_id, question.terms.invoice_id, question.as_of_day
        assert live.closing[place] == question.measures.tobytes()
        curve = survival(np.frombuffer(live.curves[place], dtype=np.float32)[np.newaxis])
        assert curve.tobytes() == survival_of([question], model).tobytes()
        before = CLOSED_DAY - question.as_of_day - 1
        if before >= 0:
            assert curve[0, before + 1] >= curve[0, before] * (1 - HAZARD_LEFT)
            ahead += 1
        asked += 1
    assert asked == len(live.closing)
    assert 0 < ahead < asked


def _until_folded(worker: Worker, facts: int) -> None:
    eventually(lambda: worker.facts() >= facts, 300)


def test_a_worker_killed_again_and_again_writes_the_states_and_scores_of_the_pure_fold(
    book: Ledger, released: tuple[Path, Mapping[str, str]], model: HazardModel, kafka_bootstrap: str, tmp_path: Path
) -> None:
    rng = random.Random(1)
    with closing(Broker(kafka_bootstrap)) as broker, Registry(released[0].parent) as registry:
        broker.fresh_topics(book.partitions)
        put_in_force(kafka_bootstrap, "1", released[1], date_of(FIRST_LIVE))
        broker.send(book.records)
        worker, env = Worker(kafka_bootstrap, tmp_path), {"MLFLOW_TRACKING_URI": registry.uri}
        for _ in range(KILLS):
            worker.start(env=env)
            _until_folded(worker, rng.randrange(1, len(book.records) // (KILLS + 1)))
            worker.kill()
        worker.start(env=env)
        worker.until_applied(book.ends, 1200)
        assert worker.stop() == 0
        verdict = check(broker, book, PromotedForTheFirstLiveDay(model))
    assert verdict.wrong == ()
    assert verdict.outputs >= EVENTS // 20
    print(verdict)
