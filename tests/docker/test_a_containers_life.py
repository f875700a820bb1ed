"""A container of each service, shut in as in production, against a real Kafka and a real PostgreSQL."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from duly_localstack.ports import free_port
from duly_testing.eventually import eventually
from jwt.algorithms import OKPAlgorithm

pytestmark = [pytest.mark.docker, pytest.mark.kafka, pytest.mark.postgres]

# As terminationGracePeriodSeconds of deploy/k8s/base.
GRACE_SECONDS = {"ledger-sync": 45, "scoring": 90, "outreach": 45, "gateway": 60, "insights": 45}
HEALTHY_WITHIN_SECONDS = 90
MIGRATED_WITHIN_SECONDS = 90
EXIT_CONFIG = 78
JWKS_FILE = "/etc/duly/jwks/jwks.json"


def own_settings(service):
    """What a service needs beside brokers and database. Ports are the host's: the network is."""
    match service:
        case "ledger-sync":
            return {"HTTP_PORT": str(free_port()), "JWKS_FILE": JWKS_FILE}
        case "scoring":
            return {"DATA_DIR": "/var/lib/duly"}
        case "outreach":
            return {"GATEWAY_ADDRESS": f"127.0.0.1:{free_port()}", "GATEWAY_TOKEN": "of-no-use"}
        case "gateway":
            return {
                "GRPC_ADDRESS": f"127.0.0.1:{free_port()}",
                "REST_PORT": str(free_port()),
                "INSIGHTS_ADDRESS": f"127.0.0.1:{free_port()}",
                "JWKS_FILE": JWKS_FILE,
                "SMTP_HOST": "",
            }
        case _:
            return {"GRPC_ADDRESS": f"127.0.0.1:{free_port()}", "JWKS_FILE": JWKS_FILE}


@pytest.fixture
def environment(service, kafka_bootstrap, pg_dsn):
    """The whole environment of one service."""
    own = {"ADMIN_PORT": str(free_port()), **own_settings(service)}
    prefix = f"DULY_{service.upper().replace('-', '_')}_"
    return {
        "KAFKA_BOOTSTRAP_SERVERS": kafka_bootstrap,
        "DATABASE_URL": pg_dsn,
        "OMP_NUM_THREADS": "1",
        **{prefix + name: value for name, value in own.items()},
    }


def public_key():
    """A key whose other half nobody keeps."""
    key = json.loads(OKPAlgorithm.to_jwk(Ed25519PrivateKey.generate().public_key()))
    return {**key, "kid": "test", "use": "sig", "alg": "EdDSA"}


@pytest.fixture
def start(engine, image, environment, tmp_path):
    """A context manager: a container of the service with that command, gone at the end."""
    keys = tmp_path / "jwks.json"
    keys.write_text(json.dumps({"keys": [public_key()]}))
    keys.chmod(0o644)

    @contextmanager
    def started(command):
        container = engine.containers.run(
            image.id,
            [command],
            detach=True,
            environment=environment,
            network_mode="host",
            read_only=True,
            tmpfs={"/tmp": "", "/var/lib/duly": "uid=10001"},
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            volumes={str(keys): {"bind": JWKS_FILE, "mode": "ro"}},
            labels={"dev.duly.test": "true"},
        )
        try:
            yield container
        finally:
            container.remove(force=True)

    return started


def logs(container):
    return container.logs(tail=40).decode(errors="replace")


def exit_code(container, within_seconds):
    return container.wait(timeout=within_seconds)["StatusCode"]


def health(container):
    container.reload()
    return container.attrs["State"].get("Health", {}).get("Status"), container.status


def wait_until_healthy(container):
    def settled():
        return health(container) in (("healthy", "running"),) or health(container)[1] == "exited"

    eventually(settled, within_seconds=HEALTHY_WITHIN_SECONDS)
    assert health(container) == ("healthy", "running"), logs(container)


def migrate(start, service):
    if service == "scoring":  # it has no database
        return
    with start("migrate") as job:
        assert exit_code(job, MIGRATED_WITHIN_SECONDS) == 0, logs(job)


def test_a_service_becomes_healthy_and_stops_in_time_with_exit_code_0(start, service):
    migrate(start, service)
    with start("run") as container:
        wait_until_healthy(container)
        (process,) = container.top(ps_args="-eo uid,pid,args")["Processes"]
        assert process[0] == "10001"
        assert f"-m {service.replace('-', '_')}.bootstrap run" in process[2]
        began = time.monotonic()
        container.kill("SIGTERM")
        code = exit_code(container, GRACE_SECONDS[service])
        assert code == 0, logs(container)
        assert time.monotonic() - began < GRACE_SECONDS[service]


def test_a_service_does_not_start_before_its_database_is_migrated(start, service):
    if service == "scoring":
        pytest.skip("scoring has no database")
    with start("run") as container:
        assert exit_code(container, MIGRATED_WITHIN_SECONDS) == EXIT_CONFIG, logs(container)
        assert "run migrate" in logs(container)


def test_a_missing_setting_is_named(start, service, environment):
    missing = environment.pop("KAFKA_BOOTSTRAP_SERVERS")
    assert missing
    with start("run") as container:
        assert exit_code(container, 30) == EXIT_CONFIG
        assert "KAFKA_BOOTSTRAP_SERVERS" in logs(container)
