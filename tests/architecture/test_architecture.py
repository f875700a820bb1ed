"""Rules of the house that no import linter knows."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from duly_contracts.events import EVENTS
from duly_contracts.topics import topics

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted(
    path
    for group in ("libs", "services", "tools", "training")
    for path in (ROOT / group).rglob("src/**/*.py")
    if "_pb2" not in path.name
)
PURE = [
    path
    for path in SOURCES
    if re.search(r"/src/(duly_risk|duly_policy|duly_contracts|duly_ledger_export)/|/(domain|application)/", str(path))
]
WALL_CLOCK = {"now", "today", "utcnow", "time", "monotonic", "uuid4", "uuid1", "urandom", "getenv"}
BANNED_FILE_NAMES = {"utils.py", "helpers.py", "common.py", "manager.py", "util.py", "misc.py"}


def calls(tree: ast.AST) -> set[str]:
    """Dotted names of module functions that are called, as far as they can be read off the text."""
    found = set()
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ):
            found.add(f"{node.func.value.id}.{node.func.attr}")
    return found


def clock_calls(text: str) -> set[str]:
    """Reads of the wall clock, of randomness or of the environment."""
    modules = {"datetime", "date", "time", "uuid", "os", "random", "secrets"}
    return {
        name
        for name in calls(ast.parse(text))
        if name.split(".")[0] in modules
        and (name.split(".")[1] in WALL_CLOCK or name.split(".")[0] in {"random", "secrets"})
    }


@pytest.mark.parametrize("path", PURE, ids=lambda path: str(path.relative_to(ROOT)))
def test_pure_code_reads_no_clock_no_chance_and_no_environment(path: Path) -> None:
    assert not clock_calls(path.read_text())


def test_the_clock_rule_catches_a_planted_call() -> None:
    assert clock_calls("import datetime\ndef f():\n    return datetime.now()") == {"datetime.now"}


def test_no_file_is_a_junk_drawer() -> None:
    assert not [str(path) for path in SOURCES if path.name in BANNED_FILE_NAMES]


def test_files_stay_readable() -> None:
    long = {str(path.relative_to(ROOT)): n for path in SOURCES if (n := len(path.read_text().splitlines())) > 450}
    assert not long


def test_every_member_imports_without_opening_a_socket() -> None:
    modules = sorted(
        {f"{path.parent.name}.{path.stem}" for path in SOURCES if path.name in {"bootstrap.py", "config.py"}}
        | {path.parent.name for path in SOURCES if path.name == "__init__.py" and path.parent.parent.name == "src"}
    )
    program = (
        "import socket, importlib\n"
        "def refuse(*a, **k): raise AssertionError('socket opened at import')\n"
        "socket.socket.connect = refuse\nsocket.socket.bind = refuse\n"
        f"[importlib.import_module(name) for name in {modules!r}]"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def test_topics_are_written_and_read_by_known_services() -> None:
    known = {"ledger-sync", "scoring", "outreach", "gateway", "insights", "training"}
    for topic in topics().values():
        assert set(topic.writers) <= known
        assert set(topic.consumers) <= known


def test_every_event_topic_of_the_registry_carries_events() -> None:
    carrying = {event.topic for event in EVENTS}
    internal = {name for name in topics() if name.endswith(("-dlq", "-changelog"))}
    assert set(topics()) == carrying | internal


def test_every_relative_link_in_the_documentation_leads_somewhere() -> None:
    pages = [path for path in ROOT.rglob("*.md") if not {".venv", ".duly", "node_modules"} & set(path.parts)]
    broken = [
        f"{page.relative_to(ROOT)} -> {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        if not (page.parent / target).exists()
    ]
    assert not broken


def test_every_make_target_that_the_documentation_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "services").rglob("README.md")]
    named = {name for page in pages for name in re.findall(r"`make ([a-z-]+)", page.read_text())}
    assert named <= targets


def test_decision_records_have_the_same_sections_and_running_numbers() -> None:
    records = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    for path in records:
        text = path.read_text()
        wanted = ["Status", "Context", "Decision", "Consequences", "Alternatives"]
        wanted += ["References"] if int(path.name[:4]) >= 9 else []
        assert re.findall("^## (.*)$", text, re.M) == wanted, path.name


def test_every_service_has_a_one_page_readme() -> None:
    for service in (ROOT / "services").iterdir():
        lines = (service / "README.md").read_text().splitlines()
        assert 10 <= len(lines) <= 120, service.name


def test_requirement_files_are_hashed_and_name_no_index() -> None:
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "--hash=sha256:" in text
        assert "index-url" not in text
        assert "://" not in re.sub(r"#.*", "", text)


def test_the_topic_registry_is_plain_data() -> None:
    document = yaml.safe_load((ROOT / "libs/contracts/src/duly_contracts/topics.yaml").read_text())
    assert list(document) == ["topics"]
