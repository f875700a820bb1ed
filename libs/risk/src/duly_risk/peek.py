"""The applied position of a state blob without decoding the blob: recovery asks for it record by record."""

from __future__ import annotations

from duly.risk.v1 import state_pb2 as pb
from duly_risk.facts import Position

# How every blob begins: `format_version` as a small number, then `applied` with its length. Fields are written in the
# order of their numbers, and both come first.
_VERSION_TAG, _APPLIED_TAG, _ONE_BYTE = 0x08, 0x12, 0x80


def applied_position(blob: bytes) -> Position | None:
    """Where the debtor's last event was; None for a blob without one. Raises DecodeError for bytes that are no blob."""
    if len(blob) > 3 and blob[0] == _VERSION_TAG and blob[1] < _ONE_BYTE and blob[2] == _APPLIED_TAG:
        length = blob[3]
        if length < _ONE_BYTE and len(blob) >= 4 + length:
            applied = pb.AppliedPosition.FromString(blob[4 : 4 + length])
            return Position(applied.partition, applied.offset)
    state = pb.DebtorState.FromString(blob)
    return Position(state.applied.partition, state.applied.offset) if state.HasField("applied") else None
