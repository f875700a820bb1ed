"""A delivery into the mirror and the outbox, in the one transaction that `store` stands for.

Safe to repeat at every level: the consumer's inbox knows the delivery, `claim` knows the event, and the ledger knows
the version. With the first two emptied, a full replay still changes nothing and emits nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from duly_contracts.envelope import Envelope
from duly_contracts.events import event_of
from duly_contracts.ids import derived_id
from duly_contracts.keys import debtor_key

from duly.ledger.v1 import events_pb2 as pb
from ledger_sync.application.account import Account, Outgoing
from ledger_sync.application.delivery import Delivery, Fault, MappedFact, Rejection
from ledger_sync.application.map_delivery import map_delivery
from ledger_sync.application.ports import RecordingStore
from ledger_sync.domain.facts import FactKey

ID_REUSED = "id_reused"
THING_OF_OTHER_DEBTOR = "thing_of_other_debtor"


@dataclass(frozen=True, slots=True)
class Recorded:
    """Counts of one delivery. put_aside: rejected events by reason code. stale: ids of facts that came too late."""

    events: int
    emitted: int
    put_aside: Counter[str]
    stale: Sequence[str]


def record_delivery(delivery: Delivery, store: RecordingStore, traceparent: str = "") -> Recorded:
    """Map a delivery and record what it holds. traceparent: the span this runs in, for the events that leave."""
    mapped = map_delivery(delivery)
    rejections = [result for result in mapped if isinstance(result, Rejection)]
    claims = store.claim(delivery.tenant, [result for result in mapped if isinstance(result, MappedFact)])
    rejections += [_rejection(fact, ID_REUSED, "this id came before with other content") for fact in claims.reused]
    owned, foreign = _by_owner(claims.fresh, store.owners(delivery.tenant, claims.fresh))
    rejections += [
        _rejection(fact, THING_OF_OTHER_DEBTOR, f"{fact.fact.thing.aspect} {fact.fact.thing_id} is another debtor's")
        for fact in foreign
    ]
    accounts = _apply(delivery.tenant, owned, store)
    for account in accounts:
        rejections += [_rejection(*refused) for refused in account.refused]
    emitted = _emit(delivery, accounts, store, traceparent)
    if rejections:
        store.quarantine(delivery.tenant, delivery.delivery_id, delivery.key, delivery.received_at, rejections)
    stale = [fact.fact_id for account in accounts for fact in account.stale]
    return Recorded(len(mapped), emitted, Counter(rejection.code for rejection in rejections), stale)


def _by_owner(facts: Sequence[MappedFact], owners: Mapping[FactKey, str]) -> tuple[list[MappedFact], list[MappedFact]]:
    """Facts whose thing is their debtor's (or nobody's yet), and those of another's."""
    owned: list[MappedFact] = []
    foreign: list[MappedFact] = []
    for mapped in facts:
        is_own = owners.get(mapped.fact.thing, mapped.debtor_id) == mapped.debtor_id
        (owned if is_own else foreign).append(mapped)
    return owned, foreign


def _apply(tenant: str, facts: Iterable[MappedFact], store: RecordingStore) -> list[Account]:
    by_debtor: dict[str, list[MappedFact]] = {}
    for mapped in facts:
        by_debtor.setdefault(mapped.debtor_id, []).append(mapped)
    if not by_debtor:
        return []
    accounts = [Account(stored) for stored in store.lock_accounts(tenant, sorted(by_debtor))]
    changes = []
    for account in accounts:
        for mapped in by_debtor[account.debtor_id]:
            account.record(mapped)
        changes.append(account.close())
    store.save(tenant, changes)
    return accounts


def _emit(delivery: Delivery, accounts: list[Account], store: RecordingStore, traceparent: str) -> int:
    outgoing = [(account, item) for account in accounts for item in account.outgoing]
    if not outgoing:
        return 0
    today = store.business_date(delivery.tenant)
    for account, item in outgoing:
        if isinstance(item.message, pb.LedgerDriftDetected | pb.LedgerDriftCleared):
            item.message.as_of = (today or item.cause.time.date()).isoformat()
        key = debtor_key(delivery.tenant, account.debtor_id)
        store.emit(item.message, key, envelope_of(item, delivery.tenant, key, today, traceparent))
    return len(outgoing)


def envelope_of(item: Outgoing, tenant: str, key: bytes, today: date | None, traceparent: str) -> Envelope:
    """The envelope of an outgoing event: a source's fact keeps its source and time, a word of ours names the fact."""
    fact, event_type = item.cause, event_of(item.message).type
    return Envelope(
        id=derived_id(fact.fact_id, event_type, key) if item.derived else fact.fact_id,
        type=event_type,
        source=f"/tenants/{tenant}/services/ledger-sync" if item.derived else fact.source,
        subject=fact.debtor_id,
        time=fact.time,
        tenant=tenant,
        business_date=today,
        source_version="" if item.derived else fact.fact.version,
        ingested_at=fact.ingested_at,
        correlation_id=fact.cause_id,
        causation_id=fact.fact_id if item.derived else fact.cause_id,
        traceparent=traceparent or fact.traceparent,
        backfill=fact.backfill,
    )


def _rejection(mapped: MappedFact, code: str, text: str) -> Rejection:
    return Rejection(
        mapped.position, mapped.event_id, mapped.event_type, Fault.INVALID, code, text, mapped.debtor_id, mapped.content
    )
