"""Fits on disk: taken again only as they were written, and the one used longest ago goes first."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from duly_training.backtest.fit_cache import FOLDERS_KEPT, FitCache, StoredFit

FIT = StoredFit(b"model", b"earlier", "")


def refuse() -> StoredFit:
    raise AssertionError("fitted again")


@pytest.mark.parametrize("fit", [FIT, StoredFit(None, None, "too thin")])
def test_what_was_fitted_is_not_fitted_again(tmp_path: Path, fit: StoredFit) -> None:
    cache = FitCache(tmp_path / "one")
    assert cache.load_or(lambda: fit) == fit
    assert cache.load_or(refuse) == fit


@pytest.mark.parametrize(
    ("file", "content"), [("model.ubj", b"mod"), ("fit.json", b"{"), ("fit.json", b"[]"), ("earlier.ubj", None)]
)
def test_a_damaged_fit_is_fitted_again(tmp_path: Path, file: str, content: bytes | None) -> None:
    cache = FitCache(tmp_path / "one")
    cache.load_or(lambda: FIT)
    damaged = tmp_path / "one" / file
    damaged.unlink() if content is None else damaged.write_bytes(content)
    assert cache.load_or(lambda: FIT) == FIT
    assert cache.load_or(refuse) == FIT


def test_a_fit_in_use_outlives_those_that_are_not(tmp_path: Path) -> None:
    for number in range(FOLDERS_KEPT):
        FitCache(tmp_path / str(number)).load_or(lambda: FIT)
        os.utime(tmp_path / str(number), (number, number))
    FitCache(tmp_path / "0").load_or(refuse)
    FitCache(tmp_path / "new").load_or(lambda: FIT)
    assert (tmp_path / "0").is_dir()
    assert not (tmp_path / "1").exists()
