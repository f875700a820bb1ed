"""Models that the set walk cannot take are served by predict, with a reason; malformed ones are served by nothing."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xgboost
from duly_booster import build, model
from duly_booster.day_columns import Calendar, Ramp, day_columns
from duly_booster.model import BoosterHazards
from duly_booster.native import Library, SetWalk, Width
from duly_booster.pack import pack
from duly_booster.trees import ModelMalformed, Unsupported, forest_of, read_forest
from duly_risk.features import DAY, N_FEATURES, N_STATIC, Feature, day_features, schema_sha256
from duly_risk.model import CurveDays, FeatureFrame, ModelInfo, Role

INFO = ModelInfo("risk", "7", Role.CHAMPION, schema_sha256(), FeatureFrame())
Document = dict[str, Any]


@pytest.fixture(scope="module")
def document(random_models: SimpleNamespace) -> Document:
    sound: Document = json.loads(bytes(random_models.fitted(1, trees=3, max_depth=3).save_raw("json")))
    return sound


def first_tree(document: Document) -> Any:
    return document["learner"]["gradient_booster"]["model"]["trees"][0]


# ---- unsupported: predict serves ----

_UNSUPPORTED: dict[str, tuple[dict[str, Any], str]] = {
    "dart": ({"booster": "dart", "rate_drop": 0.1}, "booster dart"),
    "another objective": ({"objective": "binary:hinge"}, "binary:hinge"),
    "more than 64 leaves": ({"max_depth": 9, "min_child_weight": 0}, "more than 64"),
}


@pytest.mark.parametrize("kind", _UNSUPPORTED)
def test_an_unsupported_booster_is_served_by_predict_and_says_why(
    library: Library, random_models: SimpleNamespace, kind: str
) -> None:
    parameters, reason = _UNSUPPORTED[kind]
    booster = random_models.fitted(4, trees=3, **parameters)
    hazards = BoosterHazards(booster, INFO)
    assert hazards.path == "predict"
    assert reason in hazards.reason
    static, days = random_models.invoices(5, seed=4)
    assert hazards.curves(static, days).tobytes() == random_models.predicted(booster, static, days).tobytes()


def test_vector_leaves_categorical_splits_and_several_outputs_are_named(document: Document) -> None:
    def reason_of(change: Any) -> str:
        changed = copy.deepcopy(document)
        change(changed["learner"])
        with pytest.raises(Unsupported) as caught:
            forest_of(changed, N_FEATURES)
        return str(caught.value)

    trees = ("gradient_booster", "model", "trees")

    def tree(learner: Any) -> Any:
        return learner[trees[0]][trees[1]][trees[2]][1]

    assert "tree 1 has vector leaves" in reason_of(lambda m: tree(m)["tree_param"].update(size_leaf_vector="2"))
    assert "tree 1 has categorical splits" in reason_of(lambda m: tree(m)["split_type"].__setitem__(0, 1))
    assert "num_class" in reason_of(lambda m: m["learner_model_param"].update(num_class="3"))
    assert "num_target" in reason_of(lambda m: m["learner_model_param"].update(num_target="2"))
    assert "base_score" in reason_of(lambda m: m["learner_model_param"].update(base_score="[1E-1,2E-1]"))


def test_a_day_feature_nobody_described_is_unsupported() -> None:
    with pytest.raises(Unsupported, match="day feature holiday"):
        day_columns((*DAY, Feature("holiday", "day", "0/1", "a public holiday", "the calendar")))


def test_a_day_split_beyond_sixteen_bits_and_too_many_thresholds_are_unsupported(document: Document) -> None:
    forest = forest_of(document, N_FEATURES)
    split = int(np.flatnonzero(forest.trees[0].left >= 0)[0])

    def on(feature: int, thresholds: list[float]) -> Any:
        trees = []
        for threshold in thresholds:
            tree = replace(
                forest.trees[0], feature=forest.trees[0].feature.copy(), threshold=forest.trees[0].threshold.copy()
            )
            tree.feature[split], tree.threshold[split] = feature, threshold
            trees.append(tree)
        return replace(forest, trees=tuple(trees))

    names = [feature.name for feature in DAY]
    with pytest.raises(Unsupported, match="beyond 15000"):
        pack(on(N_STATIC + names.index("age"), [20_000.0]), day_columns())
    with pytest.raises(Unsupported, match="300 thresholds"):
        pack(on(N_STATIC + names.index("dom"), [i / 10 for i in range(300)]), day_columns())


def test_without_a_library_predict_serves_and_says_what_to_do(
    random_models: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr(build, "folder", lambda: tmp_path)
    hazards = BoosterHazards(random_models.fitted(1, trees=2), INFO)
    assert hazards.path == "predict"
    assert "python -m duly_booster.build" in hazards.reason


def test_a_walk_that_disagrees_with_predict_does_not_serve(
    library: Library, random_models: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    shifted = tuple(replace(c, high=3.0) if isinstance(c, Ramp) and c.high == 0.0 else c for c in day_columns())
    booster = random_models.fitted(1, trees=20, max_depth=6)
    assert BoosterHazards(booster, INFO).path.startswith("set walk")
    monkeypatch.setattr(model, "day_columns", lambda: (shifted[1], *shifted[:1], *shifted[2:]))
    hazards = BoosterHazards(booster, INFO)
    assert hazards.path == "predict"
    assert "differ by" in hazards.reason


def test_each_path_can_be_asked_for_and_gives_the_same_bytes(library: Library, random_models: SimpleNamespace) -> None:
    booster = random_models.fitted(6, trees=10, max_depth=5)
    static, days = random_models.invoices(8, seed=6)
    expected = random_models.predicted(booster, static, days).tobytes()
    for width in Width:
        hazards = BoosterHazards(booster, INFO, widest=width)
        assert hazards.path.startswith("set walk")
        assert hazards.curves(static, days).tobytes() == expected
    plain = BoosterHazards(booster, INFO, set_walk=False)
    assert (plain.path, plain.reason) == ("predict", "it was not asked for")
    assert plain.curves(static, days).tobytes() == expected


# ---- malformed: nothing serves ----


def _cycle(tree: Any) -> None:
    tree["left_children"][1] = 0


def _two_parents(tree: Any) -> None:
    tree["right_children"][0] = tree["left_children"][0]


def _no_such_node(tree: Any) -> None:
    tree["left_children"][0] = 10_000


def _half_a_leaf(tree: Any) -> None:
    tree["left_children"][0] = -1


def _no_such_feature(tree: Any) -> None:
    tree["split_indices"][0] = N_FEATURES


def _negative_feature(tree: Any) -> None:
    tree["split_indices"][0] = -1


def _no_number(tree: Any) -> None:
    tree["split_conditions"][0] = float("nan")


def _short_array(tree: Any) -> None:
    tree["default_left"].pop()


def _nothing(tree: Any) -> None:
    tree["left_children"] = None


def _words(tree: Any) -> None:
    tree["split_conditions"] = ["a"] * len(tree["split_conditions"])


_DAMAGE = (
    _cycle, _two_parents, _no_such_node, _half_a_leaf, _no_such_feature, _negative_feature, _no_number, _short_array,
    _nothing, _words,
)  # fmt: skip


@pytest.mark.parametrize("damage", _DAMAGE)
def test_a_damaged_tree_is_refused_with_a_clear_error(document: Document, damage: Any) -> None:
    damaged = copy.deepcopy(document)
    damage(first_tree(damaged))
    with pytest.raises(ModelMalformed):
        forest_of(damaged, N_FEATURES)


def test_a_document_that_is_no_model_or_of_other_features_is_refused(document: Document) -> None:
    for other in ({}, {"learner": None}, {"learner": {"gradient_booster": []}}):
        with pytest.raises(ModelMalformed):
            forest_of(other, N_FEATURES)
    with pytest.raises(ModelMalformed, match="features"):
        forest_of(document, N_FEATURES + 1)
    for probability in ("[0E0]", "1.0", "[NaN]"):
        damaged = copy.deepcopy(document)
        damaged["learner"]["learner_model_param"]["base_score"] = probability
        with pytest.raises(ModelMalformed, match="no probability"):
            forest_of(damaged, N_FEATURES)


def test_a_booster_of_other_features_serves_nothing() -> None:
    rows = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
    booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(rows, rows[:, 0] > 0), 2)
    with pytest.raises(ModelMalformed, match=f"3 features, not {N_FEATURES}"):
        BoosterHazards(booster, INFO)


# ---- the day group is described by data ----


def test_the_descriptions_give_the_day_features() -> None:
    as_of, issue, due = 17_800, 17_770, 17_830
    days = as_of + np.arange(1, 183)
    expected = day_features(days, as_of, issue, due)
    for at, column in enumerate(day_columns()):
        if isinstance(column, Calendar):
            values = column.values[days]
        else:
            values = np.clip(days - (as_of, issue, due)[column.origin], column.low, column.high)
        np.testing.assert_array_equal(values, expected[:, at])


def test_a_day_group_without_lag_and_with_another_calendar_column_needs_no_other_code(library: Library) -> None:
    columns = list(day_columns())
    paydays = Calendar((np.arange(len(columns[-1].values)) % 5 == 0).astype(np.float32))  # type: ignore[union-attr]
    columns = [*columns[:3], *columns[4:], paydays]
    rng = np.random.default_rng(0)
    static = rng.normal(size=(6, 3)).astype(np.float32)
    starts = rng.integers(17_500, 17_900, size=6)
    issue, due = starts - 20, starts + 10
    rows = np.empty((6, 182, 9), dtype=np.float32)
    for i in range(6):
        days = starts[i] + np.arange(1, 183)
        block = day_features(days, int(starts[i]), int(issue[i]), int(due[i]))
        rows[i] = np.column_stack((np.tile(static[i], (182, 1)), block[:, [0, 1, 2, 4, 5]], paydays.values[days]))
    flat = rows.reshape(-1, 9)
    labels = (flat[:, 8] + flat[:, 0] + rng.normal(size=len(flat)) > 1).astype(float)
    booster = xgboost.train(
        {"objective": "binary:logistic", "nthread": 1}, xgboost.DMatrix(flat, labels, nthread=1), 20
    )
    walk = SetWalk(library, pack(read_forest(booster, 9), columns))
    walked = walk.curves(static, CurveDays(starts, issue, due), margins=True)
    assert walked.tobytes() == booster.inplace_predict(flat, predict_type="margin").tobytes()
