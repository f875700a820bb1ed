"""`duly models`: the versions in the registry, what the stream was told, and what the local worker makes of it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

import httpx
from duly_contracts.model_control import CHAMPION, SHADOW, Promotion
from duly_training.model_versions import ModelVersion
from duly_training.origin import Kind
from duly_training.registry import ALIASES, alias_of
from rich.table import Table

from duly_cli.promotions import ModelPromotions, kafka_faults, registry_faults
from duly_cli.servers import Servers
from duly_cli.terminal import Terminal


def print_models(promotions: ModelPromotions, servers: Servers, terminal: Terminal) -> None:
    """Raises CommandFailed."""
    with kafka_faults():
        histories = {role: promotions.control.history(promotions.tenant, role) for role in (CHAMPION, SHADOW)}
        stands_at = promotions.control.newest_business_date(promotions.tenant)
    with registry_faults():
        versions = promotions.versions().all()
    terminal.say(_table(versions, promotions.tenant))
    for role, history in histories.items():
        if history:
            for line in (
                told_stream(role, history[-1], stands_at),
                *_alias_gap(alias_of(role, promotions.tenant), history[-1], versions),
            ):
                terminal.plain(line)
        elif role == CHAMPION:
            terminal.plain(f"The stream of {promotions.tenant} was told of no model: the rules score.")
    for line in _worker(servers):
        terminal.plain(line)


def _table(versions: list[ModelVersion], tenant: str) -> Table:
    table = Table(title=f"Model risk: versions of {tenant}", title_justify="left")
    for column in ("version", "made", "gate", "aliases"):
        table.add_column(column)
    for one in versions:
        table.add_row(one.model.version, f"{one.made:%Y-%m-%d %H:%M}", _gate_words(one), ", ".join(one.aliases))
    return table


def _gate_words(version: ModelVersion) -> str:
    if version.kind is Kind.RATE:
        return "none needed: the debtor's rate"
    if version.verdict is None:
        return "no verdict"
    return "passed" if version.verdict.promote else f"refused ({len(version.verdict.failed)} checks)"


def told_stream(role: str, newest: Promotion, stands_at: date | None) -> str:
    """What the newest record of a role asks for, since when, by whom."""
    since = f"from business date {newest.effective}" if newest.effective else "on every date"
    if newest.effective and (stands_at is None or stands_at < newest.effective):
        since += f", which has not begun: the ledger stands at {stands_at or 'no date'}"
    what = f"version {newest.version}" if newest.version else "no model"
    how = "rolled back to" if newest.is_rollback else "promoted"
    if role == SHADOW and not newest.version:
        how = "ended"
    by = f"{how} by {newest.by}, {newest.promoted_at:%Y-%m-%d %H:%M}: {newest.reason or 'no reason told'}"
    return f"{ALIASES[role]} of the stream: {what}, {since} ({by})"


def _alias_gap(alias: str, newest: Promotion, versions: list[ModelVersion]) -> list[str]:
    """A command that died between alias and stream is seen here."""
    holder = next((one.model.version for one in versions if alias in one.aliases), "")
    if holder == newest.version:
        return []
    mend = "`duly rollback`" if newest.is_rollback else f"`duly promote {holder or newest.version}`"
    return [f"  The alias {alias} is at {holder or 'no version'}: the stream decides; repeat {mend} to mend it."]


def _worker(servers: Servers) -> list[str]:
    if not servers.scoring:
        return []
    try:
        status = httpx.get(f"{servers.scoring}/status", timeout=2.0, trust_env=False).json()
    except (httpx.HTTPError, ValueError):
        return ["The local scoring worker does not answer."]
    return worker_lines(status)


def worker_lines(status: Mapping[str, Any]) -> list[str]:
    """Of the worker's /status. A worker looks at what it was told when a batch comes: until then it names the last."""
    scored = status.get("model")
    faults = [one for one in status.get("promotions", []) if one["fault"]]
    return [
        f"The local worker scored its last batch with {scored}."
        if scored
        else "The local worker has scored nothing yet.",
        "What was promoted, rolled back or ended since shows there after its next one: a fact, or a day that begins.",
        *(f"  {one['role']} version {one['version']} is {one['state']}: {one['fault']}" for one in faults),
    ]
