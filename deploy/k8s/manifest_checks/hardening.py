"""What every pod must have: probes, requests, a memory limit, a restricted context, a budget, a policy, spread."""

from __future__ import annotations

from manifest_checks.objects import Object, Objects, Workload, find, name_of, namespace_of, of_kind, selects, workloads
from manifest_checks.references import selector_of

USER = 10001
_PROBES = ("startupProbe", "readinessProbe", "livenessProbe")


def probes_are_set(objects: Objects) -> list[str]:
    """All three, and the liveness probe never asks for readiness: that would restart a fleet with its broker."""
    faults = []
    for workload in workloads(objects):
        if not workload.long_running:
            continue
        for container in workload.containers:
            faults += [f"{workload}: no {probe}" for probe in _PROBES if probe not in container]
            if container.get("livenessProbe", {}).get("httpGet", {}).get("path") == "/ready":
                faults.append(f"{workload}: its livenessProbe asks /ready")
    return faults


def resources_are_bounded(objects: Objects) -> list[str]:
    """Requests for cpu and memory, a limit for memory only: a cpu limit throttles, it protects nobody."""
    faults = []
    for workload in workloads(objects):
        for container in workload.containers:
            resources = container.get("resources", {})
            requests, limits = resources.get("requests", {}), resources.get("limits", {})
            faults += [f"{workload}: no request for {what}" for what in ("cpu", "memory") if what not in requests]
            if "memory" not in limits:
                faults.append(f"{workload}: no limit for memory")
            if "cpu" in limits:
                faults.append(f"{workload}: a limit for cpu")
    return faults


def contexts_are_restricted(objects: Objects) -> list[str]:
    """The `restricted` pod security standard, and a read-only root."""
    faults = []
    for workload in workloads(objects):
        pod = workload.pod
        context = pod.get("securityContext", {})
        wanted = {
            "runAsNonRoot": context.get("runAsNonRoot") is True,
            f"runAsUser {USER}": context.get("runAsUser") == USER,
            "seccompProfile RuntimeDefault": context.get("seccompProfile", {}).get("type") == "RuntimeDefault",
            "automountServiceAccountToken false": pod.get("automountServiceAccountToken") is False,
            "enableServiceLinks false": pod.get("enableServiceLinks") is False,
            "no host namespace": not any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")),
        }
        for container in workload.containers:
            wanted |= _container_context(container)
        faults += [f"{workload} lacks: {what}" for what, there in wanted.items() if not there]
    return faults


def _container_context(container: Object) -> dict[str, bool]:
    context = container.get("securityContext", {})
    name = container["name"]
    return {
        f"{name}: allowPrivilegeEscalation false": context.get("allowPrivilegeEscalation") is False,
        f"{name}: readOnlyRootFilesystem": context.get("readOnlyRootFilesystem") is True,
        f"{name}: capabilities drop ALL": context.get("capabilities") == {"drop": ["ALL"]},
        f"{name}: not privileged": not context.get("privileged"),
        f"{name}: nothing that widens the pod's context": not context.keys() & {"runAsUser", "runAsNonRoot"},
    }


def workloads_are_guarded(objects: Objects) -> list[str]:
    """A PodDisruptionBudget of one, a NetworkPolicy of its own, spread over hosts, minReadySeconds."""
    faults = []
    for workload in workloads(objects):
        if not _has(objects, "NetworkPolicy", workload):
            faults.append(f"{workload}: no NetworkPolicy of its own")
        if not workload.long_running:
            continue
        if not _has(objects, "PodDisruptionBudget", workload):
            faults.append(f"{workload}: no PodDisruptionBudget")
        keys = {spread["topologyKey"] for spread in workload.pod.get("topologySpreadConstraints", ())}
        if "kubernetes.io/hostname" not in keys:
            faults.append(f"{workload}: not spread over hosts")
        if workload.spec.get("minReadySeconds", 0) < 15:
            faults.append(f"{workload}: minReadySeconds below 15")
    return faults + [
        f"PodDisruptionBudget {name_of(budget)}: maxUnavailable is not 1"
        for budget in of_kind(objects, "PodDisruptionBudget")
        if budget["spec"].get("maxUnavailable") != 1
    ]


def _has(objects: Objects, kind: str, workload: Workload) -> bool:
    return any(
        selector_of(item) and selects(selector_of(item), workload.labels)
        for item in of_kind(objects, kind)
        if namespace_of(item) == workload.namespace
    )


def namespaces_are_closed(objects: Objects) -> list[str]:
    """Where our pods run: pod security `restricted`, and a policy that denies both ways by default."""
    faults = []
    for name in sorted({workload.namespace for workload in workloads(objects)}):
        namespace = find(objects, "Namespace", "", name)
        labels = namespace["metadata"].get("labels", {}) if namespace else {}
        if labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            faults.append(f"Namespace {name} does not enforce pod security `restricted`")
        policies = [item for item in of_kind(objects, "NetworkPolicy") if namespace_of(item) == name]
        if not any(_denies_all(policy) for policy in policies):
            faults.append(f"Namespace {name} has no default-deny policy")
    return faults


def _denies_all(policy: Object) -> bool:
    spec = policy["spec"]
    both = set(spec.get("policyTypes", ())) == {"Ingress", "Egress"}
    return both and spec["podSelector"] == {} and not spec.get("ingress") and not spec.get("egress")
