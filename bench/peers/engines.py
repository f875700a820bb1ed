"""The engines: which program, which predictor, and what it calls its group and its changelog."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from scoring.adapters.faust_app import app_id, changelog_topic

FIRST_APP_VERSION = 2  # 1 is the name without a version


@dataclass(frozen=True, slots=True)
class Names:
    """What one life of an engine is called. makes_changelog: the engine creates that topic itself."""

    group: str
    changelog: str
    makes_changelog: bool
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Engine:
    """slow: some thousand events a second at most, so it reads the shorter topic. quix: runs in the peers' environment.

    names: of a life, by its number and its source topic. key_of: the event's key from one of the changelog.
    """

    name: str
    title: str
    program: str
    predictor: str
    slow: bool
    names: Callable[[int, str], Names]
    key_of: Callable[[bytes], bytes] = bytes

    @property
    def quix(self) -> bool:
        return self.program == "quix"


def _duly(shell: str, store: str) -> Callable[[int, str], Names]:
    def names(life: int, source: str) -> Names:
        version = FIRST_APP_VERSION + life
        options = {"shell": shell, "store": store, "app_version": version}
        return Names(app_id(version), changelog_topic(version), makes_changelog=False, options=options)

    return names


def _naive(tuned: bool) -> Callable[[int, str], Names]:
    def names(life: int, source: str) -> Names:
        return Names(f"naive-{life}", f"naive-{life}-states-changelog", makes_changelog=True, options={"tuned": tuned})

    return names


def _quix(life: int, source: str) -> Names:
    return Names(f"quix-{life}", f"changelog__quix-{life}--{source}--default", makes_changelog=True)


def _loop(life: int, source: str) -> Names:
    return Names(f"loop-{life}", f"loop-{life}-changelog", makes_changelog=False)


def _key_in_quix(key: bytes) -> bytes:
    return key.rpartition(b"|")[0]


XGBOOST, WALK = "xgboost", "walk"
ENGINES: tuple[Engine, ...] = (
    Engine("duly-batch", "Duly, batch shell", "duly_shell", XGBOOST, False, _duly("batch", "memory")),
    Engine(
        "duly-batch-walk", "Duly, batch shell, cheap predictor", "duly_shell", WALK, False, _duly("batch", "memory")
    ),
    Engine("duly-batch-rocksdb", "Duly, batch shell, RocksDB", "duly_shell", XGBOOST, False, _duly("batch", "rocksdb")),
    Engine("duly-take", "Duly, stock take shell", "duly_shell", XGBOOST, True, _duly("take", "memory")),
    Engine("faust-naive", "Faust per event, stock", "naive_faust", XGBOOST, True, _naive(tuned=False)),
    Engine("faust-tuned", "Faust per event, tuned", "naive_faust", XGBOOST, True, _naive(tuned=True)),
    Engine(
        "faust-tuned-walk", "Faust per event, tuned, cheap predictor", "naive_faust", WALK, True, _naive(tuned=True)
    ),
    Engine("quix", "Quix Streams, RocksDB", "quix", XGBOOST, True, _quix, _key_in_quix),
    Engine("quix-walk", "Quix Streams, RocksDB, cheap predictor", "quix", WALK, False, _quix, _key_in_quix),
    Engine("aiokafka", "aiokafka by hand, batches", "aiokafka_loop", XGBOOST, False, _loop),
    Engine("aiokafka-walk", "aiokafka by hand, batches, cheap predictor", "aiokafka_loop", WALK, False, _loop),
)
