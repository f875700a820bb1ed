"""uvicorn in a thread of its own, on a socket that is open before anything claims to be ready."""

from __future__ import annotations

import socket
import threading

import uvicorn
from fastapi import FastAPI

_BACKLOG = 512
_STOP_SECONDS = 10.0


class HttpServer:
    """Serves one application from `start` to `close`. Raises OSError from `start` when the port is taken."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._server = uvicorn.Server(
            uvicorn.Config(
                app, log_config=None, access_log=False, lifespan="off", server_header=False,
                limit_concurrency=200, timeout_keep_alive=30, timeout_graceful_shutdown=int(_STOP_SECONDS),
            )
        )  # fmt: skip
        self._thread: threading.Thread | None = None
        self.port = 0

    def start(self) -> None:
        listener = socket.create_server((self._host, self._port), backlog=_BACKLOG)
        self.port = int(listener.getsockname()[1])
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="http", daemon=True)
        self._thread.start()

    def close(self) -> None:
        if self._thread is not None:
            self._server.should_exit = True
            self._thread.join(_STOP_SECONDS)
