"""The same trees, wherever they are grown; rows that do not fit into memory or one machine."""

import dask
import numpy as np
import pytest
from distributed import LocalCluster
from duly_training.backends import ExternalMemory, InMemory, OnDask, backend_for
from duly_training.fit import FitSettings, parameters
from duly_training.origin import known_before, source_before

# Every row in every tree, so that the order in which a backend draws rows does not matter.
SETTINGS = FitSettings(7, parallel_trees=1, subsample=1.0, colsample_bytree=1.0)
ROUNDS = 8


@pytest.fixture(scope="module")
def source(made_up_timeline):
    return source_before(made_up_timeline, known_before(made_up_timeline, made_up_timeline.cut_day), SETTINGS)


@pytest.fixture(scope="module")
def in_memory(source):
    return InMemory().train(source, parameters(source.events(), SETTINGS), ROUNDS)


def margins(booster, source):
    booster.set_param({"nthread": 1})
    return booster.inplace_predict(source.every(40).all().x, predict_type="margin")


def test_rows_in_files_give_the_trees_of_memory(source, in_memory, tmp_path):
    chosen = parameters(source.events(), SETTINGS)
    grown = ExternalMemory(tmp_path, batch_snapshots=700).train(source, chosen, ROUNDS)
    # Bins are found batch by batch, so thresholds may lie a bin apart.
    assert np.abs(margins(grown, source) - margins(in_memory, source)).mean() < 0.02
    assert list(tmp_path.iterdir()) == []


# A busy machine takes its time to start two workers.
PATIENT = {"distributed.comm.timeouts.connect": "240s", "distributed.comm.timeouts.tcp": "240s"}


@pytest.mark.slow
@pytest.mark.sockets
@pytest.mark.timeout(900)
def test_two_dask_workers_give_the_trees_of_memory(source, in_memory):
    # Any free port: the default one may belong to somebody else's cluster.
    workers = {"n_workers": 2, "threads_per_worker": 1, "host": "127.0.0.1", "dashboard_address": "127.0.0.1:0"}
    with dask.config.set(PATIENT), LocalCluster(processes=True, **workers) as cluster:
        grown = OnDask(cluster.scheduler_address, batch_snapshots=2_000).train(
            source, parameters(source.events(), SETTINGS), ROUNDS
        )
    assert np.abs(margins(grown, source) - margins(in_memory, source)).mean() < 0.05


def test_files_are_used_only_where_memory_does_not_do():
    assert isinstance(backend_for(100, 100), InMemory)
    assert isinstance(backend_for(101, 100), ExternalMemory)
    assert isinstance(backend_for(1, 100, "tcp://127.0.0.1:1"), OnDask)
