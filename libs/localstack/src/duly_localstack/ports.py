"""Free TCP ports on loopback, and who listens on those that are not."""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Mapping

from duly_localstack.errors import StackError

LOOPBACK = "127.0.0.1"
_ANSWER_SECONDS = 1.0


def require_free_ports(ports: Mapping[str, int]) -> None:
    """Raise one `StackError` that names every port of `ports` (name -> number) which something already uses."""
    _tell({name: port for name, port in ports.items() if not is_free(port)})


def require_own_ports(ports: Mapping[str, int], listened: Callable[[], Collection[int]]) -> None:
    """The same for ports on which others than our own processes listen.

    listened: ports of our own at the moment. Only these are asked for, as macOS tells those of others to root alone.
    Two stacks that start at once may both have found a port free: one of them gets it, and the other's servers end, or
    a question to them is answered by the first one's.
    """
    own = listened()
    answered = {name: port for name, port in ports.items() if port not in own and _answers(port)}
    if answered:
        own = listened()  # ours may have begun to listen since
        _tell({name: port for name, port in answered.items() if port not in own})


def _tell(busy: Mapping[str, int]) -> None:
    if busy:
        listed = ", ".join(f"{port} ({name})" for name, port in busy.items())
        word = "port is" if len(busy) == 1 else "ports are"
        raise StackError(
            f"{len(busy)} needed {word} already in use on {LOOPBACK}: {listed}. "
            "Stop what listens there (perhaps another stack: `duly down`), "
            "or choose another block with `--base-port`, e.g. 28000."
        )


def _answers(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWER_SECONDS)
        return probe.connect_ex((LOOPBACK, port)) == 0


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of 127.0.0.1 now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: a port in TIME_WAIT is free
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that was free a moment ago, for tests; below the kernel's range it is not, so use it soon."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port
