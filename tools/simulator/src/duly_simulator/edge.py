"""One careful way to post to a public edge: the same bytes again until it answers, within a bound."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from duly_runtime.clock import Clock

RETRY_DEADLINE_SECONDS = 120.0
REQUEST_TIMEOUT_SECONDS = 10.0
RETRY_DELAY_SECONDS_MIN, RETRY_DELAY_SECONDS_MAX = 0.05, 2.0
_BUSY = 429


class EdgeUnavailable(RuntimeError):
    """The edge did not answer usably before the deadline; the request may or may not have been taken."""

    code = "edge_unavailable"


class EdgeRefused(RuntimeError):
    """The edge answered that the request is wrong; sending it again would not help."""

    code = "edge_refused"


def wait(seconds: float) -> None:
    """Lets real time pass."""
    threading.Event().wait(seconds)


@dataclass(frozen=True, slots=True)
class Edge:
    """Posts with a token. A connection that breaks, 429 and 5xx are tried again with the same body and headers.

    client: has the base URL and a timeout; safe for several threads. token: asked for each try, so it may be renewed.
    """

    client: httpx.Client
    token: Callable[[], str]
    clock: Clock
    pause: Callable[[float], None] = field(default=wait)
    deadline_seconds: float = RETRY_DEADLINE_SECONDS

    def post(self, path: str, content: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
        """The JSON of a 2xx answer. Raises EdgeRefused for another 4xx, EdgeUnavailable after the deadline."""
        ends = self.clock.monotonic() + self.deadline_seconds
        delay = RETRY_DELAY_SECONDS_MIN
        while True:
            trouble = ""
            try:
                answer = self.client.post(path, content=content, headers={**headers, **self._authorization()})
                if answer.is_success:
                    return _document(answer)
                trouble = f"{answer.status_code} {answer.text[:500]}"
                if answer.status_code < 500 and answer.status_code != _BUSY:
                    raise EdgeRefused(f"POST {path}: {trouble}")
            except (httpx.TransportError, ValueError) as error:  # ValueError: a 2xx cut off inside its JSON
                trouble = f"{type(error).__name__} {error}"
            if self.clock.monotonic() + delay > ends:
                raise EdgeUnavailable(f"POST {path}: no answer within {self.deadline_seconds:.0f} s, last: {trouble}")
            self.pause(delay)
            delay = min(delay * 2, RETRY_DELAY_SECONDS_MAX)

    def _authorization(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token()}"}


def open_edge(base_url: str, token: Callable[[], str], clock: Clock) -> Edge:
    """An edge at that address. Proxies named by the environment are not used."""
    return Edge(httpx.Client(base_url=base_url, timeout=REQUEST_TIMEOUT_SECONDS, trust_env=False), token, clock)


def _document(answer: httpx.Response) -> dict[str, Any]:
    document = answer.json() if answer.content else {}
    if not isinstance(document, dict):
        raise ValueError("the answer is no JSON object")
    return document


def content_id(*parts: bytes) -> str:
    """32 hex digits that stand for exactly that content."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(f"{len(part)}:".encode())
        digest.update(part)
    return digest.hexdigest()[:32]
