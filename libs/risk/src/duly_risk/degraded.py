"""The events that a debtor waits for, since nobody could use them: the newest by id, older ones by digest."""

from __future__ import annotations

from duly_risk.digests import digest, holds
from duly_risk.state import DebtorState

IDS_KEPT = 32
EARLIER_KEPT = 1024
_BYTES = 8
# Stands for all that were one too many. It is no event's digest, so only a full replay ends the waiting for them.
_COUNTLESS = bytes(_BYTES)


def waits_for(state: DebtorState, event_id: str) -> bool:
    """Whether this event could not be used, and has not come again."""
    if not state.degraded:
        return False
    return event_id in state.degraded_event_ids or holds(state.degraded_earlier, digest(event_id, _BYTES))


def waiting_for(state: DebtorState, event_id: str) -> DebtorState:
    """The state with one more event to wait for."""
    state = no_longer_waiting_for(state, event_id)
    ids, earlier = (*state.degraded_event_ids, event_id), state.degraded_earlier
    for pushed_out in ids[:-IDS_KEPT]:
        earlier += digest(pushed_out, _BYTES)
    if len(earlier) > EARLIER_KEPT * _BYTES:
        earlier = _COUNTLESS + earlier[-(EARLIER_KEPT - 1) * _BYTES :]
    return state._replace(degraded_event_ids=ids[-IDS_KEPT:], degraded_earlier=earlier)


def no_longer_waiting_for(state: DebtorState, event_id: str) -> DebtorState:
    """Whatever an event changes: once it can be used, nothing waits for it, also if it was applied before."""
    if not waits_for(state, event_id):
        return state
    this, earlier = digest(event_id, _BYTES), state.degraded_earlier
    digests = [earlier[at : at + _BYTES] for at in range(0, len(earlier), _BYTES)]
    return state._replace(
        degraded_event_ids=tuple(known for known in state.degraded_event_ids if known != event_id),
        degraded_earlier=b"".join(known for known in digests if known != this),
    )
