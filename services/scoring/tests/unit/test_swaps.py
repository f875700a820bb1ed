"""Swaps while the stream runs: one version per score, chosen by its business date, so a replay gives equal bytes."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from duly_contracts.model_control import AT_ONCE, Promotion, Roster
from duly_risk.days import day_of
from duly_risk.fallback import RulesModel
from duly_risk.model import ModelInfo, Role
from duly_runtime.log import Record
from scoring.adapters.memory import MemoryStates, OneModel
from scoring.adapters.serving_models import Selection
from scoring.application.outputs import Output
from scoring.application.pure_fold import pure_fold
from scoring.application.score_batch import Scorer

from duly.risk.v1 import events_pb2 as risk

START, DAYS, LIVE = date(2031, 3, 3), 30, 15


class Version(RulesModel):
    """A model whose hazards are the rules' times a factor of its own."""

    def __init__(self, version: str, role: Role = Role.CHAMPION) -> None:
        self._factor = np.float32(1.0 - 0.1 * int(version))
        self.info = ModelInfo("risk", version, role, RulesModel.info.schema_sha256, RulesModel.info.frame)

    def curves(self, static: Any, days: Any) -> Any:
        return super().curves(static, days) * self._factor


class Broken(Version):
    """A challenger that fails for every second debtor."""

    def curves(self, static: Any, days: Any) -> Any:
        if int(days.due[0]) % 2 or len(static) > 1:
            raise ValueError("no such row")
        return super().curves(static, days)


class Loaded:
    """A store that has every version but those that failed their checks."""

    def __init__(self, *refused: str) -> None:
        self._refused = refused

    def usable(self, promotion: Promotion) -> Any:
        return None if promotion.version in self._refused else Version(promotion.version, promotion.role)


def promoted(version: str, live_day: int, role: Role = Role.CHAMPION) -> Promotion:
    effective = day_of(START + timedelta(days=DAYS - LIVE + live_day))
    at = datetime(2031, 1, 1, tzinfo=UTC)
    return Promotion(version, "acme", role, version, "a", "s", "g", effective, False, at)


def selected(roster: Roster, *refused: str) -> Selection:
    return Selection(roster, Loaded(*refused), lambda *_: None)  # type: ignore[arg-type]


class Worker:
    """Lives of a worker on one store: batches of any size, restarts, models that come while it runs."""

    def __init__(self, partitions: int) -> None:
        self.store, self.partitions = MemoryStates(), partitions
        self.outputs: list[Output] = []
        self.restart()

    def restart(self) -> None:
        self.scorer = Scorer(self.store, self.partitions)
        self.scorer.rebuild(self.store.places())

    def feed(self, records: list[Record], models: Any) -> None:
        outcome = self.scorer.score(records, models)
        for (partition, key), blob in outcome.blobs.items():
            self.store.put(partition, key, blob)
        self.outputs += outcome.outputs


@pytest.mark.parametrize("seed", range(3))
def test_promotions_that_come_while_it_runs_and_restarts_leave_what_a_replay_that_knows_them_all_gives(
    seed: int, play_ledger: Any
) -> None:
    rng = random.Random(seed)
    book = play_ledger(seed=seed, debtors=12, days=DAYS, live_days=LIVE)
    promotions = [promoted("1", 1), promoted("2", 6), promoted("4", 3, Role.SHADOW), promoted("3", 11)]
    everything = Roster.of(promotions)
    replayed = pure_fold(book.records, selected(everything), book.partitions)

    worker, roster = Worker(book.partitions), Roster.of(promotions[:1])
    at, waiting = 0, promotions[1:]
    while at < len(book.records):
        newest = _newest_date(book.records[: at + 200])
        while waiting and waiting[0].effective_day - 2 <= newest:  # told a day before it is due, or earlier
            roster = roster.after(waiting.pop(0))
        if rng.random() < 0.05:
            worker.restart()
        size = rng.choice([1, 2, 7, 128])
        worker.feed(book.records[at : at + size], selected(roster))
        at += size

    assert {key: blob for (_, key), blob in worker.store.blobs.items()} == replayed.blobs()
    assert {o.id: o for o in worker.outputs} == {o.id: o for o in replayed.outputs}
    assert len(worker.outputs) == len(replayed.outputs)
    _assert_versions_follow_dates(worker.outputs, everything)


def _newest_date(records: list[Record]) -> int:
    dates = [dict(r.headers).get("ce_businessdate", b"").decode() for r in records]
    return max((day_of(date.fromisoformat(one)) for one in dates if one), default=0)


def _assert_versions_follow_dates(outputs: list[Output], roster: Roster) -> None:
    seen = set()
    for output in outputs:
        if dict(output.headers).get("ce_type") != b"duly.risk.score_updated.v1":
            continue
        score = risk.RiskScoreUpdated.FromString(output.value)
        role = Role.SHADOW if score.role == risk.MODEL_ROLE_SHADOW else Role.CHAMPION
        day = day_of(date.fromisoformat(score.business_date))
        in_force = next((one.version for one in roster.in_force("acme", role, day)), "rules-1")
        assert score.model_version == in_force
        seen.add((role, score.model_version))
    assert seen == {(Role.CHAMPION, v) for v in ("rules-1", "1", "2", "3")} | {(Role.SHADOW, "4")}


def test_a_refused_version_leaves_the_one_before_it_in_force(book: Any) -> None:
    roster = Roster.of([promoted("1", 0), promoted("2", 3)])
    book.invoice("D-1", "INV-1", START + timedelta(days=DAYS))
    (output,) = _fed(book, selected(roster, "2"))
    assert risk.RiskScoreUpdated.FromString(output.value).model_version == "1"


def test_a_roll_back_counts_from_the_next_batch_on_whatever_the_date(book: Any) -> None:
    roster = Roster.of([promoted("1", 0), promoted("2", 3)])
    day = START + timedelta(days=DAYS)
    book.invoice("D-1", "INV-1", day)
    book.invoice("D-1", "INV-2", day)
    worker = Worker(book.partitions)
    worker.feed(book.records[:1], selected(roster))
    back = Promotion("b", "acme", Role.CHAMPION, "1", "a", "s", "g", AT_ONCE, True, datetime(2031, 1, 1, tzinfo=UTC))
    worker.feed(book.records[1:], selected(roster.after(back)))
    assert [risk.RiskScoreUpdated.FromString(o.value).model_version for o in worker.outputs] == ["2", "1"]


def test_a_shadow_scores_the_same_rows_and_leaves_no_trace_in_the_state(book: Any) -> None:
    book.invoice("D-1", "INV-1", START)
    alone, beside = Worker(book.partitions), Worker(book.partitions)
    alone.feed(book.records, OneModel(Version("1")))
    beside.feed(book.records, OneModel(Version("1"), Version("3", Role.SHADOW)))
    assert beside.store.blobs == alone.store.blobs
    champion, shadow = (risk.RiskScoreUpdated.FromString(o.value) for o in beside.outputs)
    assert beside.outputs[:1] == alone.outputs
    assert (champion.role, shadow.role) == (risk.MODEL_ROLE_CHAMPION, risk.MODEL_ROLE_SHADOW)
    assert shadow.invoices[0].p_unpaid_30 > champion.invoices[0].p_unpaid_30
    assert shadow.ledger_version == champion.ledger_version
    assert len({o.id for o in beside.outputs}) == 2


def test_a_challenger_that_fails_costs_its_own_scores_only_and_one_debtors_failure_no_others(book: Any) -> None:
    for debtor in range(8):
        book.invoice(f"D-{debtor}", f"INV-{debtor}", START + timedelta(days=debtor))
    worker = Worker(book.partitions)
    outcome = worker.scorer.score(book.records, OneModel(Version("1"), Broken("3", Role.SHADOW)))
    roles = [risk.RiskScoreUpdated.FromString(o.value).role for o in outcome.outputs]
    assert roles.count(risk.MODEL_ROLE_CHAMPION) == outcome.scores == 8
    assert roles.count(risk.MODEL_ROLE_SHADOW) == 8 - len(outcome.shadow_faults)
    assert 0 < len(outcome.shadow_faults) < 8


def _fed(book: Any, models: Any) -> list[Output]:
    worker = Worker(book.partitions)
    worker.feed(book.records, models)
    return worker.outputs
