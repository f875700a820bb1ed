"""Fitted models of a back-test on disk, so that an interrupted run picks up behind its longest stage."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import xgboost as xgb

FOLDERS_KEPT = 8
_MODEL, _EARLIER, _DONE = "model.ubj", "earlier.ubj", "fit.json"


@dataclass(frozen=True, slots=True)
class StoredFit:
    """model, earlier: raw UBJSON of two Boosters; both None where the baseline serves, `fallback` says why."""

    model: bytes | None
    earlier: bytes | None
    fallback: str

    def boosters(self) -> tuple[xgb.Booster, xgb.Booster]:
        """The two Boosters, always read from their bytes, so that a resumed run computes with the very same trees."""
        assert self.model is not None
        assert self.earlier is not None
        boosters = []
        for raw in (self.model, self.earlier):
            booster = xgb.Booster()
            booster.load_model(bytearray(raw))
            booster.set_param({"nthread": 1})
            boosters.append(booster)
        return boosters[0], boosters[1]


@dataclass(frozen=True, slots=True)
class FitCache:
    """folder: below the state folder; its name stands for data, settings, seed and code."""

    folder: Path

    def load_or(self, fit: Callable[[], StoredFit]) -> StoredFit:
        """What is stored, else the result of `fit`, stored. A half-written folder counts as none."""
        if (self.folder / _DONE).exists():
            fallback = json.loads((self.folder / _DONE).read_text())["fallback"]
            if fallback:
                return StoredFit(None, None, fallback)
            return StoredFit((self.folder / _MODEL).read_bytes(), (self.folder / _EARLIER).read_bytes(), "")
        stored = fit()
        self.folder.mkdir(parents=True, exist_ok=True)
        if stored.model is not None and stored.earlier is not None:
            (self.folder / _MODEL).write_bytes(stored.model)
            (self.folder / _EARLIER).write_bytes(stored.earlier)
        scratch = self.folder / f"{_DONE}.tmp"
        scratch.write_text(json.dumps({"fallback": stored.fallback}))
        os.replace(scratch, self.folder / _DONE)
        self._forget_oldest()
        return stored

    def _forget_oldest(self) -> None:
        folders = sorted(
            (path for path in self.folder.parent.iterdir() if path.is_dir()), key=lambda p: p.stat().st_mtime
        )
        for folder in folders[:-FOLDERS_KEPT]:
            shutil.rmtree(folder, ignore_errors=True)
