"""Models over a registry and a control topic that are fakes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from duly_contracts.model_control import Promotion
from duly_risk.model import Role
from duly_runtime.metrics import Metrics
from duly_testing.clock import FakeClock
from scoring.adapters.booster_model import BOOSTER_FILE
from scoring.adapters.mlflow_registry import RegistryUnavailable
from scoring.adapters.model_store import ModelStore
from scoring.adapters.serving_models import ServingModels

Write = Callable[..., dict[str, str]]


class Files:
    """A registry that holds every version, or is down. broken: versions whose files are no model."""

    def __init__(self, write: Write) -> None:
        self.write = write
        self.up = True
        self.broken: set[str] = set()
        self.shift = 0.0
        self.spoilt: dict[str, bytes] = {}
        self.fault: Exception | None = None
        self.downloads: list[str] = []

    def download(self, name: str, version: str, folder: Path) -> None:
        if not self.up:
            raise RegistryUnavailable("down")
        if self.fault:
            raise self.fault
        self.downloads.append(version)
        self.write(folder, shift=self.shift)
        for file, content in self.spoilt.items():
            (folder / file).write_bytes(content)
        if version in self.broken:
            (folder / BOOSTER_FILE).write_bytes(b"another model")


class Control:
    """What a reader of `model-control` gives: `published` first, then whatever is sent."""

    def __init__(self, *published: Promotion) -> None:
        self.published = list(published)
        self.next_offset = 0

    def read_to_end(self) -> list[Promotion]:
        return self.poll(0)

    def poll(self, wait_seconds: float) -> list[Promotion]:
        found, self.published = self.published, []
        self.next_offset += len(found)
        return found

    def send(self, *promotions: Promotion) -> None:
        self.published += promotions

    def close(self) -> None: ...


@pytest.fixture(scope="session")
def hashes(tmp_path_factory: pytest.TempPathFactory, write_model: Write) -> dict[str, str]:
    """What a promotion of `write_model`'s files names."""
    return write_model(tmp_path_factory.mktemp("model"))


Promote = Callable[..., Promotion]


@pytest.fixture
def promote(hashes: dict[str, str]) -> Promote:
    def made(version: str, day: int = 10, *, role: Role = Role.CHAMPION, back: bool = False, **other: str) -> Promotion:
        named = {**(hashes if version else dict.fromkeys(hashes, "")), **other}
        at = datetime(2031, 1, 1, tzinfo=UTC)
        return Promotion(
            f"{version}@{day}", "acme", role, version, **named, effective_day=day, is_rollback=back, promoted_at=at
        )

    return made


class Desk:
    """Models over fakes of registry and topic."""

    def __init__(self, write: Write, folder: Path, *published: Promotion) -> None:
        self.files, self.control, self.metrics = Files(write), Control(*published), Metrics()
        self.folder = folder
        self.clock = FakeClock()
        self.start()

    def start(self) -> None:
        """A worker on the same disk."""
        self.store = ModelStore(self.files, self.folder, kept_max=4)
        self.models = ServingModels(self.control, self.store, self.clock, self.metrics)  # type: ignore[arg-type]

    def restart(self, *published: Promotion) -> None:
        """The same, where the topic holds these."""
        self.control = Control(*published)
        self.start()

    def run(self) -> None:
        self.models.read_to_end()
        self.models.prepare()

    def serving(self, day: int) -> str:
        info = self.models.current().serving("acme", day).info
        return f"{info.name} {info.version} {info.role.value}"

    def swaps(self, outcome: str, role: str = "CHAMPION") -> float:
        labels = {"role": role, "outcome": outcome}
        return self.metrics.registry.get_sample_value("duly_model_swaps_total", labels) or 0.0

    def promoted(self, tenant: str) -> float | None:
        labels = {"tenant": tenant, "role": "CHAMPION"}
        return self.metrics.registry.get_sample_value("duly_model_promoted_timestamp_seconds", labels)

    def state(self) -> list[str]:
        """Of the newest champion, as its gauge shows it."""
        place = {"tenant": "acme", "role": "CHAMPION"}
        value, states = self.metrics.registry.get_sample_value, ("ready", "refused", "unreachable")
        return [state for state in states if value("duly_model_promotion", {**place, "state": state})]


MakeDesk = Callable[..., Desk]


@pytest.fixture
def desk(tmp_path: Path, write_model: Write) -> MakeDesk:
    return lambda *published: Desk(write_model, tmp_path, *published)
