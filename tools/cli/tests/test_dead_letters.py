"""`duly dlq` on a real broker: whatever lies in a dead-letter topic is told, and goes back as it came."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from duly_cli.dlq import commands
from duly_cli.dlq.causes import cause_of
from duly_cli.dlq.choosing import since_of
from duly_cli.dlq.letters import Letter, LetterPlace
from duly_cli.dlq.payload import shown_value
from duly_cli.dlq.replay import CannotReturn, dismissed, replayed
from duly_cli.errors import CommandFailed
from duly_cli.main import EXIT_FAULT, run
from duly_contracts.envelope import Envelope, format_instant
from duly_contracts.events import encode
from duly_contracts.keys import debtor_key, partition_of
from duly_runtime.dlq import dead_letter_of
from duly_runtime.kafka_log import KafkaLog
from duly_runtime.log import Record

from duly.ledger.v1 import events_pb2 as ledger

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
KEY = debtor_key("demo", "D-1")
PARTITION = partition_of(KEY, 12)
VOID = encode(ledger.InvoiceVoided(invoice_id="INV-1", debtor_id="D-1", on="someday"))


def envelope(event_id: str, name: str = "invoice.voided") -> list[tuple[str, bytes]]:
    return Envelope(event_id, f"duly.{name}.v1", "test", "D-1", NOON, "demo").to_headers()


def record(event_id: str, offset: int, value: bytes = VOID, key: bytes = KEY) -> Record:
    return Record("ledger-events", PARTITION, offset, key, value, tuple(envelope(event_id)))


class Box:
    """Puts letters into a dead-letter topic and runs the command."""

    def __init__(self, address: str, capsys: pytest.CaptureFixture[str]) -> None:
        self.address = address
        self._capsys = capsys
        self._log = KafkaLog(address)
        self.producer = self._log.producer("test")

    def put(self, source: Record, service: str = "scoring", reason: str = "event_unusable") -> str:
        letter = dead_letter_of(source, service, reason, "on: no date")
        place = self.producer.send("ledger-events-dlq", letter.key, letter.value, letter.headers).result(30)
        return f"ledger-events-dlq/{place[0]}/{place[1]}"

    def duly(self, *arguments: str, code: int = 0) -> str:
        assert run(["dlq", *arguments, "--kafka", self.address]) == code
        said = self._capsys.readouterr()
        return said.out + said.err

    def count(self, topic: str) -> int:
        return sum(self._log.end_offsets([topic]).values())


@pytest.fixture
def box(kafka_bootstrap: str, capsys: pytest.CaptureFixture[str]) -> Any:
    made = Box(kafka_bootstrap, capsys)
    yield made
    made.producer.close()


@pytest.mark.kafka
def test_the_newest_are_listed_and_can_be_chosen_by_reason_tenant_topic_and_time(box: Box) -> None:
    assert box.duly("list") == "No dead letters.\n"
    for number in range(5):
        box.put(record(f"e-{number}", number), reason="oversize" if number == 4 else "event_unusable")
    assert "5 dead letters, the newest 2 are shown." in box.duly("list", "--limit", "2")
    assert "e-4" in box.duly("list", "--limit", "1")
    assert "1 dead letters." in box.duly("list", "--reason", "oversize")
    assert "No dead letters." in box.duly("list", "--tenant", "other")
    assert "No dead letters." in box.duly("list", "--topic", "risk-scores")
    assert "5 dead letters." in box.duly("list", "--since", "1h", "--topic", "ledger-events-dlq")
    assert "No dead letters." in box.duly("list", "--since", "2999-01-01")
    assert "has no dead letters" in box.duly("list", "--topic", "nonsense", code=EXIT_FAULT)


@pytest.mark.kafka
def test_damaged_letters_are_listed_and_shown_and_never_a_crash(box: Box) -> None:
    for key, value, headers in [
        (b"", b"", []),
        (b"\xff\xfe", b"\xff", [("ce_id", b"\xff"), ("dlq_offset", b"x"), ("dlq_reason", b"\xfe")]),
        (KEY, b"\xff" * 1000, [("dlq_partition", b"-1"), ("dlq_offset", b"9" * 5000), ("dlq_settled_not", b"\x1b[2J")]),
        (KEY, b"", [("dlq_settled", b"9" * 5000)]),
    ]:
        box.producer.send("ledger-events-dlq", key, value, headers, 0).result(30)
    assert "3 dead letters." in box.duly("list")
    for offset in range(3):
        told = box.duly("show", f"ledger-events-dlq/0/{offset}", "--reveal")
        assert "Cause:" in told
        assert "\x1b" not in told
    assert "does not say which partition" in box.duly("replay", "ledger-events-dlq/0/0", code=EXIT_FAULT)
    assert "There is no dead letter" in box.duly("show", "ledger-events-dlq/0/99", code=EXIT_FAULT)
    assert "names no dead letter" in box.duly("show", "a/b/c", code=EXIT_FAULT)


@pytest.mark.kafka
def test_what_several_services_put_aside_goes_once_and_what_went_is_not_chosen_again(box: Box) -> None:
    box.put(record("e-1", 7), "scoring")
    box.put(record("e-1", 7), "gateway")
    box.put(record("e-2", 8), "scoring")
    assert "2 to ledger-events: event_unusable" not in box.duly("replay", "--reason", "event_unusable", "--dry-run")
    assert box.count("ledger-events") == 0
    assert "2 records sent for 3 dead letters" in box.duly("replay", "--reason", "event_unusable")
    assert box.count("ledger-events") == 2
    assert "Nothing to send." in box.duly("replay", "--reason", "event_unusable")
    assert box.duly("list").count("yes") == 3
    assert "1 records sent for 2 dead letters" in box.duly("replay", "e-1")


@pytest.mark.kafka
def test_many_are_sent_only_after_a_yes_and_not_more_than_a_service_bears(
    box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        box.put(record(f"e-{number}", number))
    monkeypatch.setattr(commands.typer, "confirm", _refuse)
    assert run(["dlq", "replay", "--tenant", "demo", "--kafka", box.address]) != 0
    assert box.count("ledger-events") == 0
    assert "There are more" in box.duly("replay", "--tenant", "demo", "--limit", "11", "--yes")
    assert box.count("ledger-events") == 11
    box.duly("replay", "--tenant", "demo")
    assert box.count("ledger-events") == 12
    assert "not both" in box.duly("replay", code=EXIT_FAULT)


@pytest.mark.kafka
def test_a_letter_that_cannot_go_back_does_not_hold_up_those_that_can(box: Box) -> None:
    cut = box.put(record("e-cut", 0, value=b"v" * 1_000_000))
    box.put(record("e-1", 1))
    told = box.duly("replay", "--tenant", "demo", "--limit", "1")
    assert f"skipped: {cut} holds only a part of its record" in told
    assert "1 records sent for 1 dead letters" in told
    assert "There are more" not in told
    assert box.count("ledger-events") == 1
    assert "Nothing to send." in box.duly("replay", "--tenant", "demo")
    assert "holds only a part" in box.duly("replay", "e-cut", code=EXIT_FAULT)


def _refuse(text: str, abort: bool) -> None:
    raise commands.typer.Abort


def letter(key: bytes = KEY, value: bytes = VOID, **notes: str) -> Letter:
    found = {"dlq_partition": "5", "dlq_offset": "7", **{f"dlq_{name}": text for name, text in notes.items()}}
    return Letter(LetterPlace("ledger-events-dlq", 0, 0), NOON, key, value, tuple(envelope("e-1")), found)


def test_a_record_goes_back_as_it_came_and_a_tick_into_its_own_partition() -> None:
    back = replayed(letter())
    assert (back.topic, back.key, back.value, back.partition) == ("ledger-events", KEY, VOID, None)
    assert back.headers == tuple(envelope("e-1"))
    assert replayed(letter(key=b"demo|")).partition == 5


def test_of_two_ids_a_letter_is_known_by_the_one_that_services_wait_for() -> None:
    odd = replace(letter(), headers=(*envelope("first"), ("ce_id", b"second")))
    assert odd.event_id == odd.header("ce_id") == "second"
    assert dict(dismissed(odd, "gone", NOON).headers)["ce_id"] == b"second"


def test_a_letter_that_holds_only_a_part_of_its_record_is_not_replayed() -> None:
    with pytest.raises(CannotReturn, match="ledger-events/5/7"):
        replayed(letter(value=b"", cut="key 8, value 1048000, headers 300 bytes"))


def test_a_tick_is_dismissed_for_the_debtor_that_could_not_bear_it_and_a_delivery_for_nobody() -> None:
    word = dismissed(letter(key=b"demo|", debtor="D-9"), "gone", NOON)
    assert (word.key, dict(word.headers)["ce_id"]) == (debtor_key("demo", "D-9"), b"e-1")
    with pytest.raises(CannotReturn):
        dismissed(letter(key=b"demo|"), "gone", NOON)


@pytest.mark.parametrize("key", [b"|D-1", b"demo|" + b"x" * 5_000])
def test_a_letter_with_names_that_no_event_has_cannot_be_dismissed(key: bytes) -> None:
    odd = letter(key=key)
    odd = replace(odd, headers=tuple(dict((*odd.headers, ("ce_tenantid", b"de|mo"))).items()))
    with pytest.raises(CannotReturn):
        dismissed(odd, "gone", NOON)


def test_a_letter_whose_time_is_on_no_calendar_is_dismissed_as_of_now() -> None:
    headers = (*envelope("e-1"), ("ce_time", b"0001-01-01T00:00:00+14:00"))
    odd = replace(letter(), headers=tuple(dict(headers).items()))
    assert dict(dismissed(odd, "gone", NOON).headers)["ce_time"] == format_instant(NOON).encode()


@pytest.mark.parametrize("text", ["999999d", "1969-12-31", "0001-01-01T00:00:00+14:00", "yesterday", "\u0663d"])
def test_a_since_that_cannot_be_meant_is_one_message(text: str) -> None:
    with pytest.raises(CommandFailed, match="say 30m, 2h, 3d"):
        since_of(text, NOON)


def test_what_may_be_about_a_person_is_masked_until_asked_for() -> None:
    party = ledger.PartyUpserted(
        party_id="P-1", debtor_id="D-1", name="Jane Doe", kind=99,  # type: ignore[arg-type]
        contact_points=[ledger.ContactPoint(contact_point_id="c", address="jane@debtors.example")],
    )  # fmt: skip
    masked = "\n".join(shown_value("duly.party.upserted.v1", encode(party), reveal=False))
    assert "Jane" not in masked
    assert "jane@" not in masked
    assert "debtor_id: D-1" in masked
    assert "kind: 99 (not known to this version)" in masked
    assert "Jane Doe" in "\n".join(shown_value("duly.party.upserted.v1", encode(party), reveal=True))
    garbage = "\n".join(shown_value("duly.party.upserted.v1", b"Jane Doe \xff", reveal=False))
    assert "Jane" not in garbage


@pytest.mark.parametrize("reason", ["event_undecodable", "oversize", "KeyError", ""])
def test_every_reason_has_plain_words_and_a_way_on(reason: str) -> None:
    cause = cause_of(reason)
    assert cause.means
    assert "duly dlq" in cause.help.format(place="ledger-events-dlq/0/0")
