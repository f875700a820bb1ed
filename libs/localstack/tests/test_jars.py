from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from duly_localstack import jars
from duly_localstack.errors import StackError
from duly_localstack.jars import Jar, ensure_jars, read_lock

CONTENT = b"jar content"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The machine's own Maven repository, and a mirror that answers nothing."""
    home = tmp_path / "home"
    (home / ".m2").mkdir(parents=True)
    folder = tmp_path / "m2"
    (home / ".m2" / "settings.xml").write_text(
        f"<settings><localRepository>{folder}</localRepository>"
        "<mirrors><mirror><mirrorOf>*</mirrorOf><url>http://127.0.0.1:9/none</url></mirror></mirrors></settings>"
    )
    monkeypatch.setenv("MAVEN_SETTINGS", str(home / ".m2" / "settings.xml"))
    monkeypatch.delenv("M2_REPO", raising=False)
    return folder


def a_jar(repository: Path, name: str, content: bytes | None = CONTENT) -> Jar:
    jar = Jar("org.example", name, "1.0", "", hashlib.sha256(CONTENT).hexdigest())
    if content is not None:
        path = repository / jar.repository_path
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    return jar


def test_the_lock_names_ninety_two_jars_with_distinct_file_names() -> None:
    locked = read_lock()
    assert len(locked) == len({jar.file_name for jar in locked}) == 92
    assert all(len(jar.sha256) == 64 for jar in locked)
    assert next(jar for jar in locked if jar.artifact == "kafka-clients").file_name == "kafka-clients-4.3.0.jar"


def test_a_classifier_is_part_of_the_file_name() -> None:
    (jar,) = read_lock("# comment\norg.example:lib:1.0:linux " + "0" * 64 + "\n")
    assert (jar.file_name, jar.coordinate) == ("lib-1.0-linux.jar", "org.example:lib:1.0:linux")


def test_jars_of_the_machines_own_repository_are_copied_and_progress_is_told(repository: Path, tmp_path: Path) -> None:
    wanted = tuple(a_jar(repository, name) for name in ("one", "two"))
    told: list[tuple[int, int]] = []
    folder = ensure_jars(tmp_path / "jars", jars=wanted, on_progress=lambda done, total: told.append((done, total)))
    assert sorted(path.name for path in folder.glob("*.jar")) == ["one-1.0.jar", "two-1.0.jar"]
    assert told == [(0, 2), (1, 2), (2, 2)]


def test_a_complete_folder_needs_no_download_and_no_hashing(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = (a_jar(repository, "one"),)
    ensure_jars(tmp_path / "jars", jars=wanted)
    monkeypatch.setattr(jars, "_sha256", lambda path: pytest.fail("hashed again"))
    ensure_jars(tmp_path / "jars", jars=wanted)


def test_a_corrupt_jar_is_found_and_mended(repository: Path, tmp_path: Path) -> None:
    wanted = (a_jar(repository, "one"),)
    folder = ensure_jars(tmp_path / "jars", jars=wanted)
    (folder / "one-1.0.jar").write_bytes(b"jar c0ntent")  # same size
    ensure_jars(folder, jars=wanted)
    assert (folder / "one-1.0.jar").read_bytes() == CONTENT


def test_a_jar_that_stays_corrupt_is_reported(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[Path] = []

    def download(jar: Jar, folder: Path) -> Path:
        path = folder / jar.file_name
        path.parent.mkdir(parents=True)
        path.write_bytes(b"an error page")
        tried.append(path)
        return path

    monkeypatch.setattr(jars, "_download", download)
    with pytest.raises(StackError, match=r"org\.example:one:1\.0 came with sha256 .* twice"):
        ensure_jars(tmp_path / "jars", jars=(a_jar(repository, "one", content=b"corrupt here too"),))
    assert len(tried) == 2
    assert list((tmp_path / "jars").glob("*.jar")) == []


@pytest.mark.sockets
def test_a_failed_download_is_one_clear_error_and_what_came_is_kept(repository: Path, tmp_path: Path) -> None:
    wanted = (a_jar(repository, "here"), a_jar(repository, "gone", content=None))
    with pytest.raises(StackError, match=r"org\.example:gone:1\.0 cannot be downloaded: .* run the same command again"):
        ensure_jars(tmp_path / "jars", jars=wanted)
    assert [path.name for path in (tmp_path / "jars").iterdir() if path.is_dir()] == []
    ensure_jars(tmp_path / "jars", jars=wanted[:1])
    assert (tmp_path / "jars" / "here-1.0.jar").read_bytes() == CONTENT


def test_a_folder_that_cannot_be_made_is_reported(repository: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StackError, match=r"jars folder .* cannot be used"):
        ensure_jars(tmp_path / "file" / "jars", jars=(a_jar(repository, "one"),))
