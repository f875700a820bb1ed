"""CPU time of one event in each part of scoring, by the debtor's open invoices. One thread, no I/O, no broker.

Every debtor has 64 invoices settled before. Each round one live fact per debtor goes through all parts in batches as
large as a worker's: a new invoice, a payment, its allocation, in turn. Times are of this thread, so that neighbours on
the machine count little.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import TypeVar

from duly_contracts.money import Money
from duly_ledger_export import DatedFact
from duly_ledger_export.facts import FactFactory
from duly_ledger_export.records import Allocation, AllocationSource, Invoice, LedgerSettings, Payment
from duly_risk.asking import hazards_of
from duly_risk.codec import decode_state, encode_state
from duly_risk.fallback import RulesModel
from duly_risk.measures import stacked
from duly_risk.outlook import outlooks_of
from duly_risk.plan import plan_of
from duly_risk.state import DebtorState
from duly_risk.step import conclude, fold
from duly_runtime.log import Record
from scoring.adapters.memory import MemoryStates, OneModel
from scoring.application.decode_record import Usable, decode_record
from scoring.application.outputs import score_id_of, score_outputs
from scoring.application.score_batch import Scorer

from bench.company import CURRENCY, TODAY, ZONE, ledger_records
from bench.figures import Measure, Result
from bench.stage import TENANT, Bench, BenchFailed

T = TypeVar("T")
OPEN_INVOICES = (1, 5, 10, 50)
CLOSED = 64
BATCH = 128


def run(bench: Bench) -> Result:
    """us per event: decode_record, fold, plan, curves (features and rules score), outlook, conclude, score_outputs,
    encode_state and, for a state that is not cached, decode_state; `event` is the sum of what a live event needs and
    `scorer` the same measured through `Scorer` at once."""
    measures: dict[str, Measure] = {}
    blobs: dict[str, int] = {}
    for open_invoices in OPEN_INVOICES:
        world = _World(open_invoices, bench.size(BATCH, 16))
        parts = world.rounds(bench.size(9, 3))
        measures |= {f"open{open_invoices}_{name}": Measure("us", tuple(values)) for name, values in parts.items()}
        blobs[str(open_invoices)] = len(encode_state(next(iter(world.states.values()))))
    conditions = {"closed_invoices": CLOSED, "batch": bench.size(BATCH, 16), "blob_bytes_by_open": blobs}
    return Result(measures, {**conditions, "model": "rules score", "time": "CPU of the thread"})


class _World:
    """Debtors in one state of affairs, and what happens to them next."""

    def __init__(self, open_invoices: int, debtors: int) -> None:
        self._facts = FactFactory(LedgerSettings(TENANT, CURRENCY, "US", ZONE, "bench"))
        self._debtors = [f"DEBTOR-{number:06d}" for number in range(debtors)]
        self._model = RulesModel()
        self._serial = 0
        self.states: dict[bytes, DebtorState] = {}
        self._store = MemoryStates()
        self._scorer = Scorer(self._store, 12)
        self._offsets: dict[int, int] = defaultdict(int)
        history = [fact for debtor in self._debtors for fact in self._history(debtor, open_invoices)]
        self._feed(self._records(history, backfill=True))
        self.states |= {key: decode_state(blob) for (_, key), blob in self._store.blobs.items()}

    def rounds(self, n: int) -> dict[str, list[float]]:
        """us per event of each part, one value a round; the first three, one of each kind of fact, are left out."""
        parts: dict[str, list[float]] = {}
        for number in range(n + 3):
            records = self._records([fact for debtor in self._debtors for fact in self._next(debtor, number)])
            times = self._round(records)
            times["event"] = sum(seconds for name, seconds in times.items() if name != "decode_state")
            times["scorer"] = self._feed(records)
            for name, seconds in times.items() if number >= 3 else ():
                parts.setdefault(name, []).append(seconds / len(records) * 1e6)
        return parts

    def _round(self, records: Sequence[Record]) -> dict[str, float]:
        times: dict[str, float] = {}

        def timed(name: str, part: Callable[[], T]) -> T:
            before = time.thread_time()
            result = part()
            times[name] = time.thread_time() - before
            return result

        model = self._model
        usable = timed("decode_record", lambda: [_usable(record) for record in records])
        folded = timed("fold", lambda: [fold(self.states[u.record.key], u.event, u.position).state for u in usable])
        plans = timed("plan", lambda: [plan_of(state) for state in folded])
        measures = stacked([plan.measures for plan in plans])
        hazards = timed("curves", lambda: hazards_of(model, measures))
        outlooks = timed("outlook", lambda: list(outlooks_of(plans, hazards)))
        scored = timed(
            "conclude",
            lambda: [
                conclude(
                    state.standing,
                    plan,
                    outlook,
                    model.info,
                    ledger_version=u.position.offset,
                    score_id=score_id_of(u.record.key, u.event),
                    debtor_id=u.debtor_id,
                    on_tick=False,
                )
                for u, state, plan, outlook in zip(usable, folded, plans, outlooks, strict=True)
            ],
        )
        pairs = [(u, score) for u, (_, score) in zip(usable, scored, strict=True)]
        timed("score_outputs", lambda: [score_outputs(u, u.record.key, score) for u, score in pairs])
        after = [state._replace(standing=one) for state, (one, _) in zip(folded, scored, strict=True)]
        blobs = timed("encode_state", lambda: [encode_state(state) for state in after])
        timed("decode_state", lambda: [decode_state(blob) for blob in blobs])
        for u, state in zip(usable, after, strict=True):
            self.states[u.record.key] = state
        return times

    def _feed(self, records: Sequence[Record]) -> float:
        """Through the scorer in batches; seconds."""
        before = time.thread_time()
        for start in range(0, len(records), BATCH):
            outcome = self._scorer.score(records[start : start + BATCH], OneModel(self._model))
            for (partition, key), blob in outcome.blobs.items():
                self._store.put(partition, key, blob)
        return time.thread_time() - before

    def _records(self, facts: Sequence[DatedFact], backfill: bool = False) -> list[Record]:
        """With offsets that go on where the last ones ended."""
        records = []
        for record in ledger_records(facts, [TENANT], backfill=backfill):
            records.append(replace(record, offset=self._offsets[record.partition]))
            self._offsets[record.partition] += 1
        return records

    def _history(self, debtor: str, open_invoices: int) -> list[DatedFact]:
        facts: list[DatedFact] = []
        for number in range(CLOSED):
            issued = TODAY - timedelta(days=300 - 3 * number)
            facts += self._issued(debtor, f"{debtor}-INV-{number:05d}", issued)
            facts += self._paid(debtor, f"{debtor}-INV-{number:05d}", issued + timedelta(days=10 + number * 7 % 20))
        for number in range(open_invoices):
            facts += self._issued(debtor, f"{debtor}-OPEN-{number:05d}", TODAY - timedelta(days=3 + number % 30))
        return facts

    def _next(self, debtor: str, number: int) -> list[DatedFact]:
        """The fact of a round: an invoice, money, its allocation."""
        invoice = f"{debtor}-NEW-{number // 3:05d}"
        if number % 3 == 0:
            return self._issued(debtor, invoice, TODAY)
        return [self._paid(debtor, invoice, TODAY)[number % 3 - 1]]

    def _issued(self, debtor: str, invoice: str, day: date) -> list[DatedFact]:
        self._serial += 1
        total = Money(10_000 + 37 * (self._serial % 997), CURRENCY)
        return list(self._facts.invoice(Invoice(invoice, debtor, day, day + timedelta(days=14), total)))

    def _paid(self, debtor: str, invoice: str, day: date) -> list[DatedFact]:
        """Money, and its allocation: more than any invoice of the bench."""
        amount = Money(50_000, CURRENCY)
        payment = Payment(f"P-{invoice}", debtor, day, amount)
        part = Allocation(f"A-{invoice}", AllocationSource.PAYMENT, payment.payment_id, invoice, amount, day)
        return [*self._facts.payment(payment), *self._facts.allocation(part, debtor, None)]


def _usable(record: Record) -> Usable:
    decoded = decode_record(record)
    if not isinstance(decoded, Usable):
        raise BenchFailed(f"the bench made a record that nobody can use: {decoded.detail}")
    return decoded
