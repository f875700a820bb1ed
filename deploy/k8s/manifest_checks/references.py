"""What objects say about each other must be true: selectors, ports, names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from manifest_checks.objects import (
    Object,
    Objects,
    Workload,
    container_ports,
    find,
    name_of,
    namespace_of,
    of_kind,
    selects,
    title,
    workloads,
)


def no_object_twice(objects: Objects) -> list[str]:
    """Kind, namespace and name are an object's identity."""
    seen = Counter((item["kind"], namespace_of(item), name_of(item)) for item in objects)
    return [f"{kind} {name} stands {count} times" for (kind, _, name), count in seen.items() if count > 1]


def namespaces_exist(objects: Objects) -> list[str]:
    """Each object's namespace is rendered with it."""
    known = {name_of(item) for item in of_kind(objects, "Namespace")} | {""}
    return [
        f"{title(item)}: there is no namespace {namespace_of(item)}"
        for item in objects
        if namespace_of(item) not in known
    ]


def selectors_match(objects: Objects) -> list[str]:
    """Services, PDBs and policies select pods; a Service or a PDB those of one workload; a workload its own."""
    faults = []
    for item in of_kind(objects, "Service", "PodDisruptionBudget", "NetworkPolicy", "Deployment", "StatefulSet"):
        selected = [
            workload
            for workload in workloads(objects)
            if workload.namespace == namespace_of(item) and selects(selector_of(item), workload.labels)
        ]
        if not selected:
            faults.append(f"{title(item)} selects no pod")
        elif item["kind"] != "NetworkPolicy" and len(selected) > 1:
            faults.append(f"{title(item)} selects the pods of {', '.join(map(str, selected))}")
        elif item["kind"] in ("Deployment", "StatefulSet") and selected[0].name != name_of(item):
            faults.append(f"{title(item)} selects the pods of {selected[0]}")
    return faults


def selector_of(item: Object) -> dict[str, str]:
    """The labels by which an object picks pods."""
    spec = item["spec"]
    match item["kind"]:
        case "Service":
            return dict(spec["selector"])
        case "NetworkPolicy":
            return dict(spec["podSelector"].get("matchLabels", {}))
        case _:
            return dict(spec["selector"]["matchLabels"])


def policy_peers_exist(objects: Objects) -> list[str]:
    """A peer in our own namespace is a workload of ours (or `training`, which runs as a job of its user's)."""
    known = {workload.labels.get("app.kubernetes.io/name") for workload in workloads(objects)} | {"training"}
    faults = []
    for item in of_kind(objects, "NetworkPolicy"):
        for peer in _peers(item):
            name = peer.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/name")
            if name is not None and "namespaceSelector" not in peer and name not in known:
                faults.append(f"{title(item)}: no pods are named {name}")
    return faults


def _peers(policy: Object) -> Iterator[Object]:
    for rule in (*policy["spec"].get("ingress", ()), *policy["spec"].get("egress", ())):
        yield from (*rule.get("from", ()), *rule.get("to", ()))


def ports_exist(objects: Objects) -> list[str]:
    """A Service's targetPort, a policy's ingress port and a probe's port are ports of the containers behind them."""
    faults = []
    for item in of_kind(objects, "Service", "NetworkPolicy"):
        behind = [
            workload
            for workload in workloads(objects)
            if workload.namespace == namespace_of(item) and selects(selector_of(item), workload.labels)
        ]
        offered = [container_ports(container) for workload in behind for container in workload.containers]
        faults += [
            f"{title(item)}: port {port} is offered by no pod" for port in _asked(item) if not _any(offered, port)
        ]
    for workload in workloads(objects):
        for container in workload.containers:
            for kind, port in _probe_ports(container):
                if not _any([container_ports(container)], port):
                    faults.append(f"{workload}: {kind} asks port {port}, which the container does not offer")
    return faults


def _asked(item: Object) -> list[str | int]:
    if item["kind"] == "Service":
        return [port.get("targetPort", port["port"]) for port in item["spec"]["ports"]]
    return [port["port"] for rule in item["spec"].get("ingress", ()) for port in rule.get("ports", ())]


def _probe_ports(container: Object) -> Iterator[tuple[str, str | int]]:
    for kind in ("startupProbe", "readinessProbe", "livenessProbe"):
        for how in ("httpGet", "grpc", "tcpSocket"):
            if how in container.get(kind, {}):
                yield kind, container[kind][how]["port"]


def _any(offered: list[dict[str, int]], port: str | int) -> bool:
    return any(port in ports or port in ports.values() for ports in offered)


def names_resolve(objects: Objects) -> list[str]:
    """ConfigMaps, Secrets, ServiceAccounts, claims and volumes that pods name are there."""
    faults = []
    for workload in workloads(objects):
        for kind, name in _named(workload):
            if find(objects, kind, workload.namespace, name) is None:
                faults.append(f"{workload}: there is no {kind} {name}")
        volumes = {volume["name"] for volume in workload.pod.get("volumes", ())}
        volumes |= {name_of(claim) for claim in workload.spec.get("volumeClaimTemplates", ())}
        mounted = [mount["name"] for container in workload.containers for mount in container.get("volumeMounts", ())]
        faults += [f"{workload}: there is no volume {name}" for name in mounted if name not in volumes]
        faults += [f"{workload}: volume {name} is mounted nowhere" for name in sorted(volumes - set(mounted))]
    return faults + _governing_services(objects)


def _governing_services(objects: Objects) -> list[str]:
    return [
        f"{title(item)}: there is no Service {item['spec'].get('serviceName')}"
        for item in of_kind(objects, "StatefulSet")
        if find(objects, "Service", namespace_of(item), item["spec"].get("serviceName", "")) is None
    ]


def _named(workload: Workload) -> Iterator[tuple[str, str]]:
    yield "ServiceAccount", workload.pod.get("serviceAccountName", "default")
    for volume in workload.pod.get("volumes", ()):
        if "configMap" in volume:
            yield "ConfigMap", volume["configMap"]["name"]
        if "secret" in volume:
            yield "Secret", volume["secret"]["secretName"]
        if "persistentVolumeClaim" in volume:
            yield "PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]
    for container in workload.containers:
        for source in container.get("envFrom", ()):
            if "configMapRef" in source:
                yield "ConfigMap", source["configMapRef"]["name"]
            if "secretRef" in source:
                yield "Secret", source["secretRef"]["name"]
        for variable in container.get("env", ()):
            source = variable.get("valueFrom", {})
            if "secretKeyRef" in source:
                yield "Secret", source["secretKeyRef"]["name"]
            if "configMapKeyRef" in source:
                yield "ConfigMap", source["configMapKeyRef"]["name"]
