"""Runs the REST application in a thread beside the loops."""

from __future__ import annotations

import socket
import threading

import uvicorn
from fastapi import FastAPI

_GRACE_SECONDS = 5


class RestServer:
    """uvicorn in a thread, on a socket bound here: a port in use fails at start, not in the background."""

    def __init__(self, app: FastAPI, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.create_server((host, port), family=family, backlog=256)
        self.port = int(self._socket.getsockname()[1])
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=_GRACE_SECONDS,
            limit_concurrency=500,
        )
        self._server = uvicorn.Server(config)
        # Signals belong to the process, not to a thread.
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, name="rest", daemon=True
        )

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_GRACE_SECONDS + 1)
        self._socket.close()
