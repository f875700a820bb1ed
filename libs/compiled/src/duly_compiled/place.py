"""Where the compiled step of this very source lies; which modules it holds.

What compiled source has to mind, beside the types that mypy checks: a constant of a class is a `ClassVar`; fields that
do not compare stand last, with defaults; a generator is never unpacked (`a, b = (f(x) for x in pair)`), as mypyc puts
"ValueError: not enough values to unpack" in place of its error; whole numbers beyond 2^53 become `float` before they
are divided, as mypyc rounds each and Python their quotient alone.
"""

from __future__ import annotations

import hashlib
import sys
import sysconfig
from importlib.util import find_spec
from pathlib import Path

# By package, what is compiled of an event's way through the worker. None: every module but those of SOURCE_ONLY.
# Source on purpose: `decode_record` and `duly_contracts.events`, in whose place faults are put (calls between compiled
# modules cannot be intercepted); `ports` (mypyc checks annotations, and whatever fits a protocol must pass).
MODULES: dict[str, tuple[str, ...] | None] = {
    "duly_contracts": ("envelope", "ids", "keys"),
    "duly_risk": None,
    "scoring.application": ("outputs", "score_batch", "shadow", "states"),
    "scoring.domain": ("open_debtors",),
}
# `fallback` is read as a class.
SOURCE_ONLY = frozenset({"__init__", "fallback"})
# Not compiled, but the step speaks of their types: generated messages, records.
TYPES = frozenset({"duly", "duly_runtime"})
# Another way to compile is another library: raise it with any change of `build`.
BUILD = "6"
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
    """Where the compiled modules lie; it need not exist. Any other source, Python or platform has another folder.

    Also of what stays source beside them: compiled code reads the fields of its named tuples by their place.
    """
    digest = hashlib.sha256("\0".join((BUILD, SUFFIX, sysconfig.get_platform())).encode())
    for package in MODULES:
        for file in sorted(folder_of(package).glob("*.py")):
            digest.update(f"{package}.{file.stem}\0".encode() + file.read_bytes())
    return (into or Path(sys.prefix) / "lib" / "duly_compiled") / digest.hexdigest()[:16]
