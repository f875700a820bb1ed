"""The contracts hold: registry, codec, keys, ids and golden bytes."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from duly_contracts.envelope import Envelope, EnvelopeInvalid
from duly_contracts.events import EVENTS, EventType, EventUndecodable, EventUnknown, decode, encode, event_of
from duly_contracts.ids import derived_id, fact_id
from duly_contracts.keys import debtor_key, murmur2, partition_of, slice_of, split_key, tenant_of
from duly_contracts.topics import dlq_of, topics
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from duly.ledger.v1 import events_pb2 as ledger

EXAMPLES = Path(__file__).parent.parent / "examples"
FOLDERS = sorted(path for path in EXAMPLES.glob("*/v*"))


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_golden_bytes_of_every_version_still_mean_the_same(folder: Path) -> None:
    name, version = folder.parent.name, folder.name
    message = decode(f"duly.{name}.{version}", (folder / "example.bin").read_bytes())
    said = json_format.Parse((folder / "example.json").read_text(), type(message)())
    assert message == said


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)
def test_every_event_has_a_golden_example_and_a_topic_of_the_registry(event: EventType) -> None:
    assert (EXAMPLES / event.name / f"v{event.version}" / "example.bin").exists()
    assert event.topic in topics()


def test_no_golden_example_belongs_to_an_unknown_event() -> None:
    assert {folder.parent.name for folder in FOLDERS} == {event.name for event in EVENTS}


def test_every_topic_a_service_may_not_be_able_to_read_has_a_dead_letter_topic() -> None:
    read_by_consumers = [t for t in topics().values() if t.consumers and t.events and t.name != "model-control"]
    assert {dlq_of(topic.name) for topic in read_by_consumers} <= set(topics())


def test_an_enum_value_from_the_future_is_refused_not_read_as_a_default() -> None:
    payload = encode(ledger.PartyUpserted(debtor_id="D-1", kind=99))  # type: ignore[arg-type]
    with pytest.raises(EventUndecodable, match="kind"):
        decode("duly.party.upserted.v1", payload)


def test_an_enum_value_from_the_future_is_found_inside_a_repeated_message() -> None:
    message = ledger.PartyUpserted(contact_points=[ledger.ContactPoint(channel=42)])  # type: ignore[arg-type]
    with pytest.raises(EventUndecodable, match="channel"):
        decode("duly.party.upserted.v1", encode(message))


@pytest.mark.parametrize("ce_type", ["duly.party.upserted.v2", "duly.party.vanished.v1", "", "x"])
def test_an_unknown_type_or_major_version_is_refused(ce_type: str) -> None:
    with pytest.raises(EventUnknown):
        decode(ce_type, b"")


@given(st.binary(max_size=200))
def test_garbage_either_decodes_or_is_refused_with_our_own_error(garbage: bytes) -> None:
    for event in EVENTS[:6]:
        try:
            assert event_of(decode(event.type, garbage)) is event
        except EventUndecodable:
            continue


ENVELOPE = Envelope(
    id="1", type="duly.invoice.issued.v1", source="/tenants/t/ledgers/erp", subject="D-1",
    time=datetime(2031, 3, 1, 9, tzinfo=UTC), tenant="t", business_date=date(2031, 3, 1), source_version="3",
    ingested_at="2031-03-01T09:00:01Z", correlation_id="c", causation_id="d", traceparent="00-1-2-01", backfill=True,
)  # fmt: skip


def test_an_envelope_survives_the_headers() -> None:
    assert Envelope.from_headers(ENVELOPE.to_headers()) == ENVELOPE


@pytest.mark.parametrize("header", ["ce_id", "ce_type", "ce_source", "ce_time", "ce_tenantid"])
def test_a_missing_header_is_named(header: str) -> None:
    with pytest.raises(EnvelopeInvalid, match=header):
        Envelope.from_headers([pair for pair in ENVELOPE.to_headers() if pair[0] != header])


@pytest.mark.parametrize("value", [b"yesterday", b"2031-03-01T09:00:00", b"\xff"])
def test_a_time_that_is_no_instant_is_refused(value: bytes) -> None:
    headers = [(name, value if name == "ce_time" else old) for name, old in ENVELOPE.to_headers()]
    with pytest.raises(EnvelopeInvalid):
        Envelope.from_headers(headers)


@pytest.mark.parametrize(
    ("header", "length", "fine"),
    [("ce_sourceversion", 100, True), ("ce_sourceversion", 101, False), ("ce_id", 1_000, True), ("ce_id", 1_001, False),
     ("ce_correlationid", 1_001, False)],
)  # fmt: skip
def test_an_attribute_longer_than_any_of_ours_is_refused(header: str, length: int, fine: bool) -> None:
    headers = [(name, b"9" * length if name == header else value) for name, value in ENVELOPE.to_headers()]
    with nullcontext() if fine else pytest.raises(EnvelopeInvalid, match=header):
        Envelope.from_headers(headers)


def test_a_trace_of_any_length_is_no_reason_to_refuse_an_event() -> None:
    headers = [(name, b"0" * 5_000 if name == "traceparent" else value) for name, value in ENVELOPE.to_headers()]
    assert Envelope.from_headers(headers).traceparent == ""


def test_the_key_of_a_record_and_its_envelope_name_one_tenant() -> None:
    assert Envelope.of_record(b"t|D-1", ENVELOPE.to_headers()) == ENVELOPE
    for key in (b"other|D-1", b"t2|D-1", b"", b"\xff|D-1"):
        with pytest.raises(EnvelopeInvalid, match="two tenants"):
            Envelope.of_record(key, ENVELOPE.to_headers())


@pytest.mark.parametrize(
    ("key", "hashed", "of_12", "of_48"), [("acme|D-1001", 9983835, 3, 27), ("müller|Ä-1", 697071808, 4, 16)]
)
def test_keys_hash_as_in_the_java_client(key: str, hashed: int, of_12: int, of_48: int) -> None:
    raw = key.encode()
    assert (murmur2(raw), partition_of(raw, 12), partition_of(raw, 48)) == (hashed, of_12, of_48)


@given(st.text(min_size=1), st.text())
def test_a_key_names_one_tenant_and_one_debtor(tenant: str, debtor: str) -> None:
    if "|" in tenant:
        with pytest.raises(ValueError, match="tenant"):
            debtor_key(tenant, debtor)
        return
    try:
        key = debtor_key(tenant, debtor)
    except UnicodeEncodeError:
        return
    assert split_key(key) == (tenant, debtor)
    assert tenant_of(key) == tenant.encode()
    assert 0 <= slice_of(key, 12, 7) < 7


def test_the_debtors_of_one_partition_are_spread_over_all_slices_of_a_tick() -> None:
    keys = [debtor_key("acme", f"D-{number}") for number in range(600)]
    of_one_partition = [key for key in keys if partition_of(key, 12) == 3]
    assert {slice_of(key, 12, 4) for key in of_one_partition} == {0, 1, 2, 3}
    assert {slice_of(key, 12, 1) for key in of_one_partition} == {0}


def test_ids_of_different_parts_never_collide_by_joining() -> None:
    assert fact_id("a|b", "c", "e", "x", "1", "f") != fact_id("a", "b|c", "e", "x", "1", "f")


def test_siblings_of_one_cause_have_their_own_ids_and_a_replay_the_same() -> None:
    key = debtor_key("t", "D-1")
    assert derived_id("cause", "t.v1", key, 0) != derived_id("cause", "t.v1", key, 1)
    assert derived_id("cause", "t.v1", key) == derived_id("cause", "t.v1", key)


@pytest.mark.parametrize("instant", ["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"])
def test_an_instant_outside_all_years_is_an_invalid_envelope(instant: str) -> None:
    good = Envelope("id", "duly.invoice.voided.v1", "/x", "D-1", datetime(2031, 3, 1, tzinfo=UTC), "acme")
    headers = [(name, instant.encode() if name == "ce_time" else value) for name, value in good.to_headers()]
    with pytest.raises(EnvelopeInvalid):
        Envelope.from_headers(headers)
