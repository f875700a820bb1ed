"""The scoring step over a batch of records: fold in offset order, one call per model, blobs and outputs.

Pure but for reading the store; nothing in it depends on where a batch begins or ends, so a replay gives equal bytes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import ClassVar, NamedTuple

from duly_contracts.keys import debtor_key, split_key
from duly_risk.batch import BatchResult, Item, apply_batch
from duly_risk.codec import encode_state
from duly_risk.degraded import waits_for
from duly_risk.facts import Position
from duly_risk.features import features_of
from duly_risk.plan import plan_of
from duly_risk.score import ScoreUpdated
from duly_risk.state import DebtorState
from duly_risk.step import degrade, fold, has_open_invoices
from duly_runtime.log import Record
from duly_runtime.poison_meter import PoisonMeter

from scoring.application.decode_record import Poison, Usable, decode_record, poison
from scoring.application.outputs import (
    Output,
    dead_letter_output,
    degraded_output,
    restored_output,
    score_id_of,
    score_output,
    score_outputs,
)
from scoring.application.ports import Models, StateStore
from scoring.application.shadow import Shadows, shadow_scores
from scoring.application.states import States
from scoring.domain.data_faults import DATA_FAULTS
from scoring.domain.open_debtors import OpenDebtors

BLOB_BYTES_MAX = 512 * 1024
RECORD_BYTES_MAX = 900_000
# Debtors in one model call: bounds the memory of a tick that visits a million of them.
ITEMS_PER_CALL = 256
# Open invoices in one model call, give or take a debtor's: each is a row, and some debtors have thousands.
ROWS_PER_CALL = 20_000
# Debtors in one outcome of a tick: what follows from it is sent and written before the next ones are scored.
PORTION_DEBTORS = 512
# And the bytes of its outputs, give or take a model call.
PORTION_BYTES = 16 * 1024 * 1024


@dataclass(slots=True)
class BatchOutcome:
    """outputs: to be sent first, in order. blobs: then written, each once, by (partition, key); same bytes on a replay.

    output_bytes: of their values; headers are small.

    facts, scores, poison: how many there were. scores: without those of challengers, of which `shadow_faults`
    says why some are missing.
    """

    outputs: list[Output] = field(default_factory=list)
    output_bytes: int = 0
    blobs: dict[tuple[int, bytes], bytes] = field(default_factory=dict)
    facts: int = 0
    scores: int = 0
    poison: list[Poison] = field(default_factory=list)
    shadow_faults: list[str] = field(default_factory=list)

    def send(self, *outputs: Output) -> None:
        self.outputs += outputs
        self.output_bytes += sum([len(output.value) for output in outputs])


class Work(NamedTuple):
    """One event for one debtor, and the record it came from."""

    item: Item
    cause: Usable


class Oversize(ValueError):
    """A blob or an output is larger than a record may be."""

    code: ClassVar[str] = "oversize"


class NotTold(ValueError):
    """A score that cannot be written. fault: why.

    A ValueError, so that `_apply` takes it for one of DATA_FAULTS; its own, so that `_apply_alone` tells it from the
    model's faults.
    """

    def __init__(self, fault: Exception) -> None:
        super().__init__(str(fault))
        self.fault = fault


class Scorer:
    """Scores batches of one consumer. Holds the index of open debtors and a bounded cache of decoded states.

    A batch that raises leaves the index ahead of the store: the process must end, nothing of it may be written.
    """

    def __init__(self, store: StateStore, partitions: int) -> None:
        self._states = States(store)
        self._partitions = partitions
        self._meter = PoisonMeter()
        # Of this batch, and put aside: what is poison, and what debtors could not bear that were degraded before.
        self._aside: set[Position] = set()
        self._aside_again: set[Position] = set()
        self.open_debtors = OpenDebtors()

    def rebuild(self, places: Iterable[tuple[int, bytes]]) -> int:
        """Index the (partition, key) of all debtors in the store after recovery; how many there are.

        No blob is read: each counts as open until the first tick has looked at it.
        """
        self.open_debtors.clear()
        self._states.clear()
        debtors = 0
        for partition, key in places:
            debtors += 1
            self.open_debtors.note(partition, key, True)
        return debtors

    def score(self, records: Sequence[Record], models: Models) -> BatchOutcome:
        """Records of any partitions, in offset order within each. Raises what makes the process untrustworthy."""
        # Not unpacked: where the generator raises, mypyc would put another error in place of its own.
        return next(self.portions(records, models, debtors_max=None))

    def portions(
        self, records: Sequence[Record], models: Models, debtors_max: int | None = PORTION_DEBTORS
    ) -> Generator[BatchOutcome, None, bool]:
        """The same in outcomes of few debtors each, so that a tick over many does not hold everything up.

        Facts go first, and out, where no tick of their partition comes before them; ticks follow one by one. The store
        must hold the blobs of one outcome before the next is asked for. debtors_max: where an outcome ends, give or
        take one model call; None = one outcome. Returns True at its end: a StopIteration out of anything called here
        would end a compiled generator without a word.
        """
        self._aside.clear()
        self._aside_again.clear()
        outcome = BatchOutcome()
        queues: dict[int, deque[Usable | Poison]] = {}
        for record in records:
            queues.setdefault(record.partition, deque()).append(decode_record(record))
        while queues:
            ready = [partition for partition in sorted(queues) if not _begins_with_tick(queues[partition])]
            runs: list[Iterable[Work]] = []
            ticks: list[Usable] = []
            for partition in ready or sorted(queues)[:1]:
                runs.append(self._next_run(queues[partition], ticks, outcome))
                if not queues[partition]:
                    del queues[partition]
            works = chain.from_iterable(runs)
            while some := self._next_call(works):
                self._apply(some, models, outcome)
                self._meter_all(work.cause for work in some if not work.cause.event.is_tick)
                if debtors_max is not None and (
                    len(outcome.blobs) >= debtors_max or outcome.output_bytes >= PORTION_BYTES
                ):
                    self._states.keep(outcome.blobs)
                    yield outcome
                    outcome = BatchOutcome()
            self._meter_all(ticks)
            if debtors_max is not None and ready and queues and outcome.blobs:
                self._states.keep(outcome.blobs)
                yield outcome
                outcome = BatchOutcome()
        self._states.keep(outcome.blobs)
        yield outcome
        return True

    def _next_run(self, queue: deque[Usable | Poison], ticks: list[Usable], outcome: BatchOutcome) -> Iterable[Work]:
        """What can fold together: facts up to the next tick, or one tick, as whom it visits depends on them."""
        works: list[Work] = []
        while queue:
            head = queue[0]
            if isinstance(head, Poison):
                if works:
                    break
                self._put_aside(head, outcome)
                self._meter.poison()
            elif head.event.is_tick:
                if works:
                    break
                queue.popleft()
                ticks.append(head)
                return self._visits(head)
            else:
                works.append(Work(Item(head.record.key, head.debtor_id, head.event, head.position), head))
            queue.popleft()
        return works

    def _next_call(self, works: Iterator[Work]) -> list[Work]:
        """The next works that one model call takes. Backfill asks no model."""
        call: list[Work] = []
        rows = 0
        for work in works:
            call.append(work)
            if not work.item.event.backfill:
                rows += 1 + len(self._states.load(work.item.position.partition, work.item.key).invoices)
            if len(call) >= ITEMS_PER_CALL or rows >= ROWS_PER_CALL:
                break
        return call

    def _visits(self, tick: Usable) -> Iterator[Work]:
        """One work per open debtor of the slice. A further tick of a date it has seen is no event for a debtor."""
        partition = tick.position.partition
        keys = self.open_debtors.walk(partition, tick.tenant, self._partitions, tick.part, tick.parts)
        for key in keys:
            state = self._states.load(partition, key)
            if not has_open_invoices(state):
                self.open_debtors.note(partition, key, False)  # it was not known since the recovery
            elif _is_news(state, tick):
                yield Work(Item(key, split_key(key)[1], tick.event, tick.position), tick)

    def _apply(self, works: Sequence[Work], models: Models, outcome: BatchOutcome) -> None:
        """All together; if a debtor's data do not bear it, one by one, and the culprit is put aside."""
        try:
            self._accept(works, self._run(works, models), models, outcome)
        except DATA_FAULTS:
            for work in works:
                self._apply_alone(work, models, outcome)

    def _run(self, works: Sequence[Work], models: Models) -> BatchResult[list[Output]]:
        states = {work.item.key: self._states.load(work.item.position.partition, work.item.key) for work in works}
        items = [work.item for work in works]
        return apply_batch(
            states,
            items,
            lambda key, day: models.serving(split_key(key)[0], day),
            score_id_of,
            lambda index, score: _told(works[index], score),
        )

    def _apply_alone(self, work: Work, models: Models, outcome: BatchOutcome) -> None:
        item = work.item
        try:
            step = fold(self._states.load(item.position.partition, item.key), item.event, item.position)
            if step.rescore:
                plan = plan_of(step.state)
                serving = models.serving(split_key(item.key)[0], plan.as_of_day)
                features_of(plan.measures, serving.info.frame)
        except DATA_FAULTS as error:
            self._put_aside(_culprit(work, error), outcome)
            return
        # The model's own faults are not the event's: they leave this method and end the process.
        try:
            result = self._run([work], models)
        except NotTold as error:
            self._put_aside(_culprit(work, error.fault), outcome)
            return
        try:
            self._accept([work], result, models, outcome)
        except DATA_FAULTS as error:
            self._put_aside(_culprit(work, error), outcome)

    def _accept(
        self, works: Sequence[Work], result: BatchResult[list[Output]], models: Models, outcome: BatchOutcome
    ) -> None:
        """Take over states and outputs. Raises one of DATA_FAULTS before anything was taken."""
        blobs = {}
        for work in works:
            partition, key = work.item.position.partition, work.item.key
            if (partition, key) not in blobs:
                blobs[partition, key] = self._encode(partition, key, result.states[key])
        shadows = shadow_scores([work.item for work in works], result.plans, models)
        outputs = _outputs(works, result, shadows)
        for output in outputs:
            # Headers are small: only what comes near the limit is counted to the byte.
            if len(output.value) > RECORD_BYTES_MAX // 2 and output.size > RECORD_BYTES_MAX:
                raise Oversize(f"{output.topic} record of {output.size} bytes")
        for (partition, key), blob in blobs.items():
            self._put(partition, key, result.states[key], blob, outcome)
        outcome.send(*outputs)
        outcome.scores += len(result.told)
        outcome.shadow_faults += shadows.faults
        outcome.facts += sum(folded.changed for folded in result.folded)

    def _encode(self, partition: int, key: bytes, state: DebtorState) -> bytes:
        blob = self._states.blob_if_unchanged(partition, key, state) or encode_state(state)
        if len(blob) > BLOB_BYTES_MAX:
            raise Oversize(f"state of {len(blob)} bytes")
        return blob

    def _put(self, partition: int, key: bytes, state: DebtorState, blob: bytes, outcome: BatchOutcome) -> None:
        outcome.blobs[partition, key] = blob
        self._states.change(partition, key, blob, state)
        self.open_debtors.note(partition, key, has_open_invoices(state))

    def _meter_all(self, causes: Iterable[Usable]) -> None:
        """Count records whose fate is known, a tick as one whatever became of its debtors. Raises TooMuchPoison.

        What a debtor cannot bear that was degraded before says nothing new of this version: it counts as neither.
        """
        for cause in causes:
            if cause.position in self._aside:
                self._meter.poison()
            elif cause.position not in self._aside_again:
                self._meter.good()

    def _put_aside(self, poison: Poison, outcome: BatchOutcome) -> None:
        """Dead letter, and the debtor marked in its own blob. A replay of it only re-writes the blob."""
        partition, key = poison.record.partition, poison.record.key
        if not poison.debtor_id:
            self._aside.add(poison.position)
            outcome.poison.append(poison)
            outcome.send(dead_letter_output(poison))
            return
        key = debtor_key(split_key(key)[0], poison.debtor_id)  # of a tick, the debtor that could not bear it
        before = self._states.load(partition, key)
        (self._aside_again if before.degraded else self._aside).add(poison.position)
        after = degrade(before, poison.event_id, poison.position)
        if after is not before:
            outcome.poison.append(poison)
            outcome.send(dead_letter_output(poison), degraded_output(poison, key, after))
        blob = self._states.blob_if_unchanged(partition, key, after) or encode_state(after)
        self._put(partition, key, after, blob, outcome)


def _told(work: Work, score: ScoreUpdated) -> list[Output]:
    try:
        return score_outputs(work.cause, work.item.key, score)
    except DATA_FAULTS as error:
        raise NotTold(error) from error


def _culprit(work: Work, error: Exception) -> Poison:
    """The event of which the fold, or what follows from it, has raised."""
    reason, detail = getattr(error, "code", "fold_failed"), f"{type(error).__name__}: {error}"
    return poison(work.cause.record, work.cause.envelope, reason, detail, work.item.debtor_id)


def _begins_with_tick(queue: deque[Usable | Poison]) -> bool:
    return isinstance(queue[0], Usable) and queue[0].event.is_tick


def _is_news(state: DebtorState, tick: Usable) -> bool:
    """Whether a debtor's blob is written for a tick: it has not seen the date, it waits for this tick, or a replay."""
    assert tick.event.is_tick
    replay = state.applied is not None and tick.position.offset <= state.applied.offset
    waits = waits_for(state, tick.event.event_id)
    return replay or waits or state.tick_day < tick.event.body.day  # type: ignore[union-attr]  # a tick's body is a Tick


def _outputs(works: Sequence[Work], result: BatchResult[list[Output]], shadows: Shadows) -> list[Output]:
    outputs = []
    for index, work in enumerate(works):
        key = work.item.key
        if result.folded[index].restored:
            outputs.append(restored_output(work.cause, key, work.item.debtor_id, result.folded[index].state))
        outputs += result.told.get(index, ())
        if index in shadows.scores:
            shadow = score_output(work.cause, key, shadows.scores[index])
            if shadow.size <= RECORD_BYTES_MAX:
                outputs.append(shadow)
            else:
                shadows.faults.append(f"version {shadows.scores[index].model_version}: {shadow.size} bytes")
    return outputs
