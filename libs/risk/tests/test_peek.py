"""The position at the head of a blob is the one that decoding finds."""

from __future__ import annotations

import pytest
from duly_risk.codec import decode_state, encode_state
from duly_risk.facts import Position
from duly_risk.peek import applied_position
from duly_risk.state import DebtorState
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from duly.risk.v1 import state_pb2


@settings(deadline=None)
@given(st.integers(0, 2**31 - 1), st.integers(0, 2**63 - 1))
def test_the_head_tells_what_decoding_tells(partition: int, offset: int) -> None:
    state = DebtorState()._replace(applied=Position(partition, offset), business_day=20_000, degraded_event_ids=("e",))
    blob = encode_state(state)
    assert applied_position(blob) == decode_state(blob).applied == Position(partition, offset)


def test_a_blob_whose_head_is_written_otherwise_is_decoded_as_a_whole() -> None:
    applied = state_pb2.DebtorState(applied=state_pb2.AppliedPosition(partition=3, offset=4)).SerializeToString()
    assert applied_position(applied) == Position(3, 4)
    assert applied_position(applied + state_pb2.DebtorState(format_version=1).SerializeToString()) == Position(3, 4)


def test_a_blob_of_no_event_has_no_position() -> None:
    assert applied_position(encode_state(DebtorState())) is None


def test_bytes_that_are_no_blob_are_refused() -> None:
    with pytest.raises(DecodeError):
        applied_position(b"\xff\xff\xff\xff")
