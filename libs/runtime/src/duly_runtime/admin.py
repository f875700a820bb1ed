"""The admin server of a process: health, metrics and status, on its own port and thread, up before the work begins."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import generate_latest

from duly_runtime.metrics import Metrics

STALL_LIMIT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Status:
    """How far a service has come. A position counts only when the effects before it are committed.

    positions: topic -> partition -> next offset; outbox: rows not yet in the log; work: items due and not done;
    clock: the policy instant (RFC 3339), empty before the first tick.
    """

    service: str
    positions: Mapping[str, Mapping[int, int]]
    outbox: int = 0
    work: int = 0
    clock: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> bytes:
        return json.dumps(
            {
                "service": self.service,
                "positions": self.positions,
                "outbox": self.outbox,
                "work": self.work,
                "clock": self.clock,
                **self.extra,
            }
        ).encode()


@dataclass(frozen=True, slots=True)
class Probes:
    """What the admin server asks. `stalled` names loops that do not move; `not_ready` is a reason or ''."""

    stalled: Callable[[], list[str]]
    not_ready: Callable[[], str]
    status: Callable[[], Status]


class AdminServer:
    """GET /live (200 while every loop moves), /ready, /metrics, /status."""

    def __init__(self, host: str, port: int, probes: Probes, metrics: Metrics) -> None:
        handler = _handler(probes, metrics)
        self._server = ThreadingHTTPServer((host, port), handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, name="admin", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _handler(probes: Probes, metrics: Metrics) -> type[BaseHTTPRequestHandler]:
    def answer(path: str) -> tuple[int, str, bytes]:
        match path:
            case "/live":
                stalled = probes.stalled()
                return (503, "text/plain", f"stalled: {', '.join(stalled)}\n".encode()) if stalled else _OK
            case "/ready":
                reason = probes.not_ready()
                return (503, "text/plain", f"{reason}\n".encode()) if reason else _OK
            case "/metrics":
                return 200, "text/plain; version=0.0.4", generate_latest(metrics.registry)
            case "/status":
                return 200, "application/json", probes.status().to_json()
            case _:
                return 404, "text/plain", b"known: /live /ready /metrics /status\n"

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30
        disable_nagle_algorithm = True  # header and body leave at once: kept connections would wait 40 ms otherwise

        def do_GET(self) -> None:
            try:
                status, content_type, body = answer(self.path)
            except Exception as error:  # a probe that fails must say so, not drop the connection
                status, content_type, body = 503, "text/plain", f"{type(error).__name__}\n".encode()
            self.send_response(status)
            self.send_header("content-type", content_type)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Probes come every second; they are not worth a line."""

    return Handler


_OK = (200, "text/plain", b"ok\n")
