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

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from duly_contracts.keys import partition_of
from duly_runtime.log import Record
from numpy.typing import NDArray
from scoring.application.outputs import Output
from scoring.application.score_batch import BatchOutcome

SEED = 7
FEATURES = 30
TREES = 300
TREE_DEPTH = 6
EVENT = np.dtype([("id", "<i8"), ("values", "<f8", 24)])  # 200 bytes
STATE = np.dtype([("applied", "<i8"), ("count", "<i4"), ("moments", "<f8", 36)])  # 300 bytes
SCORE = np.dtype([("offset", "<i8"), ("margin", "<f8"), ("moments", "<f8", 13)])  # 120 bytes
_NEW_STATE = np.array((-1, 0, np.zeros(36)), dtype=STATE).tobytes()
_DECAY = 0.875  # a power-of-two fraction: the same bytes alone and in a batch
SCORES_TOPIC = "risk-scores"


class States(Protocol):
    """Where the states of an engine lie."""

    def get(self, partition: int, key: bytes) -> bytes | None: ...


@dataclass(frozen=True, slots=True)
class Expected:
    """states: final state by key. scores: (key, score) as often as it was sent, in the order of each key's events."""

    states: Mapping[bytes, bytes]
    scores: Mapping[bytes, Sequence[bytes]]


class ToyStep:
    """The step over batches or single events. Holds nothing but the model: states come from the engine."""

    def __init__(self, states: States, booster: Any) -> None:
        self._states = states
        self._booster = booster

    def score(self, records: Sequence[Record]) -> BatchOutcome:
        """Records of any partitions, in offset order within each. A key that comes twice takes a further round."""
        outcome = BatchOutcome()
        rest: Sequence[Record] = records
        while rest:
            round_, later, seen = [], [], set()
            for record in rest:
                place = (record.partition, record.key)
                if place in seen:
                    later.append(record)
                else:
                    seen.add(place)
                    round_.append(record)
            self._round(round_, outcome)
            rest = later
        return outcome

    def score_one(self, state: bytes | None, offset: int, value: bytes) -> tuple[bytes, bytes | None]:
        """(new state, score) of one event; the state as it was and None for a replay."""
        states = np.frombuffer(state or _NEW_STATE, dtype=STATE).copy()
        if offset <= states["applied"][0]:
            return state or _NEW_STATE, None
        scores = self._fold(states, np.frombuffer(value, dtype=EVENT), np.array([offset]))
        return states.tobytes(), scores.tobytes()

    def _round(self, records: Sequence[Record], outcome: BatchOutcome) -> None:
        """Each key at most once."""
        blobs = [self._blob(record, outcome) for record in records]
        offsets = np.fromiter((record.offset for record in records), dtype=np.int64, count=len(records))
        states = np.frombuffer(b"".join(blobs), dtype=STATE).copy()
        fresh = np.flatnonzero(offsets > states["applied"])
        if len(fresh) < len(records):
            kept = fresh.tolist()
            replayed = set(range(len(records))) - set(kept)
            outcome.blobs.update({(records[i].partition, records[i].key): blobs[i] for i in replayed})
            outcome.replays += len(replayed)
            records, states, offsets = [records[i] for i in kept], states[fresh], offsets[fresh]
            if not records:
                return
        events = np.frombuffer(b"".join([record.value for record in records]), dtype=EVENT)
        scores = self._fold(states, events, offsets).tobytes()
        folded = states.tobytes()
        size, width = SCORE.itemsize, STATE.itemsize
        for i, record in enumerate(records):
            score = scores[i * size : (i + 1) * size]
            outcome.outputs.append(Output("", SCORES_TOPIC, record.key, score, ()))
            outcome.blobs[record.partition, record.key] = folded[i * width : (i + 1) * width]
        outcome.facts += len(records)
        outcome.scores += len(records)

    def _blob(self, record: Record, outcome: BatchOutcome) -> bytes:
        place = (record.partition, record.key)
        return outcome.blobs.get(place) or self._states.get(*place) or _NEW_STATE

    def _fold(self, states: NDArray[Any], events: NDArray[Any], offsets: NDArray[np.int64]) -> NDArray[Any]:
        """Fold in place; the scores. states, events: (n,) of STATE and EVENT."""
        moments = states["moments"]
        moments[:, :24] = moments[:, :24] * _DECAY + events["values"] * (1 - _DECAY)
        moments[:, 24:] = np.maximum(moments[:, 24:], events["values"][:, :12])
        states["applied"], states["count"] = offsets, states["count"] + 1
        rows = np.ascontiguousarray(moments[:, :FEATURES], dtype=np.float32)
        scores = np.empty(len(states), dtype=SCORE)
        scores["offset"], scores["moments"] = offsets, moments[:, :13]
        scores["margin"] = self._booster.inplace_predict(rows, predict_type="margin")
        return scores


def toy_booster() -> Any:
    """A Booster of 300 trees over 30 features, trained on seeded noise in about two seconds; one thread."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import xgboost

    rng = np.random.default_rng(SEED)
    rows = rng.random((20_000, FEATURES), dtype=np.float32)
    labels = (rows[:, 0] + rows[:, 1] * rows[:, 2] + rng.random(len(rows)) > 1.3).astype(np.float32)
    settings = {"max_depth": TREE_DEPTH, "objective": "binary:logistic", "nthread": 1, "seed": SEED, "eta": 0.05}
    booster = xgboost.train(settings, xgboost.DMatrix(rows, labels, nthread=1), num_boost_round=TREES)
    booster.set_param({"nthread": 1})
    return booster


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
