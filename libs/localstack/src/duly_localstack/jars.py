"""The jars of Apache Kafka: fetched one by one by exact version, each checked against the committed lock.

Not with `jgo`'s transitive resolver: it picks a 3.9 client for a 4.3 broker.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from duly_localstack.errors import StackError
from duly_localstack.maven import context, local_repository

KAFKA_VERSION = "4.3.0"
LOCK_NAME = f"kafka-{KAFKA_VERSION}.lock"
PARALLEL_DOWNLOADS = 8
_VERIFIED = ".verified.json"  # file name -> [size, mtime_ns, sha256] at the time its sha256 was right
_DOWNLOADS = ".downloads"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock."""

    group: str
    artifact: str
    version: str
    classifier: str
    sha256: str

    @property
    def coordinate(self) -> str:
        return ":".join(part for part in (self.group, self.artifact, self.version, self.classifier) if part)

    @property
    def file_name(self) -> str:
        return "-".join(part for part in (self.artifact, self.version, self.classifier) if part) + ".jar"

    @property
    def repository_path(self) -> Path:
        return Path(*self.group.split("."), self.artifact, self.version, self.file_name)


def read_lock(text: str | None = None) -> tuple[Jar, ...]:
    """The jars of a lock, lines of `group:artifact:version[:classifier] sha256`; by default this package's lock."""
    if text is None:
        text = resources.files("duly_localstack").joinpath(LOCK_NAME).read_text("utf-8")
    jars = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            coordinate, sha256 = line.split()
            group, artifact, version, *classifier = coordinate.split(":")
            jars.append(Jar(group, artifact, version, classifier[0] if classifier else "", sha256))
    return tuple(jars)


def ensure_jars(jars_dir: Path, *, jars: tuple[Jar, ...] | None = None, on_progress: Progress | None = None) -> Path:
    """Make `jars_dir` hold every jar of the lock, each with the right sha256; returns `jars_dir`.

    Idempotent, resumable, and safe in several processes at once: a jar appears by one rename, or not at all. A jar
    whose size or time is not as recorded is hashed again; a wrong one is fetched anew, once. `on_progress(done, total)`
    counts jars, also those that were there. Raises StackError: download failed, wrong content, disk full, folder not
    writable.
    """
    wanted = read_lock() if jars is None else jars
    try:
        jars_dir.mkdir(parents=True, exist_ok=True)
        record = _Record(jars_dir)
        missing = [jar for jar in wanted if not record.is_good(jar)]
        done = len(wanted) - len(missing)
        if on_progress is not None:
            on_progress(done, len(wanted))
        if missing:
            _fetch_all(missing, record, lambda count: on_progress and on_progress(done + count, len(wanted)))
        record.save()
    except OSError as error:
        raise _disk_fault(jars_dir, error) from error
    return jars_dir


def _fetch_all(missing: list[Jar], record: _Record, on_fetched: Callable[[int], object]) -> None:
    downloads = record.jars_dir / _DOWNLOADS / f"{os.getpid()}-{threading.get_ident()}"
    with ThreadPoolExecutor(PARALLEL_DOWNLOADS, thread_name_prefix="jars") as pool:
        try:
            futures = [pool.submit(_fetch, jar, record.jars_dir, downloads) for jar in missing]
            for count, future in enumerate(as_completed(futures), start=1):
                record.note(future.result())
                on_fetched(count)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            record.save()  # what is there stays: the next call goes on from here
            raise
        finally:
            shutil.rmtree(downloads, ignore_errors=True)
            with contextlib.suppress(OSError):
                downloads.parent.rmdir()


def _fetch(jar: Jar, jars_dir: Path, downloads: Path) -> Jar:
    """Put one good jar in place: from the machine's Maven repository if it is good there, else by download, twice at
    most.
    """
    own_copy = local_repository() / jar.repository_path
    if own_copy.is_file() and _sha256(own_copy) == jar.sha256:
        _put(own_copy, jars_dir / jar.file_name, copy=True)
        return jar
    got = ""
    for attempt in ("first", "second"):
        path = _download(jar, downloads / attempt)
        got = _sha256(path)
        if got == jar.sha256:
            _put(path, jars_dir / jar.file_name, copy=False)
            return jar
        path.unlink()
    raise StackError(
        f"The jar {jar.coordinate} came with sha256 {got} instead of {jar.sha256} twice. "
        "Something between here and the Maven repository changes files: check the mirror or proxy, then try again."
    )


def _download(jar: Jar, repository: Path) -> Path:
    """Download with `jgo` into a throw-away repository; a broken connection is tried once more."""
    for attempt in (1, 2):
        try:
            component = context(repository).project(jar.group, jar.artifact).at_version(jar.version)
            return Path(component.artifact(classifier=jar.classifier).resolve())
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
                raise
            fault: Exception = error
        except (
            RuntimeError,
            ValueError,
            AssertionError,
        ) as error:  # what jgo raises: not found, checksum of the server, ..
            fault = error
        (repository / jar.repository_path).unlink(
            missing_ok=True
        )  # jgo writes in place: what is there may be half a jar
        if attempt == 2:
            break
    reason = " ".join(str(fault).split())[:300]
    raise StackError(
        f"The jar {jar.coordinate} cannot be downloaded: {reason}. Check the network and the Maven settings "
        "(a mirror in ~/.m2/settings.xml is honoured), then run the same command again: it goes on where it stopped."
    ) from fault


def _put(source: Path, target: Path, *, copy: bool) -> None:
    if copy:
        part = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.part")
        shutil.copyfile(source, part)
        source = part
    source.replace(target)


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _disk_fault(jars_dir: Path, error: OSError) -> StackError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return StackError(
            f"The disk is full below {jars_dir}: Kafka's jars need about 60 MB. Free some space and try again."
        )
    return StackError(
        f"The jars folder {jars_dir} cannot be used: {error.strerror or error}. Mend its rights or choose another."
    )


class _Record:
    """Which jars were found good, by size and time: it saves reading 54 MB at each start."""

    def __init__(self, jars_dir: Path) -> None:
        self.jars_dir = jars_dir
        self._good: dict[str, list[object]] = {}
        with contextlib.suppress(OSError, ValueError, TypeError):
            self._good = dict(json.loads((jars_dir / _VERIFIED).read_text("utf-8")))

    def is_good(self, jar: Jar) -> bool:
        path = self.jars_dir / jar.file_name
        try:
            now = self._stamp(path)
        except FileNotFoundError:
            return False
        if self._good.get(jar.file_name) == [*now, jar.sha256]:
            return True
        if _sha256(path) != jar.sha256:
            path.unlink()
            return False
        self.note(jar)
        return True

    def note(self, jar: Jar) -> None:
        self._good[jar.file_name] = [*self._stamp(self.jars_dir / jar.file_name), jar.sha256]

    def save(self) -> None:
        part = self.jars_dir / f"{_VERIFIED}.{os.getpid()}-{threading.get_ident()}.part"
        part.write_text(json.dumps(self._good, indent=0, sort_keys=True), "utf-8")
        part.replace(self.jars_dir / _VERIFIED)

    @staticmethod
    def _stamp(path: Path) -> list[object]:
        stat = path.stat()
        return [stat.st_size, stat.st_mtime_ns]
