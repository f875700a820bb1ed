"""What makes two requests the same request."""

from __future__ import annotations

import pytest
from gateway.application.idempotency import request_hash

from duly.gateway.v1 import contact_service_pb2 as contact
from duly.gateway.v1 import control_service_pb2 as control


def request(**change: object) -> contact.RequestContactRequest:
    return contact.RequestContactRequest(tenant_id="acme", idempotency_key="k", debtor_id="D-1", **change)  # type: ignore[arg-type]


def test_when_and_in_whose_trace_it_was_asked_is_not_what_was_asked() -> None:
    later = request(correlation_id="c")
    later.as_of.FromJsonString("2031-03-04T15:00:00Z")
    assert request_hash(later) == request_hash(request())
    assert later.HasField("as_of"), "the request itself stays as it was"


@pytest.mark.parametrize(
    "change", [{"tenant_id": "other"}, {"debtor_id": "D-2"}, {"step_no": 1}, {"invoice_ids": ["I"]}, {"purpose": "x"}]
)
def test_anything_else_makes_another_request(change: dict[str, object]) -> None:
    other = request()
    other.MergeFrom(contact.RequestContactRequest(**change))  # type: ignore[arg-type]
    assert request_hash(other) != request_hash(request())


def test_equal_bytes_of_two_operations_are_two_requests() -> None:
    cancel = contact.CancelContactRequest(tenant_id="acme", idempotency_key="k")
    switch = control.SetKillSwitchRequest(tenant_id="acme", idempotency_key="k")
    assert cancel.SerializeToString(deterministic=True) == switch.SerializeToString(deterministic=True)
    assert request_hash(cancel) != request_hash(switch)
