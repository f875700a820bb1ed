"""What must hold after every run, whatever was done to the worker: the pure fold of the log, byte for byte."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from duly_contracts.keys import partition_of
from duly_runtime.log import Record
from scoring.application.outputs import Output
from scoring.application.ports import Models
from scoring.application.pure_fold import Folded, pure_fold

from duly.risk.v1 import state_pb2
from duly_chaos.broker import CHANGELOG, DLQ, SCORES, Broker
from duly_chaos.ledger_log import Ledger


@dataclass(frozen=True, slots=True)
class Verdict:
    """wrong: one sentence per difference, empty = all holds. The figures say how much was compared."""

    wrong: tuple[str, ...]
    records: int
    debtors: int
    outputs: int
    repeated: int


def check(broker: Broker, book: Ledger, model: Models) -> Verdict:
    """Compare all that the worker wrote with the pure fold of the whole log."""
    return compare(book, model, broker.read, broker.committed(book.partitions))


def compare(book: Ledger, model: Models, read: Callable[[str], list[Record]], committed: Mapping[int, int]) -> Verdict:
    """read: everything in a topic, partition by partition."""
    expected = pure_fold(book.records, model, book.partitions)
    scores, letters = read(SCORES), read(DLQ)
    wrong = [
        *_table(read(CHANGELOG), expected, book.partitions),
        *_scores(scores, [output for output in expected.outputs if output.topic == SCORES]),
        *_letters(letters, [output for output in expected.outputs if output.topic == DLQ]),
    ]
    behind = {p: at for p, at in committed.items() if at != book.ends.get(p, 0)}
    wrong += [f"committed {at} of {book.ends.get(p, 0)} in partition {p}" for p, at in behind.items()]
    written = len(scores) + len(letters)
    return Verdict(
        tuple(wrong), len(book.records), len(expected.states), len(expected.outputs), written - len(expected.outputs)
    )


def table_of(changelog: Iterable[Record]) -> dict[bytes, Record]:
    """What a worker recovers: per key the blob with the highest applied offset, the later of equal ones.

    Not simply the newest: one that was frozen and put out of the group may still have written an old blob after it.
    """
    table: dict[bytes, tuple[int, Record]] = {}
    for record in changelog:
        applied = state_pb2.DebtorState.FromString(record.value).applied.offset
        if applied >= table.get(record.key, (-1, record))[0]:
            table[record.key] = (applied, record)
    return {key: record for key, (_, record) in table.items()}


def _table(changelog: Sequence[Record], expected: Folded, partitions: int) -> list[str]:
    table, wanted = table_of(changelog), expected.blobs()
    wrong = [f"state of {key!r} missing" for key in wanted.keys() - table.keys()]
    wrong += [f"state of {key!r} that nobody has" for key in table.keys() - wanted.keys()]
    for key in sorted(wanted.keys() & table.keys()):
        if table[key].value != wanted[key]:
            wrong.append(f"state of {key!r} differs from the pure fold")
        if table[key].partition != partition_of(key, partitions):
            wrong.append(f"state of {key!r} in partition {table[key].partition}")
    return wrong


def _scores(found: Sequence[Record], wanted: Sequence[Output]) -> list[str]:
    """The expected ids and no other, equal bytes for equal ids, in the order of their causes per debtor."""
    by_id = {output.id: output for output in wanted}
    first: dict[bytes, dict[str, None]] = {}
    wrong = []
    for record in found:
        event_id = dict(record.headers)["ce_id"].decode()
        output = by_id.get(event_id)
        if output is None:
            wrong.append(f"output {event_id} that nobody expects")
        elif (record.key, record.value, record.headers) != (output.key, output.value, output.headers):
            wrong.append(f"output {event_id} with other bytes")
        first.setdefault(record.key, {}).setdefault(event_id)
    seen = {event_id for ids in first.values() for event_id in ids}
    wrong += [f"output {event_id} missing" for event_id in by_id.keys() - seen]
    order: dict[bytes, list[str]] = {}
    for output in wanted:
        order.setdefault(output.key, []).append(output.id)
    wrong += [f"outputs of {key!r} out of order" for key, ids in order.items() if list(first.get(key, ())) != ids]
    return wrong


def _letters(found: Sequence[Record], wanted: Sequence[Output]) -> list[str]:
    there = {(record.key, record.value, record.headers) for record in found}
    due = {(output.key, output.value, output.headers) for output in wanted}
    wrong = [f"dead letter missing: {dict(headers).get('dlq_offset')!r}" for _, _, headers in due - there]
    return wrong + [f"dead letter nobody expects: {dict(headers)}" for _, _, headers in there - due]
