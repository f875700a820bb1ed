"""Which model serves: the promoted one on its dates, or the one before it; never one that fails its checks."""

from __future__ import annotations

import bz2
import errno
import hashlib
import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from duly_contracts.envelope import Envelope
from duly_contracts.events import encode, event_of
from duly_contracts.model_control import AT_ONCE, Promotion
from duly_risk.model import Role
from duly_runtime.metrics import Metrics
from duly_testing.clock import FakeClock
from scoring.adapters import model_store
from scoring.adapters.booster_model import (
    BOOSTER_FILE,
    GOLDEN_FILE,
    SCHEMA_FILE,
    ModelRefused,
    ModelUnavailable,
    load_model,
)
from scoring.adapters.kafka_preflight import NotReadyToStart
from scoring.adapters.mlflow_registry import MlflowRegistry, RegistryUnavailable
from scoring.adapters.model_control import ControlReader
from scoring.adapters.model_store import ModelStore
from scoring.adapters.serving_models import ServingModels

from duly.risk.v1 import events_pb2 as risk

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


@pytest.fixture(scope="module")
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


RULES = "risk-rules rules-1 FALLBACK"


def test_without_a_promotion_the_rules_serve_and_say_so(desk: MakeDesk) -> None:
    at = desk()
    at.run()
    assert at.serving(99) == RULES
    assert at.models.status()["model"] == RULES


def test_a_promoted_version_serves_from_its_date_and_the_one_before_it_until_then(
    desk: MakeDesk, promote: Promote
) -> None:
    at = desk(promote("1", 10))
    at.run()
    at.control.send(promote("2", 20))
    assert at.models.follow(0)
    assert (at.serving(9), at.serving(19), at.serving(20)) == (RULES, "risk 1 CHAMPION", "risk 2 CHAMPION")
    assert at.files.downloads == ["1", "2"]


def test_a_batch_keeps_the_choice_it_began_with(desk: MakeDesk, promote: Promote) -> None:
    at = desk(promote("1", 10))
    at.run()
    batch = at.models.current()
    at.control.send(promote("2", 10))
    at.models.follow(0)
    assert batch.serving("acme", 15).info.version == "1"
    assert at.serving(15) == "risk 2 CHAMPION"


def test_a_roll_back_needs_no_download(desk: MakeDesk, promote: Promote) -> None:
    at = desk(promote("1", 10), promote("2", 20))
    at.run()
    at.files.up = False
    at.control.send(promote("1", AT_ONCE, back=True))
    at.models.follow(0)
    assert (at.serving(15), at.serving(30)) == ("risk 1 CHAMPION", "risk 1 CHAMPION")


def test_a_roll_back_to_no_model_lets_the_rules_score(desk: MakeDesk, promote: Promote) -> None:
    at = desk(promote("1", 10), promote("", AT_ONCE, back=True))
    at.run()
    assert at.serving(30) == RULES


@pytest.mark.parametrize("fault", ["another booster", "other golden rows", "another schema", "golden hazards missed"])
def test_files_that_are_not_the_promoted_ones_keep_the_model_that_serves(
    fault: str, desk: MakeDesk, tmp_path: Path, write_model: Write, promote: Promote
) -> None:
    at = desk(promote("1", 10))
    at.run()
    wrong = {
        "another booster": {"artifact_sha256": "0" * 64},
        "other golden rows": {"golden_sha256": "0" * 64},
        "another schema": {"schema_sha256": "0" * 64},
        "golden hazards missed": {"golden_sha256": "made below"},
    }[fault]
    if fault == "golden hazards missed":
        at.files.shift = 1e-3
        wrong["golden_sha256"] = write_model(tmp_path / "shifted", shift=1e-3)["golden_sha256"]
    at.control.send(promote("2", 20, **wrong))
    at.models.follow(0)
    assert at.serving(25) == "risk 1 CHAMPION"
    assert (at.swaps("refused"), at.models.status()["promotions"][0]["state"]) == (1, "refused")
    at.models.try_again()
    assert at.swaps("refused") == 1  # the content will not change by asking again


def test_while_the_registry_is_away_the_old_model_serves_and_the_new_one_follows_when_it_is_back(
    desk: MakeDesk, promote: Promote
) -> None:
    at = desk(promote("1", 10))
    at.run()
    at.files.up = False
    at.control.send(promote("2", 20))
    at.models.follow(0)
    assert (at.serving(25), at.swaps("unreachable")) == ("risk 1 CHAMPION", 1)
    at.files.up = True
    assert at.serving(25) == "risk 1 CHAMPION"
    at.models.try_again()
    assert at.serving(25) == "risk 2 CHAMPION"


@pytest.mark.parametrize(
    "fault",
    [OSError(errno.ENOSPC, "No space left"), OSError(errno.EMFILE, "Too many open files"), MemoryError()],
    ids=str,
)
def test_a_fault_of_the_machine_says_nothing_of_the_model_and_is_tried_again(
    desk: MakeDesk, promote: Promote, fault: Exception
) -> None:
    at = desk(promote("1", 10))
    at.run()
    at.files.fault = fault
    at.control.send(promote("2", 20))
    at.models.follow(0)
    assert (at.serving(25), at.swaps("refused"), at.swaps("unreachable")) == ("risk 1 CHAMPION", 0, 1)
    at.files.fault = None
    at.models.try_again()
    assert at.serving(25) == "risk 2 CHAMPION"


def test_a_file_that_the_disk_does_not_give_now_is_read_later(
    desk: MakeDesk, promote: Promote, monkeypatch: pytest.MonkeyPatch
) -> None:
    promotion = promote("1", 10)
    at = desk(promotion)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", _raise_input_output)
        at.run()
        assert isinstance(at.store.fault(promotion), ModelUnavailable)
    at.models.try_again()
    assert at.serving(10) == "risk 1 CHAMPION"


def _raise_input_output(path: Path) -> bytes:
    raise OSError(errno.EIO, "Input/output error")


def _broken_bzip2() -> bytes:
    """A zip whose member says bzip2 and is none: its reader raises OSError, of the bytes alone."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w", zipfile.ZIP_BZIP2) as file:
        file.writestr("rows.npy", b"x" * 1000)
    return whole.getvalue().replace(bz2.compress(b"x" * 1000)[:4], b"nope")


def _zip_of(header: bytes) -> bytes:
    """A golden file whose array has that header."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as file:
        file.writestr("rows.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    return whole.getvalue()


@pytest.mark.parametrize(
    ("file", "content"),
    [
        (GOLDEN_FILE, b""),
        (GOLDEN_FILE, b"PK\x03\x04" + b"x" * 400),
        (GOLDEN_FILE, _broken_bzip2()),
        (GOLDEN_FILE, _zip_of(b"{'shape': ((((((1,), }\n")),
        (BOOSTER_FILE, b""),
        (SCHEMA_FILE, b"[" * 100_000),
    ],
)
def test_a_file_that_cannot_be_read_is_a_refused_model(
    desk: MakeDesk, promote: Promote, file: str, content: bytes
) -> None:
    at = desk()
    at.files.spoilt = {file: content}
    named = {BOOSTER_FILE: "artifact_sha256", GOLDEN_FILE: "golden_sha256", SCHEMA_FILE: "schema_sha256"}
    promotion = promote("1", **{named[file]: hashlib.sha256(content).hexdigest()})
    at.control.send(promotion)
    at.run()
    assert isinstance(at.store.fault(promotion), ModelRefused)
    assert at.serving(10) == RULES


def test_a_restart_takes_its_models_from_the_disk(desk: MakeDesk, promote: Promote) -> None:
    promotions = [promote("1", 10), promote("2", 20)]
    at = desk(*promotions)
    at.run()
    at.files.up = False
    at.control = Control(*promotions)
    at.start()
    at.run()
    assert (at.serving(15), at.serving(25)) == ("risk 1 CHAMPION", "risk 2 CHAMPION")


def test_a_version_of_the_same_number_from_another_registry_is_not_taken_from_the_disk(
    desk: MakeDesk, promote: Promote
) -> None:
    at = desk(promote("1", 10))
    at.run()
    at.files.broken.add("1")
    at.control.send(promote("1", 20, artifact_sha256=hashlib.sha256(b"another model").hexdigest()))
    at.models.follow(0)
    assert at.files.downloads == ["1", "1"]
    assert at.serving(25) == "risk 1 CHAMPION"  # no Booster at all, so the first one stays


def test_more_models_than_are_kept_are_loaded_again_from_the_disk(desk: MakeDesk, promote: Promote) -> None:
    at = desk(*[promote(str(number), 10 * number) for number in range(1, 8)])
    at.run()
    assert [at.serving(10 * number) for number in range(1, 8)] == [f"risk {n} CHAMPION" for n in range(1, 8)]
    assert sorted(at.files.downloads) == [str(number) for number in range(1, 8)]


def test_a_challenger_is_a_shadow_until_it_is_what_serves(desk: MakeDesk, promote: Promote) -> None:
    at = desk(promote("1", 10), promote("2", 15, role=Role.SHADOW), promote("2", 20))
    at.run()
    shadows = [at.models.current().shadow("acme", day) for day in (14, 15, 20)]
    assert [shadow and (shadow.info.version, shadow.info.role) for shadow in shadows] == [
        None,
        ("2", Role.SHADOW),
        None,
    ]


def test_what_serves_can_be_read_off_the_metrics(desk: MakeDesk, promote: Promote) -> None:
    at = desk(promote("1", 10), promote("2", 20))
    at.run()
    at.serving(15)
    at.serving(20)
    value = at.metrics.registry.get_sample_value
    assert value("duly_model_info", {"version": "1", "role": "CHAMPION"}) == 0
    assert value("duly_model_info", {"version": "2", "role": "CHAMPION"}) == 1


def test_each_tenant_has_the_age_of_its_own_newest_usable_promotion(desk: MakeDesk, promote: Promote) -> None:
    first = replace(promote("1"), promoted_at=datetime(2031, 2, 1, tzinfo=UTC))
    refused = replace(promote("2", artifact_sha256="0" * 64), promoted_at=datetime(2031, 3, 1, tzinfo=UTC))
    at = desk(first, refused, replace(promote("1"), tenant="other"))
    at.run()
    assert at.promoted("acme") == datetime(2031, 2, 1, tzinfo=UTC).timestamp()
    assert at.promoted("other") == datetime(2031, 1, 1, tzinfo=UTC).timestamp()


def test_a_tenant_that_went_back_to_the_rules_has_no_promotion_to_grow_old(desk: MakeDesk, promote: Promote) -> None:
    at = desk(promote("1"), replace(promote("1"), tenant="other"))
    at.run()
    assert at.promoted("acme") is not None
    at.control.send(promote("", AT_ONCE, back=True))
    at.run()
    assert at.promoted("acme") is None
    assert at.promoted("other") is not None


def test_the_state_of_the_newest_promotion_is_shown_as_long_as_it_lasts(desk: MakeDesk, promote: Promote) -> None:
    at = desk(promote("1"))
    at.run()
    assert at.state() == ["ready"]
    at.files.up = False
    at.control.send(promote("2"))
    at.models.follow(0)
    at.models.try_again()
    assert at.state() == ["unreachable"]
    at.files.up = True
    at.models.try_again()
    assert at.state() == ["ready"]
    at.control.send(promote("3", artifact_sha256="0" * 64))
    at.models.follow(0)
    at.models.try_again()
    assert at.state() == ["refused"]
    at.control.send(promote("2", back=True))
    at.models.follow(0)
    assert at.state() == ["ready"]


def test_a_restart_without_the_registry_has_every_version_in_force_on_the_disk(
    desk: MakeDesk, promote: Promote, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_store, "_FOLDERS_KEPT", 2)
    promotions = [promote(str(number), 10 * number) for number in range(1, 13)]
    at = desk(promotions[0])
    at.run()
    for promotion in promotions[1:]:
        at.control.send(promotion)
        at.models.follow(0)
        assert at.serving(10) == "risk 1 CHAMPION"
    assert len(list(at.folder.iterdir())) < 10
    at.files.up = False
    at.control = Control(*promotions)
    at.start()
    at.run()
    assert (at.serving(10), at.serving(125)) == ("risk 1 CHAMPION", "risk 12 CHAMPION")


@pytest.mark.parametrize("partitions", [{0}, {0, 1}])
def test_a_topic_of_several_partitions_has_no_order_to_follow(
    partitions: set[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Consumer:
        def __init__(self, **settings: Any) -> None:
            self.assigned: set[Any] = set()

        def assignment(self) -> set[Any]:
            return self.assigned

        def partitions_for_topic(self, topic: str) -> set[int]:
            return partitions

        def assign(self, tps: list[Any]) -> None:
            self.assigned = set(tps)

        def seek(self, tp: Any, offset: int) -> None: ...

        def beginning_offsets(self, tps: list[Any]) -> dict[Any, int]:
            return dict.fromkeys(tps, 0)

        def end_offsets(self, tps: set[Any]) -> dict[Any, int]:
            return dict.fromkeys(tps, 0)

        def position(self, tp: Any) -> int:
            return 0

    monkeypatch.setattr("kafka.KafkaConsumer", Consumer)
    reader = ControlReader("broker:9092")
    if len(partitions) == 1:
        assert reader.read_to_end() == []
    else:
        with pytest.raises(NotReadyToStart, match="2 partitions"):
            reader.read_to_end()


def test_a_worker_passes_over_a_promotion_under_another_tenants_key(
    monkeypatch: pytest.MonkeyPatch, promote: Promote
) -> None:
    named = promote("1")
    message = risk.RiskModelPromoted(
        model_name="risk", model_version="1", role=risk.MODEL_ROLE_CHAMPION, artifact_sha256=named.artifact_sha256,
        schema_sha256=named.schema_sha256, golden_sha256=named.golden_sha256,
    )  # fmt: skip
    headers = Envelope("id", event_of(message).type, "/x", "risk", named.promoted_at, "acme").to_headers()
    keys = (b"other|risk|CHAMPION", None, b"acme|risk|CHAMPION")
    records = [
        SimpleNamespace(offset=at, key=key, headers=headers, value=encode(message)) for at, key in enumerate(keys)
    ]

    class Consumer:
        def __init__(self, **settings: Any) -> None: ...

        def assignment(self) -> set[str]:
            return {"model-control/0"}

        def poll(self, **limits: Any) -> dict[str, list[Any]]:
            return {"model-control/0": records}

    monkeypatch.setattr("kafka.KafkaConsumer", Consumer)
    reader = ControlReader("broker:9092")
    assert [(one.tenant, one.version) for one in reader.poll(0)] == [("acme", "1")]
    assert reader.next_offset == 3


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


@pytest.mark.parametrize("answer", [{}, [], {"artifact_uri": "mlflow-artifacts:/1"}], ids=str)
def test_a_registry_that_answers_something_else_is_not_one_that_refuses(tmp_path: Path, answer: Any) -> None:
    class Canned(MlflowRegistry):
        def _get(self, path: str) -> bytes:
            return json.dumps(answer if "download-uri" in path else {"files": ["model.ubj"]}).encode()

    with pytest.raises(RegistryUnavailable, match="none of MLflow's"):
        Canned("http://registry.invalid").download("risk", "4", tmp_path / "v4")


def test_the_files_are_found_wherever_they_lie_below_the_artifact_root(tmp_path: Path) -> None:
    root = "1/models/m-1/artifacts"
    answers: dict[str, Any] = {
        "/api/2.0/mlflow/model-versions/get-download-uri?name=risk&version=4": {
            "artifact_uri": f"mlflow-artifacts:/{root}"
        },
        "/api/2.0/mlflow-artifacts/artifacts?path=1%2Fmodels%2Fm-1%2Fartifacts": {
            "files": [{"path": "model.ubj", "is_dir": False}, {"path": "extra", "is_dir": True}]
        },
        "/api/2.0/mlflow-artifacts/artifacts?path=1%2Fmodels%2Fm-1%2Fartifacts%2Fextra": {
            "files": [{"path": "golden.npz", "is_dir": False}, {"path": "schema.json", "is_dir": False}]
        },
        f"/api/2.0/mlflow-artifacts/artifacts/{root}/model.ubj": "booster",
        f"/api/2.0/mlflow-artifacts/artifacts/{root}/extra/golden.npz": "golden",
        f"/api/2.0/mlflow-artifacts/artifacts/{root}/extra/schema.json": "schema",
    }

    class Canned(MlflowRegistry):
        def _get(self, path: str) -> bytes:
            answer = answers[path]
            return answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()

    Canned("http://registry.invalid").download("risk", "4", tmp_path / "v4")
    assert {path.name: path.read_text() for path in (tmp_path / "v4").iterdir()} == {
        "model.ubj": "booster",
        "golden.npz": "golden",
        "schema.json": "schema",
    }
