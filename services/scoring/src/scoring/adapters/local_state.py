"""The copy of the state in the data folder: looked at before a worker starts, thrown away when it cannot be used.

It is a cache of the changelog. Faust takes it as it is, and crashes on one that is damaged or ahead of its changelog
(a topic made anew, a broker restored from a backup): at every start, for ever.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import rocksdict
from duly_runtime.logging import get_logger
from faust.stores.rocksdb import Store

from scoring.adapters.kafka_preflight import NotReadyToStart
from scoring.adapters.table_store import DAMAGED

_log = get_logger(__name__)
# What RocksDB says of a lock that somebody holds. "lock" alone is also in "block checksum mismatch", and in paths.
_IN_USE = re.compile(r"IO error: (While lock file|lock hold by current process)", re.IGNORECASE)


def state_folder(data_dir: Path, app_id: str) -> Path:
    """Faust's data folder: each app version has its own, as their changelogs differ."""
    return data_dir / "state" / app_id


def discard_unusable(folder: Path, table: str, ends: Mapping[int, int]) -> bool:
    """Remove Faust's data folder if its tables cannot be used; the state then comes from the changelog.

    ends: next offset of each changelog partition. Raises NotReadyToStart if another process has the folder.
    """
    reason = next((why for path in sorted(folder.glob("v*/tables")) if (why := _fault(path, table, ends))), "")
    if reason:
        _log.warning("scoring.local_state_discarded", reason=reason)
        shutil.rmtree(folder)
    return bool(reason)


def _fault(tables: Path, table: str, ends: Mapping[int, int]) -> str:
    if (tables / DAMAGED).exists():
        return "a read or write of it has failed"
    for path in sorted(tables.glob(f"{table}-*.db")):
        name = path.stem.removeprefix(f"{table}-")
        try:
            partition, offset = int(name), _offset_in(path)
        except Exception as error:  # rocksdict raises nothing narrower
            if _IN_USE.match(str(error)):
                raise NotReadyToStart(f"{path.parent} is in use: each worker needs a data folder of its own") from error
            return f"partition {name} does not open: {error}"
        if offset is not None and offset >= ends.get(partition, 0):
            return f"partition {partition} is at offset {offset}, its changelog ends at {ends.get(partition, 0)}"
    return ""


def _offset_in(path: Path) -> int | None:
    # Opened for writing, so that what a kill left in its log is taken over, and nobody else has it.
    database = rocksdict.Rdict(str(path), options=rocksdict.Options(raw_mode=True))
    try:
        offset = database.get(Store.offset_key)
    finally:
        database.close()
    return None if offset is None else int(offset)
