"""Each rule fires on a fault planted for it, and is silent without one (test_overlays)."""

from __future__ import annotations

import copy
from base64 import b64encode

import pytest
from manifest_checks.rules import rules
from manifest_checks.schemas import valid_for


def one(objects, kind, name):
    """The object of that kind whose name, but for a generator's hash, is this."""
    found = [
        item
        for item in objects
        if item["kind"] == kind
        and (item["metadata"]["name"] == name or item["metadata"]["name"].rpartition("-")[0] == name)
    ]
    exact = [item for item in found if item["metadata"]["name"] == name]
    return (exact or found)[0]


def spec_of(objects, kind, name):
    return one(objects, kind, name)["spec"]


def pod(objects, kind, name):
    return spec_of(objects, kind, name)["template"]["spec"]


def container(objects, kind, name):
    return pod(objects, kind, name)["containers"][0]


def config(objects, name):
    return one(objects, "ConfigMap", name)["data"]


def drop(objects, kind, name):
    objects.remove(one(objects, kind, name))


PLANTED = [
    ("no_object_twice", "a Service stands twice", lambda o: o.append(copy.deepcopy(one(o, "Service", "gateway")))),
    ("namespaces_exist", "a namespace is forgotten", lambda o: drop(o, "Namespace", "duly-kafka")),
    (
        "selectors_match",
        "a Service selects nobody",
        lambda o: spec_of(o, "Service", "gateway")["selector"].update({"app.kubernetes.io/name": "gate"}),
    ),
    (
        "selectors_match",
        "a Service also selects the migration",
        lambda o: spec_of(o, "Service", "insights")["selector"].pop("app.kubernetes.io/component"),
    ),
    (
        "selectors_match",
        "a budget selects nobody",
        lambda o: spec_of(o, "PodDisruptionBudget", "scoring")["selector"]["matchLabels"].update({"x": "y"}),
    ),
    (
        "selectors_match",
        "a Deployment selects another's pods",
        lambda o: spec_of(o, "Deployment", "outreach")["selector"].update(
            matchLabels=dict(spec_of(o, "Deployment", "insights")["selector"]["matchLabels"])
        ),
    ),
    (
        "policy_peers_exist",
        "a policy lets a stranger in",
        lambda o: spec_of(o, "NetworkPolicy", "insights")["ingress"][1]["from"][0]["podSelector"]["matchLabels"].update(
            {"app.kubernetes.io/name": "gatway"}
        ),
    ),
    (
        "ports_exist",
        "a targetPort is not there",
        lambda o: spec_of(o, "Service", "ledger-sync")["ports"][0].update(targetPort="web"),
    ),
    (
        "ports_exist",
        "a probe asks a closed port",
        lambda o: container(o, "Deployment", "gateway")["startupProbe"]["grpc"].update(port=50099),
    ),
    (
        "ports_exist",
        "a policy opens a port nobody has",
        lambda o: spec_of(o, "NetworkPolicy", "outreach")["ingress"][0]["ports"][0].update(port="metrics"),
    ),
    ("names_resolve", "a ConfigMap is gone", lambda o: drop(o, "ConfigMap", "outreach")),
    ("names_resolve", "a Secret is gone", lambda o: drop(o, "Secret", "gateway-migrate")),
    ("names_resolve", "a ServiceAccount is gone", lambda o: drop(o, "ServiceAccount", "scoring")),
    ("names_resolve", "the headless Service is gone", lambda o: drop(o, "Service", "scoring")),
    ("names_resolve", "a claim is gone", lambda o: drop(o, "PersistentVolumeClaim", "mlflow")),
    (
        "names_resolve",
        "a mount names no volume",
        lambda o: container(o, "StatefulSet", "scoring")["volumeMounts"][0].update(name="temp"),
    ),
    (
        "names_resolve",
        "a volume is mounted nowhere",
        lambda o: container(o, "Deployment", "outreach").pop("volumeMounts"),
    ),
    ("probes_are_set", "no probe", lambda o: container(o, "Deployment", "insights").pop("startupProbe")),
    (
        "probes_are_set",
        "liveness asks for readiness",
        lambda o: container(o, "StatefulSet", "scoring")["livenessProbe"]["httpGet"].update(path="/ready"),
    ),
    (
        "resources_are_bounded",
        "no memory limit",
        lambda o: container(o, "Deployment", "mlflow")["resources"].pop("limits"),
    ),
    (
        "resources_are_bounded",
        "a cpu limit",
        lambda o: container(o, "Deployment", "gateway")["resources"]["limits"].update(cpu="1"),
    ),
    (
        "resources_are_bounded",
        "no request for cpu",
        lambda o: container(o, "Job", "outreach-migrate")["resources"]["requests"].pop("cpu"),
    ),
    (
        "contexts_are_restricted",
        "root is writable",
        lambda o: container(o, "Deployment", "gateway")["securityContext"].update(readOnlyRootFilesystem=False),
    ),
    (
        "contexts_are_restricted",
        "another user",
        lambda o: pod(o, "Job", "insights-migrate")["securityContext"].update(runAsUser=0),
    ),
    (
        "contexts_are_restricted",
        "a capability is kept",
        lambda o: container(o, "Deployment", "outreach")["securityContext"].update(capabilities={"add": ["NET_RAW"]}),
    ),
    (
        "contexts_are_restricted",
        "a token is mounted",
        lambda o: pod(o, "Deployment", "ledger-sync").pop("automountServiceAccountToken"),
    ),
    ("workloads_are_guarded", "no budget", lambda o: drop(o, "PodDisruptionBudget", "outreach")),
    ("workloads_are_guarded", "no policy", lambda o: drop(o, "NetworkPolicy", "mlflow")),
    ("workloads_are_guarded", "no spread", lambda o: pod(o, "StatefulSet", "scoring").pop("topologySpreadConstraints")),
    (
        "workloads_are_guarded",
        "a budget that lets all go",
        lambda o: spec_of(o, "PodDisruptionBudget", "gateway").update(maxUnavailable="100%"),
    ),
    ("namespaces_are_closed", "no default deny", lambda o: drop(o, "NetworkPolicy", "default-deny")),
    (
        "namespaces_are_closed",
        "pod security is relaxed",
        lambda o: one(o, "Namespace", "duly")["metadata"]["labels"].update(
            {"pod-security.kubernetes.io/enforce": "privileged"}
        ),
    ),
    ("every_service_is_deployed", "a service is forgotten", lambda o: drop(o, "Deployment", "insights")),
    ("every_service_is_deployed", "a migration is forgotten", lambda o: drop(o, "Job", "gateway-migrate")),
    (
        "environment_fits_settings",
        "an unknown variable",
        lambda o: config(o, "gateway").update(DULY_GATEWAY_GRPC_ADRESS="0.0.0.0:50051"),
    ),
    (
        "environment_fits_settings",
        "a required variable is missing",
        lambda o: config(o, "ledger-sync").pop("DULY_LEDGER_SYNC_JWKS_FILE"),
    ),
    (
        "environment_fits_settings",
        "a secret lacks its key",
        lambda o: one(o, "Secret", "outreach")["data"].pop("DULY_OUTREACH_GATEWAY_TOKEN"),
    ),
    (
        "environment_fits_settings",
        "a value of the wrong kind",
        lambda o: config(o, "gateway").update(DULY_GATEWAY_REST_PORT="http"),
    ),
    (
        "environment_fits_settings",
        "a stray key in a Secret",
        lambda o: one(o, "Secret", "insights")["data"].update(PGPASS=b64encode(b"x").decode()),
    ),
    (
        "files_are_mounted",
        "a file lies where nothing is mounted",
        lambda o: config(o, "gateway").update(DULY_GATEWAY_JWKS_FILE="/etc/duly/keys/jwks.json"),
    ),
    (
        "files_are_mounted",
        "the ConfigMap has no such key",
        lambda o: config(o, "jwks").update(other=config(o, "jwks").pop("jwks.json")),
    ),
    (
        "ports_are_listened_on",
        "code and container differ",
        lambda o: config(o, "outreach").update(DULY_OUTREACH_ADMIN_PORT="9101"),
    ),
    (
        "ports_are_listened_on",
        "it listens on loopback",
        lambda o: config(o, "ledger-sync").update(DULY_LEDGER_SYNC_HTTP_HOST="127.0.0.1"),
    ),
    (
        "ports_are_listened_on",
        "gRPC listens on loopback",
        lambda o: config(o, "insights").update(DULY_INSIGHTS_GRPC_ADDRESS="127.0.0.1:50051"),
    ),
    (
        "ports_are_listened_on",
        "the admin server keeps to loopback by default",
        lambda o: config(o, "scoring").pop("DULY_SCORING_ADMIN_HOST"),
    ),
    (
        "addresses_resolve",
        "another service is misspelt",
        lambda o: config(o, "outreach").update(DULY_OUTREACH_GATEWAY_ADDRESS="gatway:50051"),
    ),
    ("addresses_resolve", "the broker's listener is gone", lambda o: drop(o, "Kafka", "duly")),
    ("topics_are_the_registrys", "a topic is missing", lambda o: drop(o, "KafkaTopic", "risk-scores")),
    (
        "topics_are_the_registrys",
        "a topic nobody registered",
        lambda o: one(o, "KafkaTopic", "model-control")["metadata"].update(name="model-kontrol"),
    ),
    (
        "topics_are_the_registrys",
        "other partitions",
        lambda o: spec_of(o, "KafkaTopic", "ledger-events").update(partitions=6),
    ),
    (
        "topics_are_the_registrys",
        "another cleanup",
        lambda o: spec_of(o, "KafkaTopic", "scoring-debtors-changelog")["config"].update({"cleanup.policy": "delete"}),
    ),
    (
        "topics_are_the_registrys",
        "more in-sync replicas than replicas",
        lambda o: spec_of(o, "KafkaTopic", "ingress-raw")["config"].update({"min.insync.replicas": "2"}),
    ),
    (
        "replicas_fit_partitions",
        "more consumers than partitions",
        lambda o: spec_of(o, "Deployment", "insights").update(replicas=13),
    ),
    (
        "replicas_fit_partitions",
        "uneven scoring workers",
        lambda o: spec_of(o, "StatefulSet", "scoring").update(replicas=5),
    ),
    (
        "stops_are_waited_for",
        "killed while stopping",
        lambda o: pod(o, "StatefulSet", "scoring").update(terminationGracePeriodSeconds=60),
    ),
    (
        "scoring_is_stateful",
        "no stable identity",
        lambda o: container(o, "StatefulSet", "scoring").update(env=[]),
    ),
    (
        "scoring_is_stateful",
        "many threads",
        lambda o: config(o, "scoring").update(OMP_NUM_THREADS="4"),
    ),
    (
        "images_are_pinned",
        "latest",
        lambda o: container(o, "Deployment", "mlflow").update(image="ghcr.io/mlflow/mlflow:latest"),
    ),
]


@pytest.mark.parametrize("rule, fault, plant", PLANTED, ids=[f"{rule}: {fault}" for rule, fault, _ in PLANTED])
def test_a_planted_fault_is_found(rule, fault, plant, rendered):
    objects = copy.deepcopy(rendered["dev"])
    plant(objects)
    assert rules("dev")[rule](objects)


def test_every_rule_has_a_planted_fault():
    assert {rule for rule, _, _ in PLANTED} == set(rules("dev"))


def test_outside_dev_a_tag_is_not_enough(rendered):
    assert rules("prod")["images_are_pinned"](rendered["dev"])


@pytest.mark.parametrize(
    "fault, plant",
    [
        (
            "a removed apiVersion",
            lambda o: one(o, "PodDisruptionBudget", "gateway").update(apiVersion="policy/v1beta1"),
        ),
        ("a removed Strimzi version", lambda o: one(o, "Kafka", "duly").update(apiVersion="kafka.strimzi.io/v1beta2")),
        ("an unknown field", lambda o: pod(o, "Deployment", "gateway").update(restartPolicies="Always")),
        ("a value of the wrong kind", lambda o: spec_of(o, "Deployment", "gateway").update(replicas="two")),
        ("an unknown field of a topic", lambda o: spec_of(o, "KafkaTopic", "risk-scores").update(partition=3)),
        ("a topic of no cluster", lambda o: one(o, "KafkaTopic", "risk-scores")["metadata"].pop("labels")),
        ("a kind Strimzi does not have", lambda o: one(o, "Kafka", "duly").update(kind="Kafkas")),
    ],
)
def test_the_schemas_refuse(fault, plant, rendered):
    objects = copy.deepcopy(rendered["dev"])
    plant(objects)
    assert valid_for([item for item in objects if item not in rendered["dev"]], "1.37.0")
