"""Where the trees are grown: in memory, from files that hold what memory cannot, or on a Dask cluster's workers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import xgboost as xgb
from duly_risk.features import N_FEATURES, NAMES

from duly_training.dataset import BATCH_SNAPSHOTS, Dataset, RowSource
from duly_training.progress import OnStep, silent

Parameters = Mapping[str, object]


class Backend(Protocol):
    """Grows trees on the rows of a source. on_step(done, rounds): as they grow, where that is known."""

    def train(
        self, source: RowSource, parameters: Parameters, rounds: int, on_step: OnStep = silent
    ) -> xgb.Booster: ...


class RoundsTold(xgb.callback.TrainingCallback):  # type: ignore[misc]  # xgboost does not type it
    """Tells each grown round. What on_step raises ends the training."""

    def __init__(self, on_step: OnStep, rounds: int) -> None:
        super().__init__()
        self._on_step, self._rounds = on_step, rounds

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        self._on_step(epoch + 1, self._rounds)
        return False


class InMemory:
    """All rows at once."""

    def train(self, source: RowSource, parameters: Parameters, rounds: int, on_step: OnStep = silent) -> xgb.Booster:
        matrix = quantile_matrix(source.all(), parameters)
        return xgb.train(dict(parameters), matrix, rounds, callbacks=[RoundsTold(on_step, rounds)])


def quantile_matrix(data: Dataset, parameters: Parameters) -> xgb.QuantileDMatrix:
    """The rows, binned."""
    return xgb.QuantileDMatrix(
        data.x,
        label=data.y,
        weight=data.weight,
        feature_names=list(NAMES),
        max_bin=parameters["max_bin"],
        nthread=parameters["nthread"],
    )


class ExternalMemory:
    """Binned rows in a folder, batch by batch; memory holds one batch and the gradients. folder: a temporary one."""

    def __init__(self, folder: Path | None = None, batch_snapshots: int = BATCH_SNAPSHOTS) -> None:
        self._folder = folder
        self._batch_snapshots = batch_snapshots

    def train(self, source: RowSource, parameters: Parameters, rounds: int, on_step: OnStep = silent) -> xgb.Booster:
        with tempfile.TemporaryDirectory(prefix="duly-rows-", dir=self._folder) as name:
            batches = _Batches(source, self._batch_snapshots, Path(name) / "rows", on_batch=lambda: on_step(0, rounds))
            matrix = xgb.ExtMemQuantileDMatrix(
                batches, max_bin=parameters["max_bin"], nthread=parameters["nthread"], enable_categorical=False
            )
            booster = xgb.train(dict(parameters), matrix, rounds, callbacks=[RoundsTold(on_step, rounds)])
            # The matrix reads its files until it is gone; only then may the folder go.
            del matrix, batches
            return booster


class _Batches(xgb.DataIter):  # type: ignore[misc]  # xgboost does not type it
    def __init__(self, source: RowSource, batch_snapshots: int, cache: Path, on_batch: Callable[[], None]) -> None:
        self._source, self._batch_snapshots, self._on_batch = source, batch_snapshots, on_batch
        self._starts = source.starts(batch_snapshots)
        self._at = 0
        super().__init__(cache_prefix=str(cache))

    def next(self, input_data: Callable[..., Any]) -> bool:
        if self._at >= len(self._starts):
            return False
        self._on_batch()
        part = self._source.part(self._starts[self._at], self._batch_snapshots)
        self._at += 1
        input_data(data=part.x, label=part.y, weight=part.weight, feature_names=list(NAMES))
        return True

    def reset(self) -> None:
        self._at = 0


class OnDask:
    """On the workers of a Dask scheduler, each holding its part of the rows. address: tcp://host:port."""

    def __init__(self, address: str, batch_snapshots: int = BATCH_SNAPSHOTS) -> None:
        self._address = address
        self._batch_snapshots = batch_snapshots

    def train(self, source: RowSource, parameters: Parameters, rounds: int, on_step: OnStep = silent) -> xgb.Booster:
        # Seconds to import, and only needed here. What of Dask is typed is of little use: Any says so.
        da: Any = import_module("dask.array")
        delayed: Any = import_module("dask.delayed").delayed
        client_class: Any = import_module("distributed").Client
        dxgb: Any = import_module("xgboost.dask")

        with client_class(self._address) as client:
            shared = delayed(client.scatter(source, broadcast=True))
            columns: list[list[Any]] = [[], [], []]
            for start in source.starts(self._batch_snapshots):
                part = delayed(_arrays, nout=3)(shared, start, self._batch_snapshots)
                # How many rows a batch has is known where it is made.
                shapes = ((np.nan, N_FEATURES), (np.nan,), (np.nan,))
                for column, values, shape in zip(columns, part, shapes, strict=True):
                    column.append(da.from_delayed(values, shape=shape, dtype=np.float32))
            x, y, weight = (da.concatenate(column, allow_unknown_chunksizes=True) for column in columns)
            matrix = dxgb.DaskQuantileDMatrix(
                client, x, y, weight=weight, feature_names=list(NAMES), max_bin=parameters["max_bin"]
            )
            grown = dxgb.train(client, dict(parameters), matrix, num_boost_round=rounds)
            return xgb.Booster(model_file=grown["booster"].save_raw("ubj"))


def _arrays(source: RowSource, start: int, snapshots: int) -> tuple[Any, Any, Any]:
    part = source.part(start, snapshots)
    return part.x, part.y, part.weight


def backend_for(rows: int, rows_in_memory: int, dask: str = "") -> Backend:
    """Dask where an address is given; else memory as long as the rows fit."""
    if dask:
        return OnDask(dask)
    return InMemory() if rows <= rows_in_memory else ExternalMemory()
