"""What a machine checks before a pack or strategy is released: schema, cases on both sides of each rule, the lock."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from duly_policy import loader
from duly_policy.packs import InvalidPack
from duly_policy.schema import pack_faults, parse_calendar
from duly_policy.strategies import strategy_faults

Raw = Mapping[str, Any]
SIDES = ((True, "firing"), (False, "non-firing"))


def lint_pack(document: Raw, cases: Mapping[str, Raw]) -> tuple[str, ...]:
    """Faults of a pack; `cases`: rule id -> its case file."""
    rule_ids = [str(raw.get("id")) for raw in document.get("rules") or []]
    return (*pack_faults(document), *case_faults(rule_ids, cases))


def lint_strategy(document: Raw, cases: Mapping[str, Raw]) -> tuple[str, ...]:
    """Faults of a strategy; each step is a rule."""
    rule_ids = [str(raw.get("id")) for raw in document.get("steps") or []]
    return (*strategy_faults(document), *case_faults(rule_ids, cases))


def lint_calendar(document: Raw) -> tuple[str, ...]:
    try:
        parse_calendar(document)
    except InvalidPack as error:
        return (str(error),)
    return ()


def case_faults(rule_ids: list[str], cases: Mapping[str, Raw]) -> tuple[str, ...]:
    faults = []
    for rule_id in sorted(set(rule_ids)):
        sides = {case.get("fires") for case in cases.get(rule_id, {}).get("cases", ())}
        faults += [f"{rule_id}: no {word} case" for fires, word in SIDES if fires not in sides]
    faults += [f"{stem}: cases for a rule that does not exist" for stem in sorted(set(cases) - {*rule_ids, "base"})]
    return tuple(faults)


def lint_released() -> tuple[str, ...]:
    """Every fault of everything packaged, the lock included. Empty = releasable.

    Case files speak about the newest version; superseded ones are frozen and only have to parse.
    """
    faults: list[str] = []
    newest = {(area, name): version for area, name, version in loader.released()}
    for area, name, version in loader.released():
        document = loader.released_document(area, name, version)
        is_newest = newest[(area, name)] == version
        faults += [f"{area}/{name}@{version}: {fault}" for fault in _faults(area, name, document, is_newest)]
    return (*faults, *lock_faults(loader.lock_lines(), loader.locked_lines()))


def _faults(area: str, name: str, document: Raw, is_newest: bool) -> tuple[str, ...]:
    if area == "calendars":
        return lint_calendar(document)
    if not is_newest:
        return tuple(pack_faults(document) if area == "packs" else strategy_faults(document))
    lint = lint_pack if area == "packs" else lint_strategy
    return lint(document, loader.cases(area, name))


def lock_faults(present: tuple[str, ...], locked: tuple[str, ...]) -> tuple[str, ...]:
    """A released file changed, vanished, or is not recorded yet."""
    changed_or_new = [f"not as recorded in {loader.LOCK_FILE}: {line}" for line in present if line not in locked]
    gone = {line.split()[-1] for line in locked} - {line.split()[-1] for line in present}
    return (*changed_or_new, *(f"recorded in {loader.LOCK_FILE} but gone: {path}" for path in sorted(gone)))
