"""One debtor's story, from the gateway's public API, line by line, each with its cause."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import httpx

from duly_cli.checks.evidence import Evidence
from duly_cli.checks.ledger_checks import TICK
from duly_cli.checks.topics import Event
from duly_cli.errors import CommandFailed
from duly_cli.stack.local import LocalStack

PAGE_SIZE = 500
PAGES_MAX = 20
LINES_SHOWN = 40
DAYS_BEFORE_CONTACT = 30
# What makes a story worth telling; each counts once.
_WORTH = {
    "contact.sent": 8,
    "contact.cancelled": 20,
    "contact.deferred": 3,
    "contact.denied": 3,
    "reply.received": 3,
    "invoice.disputed": 2,
    "payment.reversed": 2,
    "contact.held": 1,
}
_PAID_AFTER_CONTACT = 8
_TOO_LONG_FROM = 40
_INDENT = " " * 38
# An id says nothing to a reader; words do.
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class StoryLine:
    """One entry of the timeline."""

    event_id: str
    event: str
    business_date: str
    text: str
    causation_id: str
    because: tuple[str, ...]


def choose_debtor(evidence: Evidence) -> str:
    """The debtor with most to tell: contacted, then paid, with something cancelled or put off. '' if there is none."""
    names: dict[str, list[str]] = defaultdict(list)
    for topic in ("ledger-events", "outreach-events", "contact-events", "inbound-messages"):
        for event in evidence.events.get(topic, ()):
            if not event.envelope.backfill and event.debtor_id:
                names[event.debtor_id].append(event.name)
    paid = _paid_after_contact(evidence)
    if not names:
        return ""

    def worth(debtor: str) -> tuple[int, str]:
        points = sum(_WORTH.get(name, 0) for name in set(names[debtor]))
        points += _PAID_AFTER_CONTACT * (debtor in paid)
        return points - max(0, len(names[debtor]) - _TOO_LONG_FROM), debtor

    return max(names, key=worth)


def _paid_after_contact(evidence: Evidence) -> set[str]:
    first_sent: dict[str, str] = {}
    for event in evidence.sent:
        day = event.envelope.business_date.isoformat() if event.envelope.business_date else ""
        first_sent[event.debtor_id] = min(day, first_sent.get(event.debtor_id, day))
    return {
        event.debtor_id
        for event in evidence.events["ledger-events"]
        if event.name == "payment.received"
        and event.debtor_id in first_sent
        and (event.envelope.business_date.isoformat() if event.envelope.business_date else "")
        > first_sent[event.debtor_id]
    }


def read_timeline(stack: LocalStack, debtor_id: str) -> list[StoryLine]:
    """All pages of `/v1/debtors/{id}/timeline`. Raises CommandFailed."""
    url = f"{stack.url('gateway', 'rest')}/v1/debtors/{debtor_id}/timeline"
    headers = {"Authorization": f"Bearer {stack.credentials.token('reader')}"}
    entries: list[dict[str, object]] = []
    token = ""
    try:
        for _ in range(PAGES_MAX):
            query = {"tenant_id": stack.tenant, "page_size": str(PAGE_SIZE), "page_token": token}
            answer = httpx.get(url, params=query, headers=headers, timeout=10.0, trust_env=False)
            answer.raise_for_status()
            document = answer.json()
            entries += document.get("entries", [])
            token = document.get("next_page_token", "")
            if not token:
                break
    except (httpx.HTTPError, ValueError) as error:
        raise CommandFailed(f"The timeline of {debtor_id} cannot be read from {url}: {error}") from error
    return in_causal_order([_line(entry) for entry in entries])


def in_causal_order(lines: Sequence[StoryLine]) -> list[StoryLine]:
    """The same lines, each behind its cause: insights reads several topics, so an effect may be projected first."""
    known = {line.event_id for line in lines}
    waiting: dict[str, list[StoryLine]] = defaultdict(list)
    ordered: dict[str, StoryLine] = {}
    for line in lines:
        if line.causation_id in known and line.causation_id not in ordered:
            waiting[line.causation_id].append(line)
            continue
        ready = [line]
        while ready:
            told = ready.pop(0)
            ordered[told.event_id] = told
            ready = [*waiting.pop(told.event_id, ()), *ready]
    return [*ordered.values(), *(line for lines in waiting.values() for line in lines)]


def tell(lines: Sequence[StoryLine], since: str, causes: Mapping[str, str]) -> list[str]:
    """The story as text from the first day that was played: date, what happened, and through what.

    causes: event id -> the event in a few words, for all that a line may be caused by.
    """
    told = [line for line in lines if line.business_date >= since]
    shown = told[:LINES_SHOWN]
    result = [text for line in shown for text in _told(line, causes)]
    if len(told) > len(shown):
        result.append(f"... and {len(told) - len(shown)} more lines")
    return result


def story_begins(evidence: Evidence, debtor_id: str, play_from: date) -> date:
    """A month before the debtor's first contact, but not before the play began."""
    contacts = [event.envelope.business_date for event in evidence.sent if event.debtor_id == debtor_id]
    first = min((day for day in contacts if day is not None), default=play_from)
    return max(play_from, first - timedelta(days=DAYS_BEFORE_CONTACT))


def cause_words(evidence: Evidence) -> dict[str, str]:
    """Every event id in a few words."""
    return {event_id: _words(event) for event_id, event in evidence.by_id.items()}


def _words(event: Event) -> str:
    if event.name == TICK:
        return f"the business date {event.message.business_date}"
    if event.name == "ingress.received":
        return "what the ERP delivered"
    day = event.envelope.business_date
    return f"{event.name} of {day}" if day else event.name


def _told(line: StoryLine, causes: Mapping[str, str]) -> list[str]:
    text = [f"{line.business_date}  {line.event:<24}  {line.text}"]
    cause = causes.get(line.causation_id, "")
    reasons = [part for part in line.because if not _ID.fullmatch(part)]
    if cause or reasons:
        text.append(f"{_INDENT}<- {cause or 'a source'}")
    text += [f"{_INDENT}   {reason}" for reason in reasons]
    return text


def _line(entry: Mapping[str, object]) -> StoryLine:
    because = entry.get("because", [])
    return StoryLine(
        event_id=str(entry.get("event_id", "")),
        event=str(entry.get("event", "")),
        business_date=str(entry.get("business_date", "")),
        text=str(entry.get("text", "")),
        causation_id=str(entry.get("causation_id", "")),
        because=tuple(str(part) for part in because) if isinstance(because, list) else (),
    )
