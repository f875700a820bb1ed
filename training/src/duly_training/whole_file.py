"""A file that is replaced as a whole or not at all: somebody may read it at any moment."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from errno import EEXIST
from pathlib import Path
from typing import TextIO


@contextmanager
def replacing(path: Path) -> Iterator[TextIO]:
    """What is written to it takes the place of `path` when the block ends, and never if the block fails.

    UTF-8, line ends as they are written. Raises OSError, also as `require_replaceable`.
    """
    require_replaceable(path)
    scratch = path.with_name(f".{path.name}.part")
    try:
        with scratch.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(scratch, path)
    finally:
        scratch.unlink(missing_ok=True)


def require_replaceable(path: Path) -> None:
    """Raises OSError for what is there and no regular file: replacing a device would remove it for everybody."""
    if path.exists() and not path.is_file():
        raise FileExistsError(EEXIST, "it is there and no regular file", str(path))
