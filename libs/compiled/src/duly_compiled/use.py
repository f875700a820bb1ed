"""`use_compiled()`: this process imports the compiled step, if there is one of this very source."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.machinery import ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType

from duly_compiled import place

SETTING = "DULY_COMPILED"


class ImportedTooEarly(RuntimeError):
    """A module of the step was imported from its source before `use_compiled` could have it found compiled."""

    code = "imported_too_early"


class CompiledFinder:
    """Finds compiled modules by their file; knows nothing of others, which then come from the source."""

    def __init__(self, folder: Path) -> None:
        self._files = {file.name.removesuffix(place.SUFFIX): file for file in folder.glob(f"*{place.SUFFIX}")}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = self._files.get(name)
        if file is None:
            return None
        return spec_from_file_location(name, file, loader=ExtensionFileLoader(name, str(file)))


def use_compiled() -> bool:
    """Whether the compiled step serves. To be called before anything of it is imported; DULY_COMPILED=0 forbids it."""
    folder = place.folder()
    if os.environ.get(SETTING, "1") == "0" or not folder.is_dir():
        return False
    loaded = [name for name in place.sources() if name in sys.modules]
    if loaded:
        raise ImportedTooEarly(f"{', '.join(loaded)}: call use_compiled() before the first import of these")
    sys.meta_path.insert(0, CompiledFinder(folder))
    return True


def is_compiled() -> bool:
    """Whether the step that this process has imported is the compiled one."""
    return getattr(sys.modules.get("duly_risk.step"), "__file__", "").endswith(place.SUFFIX)
