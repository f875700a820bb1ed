"""Are two runs the same? Entry by entry; a debtor with an `unknown` attempt is compared up to that attempt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from duly_cli.checks.digest import Digest, Entry

DIFFERENCES_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Comparison:
    """compared: entries per section. differences: the first of `count`, in words. unknown: debtor -> since when."""

    compared: Mapping[str, int]
    count: int
    differences: tuple[str, ...]
    unknown: Mapping[str, str]

    @property
    def equal(self) -> bool:
        return self.count == 0

    def to_json(self) -> dict[str, object]:
        return {
            "equal": self.equal,
            "compared": dict(self.compared),
            "differences": self.count,
            "first_differences": list(self.differences),
            "unknown": dict(self.unknown),
        }


def compare(
    reference: Digest, other: Digest, reference_unknown: Mapping[str, str], other_unknown: Mapping[str, str]
) -> Comparison:
    """reference_unknown, other_unknown: debtor -> day of the first attempt that ended `unknown` in that run."""
    unknown = dict(reference_unknown)
    for debtor, day in other_unknown.items():
        unknown[debtor] = min(day, unknown.get(debtor, day))
    found: list[str] = []
    compared = {}
    for section in sorted(reference.keys() | other.keys()):
        left = _comparable(reference.get(section, {}), unknown)
        right = _comparable(other.get(section, {}), unknown)
        compared[section] = len(left.keys() | right.keys())
        found += [f"{section}: {text}" for text in _differences(left, right)]
    return Comparison(compared, len(found), tuple(found[:DIFFERENCES_SHOWN]), unknown)


def _comparable(section: Mapping[str, Entry], unknown: Mapping[str, str]) -> dict[str, Entry]:
    """Without what came of an unknown attempt: final states of its debtor, and all from its day on."""

    def is_excused(entry: Entry) -> bool:
        since = unknown.get(entry["debtor"])
        return since is not None and (entry["day"] == "" or entry["day"] >= since)

    return {key: entry for key, entry in section.items() if not is_excused(entry)}


def _differences(left: Mapping[str, Entry], right: Mapping[str, Entry]) -> Iterator[str]:
    for key in sorted(left.keys() | right.keys()):
        if key not in right:
            yield f"{key} of {left[key]['debtor']} is only in the undisturbed run"
        elif key not in left:
            yield f"{key} of {right[key]['debtor']} is only in the disturbed run"
        elif left[key] != right[key]:
            yield f"{key} of {left[key]['debtor']}: {_changed(left[key], right[key])}"


def _changed(left: Entry, right: Entry) -> str:
    before, after = {**left["value"], "day": left["day"]}, {**right["value"], "day": right["day"]}
    names = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
    return ", ".join(f"{name} was {before.get(name)!r}, is {after.get(name)!r}" for name in names[:3])
