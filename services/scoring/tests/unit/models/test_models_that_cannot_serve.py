"""A model that fails its checks never serves; a fault of the machine or the registry is tried again."""

from __future__ import annotations

import bz2
import errno
import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from duly_contracts.model_control import Promotion
from scoring.adapters.booster_model import BOOSTER_FILE, GOLDEN_FILE, SCHEMA_FILE, ModelRefused, ModelUnavailable

Write = Callable[..., dict[str, str]]
Promote = Callable[..., Promotion]
MakeDesk = Callable[..., Any]
RULES = "risk-rules rules-1 FALLBACK"


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
