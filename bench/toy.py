"""The arithmetic of the engine job, on NumPy and XGBoost alone: it runs in every environment that is measured.

`fold` takes many events at once, `score_one` a single one; both give the same bytes. What the job is: `engine_job`.
"""

from __future__ import annotations

import os
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

SEED = 7
FEATURES = 30
TREES = 300
TREE_DEPTH = 6
EVENT = np.dtype([("id", "<i8"), ("values", "<f8", 24)])  # 200 bytes
STATE = np.dtype([("applied", "<i8"), ("count", "<i4"), ("moments", "<f8", 36)])  # 300 bytes
SCORE = np.dtype([("offset", "<i8"), ("margin", "<f8"), ("moments", "<f8", 13)])  # 120 bytes
NEW_STATE = np.array((-1, 0, np.zeros(36)), dtype=STATE).tobytes()
_DECAY = 0.875  # a power-of-two fraction: the same bytes alone and in a batch
_STATE_HEAD = struct.Struct("<qi")
_SCORE_HEAD = struct.Struct("<qd")


def fold(
    states: NDArray[Any], events: NDArray[Any], offsets: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Fold in place; scores without their margins, and the rows (n, FEATURES) that the margins follow from.

    states, events: (n,) of STATE and EVENT, each state once; offsets: (n,). No state depends on a margin: however many
    rounds a batch takes because keys come twice, the model can be asked once.
    """
    moments = states["moments"]
    moments[:, :24] = moments[:, :24] * _DECAY + events["values"] * (1 - _DECAY)
    moments[:, 24:] = np.maximum(moments[:, 24:], events["values"][:, :12])
    states["applied"], states["count"] = offsets, states["count"] + 1
    scores = np.empty(len(states), dtype=SCORE)
    scores["offset"], scores["moments"] = offsets, moments[:, :13]
    return scores, np.ascontiguousarray(moments[:, :FEATURES], dtype=np.float32)


def score_one(state: bytes | None, offset: int, value: bytes, booster: Any) -> tuple[bytes, bytes | None]:
    """(new state, score) of one event; the state as it was and None for a replay."""
    state = state or NEW_STATE
    applied, count = _STATE_HEAD.unpack_from(state)
    if offset <= applied:
        return state, None
    values = np.frombuffer(value, np.float64, 24, 8)
    moments = np.frombuffer(state, np.float64, 36, 12)
    means = moments[:24] * _DECAY + values * (1 - _DECAY)
    peaks = np.maximum(moments[24:], values[:12])
    row = np.empty((1, FEATURES), np.float32)
    row[0, :24], row[0, 24:] = means, peaks[: FEATURES - 24]
    margin = booster.inplace_predict(row, predict_type="margin")[0]
    folded, head = means.tobytes(), _SCORE_HEAD.pack(offset, margin)
    return _STATE_HEAD.pack(offset, count + 1) + folded + peaks.tobytes(), head + folded[:104]


def applied_offset(state: bytes) -> int:
    """The offset of the newest event in a state."""
    applied: int = _STATE_HEAD.unpack_from(state)[0]
    return applied


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
