"""What is in the data folder is used, or thrown away with the reason; never a cause of a crash loop."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import rocksdict
from faust.stores.rocksdb import Store
from scoring.adapters.kafka_preflight import NotReadyToStart
from scoring.adapters.local_state import discard_unusable
from scoring.adapters.table_store import DAMAGED, RocksBlobs, StoreDamaged


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """Two partitions with one debtor each; their changelogs are held up to offset 6."""
    folder = tmp_path / "scoring" / "v1" / "tables"
    folder.mkdir(parents=True)
    for partition in (0, 1):
        database = opened(folder, partition)
        database.put(b"acme|D-1", b"blob")
        database.put(Store.offset_key, b"6")
        database.close()
    return folder


def opened(tables: Path, partition: int) -> Any:
    return rocksdict.Rdict(str(tables / f"debtors-{partition}.db"), options=rocksdict.Options(raw_mode=True))


def discarded(tables: Path, ends: dict[int, int]) -> bool:
    answer = discard_unusable(tables.parent.parent, "debtors", ends)
    assert answer is not tables.exists()
    return answer


def test_what_fits_its_changelog_stays(tables: Path) -> None:
    assert not discarded(tables, {0: 7, 1: 70})
    database = opened(tables, 1)
    assert database.get(b"acme|D-1") == b"blob"
    database.close()


def test_an_offset_beyond_the_changelog_discards_all(tables: Path) -> None:
    assert discarded(tables, {0: 7, 1: 6})


def test_a_changelog_made_anew_discards_all(tables: Path) -> None:
    assert discarded(tables, {0: 0, 1: 0})


def test_files_that_are_no_database_discard_all(tables: Path) -> None:
    (tables / "debtors-1.db" / "CURRENT").write_text("nonsense")
    assert discarded(tables, {0: 7, 1: 7})


@pytest.mark.parametrize(
    "text",
    [
        "Corruption: block checksum mismatch: stored = 1, computed = 2 in /data/state/000012.sst offset 0 size 99",
        "IO error: No such file or directory: While open a file for random read: /data/clock/000012.sst",
    ],
)
def test_a_damaged_copy_is_discarded_whatever_its_fault_is_called(
    tables: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    def damaged(*_: Any, **__: Any) -> Any:
        raise Exception(text)  # rocksdict raises nothing narrower

    monkeypatch.setattr(rocksdict, "Rdict", damaged)
    assert discarded(tables, {0: 7, 1: 7})


def test_an_offset_that_is_no_number_discards_all(tables: Path) -> None:
    database = opened(tables, 1)
    database.put(Store.offset_key, b"six")
    database.close()
    assert discarded(tables, {0: 7, 1: 7})


def test_without_a_folder_there_is_nothing_to_do(tmp_path: Path) -> None:
    assert not discard_unusable(tmp_path / "none", "debtors", {0: 7})


def test_a_folder_in_use_by_another_worker_is_left_alone(tables: Path) -> None:
    hold = "import rocksdict, sys; d = rocksdict.Rdict(sys.argv[1], options=rocksdict.Options(raw_mode=True)); "
    hold += "print('open', flush=True); sys.stdin.read()"
    other = opened(tables, 0)
    with pytest.raises(NotReadyToStart, match="in use"):
        discard_unusable(tables.parent.parent, "debtors", {0: 7, 1: 7})
    other.close()
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tables / "debtors-1.db")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        with pytest.raises(NotReadyToStart, match="in use"):
            discard_unusable(tables.parent.parent, "debtors", {0: 7, 1: 7})
        process.kill()
    assert tables.exists()


def test_a_read_that_fails_leaves_a_mark_for_the_next_start(tables: Path) -> None:
    def broken(partition: int) -> Any:
        raise OSError("checksum mismatch")

    blobs = RocksBlobs(SimpleNamespace(_db_for_partition=broken, path=tables))
    with pytest.raises(StoreDamaged, match="checksum mismatch"):
        blobs.get(1, b"acme|D-1")
    assert (tables / DAMAGED).exists()
    assert discarded(tables, {0: 7, 1: 7})
