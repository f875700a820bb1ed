"""The cost of the risk core alone: folding history, and the curves of one debtor's open invoices. One thread."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from duly_contracts.topics import topics
from duly_risk.asking import hazards_of
from duly_risk.fallback import RulesModel
from duly_risk.outlook import outlooks_of
from duly_risk.plan import plan_of
from duly_risk.state import DebtorState
from duly_risk.step import conclude
from duly_runtime.clock import Clock
from scoring.adapters.memory import OneModel
from scoring.application.pure_fold import pure_fold

from bench.company import LEDGER_TOPIC, ledger_records, simulated
from bench.figures import Measure, Result, rates
from bench.stage import TENANT, Bench

_DEBTORS, _HISTORY_FROM = 60, date(2025, 6, 1)


def run(bench: Bench) -> Result:
    """Backfill folds without scores; then every debtor with open invoices is scored once per round."""
    records = ledger_records(simulated(TENANT, _DEBTORS, _HISTORY_FROM).facts(), [TENANT], backfill=True)
    model, clock = RulesModel(), bench.clock
    partitions = topics()[LEDGER_TOPIC].partitions
    folds, debtors, invoices = [], [], []
    for _ in range(bench.size(7, 3)):
        before = clock.monotonic()
        states = pure_fold(records, OneModel(model), partitions).states
        folds.append(len(records) / (clock.monotonic() - before))
        counted, seconds = _score_all(clock, states, model)
        debtors.append(seconds / max(1, len(states)) * 1000)
        invoices.append(seconds / max(1, counted) * 1000)
    return Result(
        {
            "backfill_events_per_second": rates(folds),
            "score_per_debtor": Measure("ms", tuple(debtors)),
            "curve_per_invoice": Measure("ms", tuple(invoices)),
        },
        {"events": len(records), "debtors": len(states), "open_invoices": counted, "model": "rules score"},
    )


def _score_all(clock: Clock, states: Mapping[bytes, DebtorState], model: RulesModel) -> tuple[int, float]:
    """(curves, seconds)."""
    curves = 0
    before = clock.monotonic()
    for key, state in states.items():
        plan = plan_of(state)
        [outlook] = outlooks_of([plan], hazards_of(model, plan.measures))
        debtor = key.decode()
        conclude(
            state.standing, plan, outlook, model.info, ledger_version=0, score_id="", debtor_id=debtor, on_tick=False
        )
        curves += len(plan.claims)
    return curves, clock.monotonic() - before
