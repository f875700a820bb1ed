"""What manifests say about the code: environment, listening ports, topics, replicas."""

from __future__ import annotations

import base64
import importlib
import inspect
from collections.abc import Iterator, Mapping
from functools import cache

from duly_contracts.topics import Topic, topics
from duly_runtime.settings import SettingsInvalid, load_settings, variable_of
from pydantic import BaseModel

from manifest_checks.objects import (
    Object,
    Objects,
    Workload,
    container_ports,
    find,
    name_of,
    namespace_of,
    of_kind,
    title,
    workloads,
)

SERVICES = ("ledger-sync", "scoring", "outreach", "gateway", "insights")
# Read by libraries, not by our settings.
LIBRARY_VARIABLES = frozenset({"OMP_NUM_THREADS", "PGOPTIONS"})
SCORING_SOURCE = "ledger-events"
# Settings by which servers are bound; a pod's must be reachable from other pods and from the kubelet.
_BOUND_TO = ("admin_host", "http_host", "rest_host", "grpc_host", "grpc_address")
_ANYWHERE = "0.0.0.0"  # noqa: S104


@cache
def settings_of(service: str) -> type[BaseModel]:
    """The settings class that the service's `config` module defines. Raises LookupError unless there is exactly one."""
    module = importlib.import_module(f"{service.replace('-', '_')}.config")
    found = [
        model
        for _, model in inspect.getmembers(module, inspect.isclass)
        if issubclass(model, BaseModel)
        and model.__module__ == module.__name__
        and "kafka_bootstrap_servers" in model.model_fields
    ]
    if len(found) != 1:
        raise LookupError(f"{module.__name__} defines {len(found)} settings classes")
    return found[0]


def service_of(workload: Workload) -> str | None:
    """Which of our services the pods run; None for others."""
    name = workload.labels.get("app.kubernetes.io/name", "")
    return name if name in SERVICES else None


def environment(objects: Objects, workload: Workload, container: Object) -> dict[str, str]:
    """The variables a container sees; what only the cluster knows stands as `<field>`."""
    env: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        if "configMapRef" in source:
            item = find(objects, "ConfigMap", workload.namespace, source["configMapRef"]["name"])
            env |= dict(item.get("data", {})) if item else {}
        if "secretRef" in source:
            item = find(objects, "Secret", workload.namespace, source["secretRef"]["name"])
            data: Mapping[str, str] = item.get("data", {}) if item else {}
            env |= {key: base64.b64decode(value).decode() for key, value in data.items()}
    for variable in container.get("env", ()):
        field = variable.get("valueFrom", {}).get("fieldRef", {}).get("fieldPath", "?")
        env[variable["name"]] = variable.get("value", f"<{field}>")
    return env


def environment_fits_settings(objects: Objects) -> list[str]:
    """Every variable is a setting, and the settings load: required ones there, values of the right kind."""
    faults = []
    for workload, service, env in _services(objects):
        model = settings_of(service)
        plain = {variable_of(service, field) for field in model.model_fields}
        files = {f"{variable}_FILE": variable for variable in plain}
        known = plain | files.keys() | LIBRARY_VARIABLES
        faults += [f"{workload}: {name} is no setting of {service}" for name in sorted(env.keys() - known)]
        # Files exist in the cluster only: a word stands for their content.
        given = {variable: "<file>" for name, variable in files.items() if name in env and name not in plain}
        given |= {name: value for name, value in env.items() if name in plain}
        try:
            load_settings(model, service, given)
        except SettingsInvalid as error:
            faults.append(f"{workload}: {error}")
    return faults


def _services(objects: Objects) -> Iterator[tuple[Workload, str, dict[str, str]]]:
    for workload in workloads(objects):
        if service := service_of(workload):
            for container in workload.containers:
                yield workload, service, environment(objects, workload, container)


def every_service_is_deployed(objects: Objects) -> list[str]:
    """Each service has a workload of its name; each with a database a migration."""
    faults = []
    ours = [(service_of(workload), workload) for workload in workloads(objects)]
    for service in SERVICES:
        kinds = {workload.kind for name, workload in ours if name == service}
        if not kinds & {"Deployment", "StatefulSet"}:
            faults.append(f"{service} is not deployed")
        if "database_url" in settings_of(service).model_fields and "Job" not in kinds:
            faults.append(f"{service} has a database and no migration")
    return faults


def files_are_mounted(objects: Objects) -> list[str]:
    """A setting that names a file points into a mounted volume, at a key that its ConfigMap or Secret has."""
    faults = []
    for workload, _, env in _services(objects):
        if not workload.long_running:
            continue
        for name, path in env.items():
            if name.endswith("_FILE") and not _is_mounted(objects, workload, path):
                faults.append(f"{workload}: {name} is {path}, which is not mounted")
    return faults


def _is_mounted(objects: Objects, workload: Workload, path: str) -> bool:
    folder, _, key = path.rpartition("/")
    volumes = {volume["name"]: volume for volume in workload.pod.get("volumes", ())}
    for container in workload.containers:
        for mount in container.get("volumeMounts", ()):
            source = volumes.get(mount["name"], {})
            if mount["mountPath"] != folder:
                continue
            if "configMap" in source:
                item = find(objects, "ConfigMap", workload.namespace, source["configMap"]["name"])
            else:
                item = find(objects, "Secret", workload.namespace, source.get("secret", {}).get("secretName", ""))
            return item is not None and key in item.get("data", {})
    return False


def ports_are_listened_on(objects: Objects) -> list[str]:
    """A service's container offers exactly the ports its settings listen on, and listens beyond loopback."""
    faults = []
    for workload, service, env in _services(objects):
        if not workload.long_running:
            continue
        listening = _listening(service, env)
        offered = {port for container in workload.containers for port in container_ports(container).values()}
        if offered != set(listening.values()):
            faults.append(f"{workload} offers {sorted(offered)}, its settings listen on {listening}")
        for field, info in settings_of(service).model_fields.items():
            if field in _BOUND_TO:
                value = env.get(variable_of(service, field), str(info.default))
                if value.partition(":")[0] != _ANYWHERE:
                    faults.append(f"{workload}: {variable_of(service, field)} is {value}, which nobody else reaches")
    return faults


def _listening(service: str, env: Mapping[str, str]) -> dict[str, int]:
    """Variable -> port, for every server of the service."""
    ports = {}
    for field, info in settings_of(service).model_fields.items():
        variable = variable_of(service, field)
        value = str(env.get(variable, info.default))
        if field in ("admin_port", "http_port", "rest_port", "grpc_port"):
            ports[variable] = int(value)
        elif field == "grpc_address":
            ports[variable] = int(value.rpartition(":")[2])
    return ports


def addresses_resolve(objects: Objects) -> list[str]:
    """Brokers, other services and the model registry are Services here, at ports these have."""
    known = _addresses(objects)
    faults = []
    for workload, service, env in _services(objects):
        for name, value in env.items():
            asked = [
                variable_of(service, field)
                for field in ("kafka_bootstrap_servers", "mlflow_tracking_uri", "gateway_address", "insights_address")
            ]
            if name not in asked:
                continue
            faults += [
                f"{workload}: {name} is {address}, where nobody answers"
                for address in value.removeprefix("http://").split(",")
                if address not in known
            ]
    return faults


def _addresses(objects: Objects) -> set[str]:
    known: set[str] = set()
    for item in of_kind(objects, "Service"):
        for port in item["spec"]["ports"]:
            known |= {f"{name_of(item)}{tail}:{port['port']}" for tail in ("", f".{namespace_of(item)}.svc")}
    for item in of_kind(objects, "Kafka"):  # what Strimzi makes
        for listener in item["spec"]["kafka"]["listeners"]:
            known.add(f"{name_of(item)}-kafka-bootstrap.{namespace_of(item)}.svc:{listener['port']}")
    return known


def topics_are_the_registrys(objects: Objects) -> list[str]:
    """KafkaTopic objects == the registry: names, partitions, broker settings; on the cluster that is there."""
    found = {name_of(item): item for item in of_kind(objects, "KafkaTopic")}
    wanted = topics()
    faults = [f"no KafkaTopic {name}" for name in wanted if name not in found]
    faults += [f"KafkaTopic {name} is not in the registry" for name in found if name not in wanted]
    for name, topic in wanted.items():
        if name in found:
            faults += _topic_faults(objects, found[name], topic)
    return faults


def _topic_faults(objects: Objects, item: Object, topic: Topic) -> Iterator[str]:
    spec = item["spec"]
    if spec["partitions"] != topic.partitions:
        yield f"{title(item)} has {spec['partitions']} partitions, the registry says {topic.partitions}"
    for key, value in topic.config().items():
        if str(spec["config"].get(key)) != value:
            yield f"{title(item)}: {key} is {spec['config'].get(key)}, the registry says {value}"
    if int(spec["config"].get("min.insync.replicas", 0)) > spec["replicas"]:
        yield f"{title(item)} can never be written: min.insync.replicas is above its replicas"
    cluster = item["metadata"].get("labels", {}).get("strimzi.io/cluster", "")
    if find(objects, "Kafka", namespace_of(item), cluster) is None:
        yield f"{title(item)}: there is no Kafka {cluster} in its namespace"


def replicas_fit_partitions(objects: Objects) -> list[str]:
    """A consumer beyond the partitions idles; scoring's workers share the partitions evenly."""
    faults = []
    for workload in workloads(objects):
        service = service_of(workload)
        if service is None or not workload.long_running:
            continue
        replicas = workload.spec.get("replicas", 1)
        most = max(topic.partitions for topic in topics().values() if service in topic.consumers)
        if not 1 <= replicas <= most:
            faults.append(f"{workload}: {replicas} replicas for {most} partitions")
        source = topics()[SCORING_SOURCE].partitions
        if service == "scoring" and replicas and source % replicas:
            faults.append(f"{workload}: {replicas} replicas do not share {source} partitions evenly")
    return faults


def stops_are_waited_for(objects: Objects) -> list[str]:
    """Grace is longer than what a service may take to stop: scoring 80 s, loops 20 s each before servers close."""
    least = {"scoring": 90, "gateway": 60}
    return [
        f"{workload}: terminationGracePeriodSeconds below {least.get(service, 45)}"
        for workload in workloads(objects)
        if (service := service_of(workload))
        and workload.long_running
        and workload.pod.get("terminationGracePeriodSeconds", 30) < least.get(service, 45)
    ]


def scoring_is_stateful(objects: Objects) -> list[str]:
    """Stable identity for static membership, a volume for its data, one thread, parallel start."""
    faults = []
    for workload, service, env in _services(objects):
        if service != "scoring":
            continue
        claims = [name_of(claim) for claim in workload.spec.get("volumeClaimTemplates", ())]
        mounts = {
            mount["mountPath"]
            for container in workload.containers
            for mount in container.get("volumeMounts", ())
            if mount["name"] in claims
        }
        wanted = {
            "a StatefulSet": workload.kind == "StatefulSet",
            "podManagementPolicy Parallel": workload.spec.get("podManagementPolicy") == "Parallel",
            "its pod's name as instance id": env.get("DULY_SCORING_INSTANCE_ID") == "<metadata.name>",
            "its data folder on a claim": env.get("DULY_SCORING_DATA_DIR") in mounts,
            "OMP_NUM_THREADS=1": env.get("OMP_NUM_THREADS") == "1",
        }
        faults += [f"{workload} lacks: {what}" for what, there in wanted.items() if not there]
    return faults
