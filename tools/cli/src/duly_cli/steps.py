"""A start-up as numbered steps. Each says what it needs; those that need nothing of each other run side by side."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from duly_runtime.clock import Clock

from duly_cli.terminal import Line, Terminal

AT_ONCE_MAX = 6


@dataclass(frozen=True, slots=True)
class Step:
    """run: does it, idempotently, and returns what came of it in a few words. after: names of steps it needs."""

    name: str
    title: str
    run: Callable[[Line], str]
    after: tuple[str, ...] = ()


class StepOrderInvalid(ValueError):
    """Steps that need each other, need one that is not there, or come before what they need."""

    code = "step_order_invalid"


def check_order(steps: Sequence[Step]) -> None:
    """Raises StepOrderInvalid unless each step stands behind all it needs: then the numbers are an order that works."""
    before: set[str] = set()
    for step in steps:
        missing = [name for name in step.after if name not in before]
        if missing:
            raise StepOrderInvalid(f"step {step.name} needs {', '.join(missing)} before it")
        if step.name in before:
            raise StepOrderInvalid(f"step {step.name} stands twice")
        before.add(step.name)


def run_steps(steps: Sequence[Step], terminal: Terminal, clock: Clock) -> Mapping[str, float]:
    """Run all; name -> seconds. The first failure is raised at once; what is busy then is left to the caller's stop.

    Called on the main thread: steps work in daemon threads, so that a signal always finds the main thread waiting.
    """
    check_order(steps)
    finished: queue.Queue[tuple[Step, Line, BaseException | None, str, float]] = queue.Queue()
    waiting, busy = list(steps), 0
    seconds: dict[str, float] = {}
    numbers = {step.name: index for index, step in enumerate(steps, start=1)}

    def work(step: Step, line: Line) -> None:
        began = clock.monotonic()
        try:
            result, fault = step.run(line), None
        except BaseException as error:  # handed to the main thread, which raises it
            result, fault = "", error
        finished.put((step, line, fault, result, clock.monotonic() - began))

    with terminal.steps():
        while waiting or busy:
            for step in [step for step in waiting if set(step.after) <= seconds.keys()][: AT_ONCE_MAX - busy]:
                waiting.remove(step)
                busy += 1
                line = terminal.line(f"[{numbers[step.name]:2d}/{len(steps)}] {step.title}")
                threading.Thread(target=work, args=(step, line), name=f"step {step.name}", daemon=True).start()
            step, line, fault, result, took = finished.get()
            busy -= 1
            if fault is not None:
                line.failed()
                raise fault
            line.done(result)
            seconds[step.name] = round(took, 3)
    return seconds
