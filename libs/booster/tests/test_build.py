"""Which compiler builds the library, what its name promises, and that builds do not disturb each other."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
from duly_booster import build, native
from duly_booster.build import Compiler, NoCompiler

BROKEN = Compiler("broken", (sys.executable, "-c", "import sys; sys.exit('it does not work here')"))
ABSENT = Compiler("absent", ("/nowhere/cc",))


def names(path: Path, **env: str) -> list[str]:
    """Compilers found in one folder; zig aside, which is there or not whatever the environment says."""
    found = build.compilers({"PATH": str(path), **env})
    return [compiler.name for compiler in found if compiler.name != "zig"]


def executables(folder: Path, *wanted: str) -> Path:
    for name in wanted:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    return folder


def test_the_users_choice_comes_first_then_the_systems(tmp_path: Path) -> None:
    executables(tmp_path, "clang", "gcc", "cc")
    assert names(tmp_path, CC="ccache gcc -m64") == ["$CC", "cc", "gcc", "clang"]
    assert build.compilers({"PATH": str(tmp_path), "CC": "ccache gcc -m64"})[0].command == ("ccache", "gcc", "-m64")
    assert names(tmp_path) == ["cc", "gcc", "clang"]
    assert names(tmp_path / "empty", CC="  ") == []


def test_zig_comes_last_and_only_if_its_package_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ziglang").mkdir()
    (tmp_path / "ziglang" / "__init__.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    found = build.compilers({"PATH": str(executables(tmp_path, "cc"))})
    assert [compiler.name for compiler in found] == ["cc", "zig"]
    assert "-mcpu=baseline" in found[-1].command


def test_a_compiler_that_fails_gives_way_to_the_next(library: native.Library, tmp_path: Path) -> None:
    working = next(iter(build.compilers({"PATH": "/usr/bin:/bin:/usr/local/bin"})), None)
    if working is None:
        pytest.skip("the library was compiled by something that is not on the usual path")
    file, by = build.build(tmp_path, [ABSENT, BROKEN, working])
    assert by == working.name
    assert file == build.library_file(tmp_path)
    assert native.load(file).widest is library.widest
    assert build.build(tmp_path, []) == (file, "")  # it is there: no compiler is needed
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_cache_folder_that_is_wanted_is_used_and_else_none_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = tmp_path / "seen"
    telling = Compiler("telling", ("/bin/sh", "-c", f'echo "$ZIG_GLOBAL_CACHE_DIR" >> {seen}; exit 1'))
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", "/wanted")
    with pytest.raises(NoCompiler):
        build.build(tmp_path / "made", [telling])
    monkeypatch.delenv("ZIG_GLOBAL_CACHE_DIR")
    with pytest.raises(NoCompiler):
        build.build(tmp_path / "made", [telling])
    wanted, own = seen.read_text().splitlines()
    assert wanted == "/wanted"
    assert Path(own).parent == tmp_path / "made"
    assert not list((tmp_path / "made").iterdir())


def test_without_a_working_compiler_each_says_why(tmp_path: Path) -> None:
    with pytest.raises(NoCompiler, match=r"absent: .*broken: it does not work here"):
        build.build(tmp_path, [ABSENT, BROKEN])
    with pytest.raises(NoCompiler, match="ziglang is not installed"):
        build.build(tmp_path, [])


def test_the_command_fails_softly_with_one_line_unless_a_library_is_required(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "folder", lambda: tmp_path)
    monkeypatch.setattr(build, "compilers", lambda env: (BROKEN,))
    assert build.main() == 0
    assert build.main(["--require"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("no compiler: curves use predict, about ")
    assert said.count("\n") == 2


def test_another_source_has_another_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    before = build.library_file(tmp_path)
    other = tmp_path / "setwalk.c"
    other.write_bytes(build.SOURCES[0].read_bytes() + b"\n")
    monkeypatch.setattr(build, "SOURCES", (other, build.SOURCES[1]))
    assert build.library_file(tmp_path) != before


def test_a_damaged_library_is_built_anew(library: native.Library, tmp_path: Path) -> None:
    file = build.library_file(tmp_path)
    file.write_bytes(b"not a library")
    with pytest.raises(native.LibraryUnusable, match=file.name):
        native.load(file)
    assert build.build(tmp_path)[1]
    native.load(file)


def test_builds_at_once_leave_one_sound_library(library: native.Library, tmp_path: Path) -> None:
    made: list[Path] = []
    threads = [threading.Thread(target=lambda: made.append(build.build(tmp_path)[0])) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1
    assert len(made) == 2
    assert [path.name for path in tmp_path.iterdir()] == [made[0].name]
    native.load(made[0])
