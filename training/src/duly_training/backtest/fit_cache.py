"""Fitted models of a back-test on disk, so that an interrupted run picks up behind its longest stage."""

from __future__ import annotations

import hashlib
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

    def sha256(self) -> str:
        """Of all of it."""
        parts = (self.model or b"", self.earlier or b"", self.fallback.encode())
        return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()

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
        """What is stored, else the result of `fit`, stored. A folder that is half written or damaged counts as none."""
        stored = self._stored()
        if stored is not None:
            os.utime(self.folder)  # the one that was used longest ago goes first
            return stored
        stored = fit()
        self.folder.mkdir(parents=True, exist_ok=True)
        if stored.model is not None and stored.earlier is not None:
            (self.folder / _MODEL).write_bytes(stored.model)
            (self.folder / _EARLIER).write_bytes(stored.earlier)
        scratch = self.folder / f"{_DONE}.tmp"
        scratch.write_text(json.dumps({"fallback": stored.fallback, "sha256": stored.sha256()}))
        os.replace(scratch, self.folder / _DONE)
        self._forget_oldest()
        return stored

    def _stored(self) -> StoredFit | None:
        """None where it is not there as it was written."""
        try:
            done = json.loads((self.folder / _DONE).read_text())
            fallback, written = str(done["fallback"]), done["sha256"]
            if fallback:
                stored = StoredFit(None, None, fallback)
            else:
                stored = StoredFit((self.folder / _MODEL).read_bytes(), (self.folder / _EARLIER).read_bytes(), "")
        except (FileNotFoundError, ValueError, LookupError, TypeError):
            return None
        return stored if stored.sha256() == written else None

    def _forget_oldest(self) -> None:
        folders = sorted(
            (path for path in self.folder.parent.iterdir() if path.is_dir()), key=lambda p: p.stat().st_mtime
        )
        for folder in folders[:-FOLDERS_KEPT]:
            shutil.rmtree(folder, ignore_errors=True)
