"""Recovery of the table by whole batches, not event by event through a queue. Private names of Faust 0.15.3."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from duly_runtime.logging import get_logger
from faust.tables.manager import TableManager
from faust.tables.recovery import Recovery
from mode import Service

_log = get_logger(f"{__package__}.recovery")  # the module's own name is Faust's here, and kept quiet


class BatchRecovery(Recovery):  # type: ignore[misc]  # Faust is untyped here
    """Faust decides where recovery begins and ends; the consumer hands it what it has fetched by `take`."""

    def take(self, tp: Any, records: Sequence[Any]) -> None:
        """Records of a changelog partition, in offset order. Those of partitions no longer held are dropped."""
        if tp in self.active_tps:
            offsets = self.active_offsets
        elif tp in self.standby_tps:
            offsets = self.standby_offsets
        else:
            return
        seen = offsets[tp]  # None before the first; Faust seeks to the newest that is known, so it comes again
        fresh = [record for record in records if seen is None or record.offset > seen]
        if fresh:
            self.app.changelog_records += len(fresh)
            self.tp_to_table[tp].apply_records(tp.partition, fresh)
            offsets[tp] = fresh[-1].offset
        if self.in_recovery and not self.need_recovery():
            _log.info("scoring.changelog_read", records=self.app.changelog_records)
            self._set_recovery_ended()
            self.signal_recovery_end.set()
        if not self.tables.standbys_ready and not self.standby_remaining_total():
            self.tables.on_standbys_ready()

    def _set_recovery_started(self) -> None:
        # Called right before the changelog is resumed: a signal of an interrupted recovery must not end this one.
        self.signal_recovery_end.clear()
        super()._set_recovery_started()

    @Service.task  # type: ignore[untyped-decorator]
    async def _slurp_changelogs(self) -> None:
        """Nothing comes through Faust's queue."""


class Tables(TableManager):  # type: ignore[misc]
    """The one table."""

    _recovery: BatchRecovery | None = None

    @property
    def recovery(self) -> BatchRecovery:
        if self._recovery is None:
            self._recovery = BatchRecovery(self.app, self, beacon=self.beacon, loop=self.loop)
        return self._recovery

    async def on_start(self) -> None:
        # Faust's own sleeps a second first, for tables that agents make; ours exists before the worker.
        await self._update_channels()
        await self.recovery.start()
