from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from duly_localstack.errors import StackError
from duly_localstack.ports import free_port
from duly_localstack.supervisor import ChildEvent, ChildSpec, EventKind, RestartPolicy, Supervisor

SLEEPER = "import time; print('up', flush=True); time.sleep(600)"
# A child with a grandchild in its group and one that left for a session of its own; prints all three process numbers.
FAMILY = """
import os, subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
near, far = subprocess.Popen(sleep), subprocess.Popen(sleep, start_new_session=True)
print(os.getpid(), near.pid, far.pid, flush=True)
time.sleep(600)
"""


class FakeClock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class World:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.events: list[ChildEvent] = []
        self.supervisor = Supervisor(self.events.append, clock=self.clock, background=False)

    def spec(self, name: str, code: str = SLEEPER, **options: object) -> ChildSpec:
        argv = (sys.executable, "-c", textwrap.dedent(code))
        return ChildSpec(name, argv, self.folder / f"{name}.jsonl", **options)  # type: ignore[arg-type]

    def log(self, name: str) -> str:
        path = self.folder / f"{name}.jsonl"
        return path.read_text() if path.exists() else ""

    def kinds(self) -> list[EventKind]:
        return [event.kind for event in self.events]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.supervisor.stop_all()


Eventually = Callable[..., None]


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_child_runs_with_its_environment_and_writes_to_its_log(world: World, eventually: Eventually) -> None:
    code = "import os, sys; print(os.environ['COLOUR']); print('err', file=sys.stderr)"
    world.supervisor.start(world.spec("one", code, env={"COLOUR": "blue"}, restart=False))
    eventually(lambda: "blue" in world.log("one") and "err" in world.log("one"))


@pytest.mark.sockets
def test_an_answer_by_somebody_elses_server_is_no_readiness(world: World) -> None:
    """Two stacks that start at once: both found the port free, one has it."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for code in (SLEEPER, "raise SystemExit(1)"):
            with pytest.raises(StackError) as raised:
                world.supervisor.start(world.spec("one", code, is_ready=lambda: True, ports={"one http": port}))
            assert f"already in use on 127.0.0.1: {port} (one http)" in str(raised.value)
            assert "--base-port" in str(raised.value)
    assert world.supervisor.names() == []


@pytest.mark.sockets
def test_a_port_of_its_own_or_of_its_children_is_nobody_elses(world: World) -> None:
    port = free_port()
    code = f"""
    import socket, subprocess, sys, time
    listen = "import socket, time; s = socket.create_server(('127.0.0.1', {port})); print('up', flush=True)"
    subprocess.Popen([sys.executable, "-c", listen + "; time.sleep(600)"])
    time.sleep(600)
    """
    ready = lambda: "up" in world.log("one")  # noqa: E731
    world.supervisor.start(world.spec("one", code, is_ready=ready, ports={"one http": port}))
    assert world.supervisor.pid("one") is not None


def test_start_waits_until_the_child_is_ready(world: World) -> None:
    world.supervisor.start(world.spec("one", is_ready=lambda: "up" in world.log("one")))
    assert world.log("one") == "up\n"
    assert world.kinds() == [EventKind.STARTED, EventKind.READY]


def test_a_child_that_dies_before_it_is_ready_is_told_with_its_last_lines(world: World) -> None:
    with pytest.raises(StackError, match=r"one ended at its start \(exit code 3\)(.|\n)*no such table"):
        world.supervisor.start(world.spec("one", "print('no such table'); raise SystemExit(3)", is_ready=lambda: False))
    assert world.supervisor.names() == []


def test_a_child_that_never_answers_is_stopped_and_told(world: World) -> None:
    with pytest.raises(StackError, match="gave no answer within"):
        world.supervisor.start(world.spec("one", is_ready=lambda: False, ready_within_seconds=0.1))
    assert is_gone(world.events[0].pid)


def test_a_program_that_is_not_there_is_told(world: World) -> None:
    with pytest.raises(StackError, match="Cannot start /no/such/program"):
        world.supervisor.start(ChildSpec("one", ("/no/such/program",), world.folder / "one.jsonl"))


def test_a_killed_child_is_restarted_after_a_doubling_delay(world: World, eventually: Eventually) -> None:
    supervisor = world.supervisor
    supervisor.start(world.spec("one"))
    for delay in (0.2, 0.4, 0.8):
        pid = supervisor.pid("one")
        supervisor.kill("one", signal.SIGKILL)
        eventually(lambda: supervisor.pid("one") is None)
        supervisor.poll()
        assert world.events[-1] == ChildEvent("one", EventKind.EXITED, pid or 0, -9, delay)
        world.clock.now += delay - 0.01
        supervisor.poll()
        assert supervisor.pid("one") is None
        world.clock.now += 0.02
        supervisor.poll()
        assert supervisor.pid("one") not in (None, pid)
    assert supervisor.restarts("one") == 3


def test_the_background_thread_restarts_by_itself(tmp_path: Path, eventually: Eventually) -> None:
    world = World(tmp_path)
    with Supervisor(world.events.append, policy=RestartPolicy(delay_seconds_first=0.01)) as supervisor:
        supervisor.start(world.spec("one"))
        first = supervisor.pid("one")
        supervisor.kill("one")
        eventually(lambda: supervisor.pid("one") not in (None, first))


def test_a_crash_loop_ends_as_a_failure(world: World, eventually: Eventually) -> None:
    supervisor = Supervisor(
        world.events.append, policy=RestartPolicy(restarts_max=2), clock=world.clock, background=False
    )
    supervisor.start(world.spec("one", "raise SystemExit(1)"))

    def look() -> bool:
        world.clock.now += 1
        supervisor.poll()
        return supervisor.has_failed("one")

    eventually(look)
    assert supervisor.restarts("one") == 2
    assert world.events[-1].kind is EventKind.FAILED
    supervisor.start(world.spec("one"))  # a person mended it
    assert not supervisor.has_failed("one")
    supervisor.stop_all()


def test_old_restarts_are_forgiven(world: World, eventually: Eventually) -> None:
    supervisor = world.supervisor
    supervisor.start(world.spec("one"))
    for _ in range(12):
        supervisor.kill("one")
        eventually(lambda: supervisor.pid("one") is None)
        supervisor.poll()
        world.clock.now += 61
        supervisor.poll()
    assert supervisor.restarts("one") == 12
    assert not supervisor.has_failed("one")


def test_a_child_without_restart_stays_down(world: World, eventually: Eventually) -> None:
    world.supervisor.start(world.spec("one", "pass", restart=False))
    eventually(lambda: world.supervisor.poll() or world.supervisor.has_failed("one"))
    assert world.events[-1].exit_code == 0


def test_children_are_stopped_in_reverse_order(world: World) -> None:
    for name in ("one", "two", "three"):
        world.supervisor.start(world.spec(name))
    world.supervisor.stop_all()
    stopped = [event.name for event in world.events if event.kind is EventKind.STOPPED]
    assert stopped == ["three", "two", "one"]


def test_a_stop_lets_the_child_end_by_itself(world: World, eventually: Eventually) -> None:
    code = """
        import signal, sys, time
        def end(*_):
            print("bye", flush=True)
            sys.exit(7)
        signal.signal(signal.SIGTERM, end)
        print("up", flush=True)
        time.sleep(600)
    """
    world.supervisor.start(world.spec("one", code, is_ready=lambda: "up" in world.log("one")))
    world.supervisor.stop("one")
    assert "bye" in world.log("one")
    assert world.events[-1].exit_code == 7


def test_a_child_that_ignores_the_stop_signal_is_killed_after_the_grace(world: World) -> None:
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    spec = world.spec("one", code, is_ready=lambda: "up" in world.log("one"), stop_grace_seconds=0.1)
    world.supervisor.start(spec)
    world.supervisor.stop("one")
    assert world.events[-1].exit_code == -signal.SIGKILL


def test_a_frozen_child_can_be_stopped(world: World) -> None:
    world.supervisor.start(world.spec("one", is_ready=lambda: "up" in world.log("one")))
    world.supervisor.kill("one", signal.SIGSTOP)
    world.supervisor.stop("one")
    assert world.events[-1].exit_code == -signal.SIGTERM


def test_a_stop_leaves_no_grandchild(world: World) -> None:
    world.supervisor.start(world.spec("one", FAMILY, is_ready=lambda: world.log("one").count(" ") == 2))
    pids = [int(word) for word in world.log("one").split()]
    world.supervisor.stop("one")
    assert all(is_gone(pid) for pid in pids)


def test_a_name_is_used_once(world: World) -> None:
    world.supervisor.start(world.spec("one"))
    with pytest.raises(StackError, match="already supervised"):
        world.supervisor.start(world.spec("one"))


@pytest.mark.parametrize("how", ["kill -9", "end without stopping"])
def test_children_and_grandchildren_are_gone_when_the_supervising_process_is(
    how: str, tmp_path: Path, eventually: Eventually
) -> None:
    script = f"""
        import sys, os, time
        from pathlib import Path
        from duly_localstack.supervisor import ChildSpec, Supervisor
        supervisor = Supervisor()
        log = Path({str(tmp_path / "child.jsonl")!r})
        ready = lambda: log.exists() and log.read_text().count(" ") == 2
        supervisor.start(ChildSpec("child", (sys.executable, "-c", {FAMILY!r}), log, is_ready=ready))
        print("started", flush=True)
        {"time.sleep(600)" if how == "kill -9" else "os._exit(1)"}
    """
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    argv = [sys.executable, "-c", textwrap.dedent(script)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, env=here, start_new_session=True) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"started\n"
        pids = [int(word) for word in (tmp_path / "child.jsonl").read_text().split()]
        if how == "kill -9":
            assert not any(is_gone(pid) for pid in pids)
            parent.kill()
    eventually(lambda: all(is_gone(pid) for pid in pids), within_seconds=15)


def test_a_killed_warden_is_replaced_and_told_everything(tmp_path: Path, eventually: Eventually) -> None:
    script = f"""
        import psutil, sys, time
        from pathlib import Path
        from duly_localstack.process import spawn
        sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
        one = spawn(sleep, log_file=Path({str(tmp_path / "one")!r}))
        (warden,) = [child for child in psutil.Process().children() if "warden.py" in " ".join(child.cmdline())]
        warden.kill()
        warden.wait(10)
        two = spawn(sleep, log_file=Path({str(tmp_path / "two")!r}))
        print(one.pid, two.pid, flush=True)
        time.sleep(600)
    """
    here = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, env=here) as parent:
        assert parent.stdout is not None
        pids = [int(word) for word in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.kill()
    eventually(lambda: all(is_gone(pid) for pid in pids), within_seconds=15)
