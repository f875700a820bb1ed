"""insights must be able to tell every event that it is given."""

from __future__ import annotations

import pytest
from duly_contracts.events import EVENTS, decode, encode
from insights.domain.sentences import line_of
from insights.entrypoints.projector import TOPICS

WITHOUT_A_LINE = {
    "calendar.business_date_advanced",  # a day passing is no news
    "risk.score_updated",  # only when the band changes; the empty message changes nothing
    "risk.model_promoted",  # concerns no debtor
    "risk.model_rolled_back",
    "control.kill_switch_changed",
}


@pytest.mark.parametrize("event", [e for e in EVENTS if e.topic in TOPICS], ids=lambda event: event.name)
def test_an_event_becomes_one_sentence_or_is_known_to_have_none(event):
    message = event.message()
    for field in message.DESCRIPTOR.fields:
        if field.message_type is not None and field.message_type.name == "Money" and not field.is_repeated:
            getattr(message, field.name).currency = "USD"
    line = line_of(decode(event.type, encode(message)))
    assert (line is None) == (event.name in WITHOUT_A_LINE)
    if line is not None:
        assert line.text.endswith(".")
        assert line.text[0].isupper() or line.text[0].isdigit()
