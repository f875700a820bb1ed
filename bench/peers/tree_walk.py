"""A cheap predictor of the engine job's Booster: its trees, walked in C. Some microseconds for one row; equal bytes.

It is for measuring alone: trees without categories, rows without missing values. Every engine can use it, so that
engines that go event by event are not measured by XGBoost's cost of a single row.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

SOURCE = Path(__file__).with_name("tree_walk.c")
_FLAGS = ("-O3", "-march=native", "-ffp-contract=off", "-shared", "-fPIC")


def compiler() -> str | None:
    """The C compiler of this machine, if it has one."""
    return shutil.which(os.environ.get("CC", "cc"))


def build(command: str, library: Path) -> None:
    """Compile. Raises subprocess.CalledProcessError."""
    subprocess.run([command, *_FLAGS, "-o", str(library), str(SOURCE)], check=True)


@dataclass(frozen=True, slots=True)
class Trees:
    """All trees padded to complete ones. features, thresholds: (trees, 2^depth - 1); leaves: (trees, 2^depth)."""

    features: NDArray[np.int32]
    thresholds: NDArray[np.float32]
    leaves: NDArray[np.float32]
    base: float

    @classmethod
    def of(cls, booster: Any, depth: int) -> Self:
        """Of a Booster with one output on the logit, no tree deeper than `depth`."""
        learner = json.loads(booster.save_raw("json"))["learner"]
        trees = learner["gradient_booster"]["model"]["trees"]
        chance = float(learner["learner_model_param"]["base_score"].strip("[]"))
        inner = 2**depth - 1
        features = np.zeros((len(trees), inner), np.int32)
        # Nothing is below: a leaf goes on to the right.
        thresholds = np.full((len(trees), inner), -np.inf, np.float32)
        leaves = np.zeros((len(trees), inner + 1), np.float32)
        for number, tree in enumerate(trees):
            _pad(tree, 0, 0, features[number], thresholds[number], leaves[number])
        base = np.float32(-np.log(np.float32(1.0) / np.float32(chance) - np.float32(1.0)))
        return cls(features, thresholds, leaves, float(base))

    def save(self, path: Path) -> None:
        np.savez(path, features=self.features, thresholds=self.thresholds, leaves=self.leaves, base=self.base)

    @classmethod
    def load(cls, path: Path) -> Self:
        with np.load(path) as held:
            return cls(held["features"], held["thresholds"], held["leaves"], float(held["base"]))


class TreeWalk:
    """Answers like a Booster, margins only."""

    def __init__(self, library: Path, trees: Trees) -> None:
        self._trees = trees  # C reads their memory
        self._margins = ctypes.CDLL(str(library)).margins
        pointer, size = ctypes.c_void_p, ctypes.c_ssize_t
        self._margins.argtypes = (pointer, size, size, pointer, pointer, pointer, size, size, ctypes.c_float, pointer)
        self._margins.restype = None
        count, leaves = trees.leaves.shape
        places = (trees.features.ctypes.data, trees.thresholds.ctypes.data, trees.leaves.ctypes.data)
        self._model = (*places, count, leaves.bit_length() - 1, trees.base)

    def inplace_predict(self, rows: NDArray[np.float32], predict_type: str) -> NDArray[np.float32]:
        """rows: (n, features), C order, nothing missing; margins (n,), whatever else is asked."""
        count, width = rows.shape
        out = np.empty(count, np.float32)
        self._margins(rows.ctypes.data, count, width, *self._model, out.ctypes.data)
        return out


def _pad(
    tree: Mapping[str, Any],
    node: int,
    place: int,
    features: NDArray[np.int32],
    thresholds: NDArray[np.float32],
    leaves: NDArray[np.float32],
) -> None:
    """Node `node` of XGBoost's tree, put at `place` of the complete one. split_conditions holds a leaf's value too."""
    inner, left = len(features), tree["left_children"][node]
    if place >= inner:
        leaves[place - inner] = tree["split_conditions"][node]
        return
    if left < 0:
        _pad(tree, node, 2 * place + 2, features, thresholds, leaves)
        return
    features[place] = tree["split_indices"][node]
    thresholds[place] = tree["split_conditions"][node]
    _pad(tree, left, 2 * place + 1, features, thresholds, leaves)
    _pad(tree, tree["right_children"][node], 2 * place + 2, features, thresholds, leaves)
