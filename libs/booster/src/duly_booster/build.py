"""`python -m duly_booster.build`: compile setwalk.c into this environment, once per source.

The library lies in the environment, not beside the source, which may be read-only or shared. Its name carries a hash of
the source, the flags and the platform: another source never loads it, and two builds at once write the same file.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from duly_booster import native

_HERE = Path(__file__).parent
SOURCES = (_HERE / "setwalk.c", _HERE / "setwalk.h")
# -O3 unrolls what has to stay in registers. Contracted multiply-adds would change the last bits of a margin.
FLAGS = ("-std=c99", "-O3", "-ffp-contract=off", "-fPIC", "-shared")
# zig compiles for the CPU it runs on unless told otherwise.
_ZIG_FLAGS = ("-mcpu=baseline",)
_WITHIN_SECONDS = 300


class NoCompiler(RuntimeError):
    """Nothing here compiles C."""

    code = "no_compiler"


@dataclass(frozen=True, slots=True)
class Compiler:
    """command: the words before the flags."""

    name: str
    command: tuple[str, ...]


def folder() -> Path:
    """Where libraries of this environment lie."""
    return Path(sys.prefix) / "lib" / "duly_booster"


def library_file(into: Path | None = None) -> Path:
    """The file that this source compiles to; it need not exist."""
    digest = hashlib.sha256("\0".join((*FLAGS, sysconfig.get_platform(), str(native.ABI))).encode())
    for source in SOURCES:
        digest.update(source.read_bytes())
    return (into or folder()) / f"setwalk-{digest.hexdigest()[:16]}.so"


def compilers(env: Mapping[str, str]) -> tuple[Compiler, ...]:
    """What may compile here, in the order to try: $CC, cc, gcc, clang, then zig if its package is installed."""
    found = [Compiler("$CC", tuple(shlex.split(env["CC"])))] if env.get("CC", "").strip() else []
    for name in ("cc", "gcc", "clang"):
        path = shutil.which(name, path=env.get("PATH"))
        if path:
            found.append(Compiler(name, (path,)))
    if importlib.util.find_spec("ziglang"):
        found.append(Compiler("zig", (sys.executable, "-m", "ziglang", "cc", *_ZIG_FLAGS)))
    return tuple(found)


def build(into: Path | None = None, candidates: Sequence[Compiler] | None = None) -> tuple[Path, str]:
    """The library, and what compiled it ("" if it was there). Raises NoCompiler with what each candidate said."""
    target = library_file(into)
    if _loads(target):
        return target, ""
    target.parent.mkdir(parents=True, exist_ok=True)
    said = []
    for compiler in compilers(os.environ) if candidates is None else candidates:
        problem = _compile(compiler, target)
        if problem is None:
            return target, compiler.name
        said.append(f"{compiler.name}: {problem}")
    raise NoCompiler("; ".join(said) or "no $CC, cc, gcc or clang, and the package ziglang is not installed")


def _compile(compiler: Compiler, target: Path) -> str | None:
    """None: `target` is there and loads. Else what went wrong."""
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="build-") as scratch:
        made = Path(scratch) / target.name
        # zig keeps its caches in the home folder; unless they are wanted somewhere they go with this build.
        env = {"ZIG_GLOBAL_CACHE_DIR": scratch, "ZIG_LOCAL_CACHE_DIR": scratch, **os.environ}
        command = [*compiler.command, *FLAGS, "-o", str(made), str(SOURCES[0]), "-lm"]
        try:
            run = subprocess.run(command, capture_output=True, text=True, timeout=_WITHIN_SECONDS, env=env, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return str(error)
        if run.returncode != 0:
            return (run.stderr.strip().splitlines() or [f"exit code {run.returncode}"])[-1]
        if not _loads(made):
            return "made a library that does not load here"
        made.replace(target)
    return None


def _loads(file: Path) -> bool:
    try:
        native.load(file)
    except native.LibraryUnusable:
        return False
    return True


def main(arguments: Sequence[str] = ()) -> int:
    """Exit code 0 also without a library, as everything works without; 1 with the argument --require."""
    try:
        file, by = build()
    except (NoCompiler, OSError) as error:
        what = "no compiler" if isinstance(error, NoCompiler) else f"cannot write to {folder()}"
        print(f"{what}: curves use predict, about 50 times slower ({error})", file=sys.stderr)
        return int("--require" in arguments)
    width = native.load(file).widest.name
    print(f"curves: {file.name}, {f'compiled by {by}' if by else 'already there'}, up to {width} on this CPU")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
