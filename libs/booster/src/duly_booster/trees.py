"""The trees of an XGBoost Booster as plain arrays, or one sentence that says why the set walk cannot take them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAVES_MAX = 64
TREES_MAX = 10_000
_OBJECTIVE = "binary:logistic"


class Unsupported(ValueError):
    """A sound model that the set walk does not know how to walk: `predict` has to serve it."""

    code = "set_walk_unsupported"


class ModelMalformed(ValueError):
    """A model file that contradicts itself, or is not for these features: nothing may serve it."""

    code = "model_malformed"


@dataclass(frozen=True, slots=True)
class Tree:
    """Node 0 is the root. left, right: (nodes,) child, -1 at a leaf. feature, threshold: a split sends x < threshold
    left; a leaf's value is its threshold. missing_left: (nodes,) where NaN goes."""

    left: NDArray[np.int64]
    right: NDArray[np.int64]
    feature: NDArray[np.int64]
    threshold: NDArray[np.float32]
    missing_left: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Forest:
    """Trees in the order in which their leaf values are added. base_score: a probability."""

    trees: tuple[Tree, ...]
    features: int
    base_score: np.float32


def read_forest(booster: Any, features: int) -> Forest:
    """The forest of an `xgboost.Booster`. features: columns it must have. Raises Unsupported, ModelMalformed."""
    return forest_of(json.loads(bytes(booster.save_raw("json"))), features)


def forest_of(document: Mapping[str, Any], features: int) -> Forest:
    """The same from XGBoost's JSON model document, format 3.x. Raises Unsupported, ModelMalformed."""
    try:
        learner = document["learner"]
        _check_kind(learner)
        columns = int(learner["learner_model_param"]["num_feature"])
        if columns != features:
            raise ModelMalformed(f"the model has {columns} features, not {features}")
        trees = learner["gradient_booster"]["model"]["trees"]
        if len(trees) > TREES_MAX:
            raise Unsupported(f"{len(trees)} trees, more than {TREES_MAX}")
        read = tuple(_tree(index, tree, features) for index, tree in enumerate(trees))
        return Forest(read, features, _base_score(learner["learner_model_param"]["base_score"]))
    except (Unsupported, ModelMalformed):
        raise
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise ModelMalformed(f"not an XGBoost model document: {type(error).__name__}: {error}") from error


def _check_kind(learner: Mapping[str, Any]) -> None:
    kind, objective = learner["gradient_booster"]["name"], learner["objective"]["name"]
    if kind != "gbtree":
        raise Unsupported(f"booster {kind}, not gbtree")
    if objective != _OBJECTIVE:
        raise Unsupported(f"objective {objective}, not {_OBJECTIVE}")
    for name in ("num_class", "num_target"):
        if int(learner["learner_model_param"].get(name, "1")) > 1:
            raise Unsupported(f"{name} is more than 1")


def _base_score(text: str) -> np.float32:
    """3.1 and later write a vector, "[2.5E-1]", earlier ones a number."""
    try:
        value = np.float32(text.strip("[]"))
    except ValueError as error:
        raise Unsupported(f"base_score {text[:40]} is not one number") from error
    if not 0.0 < value < 1.0:
        raise ModelMalformed(f"base_score {text[:40]} is no probability")
    return value


def _tree(index: int, tree: Mapping[str, Any], features: int) -> Tree:
    if int(tree["tree_param"]["size_leaf_vector"]) > 1:
        raise Unsupported(f"tree {index} has vector leaves")
    if any(tree["split_type"]) or tree["categories_nodes"]:
        raise Unsupported(f"tree {index} has categorical splits")
    arrays = Tree(
        np.array(tree["left_children"], dtype=np.int64),
        np.array(tree["right_children"], dtype=np.int64),
        np.array(tree["split_indices"], dtype=np.int64),
        np.array(tree["split_conditions"], dtype=np.float32),
        np.array(tree["default_left"], dtype=np.bool_),
    )
    lengths = {len(column) for column in (arrays.left, arrays.right, arrays.feature, arrays.threshold)}
    if lengths != {len(arrays.missing_left)} or lengths == {0}:
        raise ModelMalformed(f"tree {index}: its arrays have lengths {sorted(lengths)}")
    leaves = _count_leaves(index, arrays, features)
    if leaves > LEAVES_MAX:
        raise Unsupported(f"tree {index} has {leaves} leaves, more than {LEAVES_MAX}")
    return arrays


def _count_leaves(index: int, tree: Tree, features: int) -> int:
    """Leaves below the root. Raises ModelMalformed for children, features or numbers that cannot be."""
    seen: set[int] = set()
    todo, leaves = [0], 0
    while todo:
        node = todo.pop()
        if not 0 <= node < len(tree.left):
            raise ModelMalformed(f"tree {index}: no node {node}")
        if node in seen:
            raise ModelMalformed(f"tree {index}: node {node} has two parents")
        seen.add(node)
        if not math.isfinite(tree.threshold[node]):
            raise ModelMalformed(f"tree {index}: node {node} holds {tree.threshold[node]}")
        left, right = int(tree.left[node]), int(tree.right[node])
        if left == -1 and right == -1:
            leaves += 1
        elif not 0 <= tree.feature[node] < features:
            raise ModelMalformed(f"tree {index}: node {node} splits feature {tree.feature[node]} of {features}")
        else:
            todo += (right, left)
    return leaves
