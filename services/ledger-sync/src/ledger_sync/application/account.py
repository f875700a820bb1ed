"""One debtor while a delivery is recorded: the ledger, what is held, and the events that follow, in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from google.protobuf.message import Message

from duly.ledger.v1 import events_pb2 as pb
from ledger_sync.application.delivery import MappedFact
from ledger_sync.application.ports import AccountChange, HeldFact, StoredAccount
from ledger_sync.domain.facts import Fact, FactKey
from ledger_sync.domain.ledger import Effect, FactRejected, Ledger, release

# A debtor whose source sends nonsense must not make every later delivery slow.
HELD_MAX = 10_000
HELD_FULL = "held_full"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """An event to emit. cause: the fact behind it, whose business time it shares. derived: our own word on it."""

    message: Message
    cause: MappedFact
    derived: bool = False


class Account:
    """Applies mapped facts to one debtor's ledger. `close` gives what to write; `outgoing` what to emit.

    stale: facts that changed nothing, for one as new or newer stands.
    """

    def __init__(self, stored: StoredAccount) -> None:
        self.debtor_id = stored.debtor_id
        self.outgoing: list[Outgoing] = []
        self.refused: list[tuple[MappedFact, str, str]] = []
        self.stale: list[MappedFact] = []
        self._ledger = Ledger(stored.facts)
        self._known = stored.known
        self._degraded = stored.degraded
        self._stored_status = (stored.known, stored.degraded, bool(stored.held))
        self._stored_held: Mapping[str, HeldFact] = {held.mapped.fact_id: held for held in stored.held}
        self._held: dict[str, HeldFact] = dict(self._stored_held)
        self._changed: dict[FactKey, MappedFact] = {}
        self._last: MappedFact | None = None

    def record(self, mapped: MappedFact) -> None:
        """Apply a fact, or hold it until it fits, or refuse it for good."""
        self._last = mapped
        if mapped.fact_id in self._held:
            return
        try:
            effect = self._ledger.apply(mapped.fact)
        except FactRejected as rejection:
            self._hold(mapped, rejection)
        else:
            self._took(mapped, effect)

    def close(self) -> AccountChange:
        """Try what is held once more, say what is wrong or right again, and sum up. Call once, after the last fact."""
        if self._held:
            self._release()
        self._announce()
        released = [fact_id for fact_id in self._stored_held if fact_id not in self._held]
        held = [held for fact_id, held in self._held.items() if held != self._stored_held.get(fact_id)]
        status = (self._known, self._degraded, bool(self._held))
        changed = list(self._changed.values())
        return AccountChange(self.debtor_id, changed, held, released, *status, restated=status != self._stored_status)

    def _took(self, mapped: MappedFact, effect: Effect) -> None:
        if effect is Effect.STALE:
            self.stale.append(mapped)
            return
        self._known = True
        self._changed[mapped.fact.key] = mapped
        if effect is Effect.APPLIED:
            self.outgoing.append(Outgoing(mapped.message, mapped))

    def _hold(self, mapped: MappedFact, rejection: FactRejected) -> None:
        if not rejection.may_fit_later:
            self.refused.append((mapped, rejection.code, str(rejection)))
        elif len(self._held) >= HELD_MAX:
            self.refused.append((mapped, HELD_FULL, f"more than {HELD_MAX} facts of this debtor do not fit"))
        else:
            self._held[mapped.fact_id] = HeldFact(mapped, rejection.code, str(rejection), doubted=False)

    def _release(self) -> None:
        by_fact: dict[int, MappedFact] = {id(held.mapped.fact): held.mapped for held in self._held.values()}
        result = release(self._ledger, [held.mapped.fact for held in self._held.values()])
        for fact, effect in result.taken:
            mapped = by_fact[id(fact)]
            del self._held[mapped.fact_id]
            self._took(mapped, effect)
        for fact, rejection in result.left:
            self._keep_or_refuse(by_fact[id(fact)], fact, rejection)

    def _keep_or_refuse(self, mapped: MappedFact, fact: Fact, rejection: FactRejected) -> None:
        if rejection.may_fit_later:
            held = self._held[mapped.fact_id]
            self._held[mapped.fact_id] = replace(held, code=rejection.code, text=str(rejection))
        else:
            del self._held[mapped.fact_id]
            self.refused.append((mapped, rejection.code, str(rejection)))

    def _announce(self) -> None:
        """Drift for every impossible fact of a debtor others know (I13); the all-clear once nothing is in doubt."""
        for fact_id, held in self._held.items():
            if self._known and not held.doubted and not FactRejected(held.code, "").waits:
                self._doubt(fact_id, held)
        if self._degraded and self._last and not any(held.doubted for held in self._held.values()):
            self._degraded = False
            self.outgoing.append(Outgoing(pb.LedgerDriftCleared(debtor_id=self.debtor_id), self._last, derived=True))

    def _doubt(self, fact_id: str, held: HeldFact) -> None:
        self._held[fact_id] = replace(held, doubted=True)
        self._degraded = True
        message = pb.LedgerDriftDetected(debtor_id=self.debtor_id, reason=held.code, fact_id=fact_id)
        self.outgoing.append(Outgoing(message, held.mapped, derived=True))
