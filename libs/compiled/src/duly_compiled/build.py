"""`python -m duly_compiled.build`: compile the step into this environment with mypyc, once per source.

mypyc comes with mypy and needs a C compiler and Python's headers. Without them everything works, more slowly.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from duly_compiled import place

_WITHIN_SECONDS = 900
_KEPT = 4
_BUILT_BY = "built-by"
_DIGEST = re.compile(r"[0-9a-f]{16}")
# A native class has slots anyway, and mypyc takes no other class in its place.
_SLOTTED, _NATIVE = "@dataclass(frozen=True, slots=True)", "@dataclass(frozen=True)"
_CONFIG = "[mypy]\nignore_missing_imports = True\nfollow_imports = silent\n"


class NotCompiled(RuntimeError):
    """Nothing here compiles the step, or what was made does not load."""

    code = "not_compiled"


def build(into: Path | None = None) -> tuple[Path, bool]:
    """The folder of the compiled modules, and whether they were made now. Raises NotCompiled."""
    target = place.folder(into)
    if importlib.util.find_spec("mypyc") is None:
        if target.is_dir():
            return target, False
        raise NotCompiled("mypy, which brings mypyc, is not installed")
    by = f"mypy {version('mypy')}"
    if target.is_dir():
        if (target / _BUILT_BY).read_text() == by:
            return target, False
        shutil.rmtree(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="build-") as scratch:
        work = Path(scratch)
        _copy(work)
        _compile(work)
        made = _gathered(work)
        (made / _BUILT_BY).write_text(by)
        _require_loads(made)
        try:
            made.replace(target)
        except OSError:  # another build was faster
            if not target.is_dir():
                raise
    _remove_older(target)
    return target, True


def _remove_older(newest: Path) -> None:
    """Every edit of the step leaves five megabytes: the newest few stay, for branches that are changed to and fro."""
    others = [folder for folder in newest.parent.iterdir() if folder.is_dir() and _DIGEST.fullmatch(folder.name)]
    for folder in sorted(others, key=lambda one: one.stat().st_mtime)[:-_KEPT]:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(work: Path) -> None:
    """The packages as they are installed, whole: what is not compiled says what types it has."""
    for package in {name.partition(".")[0] for name in place.sources()} | place.TYPES:
        shutil.copytree(place.folder_of(package), work / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in _files(work):
        text = file.read_text().replace(_SLOTTED, _NATIVE).replace("@dataclass(slots=True)", "@dataclass")
        file.write_text(text)
    (work / "mypy.ini").write_text(_CONFIG)


def _files(work: Path) -> list[Path]:
    return [work / f"{name.replace('.', '/')}.py" for name in place.sources()]


def _compile(work: Path) -> None:
    files = [str(file.relative_to(work)) for file in _files(work)]
    env = {
        "MYPYC_OPT_LEVEL": "3",
        **os.environ,
        **_compiler(),
        # A contracted multiply-add would change the last bit of a rate.
        "CFLAGS": "-ffp-contract=off",
        "ZIG_GLOBAL_CACHE_DIR": str(work),
        "ZIG_LOCAL_CACHE_DIR": str(work),
    }
    command = [sys.executable, "-m", "mypyc", "--config-file=mypy.ini", *files]
    try:
        run = subprocess.run(
            command, cwd=work, env=env, capture_output=True, text=True, timeout=_WITHIN_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotCompiled(str(error)) from error
    if run.returncode != 0:
        raise NotCompiled(_reason(run.stdout + run.stderr))


def _reason(said: str) -> str:
    """The first line that says what is wrong; a compiler's own failure comes last and says nothing."""
    if "Python.h" in said:
        return "Python's headers are missing: install them (Debian: python3-dev), or take another Python"
    return next((line.strip() for line in said.splitlines() if "error:" in line), "mypyc failed")


def _compiler() -> dict[str, str]:
    """What $CC is to be where nobody says: set-up installs the package only where no compiler of the machine works."""
    if os.environ.get("CC", "").strip() or not importlib.util.find_spec("ziglang"):
        return {}
    return {"CC": f"{sys.executable} -m ziglang cc -mcpu=baseline"}


def _gathered(work: Path) -> Path:
    """All libraries in one folder, named as the modules they are."""
    made = work / "made"
    made.mkdir()
    own = [file.with_suffix(place.SUFFIX) for file in _files(work)]
    for library in [*work.glob(f"*{place.SUFFIX}"), *own]:
        library.replace(made / ".".join(library.relative_to(work).parts))
    return made


def _require_loads(made: Path) -> None:
    """A process of its own: what does not load could take this one along."""
    names = list(place.sources())
    code = (
        "import sys; from pathlib import Path; from duly_compiled.use import CompiledFinder; "
        f"sys.meta_path.insert(0, CompiledFinder(Path({str(made)!r}))); import {', '.join(names)}; "
        f"sys.exit(' '.join(name for name in {names!r} if sys.modules[name].__file__.endswith('.py')) or None)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=_WITHIN_SECONDS, check=False
    )
    if run.returncode != 0:
        raise NotCompiled(f"what was made does not load: {(run.stderr.strip().splitlines() or ['no word why'])[-1]}")


def main(arguments: Sequence[str] = ()) -> int:
    """Exit code 0 also without; 1 with the argument --require."""
    try:
        folder, new = build()
    except (NotCompiled, OSError) as error:
        print(f"not compiled: the step runs as Python source, a third slower ({error}).", file=sys.stderr)
        print("once mended: python -m duly_compiled.build", file=sys.stderr)
        return int("--require" in arguments)
    print(f"step: {len(place.sources())} modules, {'compiled' if new else 'already there'} ({folder.name})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
