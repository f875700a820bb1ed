"""Where the compiled step of this very source lies; which modules it holds."""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

# By package, all that an event passes through in the worker. None: every module but those of SOURCE_ONLY.
MODULES: dict[str, tuple[str, ...] | None] = {
    "duly_contracts": ("envelope", "ids", "keys"),
    "duly_risk": None,
    "scoring.application": ("outputs", "score_batch", "shadow", "states"),
    "scoring.domain": ("open_debtors",),
}
# `fallback` is read as a class.
SOURCE_ONLY = frozenset({"__init__", "fallback"})
# Another way to compile is another library: raise it with any change of `build`.
BUILD = "5"
SUFFIX: str = sysconfig.get_config_var("EXT_SUFFIX")


def folder_of(package: str) -> Path:
    """Where a package that is installed lies. Imports nothing but the packages around it."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(f"{package} is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


def sources() -> dict[str, Path]:
    """The files that are compiled, by the name of their module, in its order."""
    found: dict[str, Path] = {}
    for package, names in MODULES.items():
        folder = folder_of(package)
        chosen = [file.stem for file in folder.glob("*.py") if file.stem not in SOURCE_ONLY] if names is None else names
        found |= {f"{package}.{name}": folder / f"{name}.py" for name in chosen}
    return dict(sorted(found.items()))


def folder(into: Path | None = None) -> Path:
    """Where the compiled modules lie; it need not exist. Any other source, Python or platform has another folder."""
    digest = hashlib.sha256("\0".join((BUILD, SUFFIX, sysconfig.get_platform())).encode())
    for name, file in sources().items():
        digest.update(name.encode() + b"\0" + file.read_bytes())
    return (into or Path(sys.prefix) / "lib" / "duly_compiled") / digest.hexdigest()[:16]
