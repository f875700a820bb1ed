"""Where things lie: the state folder, one fresh folder per run, the lock that keeps two stacks apart."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from duly_runtime.clock import SystemClock

from duly_cli.errors import CommandFailed

STATE_VARIABLE = "DULY_STATE"
RUNS_KEPT = 4  # of about half a gigabyte each: to compare with the run before, and to look at starts that failed
STOP_WITHIN_SECONDS = 60.0
_MARK = ".duly-state"


@dataclass(frozen=True, slots=True)
class StateFolder:
    """`.duly/`: jars, MLflow, back-tests' fits and reference summaries are kept; each run has a folder of its own."""

    root: Path

    @property
    def jars(self) -> Path:
        return self.root / "jars" / "kafka-4.3.0"

    @property
    def mlflow(self) -> Path:
        return self.root / "mlflow"

    @property
    def references(self) -> Path:
        return self.root / "references"

    @property
    def backtests(self) -> Path:
        return self.root / "backtests"

    @property
    def summary(self) -> Path:
        return self.root / "summary.json"

    @property
    def lock_file(self) -> Path:
        return self.root / "lock"

    @property
    def stack_file(self) -> Path:
        return self.root / "stack.json"

    def make(self) -> None:
        """Make it, private to its owner, with the mark that `purge` asks for."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            (self.root / _MARK).touch()
            for folder in (self.references, self.root / "runs"):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CommandFailed(
                f"The state folder {self.root} cannot be used: {error.strerror or error}. "
                f"Mend its rights or choose another one with {STATE_VARIABLE}."
            ) from error

    def new_run(self, started: datetime) -> RunFolder:
        """A fresh run folder; the oldest beyond the newest `RUNS_KEPT` are removed."""
        runs = self.root / "runs"
        for old in sorted(path for path in runs.iterdir() if path.is_dir())[: -(RUNS_KEPT - 1)]:
            shutil.rmtree(old, ignore_errors=True)
        name = started.strftime("%Y%m%d-%H%M%S")
        for ordinal in range(100):
            run = RunFolder(runs / (name if ordinal == 0 else f"{name}-{ordinal}"))
            if not run.root.exists():
                run.make()
                return run
        raise CommandFailed(f"Too many runs began in the same second below {runs}.")

    def purge(self) -> None:
        """Remove everything. Refuses a folder that this command did not make."""
        if not self.root.exists():
            return
        if not (self.root / _MARK).exists() and not (self.root / "jars").is_dir():
            raise CommandFailed(f"{self.root} does not look like a state folder of Duly, so it is left alone.")
        shutil.rmtree(self.root)


@dataclass(frozen=True, slots=True)
class RunFolder:
    """`.duly/runs/<run>/`: data of the servers, logs, e-mails, credentials and the summary of one run."""

    root: Path

    @property
    def name(self) -> str:
        return self.root.name

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def credentials(self) -> Path:
        return self.root / "credentials"

    @property
    def maildir(self) -> Path:
        return self.root / "mails"

    @property
    def summary(self) -> Path:
        return self.root / "summary.json"

    @property
    def played(self) -> Path:
        return self.root / "played"

    def size_bytes(self) -> int:
        """What it takes of the disk: Kafka's index files have holes, so not the sum of lengths."""
        total = 0
        with suppress(OSError):  # what did not stop in time may still take files away
            for path in self.root.rglob("*"):
                total += path.lstat().st_blocks * 512
        return total

    def make(self) -> None:
        for folder in (self.root, self.logs):
            folder.mkdir(parents=True)
        self.credentials.mkdir(mode=0o700)

    def log_of(self, name: str) -> Path:
        return self.logs / f"{name}.jsonl"


@contextmanager
def only_stack(state: StateFolder) -> Iterator[None]:
    """Hold the lock of the state folder. Raises CommandFailed if another stack runs there. Freed by any death."""
    with state.lock_file.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CommandFailed(
                f"Another stack already runs on {state.root}{_whose(state)}: stop it with `duly down`, "
                f"or set {STATE_VARIABLE} to another folder."
            ) from None
        try:
            yield
        finally:
            state.stack_file.unlink(missing_ok=True)


def announce(state: StateFolder, run: RunFolder, base_port: int) -> None:
    """Let `duly token`, `status` and `down` find the running stack."""
    text = json.dumps({"pid": os.getpid(), "run": str(run.root.absolute()), "base_port": base_port}, indent=1)
    part = state.stack_file.with_suffix(".part")
    part.write_text(text + "\n", "utf-8")
    part.replace(state.stack_file)


@dataclass(frozen=True, slots=True)
class RunningStack:
    """What `announce` wrote, of a stack that holds the lock now."""

    pid: int
    run: RunFolder
    base_port: int


def running_stack(state: StateFolder) -> RunningStack | None:
    """The stack that holds the lock, None if nothing runs."""
    if not is_locked(state):
        return None
    with suppress(OSError, ValueError, KeyError):
        document = json.loads(state.stack_file.read_text("utf-8"))
        return RunningStack(int(document["pid"]), RunFolder(Path(document["run"])), int(document["base_port"]))
    return None


def is_locked(state: StateFolder) -> bool:
    """Whether somebody holds the lock."""
    try:
        with state.lock_file.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False
    except BlockingIOError:
        return True
    except OSError:
        return False


def stop_running(state: StateFolder, within_seconds: float = STOP_WITHIN_SECONDS) -> str:
    """Ask the running stack to stop and wait; by force at the end (its warden kills what it started). What was done."""
    if not is_locked(state):
        return "Nothing runs."
    stack = running_stack(state)
    if stack is None:
        raise CommandFailed(
            f"A stack that is just starting or stopping holds {state.lock_file}: try again in a moment."
        )
    clock, pause = SystemClock(), threading.Event()
    for number, patience in ((signal.SIGTERM, within_seconds), (signal.SIGKILL, 10.0)):
        with suppress(ProcessLookupError):
            os.kill(stack.pid, number)
        deadline = clock.monotonic() + patience
        while clock.monotonic() < deadline:
            if not is_locked(state):
                how = "stopped" if number == signal.SIGTERM else "killed, as it did not stop"
                return f"The stack of run {stack.run.name} (process {stack.pid}) is {how}."
            pause.wait(0.1)
    raise CommandFailed(f"Process {stack.pid} does not end. Look at it with `ps -p {stack.pid}`.")


def _whose(state: StateFolder) -> str:
    with suppress(OSError, ValueError, KeyError):
        return f" (process {json.loads(state.stack_file.read_text('utf-8'))['pid']})"
    return ""
