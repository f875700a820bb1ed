"""The engine job: one toy stateful score, the same for every stream engine that is measured.

What the job is. A topic holds events of 200 bytes, keyed `bench|D-0000001`; all events of a key lie in one partition.
An engine keeps a state of 300 bytes per key and, for each event, in offset order per key: folds the event into the
state, builds one row of 30 float32 features, asks a Booster of 300 trees for a margin (one thread), sends a score of
120 bytes under the same key, and stores the new state. Nothing of it is business: it costs what scoring costs, so that
engines compare.

How an engine does it. Give whole batches to `ToyStep.score` (vectorised, `duly`'s own shells; at least once: a state
knows the offset it has applied, a replay sends nothing and writes the same state again), or single events to
`ToyStep.score_one` (engines that know no batches). Both give the same bytes. `expected` is the truth to check against:
final state per key, and every score. A run counts only if `mismatches` finds nothing.

    step = ToyStep(states, toy_booster())       # states: get(partition, key) -> bytes | None
    outcome = step.score(records)               # send outcome.outputs, then write outcome.blobs, then let offsets go
    state, score = step.score_one(state_or_none, offset, value)

Sizes: 200 B event, 300 B state, 120 B score; 30 features, 300 trees of depth 6. Everything follows from SEED.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from duly_contracts.keys import partition_of
from duly_runtime.log import Record
from numpy.typing import NDArray
from scoring.application.outputs import Output
from scoring.application.score_batch import BatchOutcome

from bench.toy import EVENT, NEW_STATE, SCORE, SEED, STATE, fold, score_one

SCORES_TOPIC = "risk-scores"
_Folded = tuple[Sequence[Record], NDArray[Any], NDArray[np.float32]]  # records, scores without margins, rows


class States(Protocol):
    """Where the states of an engine lie."""

    def get(self, partition: int, key: bytes) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Expected:
    """states: final state by key. scores: (key, score) as often as it was sent, in the order of each key's events."""

    states: Mapping[bytes, bytes]
    scores: Mapping[bytes, Sequence[bytes]]


class ToyStep:
    """The step over batches or single events. Holds nothing but the model: states come from the engine.

    booster: or whatever else answers its `inplace_predict`. topic: where the scores go.
    """

    def __init__(self, states: States, booster: Any, topic: str = SCORES_TOPIC) -> None:
        self._states = states
        self._booster = booster
        self._topic = topic

    def score(self, records: Sequence[Record]) -> BatchOutcome:
        """Records of any partitions, in offset order within each. A key that comes twice takes a further round."""
        outcome = BatchOutcome()
        rounds = [folded for round_ in rounds_of(records) if (folded := self._fold(round_, outcome)) is not None]
        if rounds:
            scores = np.concatenate([scores for _, scores, _ in rounds])
            rows = np.concatenate([rows for _, _, rows in rounds])
            scores["margin"] = self._booster.inplace_predict(rows, predict_type="margin")
            self._add_outputs([record for fresh, _, _ in rounds for record in fresh], scores.tobytes(), outcome)
        return outcome

    def score_one(self, state: bytes | None, offset: int, value: bytes) -> tuple[bytes, bytes | None]:
        """(new state, score) of one event; the state as it was and None for a replay."""
        return score_one(state, offset, value, self._booster)

    def _fold(self, records: Sequence[Record], outcome: BatchOutcome) -> _Folded | None:
        """One round, each key at most once; None if all of it is replayed."""
        blobs = [self._blob(record, outcome) for record in records]
        offsets = np.fromiter((record.offset for record in records), dtype=np.int64, count=len(records))
        states = np.frombuffer(b"".join(blobs), dtype=STATE).copy()
        fresh = np.flatnonzero(offsets > states["applied"])
        if len(fresh) < len(records):
            kept = fresh.tolist()
            replayed = set(range(len(records))) - set(kept)
            outcome.blobs.update({(records[i].partition, records[i].key): blobs[i] for i in replayed})
            records, states, offsets = [records[i] for i in kept], states[fresh], offsets[fresh]
            if not records:
                return None
        events = np.frombuffer(b"".join([record.value for record in records]), dtype=EVENT)
        scores, rows = fold(states, events, offsets)
        folded, width = states.tobytes(), STATE.itemsize
        for i, record in enumerate(records):
            outcome.blobs[record.partition, record.key] = folded[i * width : (i + 1) * width]
        return records, scores, rows

    def _add_outputs(self, records: Sequence[Record], scores: bytes, outcome: BatchOutcome) -> None:
        size = SCORE.itemsize
        for i, record in enumerate(records):
            score = scores[i * size : (i + 1) * size]
            outcome.outputs.append(Output("", self._topic, record.key, score, ()))
        outcome.facts += len(records)
        outcome.scores += len(records)

    def _blob(self, record: Record, outcome: BatchOutcome) -> bytes:
        place = (record.partition, record.key)
        return outcome.blobs.get(place) or self._states.get(*place) or NEW_STATE


def rounds_of(records: Sequence[Record]) -> Iterator[list[Record]]:
    """The records so that no key comes twice in a round; the order of each key is kept."""
    rest = records
    while rest:
        round_: list[Record] = []
        later: list[Record] = []
        seen: set[tuple[int, bytes]] = set()
        for record in rest:
            place = (record.partition, record.key)
            (later if place in seen else round_).append(record)
            seen.add(place)
        yield round_
        rest = later


def events(count: int, keys: int, partitions: int, topic: str) -> list[Record]:
    """Events of `keys` keys in random order, with the partitions and offsets that an empty topic will give them."""
    rng = np.random.default_rng(SEED)
    names = [f"bench|D-{number:07d}".encode() for number in range(keys)]
    places = [partition_of(name, partitions) for name in names]
    values = rng.random((4096, 24))
    ends = [0] * partitions
    records = []
    for serial, at in enumerate(rng.integers(0, keys, count).tolist()):
        partition = places[at]
        value = np.array((serial, values[serial % len(values)]), dtype=EVENT).tobytes()
        records.append(Record(topic, partition, ends[partition], names[at], value, ()))
        ends[partition] += 1
    return records


def expected(records: Iterable[Record], booster: Any) -> Expected:
    """The pure fold, without any engine: what states and scores must be."""
    states: dict[tuple[int, bytes], bytes] = {}
    scores: dict[bytes, list[bytes]] = {}
    step = ToyStep(_Held(states), booster)
    log = list(records)
    for start in range(0, len(log), 1024):
        outcome = step.score(log[start : start + 1024])
        states.update(outcome.blobs)
        for output in outcome.outputs:
            scores.setdefault(output.key, []).append(output.value)
    return Expected({key: state for (_, key), state in states.items()}, scores)


def mismatches(
    truth: Expected, states: Mapping[bytes, bytes], scores: Iterable[tuple[bytes, bytes]], *, repeats: bool
) -> int:
    """Keys whose final state or scores differ. scores: (key, value) in topic order. repeats: scores may come again."""
    sent: dict[bytes, list[bytes]] = {}
    for key, value in scores:
        sent.setdefault(key, []).append(value)
    wrong = {key for key, state in truth.states.items() if states.get(key) != state}
    for key, wanted in truth.scores.items():
        found = sent.get(key, [])
        wrong |= {key} if (list(dict.fromkeys(found)) if repeats else found) != list(wanted) else set()
    return len(wrong | (set(sent) - set(truth.scores)))


class _Held:
    def __init__(self, states: Mapping[tuple[int, bytes], bytes]) -> None:
        self._held = states

    def get(self, partition: int, key: bytes) -> bytes | None:
        return self._held.get((partition, key))
