"""The worker with faults built in: `python -m duly_chaos.faulty FAULT...`. Nothing of it is reachable from settings.

kill:POINT:N          SIGKILL at the N-th time that POINT comes, see POINTS
fold-raises:EVENT_ID  the fold cannot bear that event
unknown-enum:NUMBER   an older version, to which that write-off reason is unknown
stall:PARTITION       records of that partition are never handed on
watch:SECONDS         the watchdog's limit for partitions
patience:SECONDS      the watchdog's limit for a recovery
zombie:SECONDS        the gap after which it takes itself for frozen
hold-recovery:FILE    recovery does not go on before FILE exists
slow-recovery:SECONDS every fetch of the changelog takes at least so long
far-recovery:RECORDS  the changelog seems to be so much longer than it is
send-timeout:SECONDS  how long a record may wait for the broker
slow-step:SECONDS     every batch takes at least so long
"""

# mypy: disable-error-code="attr-defined, assignment, method-assign, misc"
# Faults go where no seam is: names of other modules are put in their place, before anything runs.
from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiokafka
from duly_compiled.use import use_compiled

if __name__ == "__main__":  # as the worker itself does
    use_compiled()

from scoring import bootstrap

_OUTPUTS = ("risk-scores", "ledger-events-dlq")
# In the order of a batch. `-acked`: the broker has it, the worker has just been told. At a `send_batch` one point
# stands for the whole batch.
POINTS = ("output", "output-acked", "state", "state-acked", "commit", "committed")


class _Fuse:
    """Kills this process at the n-th pass of one point."""

    def __init__(self, point: str, passes: int) -> None:
        self._point = point
        self._left = passes
        self._lock = threading.Lock()  # commits run in the consumer's thread

    def passes(self, point: str) -> None:
        if point != self._point:
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                os.kill(os.getpid(), signal.SIGKILL)


def kill(point: str, passes: str) -> None:
    fuse = _Fuse(point, int(passes))
    producer, consumer = aiokafka.AIOKafkaProducer, aiokafka.AIOKafkaConsumer
    send, send_batch, commit = producer.send, producer.send_batch, consumer.commit

    async def fused_send(self: Any, topic: str, *args: Any, **kwargs: Any) -> Any:
        name = _point_of(topic)
        fuse.passes(name)
        acked = await send(self, topic, *args, **kwargs)
        acked.add_done_callback(lambda _: fuse.passes(f"{name}-acked"))
        return acked

    async def fused_send_batch(self: Any, batch: Any, topic: str, *args: Any, **kwargs: Any) -> Any:
        name = _point_of(topic)
        fuse.passes(name)
        acked = await send_batch(self, batch, topic, *args, **kwargs)
        acked.add_done_callback(lambda _: fuse.passes(f"{name}-acked"))
        return acked

    async def fused_commit(self: Any, *args: Any, **kwargs: Any) -> None:
        fuse.passes("commit")
        await commit(self, *args, **kwargs)
        fuse.passes("committed")

    producer.send, producer.send_batch, consumer.commit = fused_send, fused_send_batch, fused_commit


def _point_of(topic: str) -> str:
    return "output" if topic in _OUTPUTS else "state"


def fold_raises(event_id: str) -> None:
    from scoring.application import score_batch
    from scoring.application.decode_record import Usable

    decode_record = score_batch.decode_record

    def with_a_broken_id(record: Any) -> Any:
        found = decode_record(record)
        if isinstance(found, Usable) and found.event.event_id == event_id:
            # Half a character: the fold raises where it makes a digest of the id. `fold` itself may be compiled.
            return found._replace(event=found.event._replace(event_id="\ud800"))
        return found

    score_batch.decode_record = with_a_broken_id


def unknown_enum(number: str) -> None:
    from duly_contracts import events
    from duly_risk import ledger_record

    decode = ledger_record.decode

    def older(ce_type: str, value: bytes) -> Any:
        message = decode(ce_type, value)
        if getattr(message, "reason", None) == int(number):
            raise events.EventUndecodable(f"reason: enum value {number} is not known to this version")
        return message

    ledger_record.decode = older


def stall(partition: str) -> None:
    from scoring.adapters import faust_consumer

    consumer = faust_consumer.SourceConsumer
    getmany = consumer._getmany

    async def deaf(self: Any, active_partitions: Any, timeout: float) -> Any:
        stalled = {tp for tp in active_partitions if (tp.topic, tp.partition) == ("ledger-events", int(partition))}
        return await getmany(self, set(active_partitions) - stalled, timeout)

    consumer._getmany = deaf


def watch(seconds: str) -> None:
    from scoring.adapters import guards
    from scoring.domain.stall_detector import StallDetector

    guards.StallDetector = lambda: StallDetector(float(seconds))
    guards._WATCH_EVERY_SECONDS = 0.5


def patience(seconds: str) -> None:
    from scoring.adapters import guards
    from scoring.domain.stall_detector import RecoveryDetector

    guards.RecoveryDetector = lambda: RecoveryDetector(float(seconds))
    guards._WATCH_EVERY_SECONDS = 0.5


def zombie(seconds: str) -> None:
    from scoring.adapters import guards

    guards.ZOMBIE_GAP_SECONDS = float(seconds)


def hold_recovery(file: str) -> None:
    from scoring.adapters.faust_app import AckedTable

    apply = AckedTable.apply_records

    def held(self: Any, partition: int, records: Any) -> None:
        while not Path(file).exists():
            time.sleep(0.05)
        apply(self, partition, records)

    AckedTable.apply_records = held


def slow_recovery(seconds: str) -> None:
    from scoring.adapters.faust_app import AckedTable

    apply = AckedTable.apply_records

    def slow(self: Any, partition: int, records: Any) -> None:
        time.sleep(float(seconds))
        apply(self, partition, records)

    AckedTable.apply_records = slow


def far_recovery(records: str) -> None:
    from scoring.adapters.faust_recovery import BatchRecovery

    build = BatchRecovery._build_highwaters

    async def further(self: Any, consumer: Any, tps: Any, destination: Any, title: str) -> None:
        await build(self, consumer, tps, destination, title)
        destination.update({tp: int(records) for tp in tps})

    BatchRecovery._build_highwaters = further


def send_timeout(seconds: str) -> None:
    make = bootstrap.make_app

    def impatient(options: Any) -> Any:
        app = make(options)
        app.conf.producer_request_timeout = float(seconds)
        return app

    bootstrap.make_app = impatient


def slow_step(seconds: str) -> None:
    from scoring.entrypoints.scoring_step import ScoringStep

    portions = ScoringStep.portions

    def slow(self: Any, records: Any) -> Any:
        time.sleep(float(seconds))
        yield from portions(self, records)

    ScoringStep.portions = slow


FAULTS: dict[str, Callable[..., None]] = {
    "kill": kill,
    "fold-raises": fold_raises,
    "unknown-enum": unknown_enum,
    "stall": stall,
    "watch": watch,
    "patience": patience,
    "zombie": zombie,
    "hold-recovery": hold_recovery,
    "slow-recovery": slow_recovery,
    "far-recovery": far_recovery,
    "send-timeout": send_timeout,
    "slow-step": slow_step,
}

if __name__ == "__main__":
    for fault in sys.argv[1:]:
        name, *arguments = fault.split(":")
        FAULTS[name](*arguments)
    sys.exit(bootstrap.main(["run"]))
