"""Order of steps, the lock between two stacks, and what a state folder keeps."""

from __future__ import annotations

import io
import os
import re
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from duly_cli.errors import CommandFailed, Interrupted
from duly_cli.folders import RUNS_KEPT, StateFolder, announce, is_locked, only_stack, running_stack, stop_running
from duly_cli.ledgers import LedgerChoice
from duly_cli.ports import Ports
from duly_cli.session import Session
from duly_cli.stack.local import STOP_ORDER, LocalStack
from duly_cli.stack.services import SERVICES, service_env
from duly_cli.stack.startup import Startup
from duly_cli.steps import Step, StepOrderInvalid, check_order, run_steps
from duly_cli.terminal import Terminal, ending
from duly_runtime.clock import SystemClock
from rich.console import Console

NOW = datetime(2026, 3, 4, 10, 0, 0, tzinfo=UTC)


@pytest.fixture
def terminal():
    return Terminal(Console(file=io.StringIO(), width=200))


@pytest.fixture
def state(tmp_path):
    folder = StateFolder(tmp_path / "state")
    folder.make()
    return folder


@pytest.fixture
def stack(state):
    run = state.new_run(NOW)
    with LocalStack(state, run, Ports(28000)) as stack:
        stack.credentials.make(NOW, "demo")
        yield stack


def test_the_steps_of_a_demo_stand_behind_what_they_need(stack):
    steps = Startup(stack, LedgerChoice()).steps()
    check_order(steps)
    names = [step.name for step in steps]
    assert names.index("promote") < names.index("scoring")
    assert {service.name for service in SERVICES} <= set(names)


def test_without_a_ledger_nothing_is_trained(stack):
    names = {step.name for step in Startup(stack).steps()}
    assert not {"ledger", "model", "promote"} & names
    check_order(Startup(stack).steps())


@pytest.mark.parametrize("after", [("b",), ("missing",)])
def test_a_step_before_what_it_needs_is_refused(after):
    with pytest.raises(StepOrderInvalid):
        check_order([Step("a", "", str, after), Step("b", "", str)])


def test_independent_steps_run_side_by_side_and_dependent_ones_in_order(terminal):
    together = threading.Barrier(2, timeout=10)
    order = []

    def meet(line):
        together.wait()
        return ""

    def note(line):
        order.append("last")
        return ""

    steps = [Step("a", "A", meet), Step("b", "B", meet), Step("c", "C", note, ("a", "b"))]
    assert set(run_steps(steps, terminal, SystemClock())) == {"a", "b", "c"}
    assert order == ["last"]


def test_the_first_failing_step_is_raised_and_nothing_after_it_runs(terminal):
    ran = []

    def fail(line):
        raise CommandFailed("no disk")

    steps = [Step("a", "A", fail), Step("b", "B", lambda line: ran.append("b") or "", ("a",))]
    with pytest.raises(CommandFailed, match="no disk"):
        run_steps(steps, terminal, SystemClock())
    assert ran == []


def test_plain_lines_are_numbered_and_say_what_came_of_a_step(terminal):
    run_steps([Step("a", "Count [sheep]", lambda line: "12")], terminal, SystemClock())
    assert terminal.console.file.getvalue().startswith("[ 1/1] Count [sheep]: 12 (")


def test_two_stacks_do_not_share_a_state_folder(state):
    with only_stack(state):
        assert is_locked(state)
        with pytest.raises(CommandFailed, match="already runs"), only_stack(state):
            pass
    assert not is_locked(state)


def test_a_running_stack_is_found_only_while_it_holds_the_lock(state):
    run = state.new_run(NOW)
    with only_stack(state):
        announce(state, run, 28000)
        found = running_stack(state)
        assert found is not None
        assert (found.run.name, found.base_port) == (run.name, 28000)
    assert running_stack(state) is None
    assert stop_running(state) == "Nothing runs."


def test_two_runs_of_the_same_second_get_folders_of_their_own(state):
    assert state.new_run(NOW).name != state.new_run(NOW).name


def test_only_the_newest_runs_are_kept(state):
    names = [state.new_run(NOW + timedelta(seconds=second)).name for second in range(RUNS_KEPT + 3)]
    assert sorted(path.name for path in (state.root / "runs").iterdir()) == names[-RUNS_KEPT:]


def test_the_end_of_a_run_says_what_it_left_and_how_to_be_rid_of_it(state, terminal):
    with Session(state, Ports(28000), terminal).stack() as stack:
        (stack.run.root / "data").write_bytes(b"x" * 3_000_000)
        with (stack.run.root / "index").open("wb") as holes:
            holes.truncate(90_000_000)
    said = " ".join(terminal.console.file.getvalue().split())
    (megabytes,) = re.findall(rf"stays in {re.escape(str(stack.run.root))}: (\d+) MB\.", said)
    assert 0 < int(megabytes) < 90
    assert f"`duly purge --state {state.root}`" in said


def test_a_folder_that_is_not_ours_is_not_purged(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(CommandFailed, match="left alone"):
        StateFolder(tmp_path).purge()
    assert (tmp_path / "thesis.txt").exists()


def test_purge_removes_all_and_is_harmless_twice(state):
    state.purge()
    state.purge()
    assert not state.root.exists()


def test_everything_that_runs_has_its_place_in_the_order_of_stopping():
    named = [name for names in STOP_ORDER for name in names]
    assert len(named) == len(set(named))
    assert {service.name for service in SERVICES} <= set(named)


def test_each_service_gets_its_own_database_role_and_simulated_time(stack):
    envs = {service.name: service_env(stack, service) for service in SERVICES}
    urls = {env["DATABASE_URL"] for name, env in envs.items() if name != "scoring"}
    assert len(urls) == 4
    assert {env["DULY_TIME"] for env in envs.values()} == {"simulated"}
    assert not any(stack.credentials.token("outreach") in value for env in envs.values() for value in env.values())


@pytest.mark.parametrize(("fault", "word"), [(Interrupted("SIGINT"), "stopped"), (ValueError("x"), "FAILED")])
def test_a_step_that_a_person_ends_has_not_failed(fault, word, capsys):
    line = Terminal().line("Play")
    with pytest.raises(type(fault)), ending(line):
        raise fault
    assert capsys.readouterr().out == f"Play: {word}\n"


@pytest.mark.parametrize("state", ["", "elsewhere"])
def test_purge_removes_the_state_that_is_used_and_no_other(state, tmp_path):
    duly = tmp_path / ".venv" / "bin" / "duly"
    duly.parent.mkdir(parents=True)
    duly.write_text('#!/bin/sh\necho "$1 ${DULY_STATE:-.duly}" >> asked\n')
    duly.chmod(0o755)
    (tmp_path / ".duly").mkdir()
    makefile = Path(__file__).parents[3] / "Makefile"
    environment = {"PATH": os.environ["PATH"], **({"DULY_STATE": state} if state else {})}
    subprocess.run(["make", "-s", "-f", str(makefile), "purge"], cwd=tmp_path, env=environment, check=True)
    assert (tmp_path / ".duly").exists() == bool(state)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == ([f"down {state}", f"purge {state}"] if state else ["down .duly"])
