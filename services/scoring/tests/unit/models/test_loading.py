"""A model is loaded only if its files are whole, of our features, and answer as at its fit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scoring.adapters.booster_model import BOOSTER_FILE, GOLDEN_FILE, ModelRefused, load_model

Write = Callable[..., dict[str, str]]


def test_a_model_of_another_feature_schema_is_refused(tmp_path: Path, write_model: Write) -> None:
    write_model(tmp_path, schema="f" * 64)
    with pytest.raises(ModelRefused, match="feature schema"):
        load_model(tmp_path, "1")


def test_a_row_alone_and_in_a_batch_give_equal_bytes(tmp_path: Path, write_model: Write) -> None:
    write_model(tmp_path)
    model = load_model(tmp_path, "1")
    rows = np.load(tmp_path / GOLDEN_FILE)["rows"]
    whole = model.predict(rows)
    assert whole.dtype == np.float32
    alone = [model.predict(rows[i : i + 1]) for i in range(len(rows))]
    assert np.concatenate(alone).tobytes() == whole.tobytes()
    assert model.info.frame.other_median_minor == 50_000.0


def test_a_model_with_other_closed_days_than_at_its_fit_is_refused(tmp_path: Path, write_model: Write) -> None:
    write_model(tmp_path)
    booster = load_model(tmp_path, "1").booster
    booster.set_attr(duly_frame='{"other_median_minor": 50000.0, "closed_rules": [["day", 12, 26, 0]]}')
    booster.save_model(tmp_path / BOOSTER_FILE)
    with pytest.raises(ModelRefused, match="golden"):
        load_model(tmp_path, "1")
    booster.set_attr(duly_frame='{"other_median_minor": 50000.0, "closed_rules": [["day", 2, 30, 0]]}')
    booster.save_model(tmp_path / BOOSTER_FILE)
    with pytest.raises(ModelRefused, match="no rule for closed days"):
        load_model(tmp_path, "1")


def test_golden_rows_without_curves_are_refused(tmp_path: Path, write_model: Write) -> None:
    write_model(tmp_path)
    with np.load(tmp_path / GOLDEN_FILE) as golden:
        rows, hazards = golden["rows"], golden["hazards"]
    np.savez(tmp_path / GOLDEN_FILE, rows=rows, hazards=hazards)
    with pytest.raises(ModelRefused, match="not a file in the archive"):
        load_model(tmp_path, "1")
