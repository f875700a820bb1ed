"""Rendered objects, and the few questions that every rule asks of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Object = Mapping[str, Any]
Objects = Sequence[Object]

_WITH_PODS = ("Deployment", "StatefulSet", "DaemonSet", "Job")
LONG_RUNNING = ("Deployment", "StatefulSet", "DaemonSet")


def name_of(item: Object) -> str:
    return str(item["metadata"]["name"])


def namespace_of(item: Object) -> str:
    return str(item["metadata"].get("namespace", ""))


def title(item: Object) -> str:
    """How a fault names an object."""
    return f"{item['kind']} {name_of(item)}"


def of_kind(objects: Objects, *kinds: str) -> Iterator[Object]:
    return (item for item in objects if item["kind"] in kinds)


def find(objects: Objects, kind: str, namespace: str, name: str) -> Object | None:
    for item in of_kind(objects, kind):
        if namespace_of(item) == namespace and name_of(item) == name:
            return item
    return None


@dataclass(frozen=True, slots=True)
class Workload:
    """An object that makes pods."""

    item: Object

    @property
    def kind(self) -> str:
        return str(self.item["kind"])

    @property
    def name(self) -> str:
        return name_of(self.item)

    @property
    def namespace(self) -> str:
        return namespace_of(self.item)

    @property
    def long_running(self) -> bool:
        return self.kind in LONG_RUNNING

    @property
    def spec(self) -> Object:
        return dict(self.item["spec"])

    @property
    def pod(self) -> Object:
        return dict(self.item["spec"]["template"]["spec"])

    @property
    def labels(self) -> Mapping[str, str]:
        return dict(self.item["spec"]["template"]["metadata"].get("labels", {}))

    @property
    def containers(self) -> list[Object]:
        return [*self.pod.get("initContainers", ()), *self.pod.get("containers", ())]

    def __str__(self) -> str:
        return title(self.item)


def workloads(objects: Objects) -> list[Workload]:
    """Everything that makes pods of ours."""
    return [Workload(item) for item in of_kind(objects, *_WITH_PODS)]


def container_ports(container: Object) -> dict[str, int]:
    """Port name -> number."""
    return {str(port.get("name", port["containerPort"])): port["containerPort"] for port in container.get("ports", ())}


def selects(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether a `matchLabels` selector picks these labels; an empty one picks all."""
    return all(labels.get(key) == value for key, value in selector.items())
