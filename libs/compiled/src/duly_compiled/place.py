"""Where the compiled fold of this very source lies; which modules it holds."""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from functools import cache
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "duly_risk"
# Not these: what joins the parts stays open to faults that tests inject; `fallback` is read as a class; `reasons`
# divides whole numbers beyond 2^53, which mypyc rounds before it divides and Python after.
SOURCE_ONLY = frozenset({"__init__", "batch", "fallback", "ledger_record", "reasons"})
# Another way to compile is another library: raise it with any change of `build`.
BUILD = "4"
SUFFIX: str = sysconfig.get_config_var("EXT_SUFFIX")


def folder_of(package: str) -> Path:
    """Where a package that is installed lies. Imports nothing."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"{package} is not installed")
    return Path(spec.origin).parent


@cache
def source() -> Path:
    """The folder of the package that is compiled."""
    return folder_of(PACKAGE)


def modules() -> list[str]:
    """Names inside the package, sorted."""
    return sorted(file.stem for file in source().glob("*.py") if file.stem not in SOURCE_ONLY)


def folder(into: Path | None = None) -> Path:
    """Where the compiled modules lie; it need not exist. Any other source, Python or platform has another folder."""
    digest = hashlib.sha256("\0".join((BUILD, SUFFIX, sysconfig.get_platform())).encode())
    for name in modules():
        digest.update(name.encode() + b"\0" + (source() / f"{name}.py").read_bytes())
    return (into or Path(sys.prefix) / "lib" / "duly_compiled") / digest.hexdigest()[:16]
