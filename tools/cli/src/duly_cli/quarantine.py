"""`duly quarantine`: what ledger-sync put aside or holds back, as its own edge tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from duly_runtime.clock import Clock

from duly_cli.dlq.shown import columns
from duly_cli.errors import CommandFailed
from duly_cli.stack.local import LocalStack

_LIFE = timedelta(minutes=5)
_TO_DO = {
    "held": "held: tried again by itself whenever a fact of its debtor comes; if it waits for one, send that one",
    "rejected": "rejected: nothing of it counts; send it anew, corrected and with a new id",
}


def quarantined(
    stack: LocalStack, tenant: str, limit: int, clock: Clock, transport: httpx.BaseTransport | None = None
) -> list[Mapping[str, Any]]:
    """The newest events, at most `limit`, newest first. Raises CommandFailed. transport: another than the network."""
    token = stack.credentials.sign("person", tenant, ("ledger:write",), clock.now(), _LIFE)
    url = stack.url("ledger-sync", "http")
    try:
        with httpx.Client(base_url=url, transport=transport, trust_env=False, timeout=10.0) as client:
            headers = {"Authorization": f"Bearer {token}"}
            answer = client.get("/v1/quarantine", params={"limit": limit}, headers=headers).raise_for_status()
            return list(answer.json()["events"])
    except (httpx.HTTPError, ValueError, KeyError) as error:
        raise CommandFailed(
            f"ledger-sync at {url} does not tell its quarantine: {error}. See `duly status`."
        ) from error


def lines(events: Sequence[Mapping[str, Any]], limit: int) -> list[str]:
    """A table, newest last as in `duly dlq list`, what to do, and how many."""
    if not events:
        return ["Nothing is in quarantine."]
    heads = ("when (UTC)", "state", "debtor", "event", "type", "reason", "why")
    found = {state: sum(event["state"] == state for event in events) for state in _TO_DO}
    return [
        *columns(heads, [_row(event) for event in reversed(events)]),
        *(words for state, words in _TO_DO.items() if found[state]),
        ", ".join(f"{count} {state}" for state, count in found.items() if count)
        + (f"; the newest {limit} are shown, there may be more." if len(events) == limit else "."),
    ]


def _row(event: Mapping[str, Any]) -> tuple[str, ...]:
    when = datetime.fromisoformat(event["received_at"]).astimezone(UTC)
    kind = event["event_type"].removeprefix("duly.").removesuffix(".v1")
    cells = (event["state"], event["debtor_id"], event["event_id"], kind, event["code"], event["text"])
    return (f"{when:%Y-%m-%d %H:%M:%S}", *(cell or "-" for cell in cells))
