"""Topics are generated and fresh; what is committed for secrets can open nothing."""

from __future__ import annotations

import importlib.util
import re
import subprocess

import pytest
from duly_contracts.topics import topics
from manifest_checks.render import TREE, RenderFailed, render

EXAMPLES = sorted((TREE / "overlays").rglob("*.env.example"))


@pytest.fixture
def generator():
    spec = importlib.util.spec_from_file_location("generate_topics", TREE / "generate_topics.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_topic_manifests_are_fresh(generator):
    assert generator.main(["--check"]) == 0


def test_stale_topic_manifests_are_noticed(generator, tmp_path, monkeypatch, capsys):
    stale = tmp_path / "topics.yaml"
    stale.write_text(generator.render().replace("partitions: 12", "partitions: 6", 1))
    monkeypatch.setattr(generator, "TARGET", stale)
    assert generator.main(["--check"]) == 1
    assert "make generate" in capsys.readouterr().err


def test_there_is_one_topic_manifest_per_registry_entry(generator):
    assert generator.render().count("kind: KafkaTopic") == len(topics())


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda file: file.name)
def test_an_example_holds_no_usable_secret(example):
    for line in example.read_text("utf-8").splitlines():
        name, _, value = line.partition("=")
        assert re.search(r"[:=]CHANGE-ME(@|$)", f"={value}"), name


def test_real_secret_files_are_ignored_by_git():
    wanted = [str(example.with_suffix("")) for example in EXAMPLES]
    done = subprocess.run(["git", "check-ignore", *wanted], cwd=TREE, capture_output=True, text=True, check=False)
    if done.returncode == 128:
        pytest.skip("not in a git work tree")
    assert done.stdout.split() == wanted


def test_an_overlay_that_does_not_render_says_why(staged, tmp_path):
    folder = tmp_path / "overlays" / "broken"
    folder.mkdir(parents=True)
    (folder / "kustomization.yaml").write_text("resources: [missing.yaml]\n")
    with pytest.raises(RenderFailed, match=r"missing\.yaml"):
        render(tmp_path, "broken")
