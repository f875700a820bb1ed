"""The audit by group on a public data set of credit cards (not shipped): the code, not a product."""

import csv
import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from duly_training.baselines import logistic
from duly_training.fairness import by_group

DATA = Path(os.environ.get("DULY_DATA_DIR", "data"))
FILE = DATA / "uci-credit-default" / "UCI_Credit_Card.csv.gz"
PROTECTED = ("SEX", "AGE", "MARRIAGE")


@pytest.fixture(scope="module")
def rows():
    if not FILE.is_file():
        pytest.skip("the data set is not shipped; DULY_DATA_DIR names the folder that holds uci-credit-default/")
    with gzip.open(FILE, "rt", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_a_model_without_protected_attributes_is_audited_by_them(rows):
    target = next(name for name in rows[0] if name.startswith("default"))
    allowed = [name for name in rows[0] if name not in (*PROTECTED, "ID", target)]
    x = np.array([[float(row[name]) for name in allowed] for row in rows], dtype=np.float32)
    y = np.array([float(row[target]) > 0 for row in rows])
    sex = np.array([row["SEX"] for row in rows])
    train = np.random.default_rng(0).random(len(y)) < 0.8
    p = logistic(0).fit(x[train], y[train]).predict_proba(x[~train])[:, 1]
    table = by_group(y[~train], p, x[~train], sex[~train].tolist())
    assert [row.group for row in table] == ["2", "1"]
    assert sum(row.n for row in table) == (~train).sum()
    assert all(0.65 < row.auc < 0.8 for row in table)
    assert table[0].ratio == 1.0
    # The features say little of a card holder's sex, and more than nothing.
    assert 0.5 < table[1].told < 0.7
