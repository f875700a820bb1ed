"""The one table of ports: a base and a fixed offset per service and purpose. The README's table is made from it."""

from __future__ import annotations

from dataclasses import dataclass

BASE_DEFAULT = 18000
BASE_VARIABLE = "DULY_BASE_PORT"


@dataclass(frozen=True, slots=True)
class PortUse:
    """One listening socket of the local stack. All of them are on 127.0.0.1."""

    owner: str
    purpose: str
    offset: int

    @property
    def name(self) -> str:
        return f"{self.owner} {self.purpose}"


PORTS: tuple[PortUse, ...] = (
    PortUse("kafka", "clients", 0),
    PortUse("kafka", "controller", 1),
    PortUse("postgres", "clients", 2),
    PortUse("mlflow", "http", 3),
    PortUse("mailbox", "smtp", 4),
    PortUse("ledger-sync", "http", 10),
    PortUse("ledger-sync", "admin", 11),
    PortUse("scoring", "admin", 21),
    PortUse("outreach", "admin", 31),
    PortUse("gateway", "grpc", 40),
    PortUse("gateway", "rest", 41),
    PortUse("gateway", "admin", 42),
    PortUse("insights", "grpc", 50),
    PortUse("insights", "admin", 51),
)
HIGHEST_OFFSET = max(use.offset for use in PORTS)


class BasePortInvalid(ValueError):
    """A base that leaves no room for every offset, or needs root."""

    code = "base_port_invalid"


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of one stack."""

    base: int = BASE_DEFAULT

    def __post_init__(self) -> None:
        if not 1024 <= self.base <= 65535 - HIGHEST_OFFSET:
            raise BasePortInvalid(f"The base port must lie in 1024..{65535 - HIGHEST_OFFSET}, {self.base} does not.")

    def of(self, owner: str, purpose: str) -> int:
        """The port number. Raises KeyError for what is not in the table."""
        for use in PORTS:
            if (use.owner, use.purpose) == (owner, purpose):
                return self.base + use.offset
        raise KeyError(f"{owner} {purpose}")

    def numbers(self, owners: tuple[str, ...] = ()) -> dict[str, int]:
        """Name -> number, for these owners or all."""
        return {use.name: self.base + use.offset for use in PORTS if not owners or use.owner in owners}

    def addresses(self) -> dict[str, str]:
        """What a person opens or calls, by name."""
        return {
            "REST": f"http://127.0.0.1:{self.of('gateway', 'rest')}/docs",
            "gRPC": f"127.0.0.1:{self.of('gateway', 'grpc')} (reflection is on)",
            "Events": f"http://127.0.0.1:{self.of('ledger-sync', 'http')}/v1/events",
            "MLflow": f"http://127.0.0.1:{self.of('mlflow', 'http')}",
        }


def markdown(base: int = BASE_DEFAULT) -> str:
    """The table as it stands in the README."""
    lines = ["| port | of | for |", "|---|---|---|"]
    lines += [f"| {base + use.offset} | {use.owner} | {use.purpose} |" for use in PORTS]
    return "\n".join(lines)
