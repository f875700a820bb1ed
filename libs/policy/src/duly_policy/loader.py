"""The one module that reads files, and only those packaged with this library and with `tzdata`.

Released files (`packs/*/<version>.yaml`, `calendars/*/...`, `strategies/*/...`) are immutable: `packs.lock` holds the
sha256 of each. A change is a new version file; the old one stays, so that a recorded decision can be replayed with
`name@version`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.abc import Traversable
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from duly_policy.ladder import Strategy
from duly_policy.packs import Packs, UnknownPack
from duly_policy.schema import parse_calendar, parse_rules
from duly_policy.strategies import parse_strategy

AREAS = ("calendars", "packs", "strategies")
LOCK_FILE = "packs.lock"


def load_packs(*names: str) -> Packs:
    """Packs by name (newest release) or name@version; all calendars come along, newest or as 'calendar/US@2026.11.1'.

    Raises UnknownPack, InvalidPack.
    """
    wanted = dict(_split(name) for name in names)
    pinned = {name.removeprefix("calendar/"): v for name, v in wanted.items() if name.startswith("calendar/")}
    documents = [_document("packs", name, v) for name, v in wanted.items() if not name.startswith("calendar/")]
    calendars = {
        country: parse_calendar(_document("calendars", country, pinned.get(country)))
        for country in sorted({*_names("calendars"), *pinned})
    }
    return Packs(
        versions=tuple(sorted((document["pack"], str(document["version"])) for document in documents)),
        rules=tuple(rule for document in documents for rule in parse_rules(document)),
        calendars=calendars,
        zones=_zones(),
        country_zones=_country_zones(),
        tzdata_version=str(import_module("tzdata").IANA_VERSION),
    )


def load_strategy(name: str) -> Strategy:
    """A strategy by name (newest release) or name@version. Raises UnknownPack, InvalidPack."""
    return parse_strategy(_document("strategies", *_split(name)))


def released() -> tuple[tuple[str, str, str], ...]:
    """(area, name, version) of every released file."""
    return tuple((area, name, version) for area in AREAS for name in _names(area) for version in _versions(area, name))


def released_document(area: str, name: str, version: str) -> Mapping[str, Any]:
    return _document(area, name, version)


def cases(area: str, name: str) -> Mapping[str, Mapping[str, Any]]:
    """The firing and non-firing cases of a pack or strategy, by file stem; 'base' is the input they change."""
    folder = files("duly_policy").joinpath(area, name, "cases")
    found = {entry.name.removesuffix(".yaml"): entry for entry in folder.iterdir() if entry.name.endswith(".yaml")}
    return {stem: yaml.safe_load(found[stem].read_text("utf-8")) for stem in sorted(found)}


def lock_lines() -> tuple[str, ...]:
    """What `packs.lock` should say: '<sha256>  <path>' per released file."""
    root = files("duly_policy")
    paths = sorted(f"{area}/{name}/{version}.yaml" for area, name, version in released())
    return tuple(f"{hashlib.sha256(root.joinpath(path).read_bytes()).hexdigest()}  {path}" for path in paths)


def locked_lines() -> tuple[str, ...]:
    return tuple(files("duly_policy").joinpath(LOCK_FILE).read_text("utf-8").splitlines())


def _document(area: str, name: str, version: str | None) -> Mapping[str, Any]:
    if name not in _names(area):
        raise UnknownPack(f"{area}: {name}")
    versions = _versions(area, name)
    if not versions or (version is not None and version not in versions):
        raise UnknownPack(f"{area}: {name}@{version}")
    path = files("duly_policy").joinpath(area, name, f"{version or versions[-1]}.yaml")
    document = yaml.safe_load(path.read_text("utf-8"))
    return document if isinstance(document, Mapping) else {}


def _names(area: str) -> tuple[str, ...]:
    return tuple(sorted(entry.name for entry in files("duly_policy").joinpath(area).iterdir() if entry.is_dir()))


def _versions(area: str, name: str) -> tuple[str, ...]:
    """Ascending: 2026.9.1 before 2026.11.1."""
    folder = files("duly_policy").joinpath(area, name)
    stems = (entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return tuple(sorted(stems, key=lambda stem: tuple(int(part) for part in stem.split("."))))


def _split(name: str) -> tuple[str, str | None]:
    stem, _, version = name.partition("@")
    return stem, version or None


@cache
def _zones() -> Mapping[str, ZoneInfo]:
    """Every zone of the pinned `tzdata` distribution; the operating system's own data is never asked."""
    root = files("tzdata")
    names = root.joinpath("zones").read_text("utf-8").split()
    return {name: _zone(root, name) for name in names}


def _zone(root: Traversable, name: str) -> ZoneInfo:
    with root.joinpath("zoneinfo", *name.split("/")).open("rb") as stream:
        return ZoneInfo.from_file(stream, key=name)


@cache
def _country_zones() -> Mapping[str, tuple[str, ...]]:
    """ISO 3166 country -> its zones, from the same distribution (zone.tab: code, coordinates, zone)."""
    table = files("tzdata").joinpath("zoneinfo", "zone.tab").read_text("utf-8")
    rows = [line.split("\t") for line in table.splitlines() if line and not line.startswith("#")]
    countries = sorted({row[0] for row in rows})
    return {country: tuple(sorted(row[2] for row in rows if row[0] == country)) for country in countries}
