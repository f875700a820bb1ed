"""What is in an image, and what is not."""

from __future__ import annotations

import json
import re

import pytest

pytestmark = pytest.mark.docker

BUDGET_MB = {"ledger-sync": 250, "scoring": 800, "outreach": 250, "gateway": 250, "insights": 250}
MEMBERS = {
    "ledger-sync": {"duly", "duly_contracts", "duly_runtime", "ledger_sync"},
    "scoring": {"duly", "duly_contracts", "duly_runtime", "duly_risk", "duly_booster", "duly_compiled", "scoring"},
    "outreach": {"duly", "duly_contracts", "duly_runtime", "duly_policy", "outreach"},
    "gateway": {"duly", "duly_contracts", "duly_runtime", "duly_policy", "gateway"},
    "insights": {"duly", "duly_contracts", "duly_runtime", "insights"},
}
OURS = sorted(set().union(*MEMBERS.values()) | {"duly_testing", "duly_localstack", "duly_cli", "duly_training"})
DEVELOPMENT = ("pip", "setuptools", "hatchling", "pytest", "mypy", "ruff")

# Imports every module of every member that is there, and says which that were and what else could be found.
IMPORT_ALL = f"""
import importlib, importlib.util, json, pkgutil, shutil, sys
found = [name for name in {OURS!r} if importlib.util.find_spec(name)]
modules = []
for name in found:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if not module.name.endswith(("__main__", ".alembic.env")) and ".migrations.v" not in module.name:
            importlib.import_module(module.name)
            modules.append(module.name)
print(json.dumps({{
    "found": found,
    "modules": len(modules),
    "development": [name for name in {DEVELOPMENT!r} if importlib.util.find_spec(name)],
    "compilers": [name for name in ("cc", "gcc", "make") if shutil.which(name)],
}}))
"""


def run(engine, image, *arguments):
    """Output of a command in a throw-away container, shut in as in production."""
    output = engine.containers.run(
        image.id,
        list(arguments[1:]),
        entrypoint=arguments[0],
        remove=True,
        read_only=True,
        tmpfs={"/tmp": "", "/var/lib/duly": "uid=10001"},
        cap_drop=["ALL"],
        security_opt=["no-new-privileges"],
        network_mode="none",
    )
    return output.decode()


def test_an_image_holds_its_own_members_and_imports_all_of_them(engine, image, service):
    said = json.loads(run(engine, image, "python", "-W", "ignore", "-c", IMPORT_ALL).splitlines()[-1])
    assert set(said["found"]) == MEMBERS[service]
    assert said["modules"] > 20
    assert said["development"] == []
    assert said["compilers"] == []


def test_the_scoring_image_holds_the_compiled_set_walk(engine, image, service):
    if service == "scoring":
        program = "from duly_booster import build, native; print(native.load(build.library_file()).widest.name)"
        assert run(engine, image, "python", "-c", program).strip() in ("ANY", "AVX2", "AVX512")


def test_an_image_stays_within_its_budget(image, service):
    assert image.attrs["Size"] <= BUDGET_MB[service] * 1_000_000


def test_an_image_runs_as_its_own_user_and_is_process_one_itself(engine, image, service):
    config = image.attrs["Config"]
    assert config["User"] == "10001:10001"
    assert config["Entrypoint"] == ["/opt/venv/bin/duly-service"]
    assert config["Cmd"] == ["run"]
    assert config["Healthcheck"]["Test"] == ["CMD", "python", "-m", "duly_runtime.health"]
    assert run(engine, image, "id", "-u").strip() == "10001"
    launcher = run(engine, image, "cat", "/opt/venv/bin/duly-service")
    assert f"exec /opt/venv/bin/python -m {service.replace('-', '_')}.bootstrap" in launcher


def test_an_image_says_what_it_is(image, service):
    labels = image.attrs["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == f"duly-{service}"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert re.fullmatch(r"\d+\.\d+\.\d+", labels["org.opencontainers.image.version"])
    assert labels["org.opencontainers.image.revision"]


def test_no_secret_is_in_history_environment_or_files(engine, image):
    history = "\n".join(step["CreatedBy"] for step in image.history())
    environment = "\n".join(image.attrs["Config"]["Env"])
    for text in (history, environment):
        assert not re.search(r"://[^\s/]+:[^\s/]+@", text)
        assert not re.search(r"(?i)(password|token|api.?key|index.url|BEGIN [A-Z ]*PRIVATE KEY)", text)
    looked_for = run(
        engine, image, "sh", "-c", "ls -d /etc/pip.conf /run/secrets /root/.cache /build /wheels 2>/dev/null; true"
    )
    assert looked_for.strip() == ""


def test_the_root_is_not_writable_for_the_service(engine, image):
    script = "touch /tmp/ok && for d in / /opt/venv /etc /usr; do touch $d/x 2>/dev/null && echo $d; done; true"
    assert run(engine, image, "sh", "-c", script).strip() == ""
