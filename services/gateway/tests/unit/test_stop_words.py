"""STOP in the ways people write it."""

from __future__ import annotations

import pytest
from gateway.domain.stop_words import means_stop


@pytest.mark.parametrize(
    "body",
    [
        "STOP", "stop.", "  Stop  ", "Unsubscribe", "END", "quit", "Cancel", "REVOKE", "opt out", "Opt-out please",
        "Stop please", "stop\n\n> To receive no more messages like this one, reply STOP.",
        "Please stop writing to me about this.", "Do not contact me again, ever, about anything.",
        "I want to unsubscribe from these reminders now.", "I revoke my consent to all of this with effect of today",
    ],
)  # fmt: skip
def test_a_stop_is_understood(body):
    assert means_stop(body)


@pytest.mark.parametrize(
    "body",
    [
        "", "I will pay by the end of the month.", "We had to cancel the order, please send a credit note for it.",
        "Thanks, paid today.\n> To receive no more messages like this one, reply STOP.", "It has not stopped yet",
        "Endpoint is reachable", "> STOP",
    ],
)  # fmt: skip
def test_other_answers_are_no_stop(body):
    assert not means_stop(body)
