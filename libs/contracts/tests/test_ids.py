"""Ids: those of the standard library's uuid5, told apart part by part."""

from datetime import UTC, datetime
from uuid import UUID, uuid5

from duly_contracts.envelope import Envelope
from duly_contracts.ids import derived_id, fact_id, named_id, record_id
from hypothesis import given
from hypothesis import strategies as st

NAMESPACE = UUID("6f1d3a52-6f0e-5b3e-9a55-0d9f0c2d7b10")
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


@given(st.text(), st.text(), st.text())
def test_an_id_is_the_uuid5_of_its_parts(kind, one, other):
    name = f"{len(kind)}:{kind}{len(one)}:{one}{len(other)}:{other}"
    assert named_id(kind, one, other) == str(uuid5(NAMESPACE, name))


def test_ids_that_were_given_out_stay():
    assert derived_id("a", "b", b"c") == "c42109f4-f8de-56e9-bdad-ab7645262f97"
    assert fact_id("a|b", "c", "", "", "", "") != fact_id("a", "b|c", "", "", "", "")


def test_a_record_that_names_nothing_usable_is_known_by_its_place():
    of_place = record_id([], "t", 0, 7)
    assert record_id([("ce_id", b"e-1")], "t", 0, 7) == "e-1"
    for nothing in (b"", b"\xff", b"e\x00", b"e" * 2_000):
        assert record_id([("ce_id", nothing)], "t", 0, 7) == of_place
    assert record_id([], "t", 0, 8) != of_place


def test_of_two_ids_a_record_is_waited_for_by_the_one_that_its_envelope_has():
    two = [*Envelope("first", "t", "test", "D-1", NOON, "demo").to_headers(), ("ce_id", b"second")]
    assert record_id(two, "t", 0, 7) == Envelope.from_headers(two).id == "second"
    assert record_id([*two, ("ce_id", b"e" * 2_000)], "t", 0, 7) == record_id([], "t", 0, 7)
