"""What a delivery is, event by event. Pure: no log, no database."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from duly_contracts.events import event_of
from duly_contracts.ids import fact_id
from hypothesis import given, settings
from hypothesis import strategies as st
from ledger_sync.application.cloudevents import BODY_BYTES_MAX
from ledger_sync.application.delivery import Delivery, Fault, Framing, MappedFact, Rejection
from ledger_sync.application.fact_rules import RULES
from ledger_sync.application.map_delivery import map_delivery
from ledger_sync.application.receive_delivery import Receipt
from ledger_sync.entrypoints.http import answer

RECEIVED = datetime(2031, 3, 1, 9, 30, tzinfo=UTC)


def delivery(body: bytes, framing: Framing = Framing.STRUCTURED, headers: dict[str, str] | None = None) -> Delivery:
    return Delivery("demo", "d-1", "cause-1", framing, headers or {}, body, RECEIVED)


def batch_of(*events: Any) -> Delivery:
    return delivery(json.dumps(events).encode(), Framing.BATCH)


def single(event: Any) -> MappedFact | Rejection:
    (result,) = map_delivery(delivery(json.dumps(event).encode()))
    return result


def code(event: Any) -> str:
    result = single(event)
    assert isinstance(result, Rejection), result
    return result.code


def test_a_good_event_is_a_fact_with_an_id_made_of_what_the_source_says(events: Any) -> None:
    result = single(events.invoice("I-7", sourceversion="2031030112000020"))
    assert isinstance(result, MappedFact)
    assert result.fact_id == fact_id("demo", "erp", "invoice", "I-7", "2031030112000020", "invoice.issued")
    assert (result.debtor_id, result.cause_id, result.backfill) == ("D-1", "cause-1", False)
    assert (result.fact.amount_minor, result.fact.currency) == (24000, "EUR")
    assert result.time == datetime(2031, 3, 1, 12, tzinfo=UTC)


def test_without_a_version_the_time_is_the_version_and_without_a_time_the_receipt(events: Any) -> None:
    event = events.invoice()
    del event["sourceversion"]
    assert single(event).fact.version == "1930132800000000"
    del event["time"]
    result = single(event)
    assert (result.time, result.fact.version) == (RECEIVED, "1930123800000000")


@pytest.mark.parametrize(
    "older, newer",
    [
        ("2031-03-01T12:00:00Z", "2031-03-01T12:00:00.250Z"),
        ("2031-03-01T12:00:00+02:00", "2031-03-01T11:00:00Z"),
        ("2031-03-01T23:00:00-05:00", "2031-03-02T05:00:00+00:00"),
        (9, "10"),
        ("9", "2031-03-01T12:00:00Z"),
    ],
)
def test_the_later_version_is_newer_however_it_is_written(events: Any, older: Any, newer: Any) -> None:
    facts = [single(events.invoice(sourceversion=version)).fact for version in (older, newer)]
    assert facts[0].order < facts[1].order


def test_an_instant_as_version_is_the_same_as_the_events_time_without_one(events: Any) -> None:
    event = events.invoice(sourceversion="2031-03-01T12:00:00Z")
    assert single(event).fact.version == "1930132800000000"


def test_a_time_before_1970_is_no_version(events: Any) -> None:
    event = events.invoice(time="1969-12-31T23:59:59Z")
    assert isinstance(single(event), MappedFact)
    del event["sourceversion"]
    assert (code(event), single(event).text[:5]) == ("attribute_invalid", "time:")


@pytest.mark.parametrize(
    "data",
    [
        {"\ud800": 1},
        {"total": {"\udfff": "1"}},
        {"\ud800\x00\n": {"\ud800": "\ud800"}},
        {"number": "\ud800"},
        {"total": {"amountMinor": "\ud800"}},
    ],
)
def test_a_lone_surrogate_is_the_fault_of_its_event_alone(events: Any, data: dict[str, Any]) -> None:
    bad = events.invoice()
    bad["data"] |= data
    receipt = Receipt("d-1", Framing.BATCH, map_delivery(batch_of(bad, events.payment())))
    assert [getattr(result, "code", "") for result in receipt.results] == ["data_invalid", ""]
    assert json.loads(answer(receipt).body)["results"][0]["reason"] == "data_invalid"


@pytest.mark.parametrize("place", ["data", "field", "attribute"])
def test_no_depth_of_nesting_makes_the_mapping_fail(events: Any, place: str) -> None:
    for depth in (5, 11, 100, *range(880, 1010)):
        nested = '{"a":' * depth + "1" + "}" * depth
        event = events.invoice(**({"extra": "@"} if place == "attribute" else {}))
        if place == "data":
            event["data"] = "@"
        if place == "field":
            event["data"]["total"] = "@"
        if place == "attribute":
            event["specversion"] = "2"
        body = json.dumps([event]).replace('"@"', nested).encode()
        (result,) = map_delivery(delivery(body, Framing.BATCH))
        assert isinstance(result, Rejection)


def test_binary_mode_reads_attributes_from_headers(events: Any) -> None:
    event = events.payment()
    headers = {f"ce-{name}": value for name, value in event.items() if name != "data"} | {"ce-backfill": "true"}
    (result,) = map_delivery(delivery(json.dumps(event["data"]).encode(), Framing.BINARY, headers))
    assert isinstance(result, MappedFact)
    assert result.backfill
    assert result.event_id == event["id"]


def test_an_unset_kind_of_party_is_an_explicit_unknown(events: Any) -> None:
    event = events.party()
    del event["data"]["kind"]
    assert single(event).message.kind == 4


def test_a_batch_gives_one_result_per_event_in_order(events: Any) -> None:
    batch = [events.invoice(), "nonsense", events.invoice(minor=0), events.payment()]
    results = map_delivery(delivery(json.dumps(batch).encode(), Framing.BATCH))
    assert [result.position for result in results] == [0, 1, 2, 3]
    assert [getattr(result, "code", "") for result in results] == ["", "not_a_cloudevent", "money_invalid", ""]


@pytest.mark.parametrize(
    "body, framing, reason, fault",
    [
        (b"", Framing.STRUCTURED, "json_malformed", Fault.MALFORMED),
        (b"\xff\xfe", Framing.STRUCTURED, "json_malformed", Fault.MALFORMED),
        (b'{"a": NaN}', Framing.STRUCTURED, "json_malformed", Fault.MALFORMED),
        (b"[" * 100_000, Framing.BATCH, "json_malformed", Fault.MALFORMED),
        (b"9" * 5_000, Framing.BATCH, "json_malformed", Fault.MALFORMED),
        (b"{}", Framing.BATCH, "not_a_batch", Fault.MALFORMED),
        (b"[" + b"{}," * 500 + b"{}]", Framing.BATCH, "batch_too_large", Fault.TOO_LARGE),
        (b" " * (BODY_BYTES_MAX + 1), Framing.BATCH, "body_too_large", Fault.TOO_LARGE),
        (b"[]", Framing.STRUCTURED, "not_a_cloudevent", Fault.MALFORMED),
        (b"null", Framing.STRUCTURED, "not_a_cloudevent", Fault.MALFORMED),
    ],
)
def test_a_body_without_events_is_one_rejection(body: bytes, framing: Framing, reason: str, fault: Fault) -> None:
    (result,) = map_delivery(delivery(body, framing))
    assert isinstance(result, Rejection)
    assert (result.code, result.fault) == (reason, fault)


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"specversion": "0.3"}, "not_a_cloudevent"),
        ({"id": ""}, "attribute_missing"),
        ({"id": None}, "attribute_missing"),
        ({"id": 7}, "attribute_invalid"),
        ({"id": "x" * 201}, "attribute_invalid"),
        ({"subject": "D\u0000"}, "attribute_invalid"),
        ({"subject": "D\ud800"}, "attribute_invalid"),
        ({"subject": "D-2"}, "subject_mismatch"),
        ({"source": "/tenants/other/ledgers/erp"}, "source_foreign"),
        ({"source": "/tenants/demo/services/scoring"}, "source_invalid"),
        ({"source": "/tenants/demo/ledgers/a|b"}, "source_invalid"),
        ({"type": "duly.invoice.issued.v2"}, "type_unknown"),
        ({"type": "duly.calendar.business_date_advanced.v1"}, "type_not_allowed"),
        ({"type": "duly.ledger.drift_cleared.v1"}, "type_not_allowed"),
        ({"type": "duly.contact.sent.v1"}, "type_not_allowed"),
        ({"time": "yesterday"}, "attribute_invalid"),
        ({"time": "2031-03-01T12:00:00"}, "attribute_invalid"),
        ({"sourceversion": ""}, "attribute_invalid"),
        ({"sourceversion": True}, "attribute_invalid"),
        ({"sourceversion": "v9"}, "attribute_invalid"),
        ({"sourceversion": "1.10"}, "attribute_invalid"),
        ({"sourceversion": "\u0661"}, "attribute_invalid"),
        ({"sourceversion": "9" * 101}, "attribute_invalid"),
        ({"sourceversion": -1}, "attribute_invalid"),
        ({"sourceversion": 1.5}, "attribute_invalid"),
        ({"sourceversion": "2031-03-01"}, "attribute_invalid"),
        ({"sourceversion": "2031-03-01T12:00:00"}, "attribute_invalid"),
        ({"sourceversion": "1969-12-31T23:59:59Z"}, "attribute_invalid"),
        ({"sourceversion": "0001-01-01T00:00:00+14:00"}, "attribute_invalid"),
        ({"backfill": "yes"}, "attribute_invalid"),
        ({"data": None}, "data_missing"),
        ({"data": []}, "data_missing"),
    ],
)
def test_an_attribute_that_is_wrong_is_named(events: Any, changes: dict[str, Any], reason: str) -> None:
    assert code(events.invoice() | changes) == reason


@pytest.mark.parametrize(
    "changes, reason",
    [
        ({"invoiceId": ""}, "field_missing"),
        ({"invoiceId": "I\u0000"}, "field_invalid"),
        ({"number": "x" * 2001}, "field_invalid"),
        ({"issueDate": ""}, "field_missing"),
        ({"issueDate": "20310301"}, "date_invalid"),
        ({"dueDate": "2031-02-30"}, "date_invalid"),
        ({"issueDate": "1969-12-31"}, "date_invalid"),
        ({"dueDate": "2160-01-01"}, "date_invalid"),
        ({"total": None}, "field_missing"),
        ({"total": {"amountMinor": "0", "currency": "EUR"}}, "money_invalid"),
        ({"total": {"amountMinor": "-5", "currency": "EUR"}}, "money_invalid"),
        ({"total": {"amountMinor": str(10**15 + 1), "currency": "EUR"}}, "money_invalid"),
        ({"total": {"amountMinor": "5", "currency": "eur"}}, "money_invalid"),
        ({"total": {"amountMinor": 10.5, "currency": "JPY"}}, "data_invalid"),
        ({"total": {"amountMinor": str(2**63), "currency": "EUR"}}, "data_invalid"),
        ({"totl": 1}, "data_invalid"),
        ({"number": 12}, "data_invalid"),
        ({"instalments": [{"no": 1, "dueDate": "2031-03-01", "amount": {"amountMinor": 1, "currency": "EUR"}}]},
         "money_invalid"),
    ],
)  # fmt: skip
def test_a_field_that_is_wrong_is_named(events: Any, changes: dict[str, Any], reason: str) -> None:
    event = events.invoice()
    event["data"] |= changes
    assert code(event) == reason
    if reason != "data_invalid":
        assert "_" in single(event).text or ":" in single(event).text


def test_the_first_and_the_last_date_and_the_largest_amount_are_taken(events: Any) -> None:
    event = events.invoice()
    total = {"amountMinor": str(10**15), "currency": "EUR"}
    event["data"] |= {"issueDate": "1970-01-01", "dueDate": "2159-12-31", "total": total}
    assert single(event).fact.amount_minor == 10**15


def test_enum_values_of_another_version_are_no_default(events: Any) -> None:
    assert code(events.party(kind=77)) == "event_undecodable"
    assert code(events.party(kind="PARTY_KIND_ROBOT")) == "data_invalid"
    allocation = events.allocation()
    del allocation["data"]["sourceKind"]
    assert code(allocation) == "field_missing"


def test_a_zone_or_a_contact_point_that_is_none_is_refused(events: Any) -> None:
    assert code(events.party(zones=["Mars/Olympus"])) == "field_invalid"
    assert code(events.party(zones=["../etc/passwd"])) == "field_invalid"
    assert code(events.party(contactPoints=[{"contactPointId": "c", "address": "a@b.example"}])) == "field_missing"
    assert isinstance(single(events.party(zones=["Europe/Berlin"])), MappedFact)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)


attribute_names = st.sampled_from(["specversion", "id", "source", "type", "subject", "time", "data", "backfill"])
likely_values = st.sampled_from(["1.0", "duly.party.upserted.v1", "/tenants/demo/ledgers/x"])


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(attribute_names, json_values | likely_values))
def test_no_json_makes_the_mapping_fail(event: dict[str, Any]) -> None:
    assert len(map_delivery(delivery(json.dumps([event, event]).encode(), Framing.BATCH))) == 2


# Also what no JSON text should hold but a hostile one can: lone surrogates, NUL.
any_text = st.text("\ud800\udfff\x00a1:\u00e9", max_size=4) | st.text(max_size=8)
nested_names = ["amountMinor", "currency", "channel", "address", "dueDate", "no"]
field_names = st.sampled_from(
    [*sorted({field.json_name for message in RULES for field in message.DESCRIPTOR.fields}), *nested_names]
)
texts = any_text | st.sampled_from(["EUR", "2031-03-01", "Europe/Berlin", "PARTY_KIND_BUSINESS", "EMAIL", "1e400", "D"])
hostile = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(field_names | any_text, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=400, deadline=None)
@given(
    st.sampled_from([event_of(message()).type for message in RULES]),
    st.dictionaries(field_names | any_text, hostile, max_size=6),
    st.dictionaries(st.sampled_from(["sourceversion", "time", "traceparent"]), hostile, max_size=2),
)
def test_whatever_data_an_event_has_it_is_mapped_or_rejected_with_words_that_can_be_sent(
    ce_type: str, data: dict[str, Any], more: dict[str, Any]
) -> None:
    event = {
        "specversion": "1.0", "id": "e-1", "source": "/tenants/demo/ledgers/erp", "type": ce_type, "subject": "D",
        "data": data, **more,
    }  # fmt: skip
    results = map_delivery(batch_of(event, event))
    assert [result.position for result in results] == [0, 1]
    answer(Receipt("d-1", Framing.BATCH, results))
    for result in results:
        assert not isinstance(result, Rejection) or "\x00" not in result.text


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(list(Framing)))
def test_no_bytes_make_the_mapping_fail(body: bytes, framing: Framing) -> None:
    assert isinstance(map_delivery(delivery(body, framing)), list)
