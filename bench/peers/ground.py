"""What all engines share, made once: broker, model files, filled topics; and the peers' environment."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from duly_cli.folders import StateFolder
from duly_cli.ports import Ports
from duly_localstack.jars import ensure_jars
from duly_runtime.clock import Clock

from bench import engine_job, toy
from bench.engine_job import expected
from bench.peers import tree_walk
from bench.peers.broker import PinnedKafka, Topics
from bench.peers.engines import WALK, Engine
from bench.peers.job import PARTITIONS
from bench.peers.run import Ground, Model, Source, pinned, raise_priority
from bench.topics import write

PEERS_ENVIRONMENT = "peers"  # a virtual environment in the state folder, from requirements/peers.txt
_WRITTEN_AT_ONCE = 20_000
_ASK = "import sys; from importlib.metadata import version; print(*map(version, sys.argv[1:]))"
_PEERS = ("quixstreams", "confluent-kafka", "rocksdict", "xgboost", "numpy")


def peers_python(state: Path) -> Path:
    """Python of the peers' environment, there or not."""
    return state / PEERS_ENVIRONMENT / "bin" / "python"


def missing(engine: Engine, state: Path) -> str:
    """What keeps an engine from being measured here; empty if nothing does."""
    if engine.quix and not peers_python(state).exists():
        return f'{peers_python(state)} is not there: make bench-peers ARGS="the same options" makes it'
    if engine.predictor == WALK and tree_walk.compiler() is None:
        return "no C compiler (cc, or CC) to build the cheap predictor with"
    return ""


def peers_versions(state: Path) -> Mapping[str, str]:
    """Of the peers' environment; nothing if it is not there."""
    python = peers_python(state)
    if not python.exists():
        return {}
    said = subprocess.run([str(python), "-c", _ASK, *_PEERS], capture_output=True, text=True, check=True, timeout=60)
    return dict(zip(_PEERS, said.stdout.split(), strict=True))


@contextmanager
def ground(
    folder: Path, state: Path, base_port: int, clock: Clock, tell: Callable[[str], None], nice: int = 0
) -> Iterator[Ground]:
    """Broker up on its core, with this process beside it; the model's files made. nice: of broker and workers."""
    jars, ports = StateFolder(state).jars, Ports(base_port)
    ensure_jars(jars)
    clients, controller = ports.of("kafka", "clients"), ports.of("kafka", "controller")
    broker = PinnedKafka(jars, folder / "kafka", folder / "kafka.log", clients, controller)
    with broker, pinned(PinnedKafka.core) as is_pinned:
        if not is_pinned:
            tell("this system cannot pin processes to cores: broker and workers go where it puts them")
        topics = Topics(broker.bootstrap_servers)
        pid = broker.pid
        assert pid is not None
        if nice:
            raise_priority(pid, nice)
        try:
            model = make_model(folder, toy.toy_booster())
            yield Ground(topics, broker.bootstrap_servers, pid, folder, model, peers_python(state), clock, nice)
        finally:
            topics.close()


def make_model(folder: Path, booster: Any) -> Model:
    """Files of the Booster; without a C compiler the library is not there."""
    model = Model(folder / "model.ubj", folder / "trees.npz", folder / "tree_walk.so")
    booster.save_model(str(model.booster))
    tree_walk.Trees.of(booster, toy.TREE_DEPTH).save(model.trees)
    if (command := tree_walk.compiler()) is not None:
        tree_walk.build(command, model.library)
    return model


def filled(on: Ground, topic: str, count: int, keys: int) -> Source:
    """A topic with the first `count` events, and the truth about them. The same events for every count."""
    import xgboost

    records = engine_job.events(count, keys, PARTITIONS, topic)
    on.topics.create(topic)
    for start in range(0, count, _WRITTEN_AT_ONCE):
        write(on.bootstrap_servers, records[start : start + _WRITTEN_AT_ONCE])
    return Source(topic, records, expected(records, xgboost.Booster(model_file=str(on.model.booster))))
