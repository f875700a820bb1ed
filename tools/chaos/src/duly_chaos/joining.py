"""F4: a second worker joins and leaves again and again while the log grows."""

from __future__ import annotations

import random
from collections.abc import Callable

from duly_testing.eventually import eventually

from duly_chaos.broker import Broker
from duly_chaos.campaign import parts_of
from duly_chaos.ledger_log import Ledger
from duly_chaos.worker import PATIENCE_SECONDS, Ended, Worker

# The shortest session a broker allows: a member that has gone is missed after so long.
SESSION = {"DULY_SCORING_SESSION_TIMEOUT_SECONDS": "6"}


def join_and_leave(
    broker: Broker,
    book: Ledger,
    make_worker: Callable[[str], Worker],
    times: int,
    seed: int,
    tell: Callable[[str], None] = lambda text: None,
) -> None:
    """One worker stays; another one comes, works, and is stopped or killed. All of the log is applied at the end."""
    rng = random.Random(seed)
    stays = make_worker("scoring-0")
    stays.start(env=SESSION)
    parts = list(parts_of(book, 2 * times + 1))
    broker.send(parts[0].records)
    stays.until_applied(parts[0].ends)
    for turn in range(times):
        comes = make_worker("scoring-1")
        comes.start(env=SESSION)
        broker.send(parts[2 * turn + 1].records)
        _shared(stays, comes)
        broker.send(parts[2 * turn + 2].records)
        how = rng.choice(["killed", "stopped"])
        if how == "killed":
            comes.kill()
        else:
            assert comes.stop() == 0, comes.last_words()
        stays.until_applied(parts[2 * turn + 2].ends)
        tell(f"{turn + 1} of {times}: joined, {how}, all {sum(parts[2 * turn + 2].ends.values())} records applied")
    assert stays.stop() == 0, stays.last_words()


def _shared(one: Worker, other: Worker) -> None:
    """Both have partitions, and no partition has two owners."""

    def shared() -> bool:
        for worker in (one, other):
            if worker.ended():
                raise Ended(f"exit {worker.wait(1)}: {worker.last_words()}")
        first, second = one.positions().keys(), other.positions().keys()
        return bool(first) and bool(second) and not first & second

    eventually(shared, PATIENCE_SECONDS)
