"""Kills what a supervising Python process started, when that process dies in any way, `kill -9` included.

Run as a script by `process.py`, one for each supervising process: `python -I warden.py TOKEN`. It reads lines from its
standard input, `+PID` for a process group leader that was started and `-PID` for one that was reaped, and answers
nothing. When the input ends, or when it has got another parent, its parent is dead; then it kills every registered
group, all descendants, and every process that carries `DULY_WARDEN=TOKEN` in its environment, and exits.

Why a process and not PR_SET_PDEATHSIG: that one is Linux only, is lost on a change of user, reaches no grandchildren,
fires when the *thread* that forked ends, and needs code between fork and exec, which deadlocks now and then in a
process with threads. The token closes the gap between the start of a child and its registration, and finds
grandchildren that left their group. The kill is SIGKILL at once: whoever kills the supervisor with -9 asks for a crash,
and all stores here are crash-safe.

This file imports nothing of the package: it must run by path with isolated imports, also while the package is being
replaced.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys

PARENT_CHECK_SECONDS = 0.25
SWEEPS_MAX = 10


def main(token: str) -> None:
    """Wait for the parent's death, then kill its children."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    registered = _registered_until_parent_dies(os.getppid())
    for _ in range(SWEEPS_MAX):
        if not _kill_all(registered, token):
            return
        registered = set()


def _registered_until_parent_dies(parent: int) -> set[int]:
    registered: set[int] = set()
    rest = b""
    while os.getppid() == parent:
        if not select.select([0], [], [], PARENT_CHECK_SECONDS)[0]:
            continue
        chunk = os.read(0, 4096)
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            (registered.add if line[:1] == b"+" else registered.discard)(int(line[1:]))
    return registered


def _kill_all(registered: set[int], token: str) -> int:
    """One sweep; the number of processes that were still there."""
    import psutil  # late: it is needed once at the end of a long life

    victims: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid in registered or process.environ().get("DULY_WARDEN") == token:
                victims[process.pid] = process
    for process in list(victims.values()):
        with contextlib.suppress(psutil.Error, OSError):
            victims.update({child.pid: child for child in process.children(recursive=True)})
    victims.pop(os.getpid(), None)
    for pid in registered:
        with contextlib.suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
    for process in victims.values():
        with contextlib.suppress(psutil.Error, OSError):
            process.kill()
    _, alive = psutil.wait_procs(list(victims.values()), timeout=2)
    return len(alive)


if __name__ == "__main__":
    main(sys.argv[1])
