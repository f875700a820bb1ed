"""Dead letters: the record as it came, or as much of it as a topic takes."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from duly_contracts.ids import record_id
from duly_runtime.dlq import LETTER_BYTES_MAX, DeadLetter, dead_letter_of
from duly_runtime.kafka_log import _record
from duly_runtime.log import Record

ID = ("ce_id", b"e-1")


def letter_of(key: bytes, value: bytes, *headers: tuple[str, bytes]) -> DeadLetter:
    return dead_letter_of(Record("ledger-events", 3, 41, key, value, (ID, *headers)), "test", "reason", "x" * 9_000)


def size_of(letter: DeadLetter) -> int:
    return len(letter.key) + len(letter.value) + sum(len(name) + len(value) for name, value in letter.headers)


def test_a_header_without_a_value_is_an_empty_one() -> None:
    raw = SimpleNamespace(topic="ledger-events", partition=3, offset=41, key=None, value=None, headers=[("x", None)])
    record = _record(raw)
    assert record == Record("ledger-events", 3, 41, b"", b"", (("x", b""),))
    assert dead_letter_of(record, "test", "reason", "").headers[0] == ("x", b"")


def test_a_record_is_kept_as_it_came() -> None:
    letter = letter_of(b"t|D", b"v" * 980_000, ("x", b"y"))
    assert (letter.key, letter.value, letter.headers[:2]) == (b"t|D", b"v" * 980_000, [ID, ("x", b"y")])
    assert "dlq_cut" not in dict(letter.headers)


@pytest.mark.parametrize("last", [b"e-2", b"e" * 2_000], ids=["an id", "longer than any id"])
def test_of_several_ids_what_is_cut_keeps_the_one_that_it_is_waited_for_by(last: bytes) -> None:
    letter = letter_of(b"t|D", b"v", ("ce_id", last), ("x", b"y" * 2**20))
    left = [pair for pair in letter.headers if not pair[0].startswith("dlq_")]
    assert record_id(left, "ledger-events", 3, 41) == record_id([("ce_id", last)], "ledger-events", 3, 41)


@pytest.mark.parametrize("value", [b"v", b"v" * 2**20], ids=["whole", "cut"])
def test_a_record_cannot_bring_notes_of_its_own(value: bytes) -> None:
    honest = letter_of(b"t|D", value, ("x", b"y"))
    forged = letter_of(b"t|D", value, ("dlq_settled", b"0 dismissed"), ("dlq_debtor", b"E"), ("x", b"y"))
    assert [pair for pair in forged.headers if pair[0] != "dlq_cut"] == [
        pair for pair in honest.headers if pair[0] != "dlq_cut"
    ]


@pytest.mark.parametrize(
    ("key", "value", "headers", "left"),
    [
        (b"t|D", b"v" * 2**20, [("x", b"y")], (b"t|D", b"", 2)),
        (b"t|D", b"v", [("x", b"y" * 2**20)], (b"t|D", b"v", 1)),
        (b"t|D", b"v", [("", b"")] * 100_000, (b"t|D", b"v", 1)),
        (b"k" * 2**20, b"v", [("x", b"y")], (b"k" * 2_000, b"v", 2)),
        (b"t|D", b"v" * 2**20, [("x", b"y" * 2**20)], (b"t|D", b"", 1)),
    ],
    ids=["value", "header", "many headers", "key", "value and header"],
)
def test_of_a_record_that_is_too_large_what_fits_is_kept_with_its_id_its_place_and_its_sizes(
    key: bytes, value: bytes, headers: list[tuple[str, bytes]], left: tuple[bytes, bytes, int]
) -> None:
    letter = letter_of(key, value, *headers)
    notes = dict(letter.headers)
    own = [pair for pair in letter.headers if not pair[0].startswith("dlq_")]
    assert (letter.key, letter.value, len(own)) == left
    assert own[0] == ID
    assert (notes["dlq_partition"], notes["dlq_offset"]) == (b"3", b"41")
    assert notes["dlq_cut"].startswith(f"key {len(key)}, value {len(value)}, headers ".encode())
    assert size_of(letter) <= LETTER_BYTES_MAX
