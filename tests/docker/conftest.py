"""The engine and the images under test: `local/duly-<service>:dev`, or `DULY_IMAGE_TAG`."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import docker
import pytest
from docker.errors import DockerException, ImageNotFound

SERVICES = ("ledger-sync", "scoring", "outreach", "gateway", "insights")


def absent(reason: str) -> None:
    """Skip; or fail where a run must not go on without an engine."""
    if "docker" in os.environ.get("DULY_REQUIRE", "").split(","):
        pytest.fail(f"DULY_REQUIRE names docker, but {reason}")
    pytest.skip(reason)


@pytest.fixture(scope="session")
def engine() -> Iterator[docker.DockerClient]:
    """A client of an engine that answers. The engine is asked, not the command: that exists without one."""
    if "DOCKER_HOST" not in os.environ:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:  # else the SDK leaves a socket open
            if probe.connect_ex("/var/run/docker.sock") != 0:
                absent("no Docker engine answers")
    try:
        client = docker.from_env(timeout=60)
        client.ping()
    except DockerException as error:
        absent(f"no Docker engine answers: {error}")
    yield client
    client.close()


@pytest.fixture(params=SERVICES)
def service(request: pytest.FixtureRequest) -> str:
    """Each service in turn."""
    return str(request.param)


@pytest.fixture
def image(engine: docker.DockerClient, service: str) -> docker.models.images.Image:
    """Its image."""
    name = f"local/duly-{service}:{os.environ.get('DULY_IMAGE_TAG', 'dev')}"
    try:
        return engine.images.get(name)
    except ImageNotFound:
        absent(f"there is no image {name}: run `make images`")
        raise
