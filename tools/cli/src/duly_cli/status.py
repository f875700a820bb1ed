"""`duly status`: what runs, and how far it has come."""

from __future__ import annotations

import httpx
from rich.table import Table

from duly_cli.folders import StateFolder, running_stack
from duly_cli.ports import Ports
from duly_cli.stack.services import SERVICE_NAMES
from duly_cli.terminal import Terminal


def print_status(state: StateFolder, terminal: Terminal) -> bool:
    """Whether every service is ready."""
    stack = running_stack(state)
    if stack is None:
        terminal.say("Nothing runs.")
        return False
    ports = Ports(stack.base_port)
    table = Table(title=f"Run {stack.run.name}, process {stack.pid}", title_justify="left")
    for column in ("service", "ready", "records applied", "outbox", "work", "clock"):
        table.add_column(column)
    rows = [_row(name, ports.of(name, "admin")) for name in SERVICE_NAMES]
    for row in rows:
        table.add_row(*row)
    terminal.say(table)
    for name, address in ports.addresses().items():
        terminal.say(f"{name + ':':8} {address}")
    terminal.say(f"Logs:    {stack.run.logs}")
    return all(row[1] == "yes" for row in rows)


def _row(name: str, port: int) -> tuple[str, ...]:
    base = f"http://127.0.0.1:{port}"
    try:
        ready = httpx.get(f"{base}/ready", timeout=2.0, trust_env=False)
        status = httpx.get(f"{base}/status", timeout=2.0, trust_env=False).json()
        applied = sum(sum(partitions.values()) for partitions in status["positions"].values())
        word = "yes" if ready.status_code == httpx.codes.OK else ready.text.strip()
        return name, word, f"{applied:,}", str(status["outbox"]), str(status["work"]), str(status["clock"] or "-")
    except (httpx.HTTPError, ValueError, KeyError, AttributeError):
        return name, "no answer", "-", "-", "-", "-"
