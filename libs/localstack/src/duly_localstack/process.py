"""The one way in which a process is started here: own session, output to a file, and dead when this Python process is
dead.

Used by the servers and by the supervisor. See `warden.py` for how death is passed on.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from duly_localstack.errors import StackError, last_lines
from duly_localstack.ports import require_own_ports

LOG_BYTES_MAX = 64 * 1024 * 1024
KILL_WAIT_SECONDS = 5.0
READY_POLL_SECONDS = 0.03


def spawn(
    argv: Sequence[str], *, log_file: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> subprocess.Popen[bytes]:
    """Start `argv` as leader of a session and process group of its own, stdout and stderr appended to `log_file`.

    `env` is added to this process's environment. Safe to call from any thread. A log beyond 64 MiB becomes `<log>.1`
    first.
    """
    with _lock:
        warden = _living_warden()
        full_env = {**os.environ, **(env or {}), "DULY_WARDEN": warden.token}
        try:
            log_file.parent.mkdir(parents=True, exist_ok=True)
            _rotate(log_file)
            with log_file.open("ab") as log:
                child = subprocess.Popen(
                    list(argv),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=full_env,
                    cwd=cwd,
                    start_new_session=True,
                )
        except OSError as error:
            raise StackError(f"Cannot start {argv[0]}: {error.strerror or error}. Log file: {log_file}.") from error
        warden.tell(f"+{child.pid}")
        return child


def bytecode_cache(folder: Path) -> dict[str, str]:
    """Environment for a Python child that keeps compiled bytecode in `folder`: halves its start where packages were
    installed without.
    """
    return {"PYTHONPYCACHEPREFIX": str(folder), "PYTHONDONTWRITEBYTECODE": ""}


def wait_until_ready(
    name: str,
    child: subprocess.Popen[bytes],
    is_ready: Callable[[], bool],
    log_file: Path,
    *,
    within_seconds: float,
    ports: Mapping[str, int],
) -> None:
    """Poll until `is_ready()`, answered by the process itself. Raises StackError if another one listens on one of its
    ports; with the last log lines if the process ends before, or at the deadline.

    ports: name -> number, on which it listens when it is ready.
    """
    deadline = time.monotonic() + within_seconds
    while True:
        answers = is_ready()
        code = child.poll()
        if answers or code is not None:
            require_own_ports(ports, lambda: listened_ports(child.pid))
        if code is not None:
            how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
            raise StackError(
                f"{name} ended at its start ({how}). Log: {log_file}. Its last lines:\n{last_lines(log_file)}"
            )
        if answers:
            return
        if time.monotonic() > deadline:
            raise StackError(
                f"{name} gave no answer within {within_seconds:.0f} s. Is the machine very busy? "
                f"Log: {log_file}. Its last lines:\n{last_lines(log_file)}"
            )
        time.sleep(READY_POLL_SECONDS)


def end(child: subprocess.Popen[bytes], *, stop_signal: int = signal.SIGTERM, grace_seconds: float = 10.0) -> int:
    """Stop a process of `spawn` and everything below it; the exit code. After the grace the whole tree gets SIGKILL."""
    tree = descendants(child.pid)
    if child.poll() is None:
        with contextlib.suppress(OSError):
            os.kill(child.pid, signal.SIGCONT)
            os.kill(child.pid, stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(grace_seconds)
    return bury(child, tree)


def bury(child: subprocess.Popen[bytes], tree: Sequence[psutil.Process] = ()) -> int:
    """Kill whatever is left of an ended (or hung) process's group and tree, reap it, and tell the warden. The exit
    code.
    """
    leftovers = [*tree, *descendants(child.pid)]
    with contextlib.suppress(OSError):  # the group outlives its leader; no group: nothing left
        os.killpg(child.pid, signal.SIGKILL)
    for process in leftovers:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(leftovers, timeout=KILL_WAIT_SECONDS)
    code = child.wait()
    with _lock:
        if _warden is not None and _warden.owner == os.getpid():
            _warden.tell(f"-{child.pid}")
    return code


def descendants(pid: int) -> list[psutil.Process]:
    """All living processes below `pid`."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        return []


def listened_ports(pid: int) -> set[int]:
    """TCP ports on which `pid` and all living processes below it listen."""
    found: set[int] = set()
    with contextlib.suppress(psutil.Error):
        for process in (psutil.Process(pid), *descendants(pid)):
            with contextlib.suppress(psutil.Error):  # it has ended
                connections = process.net_connections("tcp")
                found |= {one.laddr.port for one in connections if one.laddr and one.status == psutil.CONN_LISTEN}
    return found


class _Warden:
    """This process's side of `warden.py`. Knows what is alive, so that a killed warden can be replaced."""

    def __init__(self, token: str, alive: set[int]) -> None:
        self.token = token
        self.owner = os.getpid()
        self.alive = alive
        script = Path(__file__).with_name("warden.py")
        self._process = subprocess.Popen(
            [sys.executable, "-I", str(script), token],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        atexit.register(self.dismiss)
        for pid in sorted(alive):
            self._write(f"+{pid}")

    def tell(self, line: str) -> None:
        (self.alive.add if line[0] == "+" else self.alive.discard)(int(line[1:]))
        self._write(line)

    def dismiss(self) -> None:
        """Close our end: a living warden now kills what is left of our children, and ends. Runs at our exit too."""
        atexit.unregister(self.dismiss)
        if self.owner != os.getpid():
            return
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(KILL_WAIT_SECONDS)

    def is_living(self) -> bool:
        return self.owner == os.getpid() and self._process.poll() is None

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(OSError, ValueError):  # dead: its successor is told everything
            os.write(self._process.stdin.fileno(), f"{line}\n".encode())


_lock = threading.RLock()
_warden: _Warden | None = None


def _living_warden() -> _Warden:
    """The warden of this process; a new one if there is none, it was killed, or this process is a fork of its owner."""
    global _warden
    if _warden is None or _warden.owner != os.getpid():
        _warden = _Warden(secrets.token_hex(8), set())
    elif not _warden.is_living():
        _warden.dismiss()
        _warden = _Warden(_warden.token, _warden.alive)
    return _warden


def _rotate(log_file: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        if log_file.stat().st_size > LOG_BYTES_MAX:
            log_file.replace(log_file.with_name(log_file.name + ".1"))
