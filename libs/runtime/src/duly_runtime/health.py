"""`python -m duly_runtime.health`: is the service in this container alive? Exit code 0 = yes, 1 = no.

For the image's HEALTHCHECK. The service is named by `DULY_SERVICE` (set in the image), its admin port by its own
settings variable, so there is nothing else to keep in step.
"""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Mapping

from duly_runtime.settings import ServiceSettings, variable_of

_TIMEOUT_SECONDS = 3.0
_ANYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not bound to


def admin_address(env: Mapping[str, str]) -> tuple[str, int]:
    """Host and port of the admin server. Raises KeyError without `DULY_SERVICE`, ValueError for a bad port."""
    service = env["DULY_SERVICE"]
    fields = ServiceSettings.model_fields
    host = env.get(variable_of(service, "admin_host"), fields["admin_host"].default)
    port = int(env.get(variable_of(service, "admin_port"), fields["admin_port"].default))
    return ("127.0.0.1" if host in _ANYWHERE else host), port


def is_alive(host: str, port: int) -> bool:
    """Whether `GET /live` answers 200 in time."""
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/live")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main(env: Mapping[str, str]) -> int:
    """The exit code."""
    try:
        host, port = admin_address(env)
    except (KeyError, ValueError) as error:
        print(f"health: {error!r}", file=sys.stderr)
        return 1
    return 0 if is_alive(host, port) else 1


if __name__ == "__main__":
    sys.exit(main(os.environ))
