"""The set walk gives XGBoost's own bytes, whatever the trees, the path, the batch and the dates."""

from __future__ import annotations

import copy
import json
import threading
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xgboost
from duly_booster.day_columns import day_columns
from duly_booster.native import Library, SetWalk, Width
from duly_booster.pack import pack
from duly_booster.trees import forest_of, read_forest
from duly_risk.features import DAY, INDEX, N_FEATURES, N_STATIC
from duly_risk.model import CurveDays, Rows
from hypothesis import given, settings
from hypothesis import strategies as st

_KINDS: dict[str, dict[str, Any]] = {
    "stumps": {"max_depth": 1},
    "depth 3": {"max_depth": 3},
    "depth 6": {"max_depth": 6},
    "depth 6, splits between data values": {"max_depth": 6, "tree_method": "exact", "trees": 10},
    "monotone": {"max_depth": 5, "monotone_constraints": tuple(-1 if i % 7 == 0 else 0 for i in range(N_FEATURES))},
    "64 leaves, grown unevenly": {"max_depth": 0, "max_leaves": 64, "grow_policy": "lossguide", "tree_method": "hist"},
    "several trees a round": {"max_depth": 4, "num_parallel_tree": 3, "trees": 8, "subsample": 0.7},
    "pruned": {"max_depth": 6, "tree_method": "exact", "gamma": 3.0, "trees": 10},
    "base score one half": {"max_depth": 4, "base_score": 0.5},
    "no trees that split": {"max_depth": 2, "min_child_weight": 1e6},
}
WIDTHS = list(Width)


def walk_of(library: Library, booster: xgboost.Booster, width: Width) -> SetWalk:
    if width > library.widest:
        pytest.skip(f"this CPU has no {width.name}")
    return SetWalk(library, pack(read_forest(booster, N_FEATURES), day_columns()), width)


def part_of(static: Rows, days: CurveDays, rows: Any) -> tuple[Rows, CurveDays]:
    return np.ascontiguousarray(static[rows]), CurveDays(days.as_of[rows], days.issue[rows], days.due[rows])


@pytest.fixture(scope="module")
def boosters(random_models: SimpleNamespace) -> dict[str, xgboost.Booster]:
    return {name: random_models.fitted(seed, **kind) for seed, (name, kind) in enumerate(_KINDS.items())}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", _KINDS)
def test_margins_and_hazards_are_byte_for_byte_those_of_predict(
    library: Library, random_models: SimpleNamespace, boosters: dict[str, xgboost.Booster], kind: str, width: Width
) -> None:
    """All kinds and paths together: more than 2,000 curves, each at two snapshots."""
    walk = walk_of(library, boosters[kind], width)
    static, days = random_models.invoices(40, seed=len(kind))
    later = CurveDays(days.as_of + 45, days.issue, days.due)
    for moment in (days, later):
        expected = random_models.predicted(boosters[kind], static, moment, margins=True)
        assert walk.curves(static, moment, margins=True).tobytes() == expected.tobytes()
        assert (
            walk.curves(static, moment).tobytes() == random_models.predicted(boosters[kind], static, moment).tobytes()
        )


@pytest.mark.parametrize("width", WIDTHS)
def test_a_value_equal_to_a_threshold_goes_right_and_one_float_less_goes_left(
    library: Library, random_models: SimpleNamespace, boosters: dict[str, xgboost.Booster], width: Width
) -> None:
    booster = boosters["depth 6"]
    static, days = random_models.invoices(90, seed=3)
    for feature in range(N_STATIC):
        splits = [t.threshold[(t.left >= 0) & (t.feature == feature)] for t in read_forest(booster, N_FEATURES).trees]
        found = np.concatenate(splits)
        if len(found):
            static[:, feature] = np.resize(found, len(static))
    static[::3] = np.nextafter(static[::3], np.float32(-np.inf))
    expected = random_models.predicted(booster, static, days)
    assert walk_of(library, booster, width).curves(static, days).tobytes() == expected.tobytes()


@pytest.mark.parametrize("width", WIDTHS)
def test_alone_in_a_batch_and_beside_invoices_with_equal_dates_give_equal_bytes(
    library: Library, random_models: SimpleNamespace, boosters: dict[str, xgboost.Booster], width: Width
) -> None:
    walk = walk_of(library, boosters["depth 6"], width)
    static, days = random_models.invoices(60, seed=11)
    dates = np.arange(60) % 3  # three groups of twenty, more than are walked at once
    days = CurveDays(days.as_of[dates], days.issue[dates], days.due[dates])
    whole = walk.curves(static, days)
    for i in range(0, 60, 7):
        assert walk.curves(*part_of(static, days, slice(i, i + 1))).tobytes() == whole[i].tobytes()
    backwards = walk.curves(*part_of(static, days, slice(None, None, -1)))
    assert backwards[::-1].tobytes() == whole.tobytes()


@pytest.mark.parametrize("width", WIDTHS)
def test_dates_a_lifetime_away_are_the_end_of_every_ramp(
    library: Library, random_models: SimpleNamespace, boosters: dict[str, xgboost.Booster], width: Width
) -> None:
    walk = walk_of(library, boosters["depth 6"], width)
    static, days = random_models.invoices(6, seed=5)
    far = np.array([-40_000, -16_000, -15_400, 15_600, 40_000, 2_900_000], dtype=np.int64)
    for moment in (
        CurveDays(days.as_of, days.as_of + far, days.due),
        CurveDays(days.as_of, days.issue, days.as_of + far),
    ):
        assert (
            walk.curves(static, moment).tobytes()
            == random_models.predicted(boosters["depth 6"], static, moment).tobytes()
        )
    edges = np.array([np.iinfo(np.int64).min, np.iinfo(np.int64).max] * 3)
    walk.curves(static, CurveDays(days.as_of, edges, edges[::-1].copy()))


def test_threads_share_one_walk(
    library: Library, random_models: SimpleNamespace, boosters: dict[str, xgboost.Booster]
) -> None:
    walk = walk_of(library, boosters["depth 6"], Width.AVX512)
    static, days = random_models.invoices(50, seed=2)
    expected, answers = walk.curves(static, days).tobytes(), []
    threads = [threading.Thread(target=lambda: answers.append(walk.curves(static, days).tobytes())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 4


# ---- any tree at all ----

_day = st.one_of(st.integers(-70, 250).map(float), st.floats(-70, 250, width=32))
_THRESHOLDS = {
    "pre_due": _day,
    "dpd_day": _day,
    "age": _day,
    "lag": st.integers(-3, 190).map(float),
    "dow": st.floats(-1, 8, width=32),
    "dom": st.integers(-1, 33).map(float),
}
_split = st.one_of(
    st.tuples(st.sampled_from(range(4)), st.sampled_from([-1.0, 0.0, 0.5, 2.0, 7.0])),
    *(st.tuples(st.just(INDEX[feature.name]), _THRESHOLDS[feature.name]) for feature in DAY),
)
_tree = st.recursive(
    st.floats(-2, 2, width=32),
    lambda child: st.tuples(_split, st.booleans(), child, child),
    max_leaves=24,
)


def _document(template: dict[str, Any], trees: list[Any]) -> dict[str, Any]:
    """A model document with these trees in place of the template's."""
    document = copy.deepcopy(template)
    model = document["learner"]["gradient_booster"]["model"]
    model["trees"] = [_nodes(index, tree) for index, tree in enumerate(trees)]
    model["tree_info"] = [0] * len(trees)
    model["iteration_indptr"] = list(range(len(trees) + 1))
    model["gbtree_model_param"]["num_trees"] = str(len(trees))
    return document


def _nodes(index: int, tree: Any) -> dict[str, Any]:
    left, right, parents, indices, conditions, default = [], [], [], [], [], []

    def add(node: Any, parent: int) -> int:
        at = len(left)
        for column in (left, right, indices, conditions, default, parents):
            column.append(0)
        left[at] = right[at] = -1
        parents[at] = parent
        if isinstance(node, tuple):
            (indices[at], conditions[at]), missing_left, below, above = node
            default[at] = int(missing_left)
            left[at], right[at] = add(below, at), add(above, at)
        else:
            conditions[at] = node
        return at

    add(tree, 2147483647)
    n = len(left)
    return {
        "base_weights": [0.0] * n, "categories": [], "categories_nodes": [], "categories_segments": [],
        "categories_sizes": [], "default_left": default, "id": index, "left_children": left, "loss_changes": [0.0] * n,
        "parents": parents, "right_children": right, "split_conditions": conditions, "split_indices": indices,
        "split_type": [0] * n, "sum_hessian": [1.0] * n,
        "tree_param": {
            "num_deleted": "0", "num_feature": str(N_FEATURES), "num_nodes": str(n), "size_leaf_vector": "1",
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def template(boosters: dict[str, xgboost.Booster]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(bytes(boosters["stumps"].save_raw("json")))
    return document


@settings(max_examples=60, deadline=None)
@given(trees=st.lists(_tree, min_size=1, max_size=5), seed=st.integers(0, 2**16))
def test_random_trees_give_the_bytes_of_predict(
    library: Library, random_models: SimpleNamespace, template: dict[str, Any], trees: list[Any], seed: int
) -> None:
    document = _document(template, trees)
    booster = xgboost.Booster({"nthread": 1})
    booster.load_model(bytearray(json.dumps(document).encode()))
    packed = pack(forest_of(document, N_FEATURES), day_columns())
    static, days = random_models.invoices(4, seed)
    static[:, :4] = np.round(static[:, :4])
    expected = random_models.predicted(booster, static, days, margins=True)
    for width in WIDTHS:
        if width <= library.widest:
            # Equal as numbers: a sum of zeros may differ in its sign.
            np.testing.assert_array_equal(SetWalk(library, packed, width).curves(static, days, margins=True), expected)


# ---- the Python edge ----


def test_arrays_of_another_kind_are_refused(
    library: Library, random_models: SimpleNamespace, boosters: dict[str, xgboost.Booster]
) -> None:
    walk = walk_of(library, boosters["stumps"], Width.ANY)
    static, days = random_models.invoices(3, seed=1)
    for wrong in (static.astype(np.float64), static[:, :-1].copy(), np.asfortranarray(static), static[0]):
        with pytest.raises(ValueError, match="static is"):
            walk.curves(wrong, days)
    for name in ("as_of", "issue", "due"):
        for other in (getattr(days, name)[:2], getattr(days, name).astype(np.int32)):
            moment = {field: getattr(days, field) for field in ("as_of", "issue", "due")} | {name: other}
            with pytest.raises(ValueError, match="int64"):
                walk.curves(static, CurveDays(**moment))


def test_a_day_outside_the_calendar_is_refused_with_its_row(
    library: Library, random_models: SimpleNamespace, boosters: dict[str, xgboost.Booster]
) -> None:
    walk = walk_of(library, boosters["stumps"], Width.AVX512)
    static, days = random_models.invoices(3, seed=1)
    for day in (-1, 73_050 - 182, np.iinfo(np.int64).max):
        as_of = days.as_of.copy()
        as_of[1] = day
        with pytest.raises(ValueError, match="row 1"):
            walk.curves(static, CurveDays(as_of, days.issue, days.due))
    last = np.full(3, 73_050 - 183)
    assert walk.curves(static, CurveDays(last, last, last)).shape == (3, 182)
