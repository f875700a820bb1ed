"""The compiled fold gives the bytes of its source, and is loaded for no other."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from duly_compiled import build, place

WORK = Path(__file__).with_name("fold_a_ledger.py")
ROOT = Path(__file__).parents[3]
BUILT = pytest.mark.skipif(
    not place.folder().is_dir(), reason="the step is not compiled here: make test, with a C compiler"
)


def folded(compiled: str) -> tuple[str, str]:
    """("compiled" or "source", digest of all states and scores) of a process of its own."""
    env = os.environ | {"DULY_COMPILED": compiled}
    done = subprocess.run([sys.executable, str(WORK)], env=env, capture_output=True, text=True, timeout=200, check=True)
    by, digest = done.stdout.split()
    return by, digest


@BUILT
def test_the_compiled_fold_gives_every_byte_of_the_source() -> None:
    (first, compiled), (second, source) = folded("1"), folded("0")
    assert (first, second) == ("compiled", "source")
    assert compiled == source


@BUILT
def test_what_was_built_is_every_module_and_what_they_share() -> None:
    assert len([*place.folder().glob(f"*{place.SUFFIX}")]) == len(place.sources()) + 1


@BUILT
def test_the_steps_own_tests_hold_for_what_is_compiled() -> None:
    folders = [str(ROOT / folder) for folder in ("libs/risk/tests", "services/scoring/tests/unit")]
    chosen = ["-p", "compiled_step", "-m", "not patches_the_step"]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    env |= {"PYTHONPATH": os.pathsep.join([str(WORK.parent), *filter(None, [env.get("PYTHONPATH")])])}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *chosen, *folders],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-8_000:]


def test_another_source_has_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = place.folder(tmp_path)
    for package in place.MODULES:
        shutil.copytree(place.folder_of(package), tmp_path / package)
    monkeypatch.setattr(place, "folder_of", lambda package: tmp_path / package)
    assert place.folder(tmp_path) == before
    for edited in ("duly_risk/step.py", "scoring.application/decode_record.py"):
        text = (tmp_path / edited).read_text()
        (tmp_path / edited).write_text(text + "\n")
        assert place.folder(tmp_path) != before
        (tmp_path / edited).write_text(text)


def test_without_mypy_everything_works_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(place, "folder", lambda into=None: tmp_path / "none")
    monkeypatch.setattr(build.importlib.util, "find_spec", lambda name: None)
    assert (build.main(), build.main(["--require"])) == (0, 1)
    assert "the step runs as Python source" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def one_module(folder: Path, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In place of everything that is compiled."""
    (folder / "small").mkdir()
    (folder / "small/__init__.py").touch()
    (folder / "small/days.py").write_text(text)
    monkeypatch.setattr(place, "sources", lambda: {"small.days": folder / "small/days.py"})
    monkeypatch.setattr(place, "folder_of", lambda package: folder / "small")


def test_what_mypyc_refuses_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one_module(tmp_path, "def off(day: int) -> int:\n    return 'monday'\n", monkeypatch)
    with pytest.raises(build.NotCompiled, match=r"days.py:2: error: Incompatible return"):
        build.build(tmp_path / "made")
    assert not list((tmp_path / "made").iterdir())


def test_missing_headers_are_named_by_the_package_that_brings_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one_module(tmp_path, "def off(day: int) -> int:\n    return day\n", monkeypatch)
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'fatal error: Python.h: No such file or directory' >&2\nexit 1\n")
    compiler.chmod(0o755)
    monkeypatch.setenv("CC", str(compiler))
    with pytest.raises(build.NotCompiled, match="python3-dev"):
        build.build(tmp_path / "made")


def test_the_newest_builds_stay(tmp_path: Path) -> None:
    folders = [tmp_path / f"{number:016x}" for number in range(7)]
    for age, folder in enumerate(folders):
        folder.mkdir()
        os.utime(folder, (age, age))
    (tmp_path / "build-half").mkdir()
    build._remove_older(folders[-1])
    assert {one.name for one in tmp_path.iterdir()} == {"build-half", *(one.name for one in folders[-4:])}
