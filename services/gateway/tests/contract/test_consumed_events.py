"""The gateway reads every event of its topics, or says why not."""

from __future__ import annotations

import pytest
from duly_contracts.events import EVENTS, decode, encode
from gateway.application.handlers import EVENT_HANDLERS
from gateway.entrypoints.consumer import TOPICS

NOT_NEEDED = {
    "risk.score_updated",  # the gate must not depend on a score: it may be stale, the gate may not
    "risk.segment_changed",  # nor on a segment
    "ledger.event_dismissed",  # its id alone matters: the consumer frees the debtor that waits for it
}


@pytest.mark.parametrize("event", [e for e in EVENTS if e.topic in TOPICS], ids=lambda event: event.name)
def test_an_event_of_our_topics_has_its_handler(event):
    assert (event.message in EVENT_HANDLERS) == (event.name not in NOT_NEEDED)
    assert isinstance(decode(event.type, encode(event.message())), event.message)
