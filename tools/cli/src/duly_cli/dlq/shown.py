"""Dead letters for people: a table of some, the story of one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from duly_cli.dlq.causes import cause_of
from duly_cli.dlq.letters import Letter
from duly_cli.dlq.payload import shown_value


def table(entries: Sequence[tuple[Letter, bool]]) -> Iterator[str]:
    """Letters and whether they are settled, in plain columns as wide as they need be: lines can be cut and searched."""
    heads = ("when (UTC)", "id", "was at", "reason", "by", "version", "debtor", "event", "settled")
    return columns(heads, [_row(letter, settled) for letter, settled in entries])


def columns(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Lines of plain columns under their heads; none without rows."""
    if not rows:
        return
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]
    for row in (heads, *rows):
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _row(letter: Letter, settled: bool) -> tuple[str, ...]:
    origin = "/".join(map(str, letter.origin)) if letter.origin else "?"
    return (
        f"{letter.when:%Y-%m-%d %H:%M:%S}",
        str(letter.place),
        origin,
        letter.reason or "?",
        letter.service or "?",
        letter.notes.get("dlq_version", "?"),
        f"{letter.tenant}|{letter.debtor}" if letter.tenant else "?",
        letter.event_id or "?",
        "yes" if settled else "no",
    )


def story(letter: Letter, settled: bool, reveal: bool) -> list[str]:
    """Lines: cause, headers, payload, what to do. reveal: also what may be about a person."""
    cause = cause_of(letter.reason)
    origin = f"partition {letter.origin[0]} offset {letter.origin[1]}" if letter.origin else "place unknown"
    by = f"{letter.service or '?'} {letter.notes.get('dlq_version', '')}".rstrip()
    done = "It was replayed or dismissed." if settled else "Nothing was done about it yet."
    return [
        f"Dead letter {letter.place}, {letter.when:%Y-%m-%d %H:%M:%S} UTC",
        f"From {letter.topic}, {origin}; put aside by {by}",
        f"Of {letter.tenant or '?'}, debtor {letter.debtor or '-'}. {done}",
        "",
        f"Cause: {cause.means}",
        f"  {letter.reason or '?'}: {letter.notes.get('dlq_detail', '-')}",
        f"To do: {cause.help.format(place=letter.place)}",
        "",
        "Headers:",
        *(f"  {name}: {value.decode(errors='backslashreplace')}" for name, value in letter.headers),
        *(f"  {name}: {value}" for name, value in sorted(letter.notes.items())),
        "",
        f"Key: {letter.key.decode(errors='backslashreplace')}",
        f"Value ({letter.event_type or 'no type'}):",
        *shown_value(letter.event_type, letter.value, reveal),
    ]
