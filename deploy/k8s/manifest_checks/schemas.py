"""Objects against the API's own schemas. An apiVersion that a release has removed is a fault, not a warning."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
from kubernetes_validate import utils as kubernetes_validate

from manifest_checks.objects import Objects, title

_FOLDER = Path(__file__).parent / "schemas"


def releases() -> tuple[str, str]:
    """The oldest and the newest Kubernetes release whose schemas are at hand."""
    known: list[str] = kubernetes_validate.all_versions()
    return known[0], known[-1]


def valid_for(objects: Objects, release: str) -> list[str]:
    """Faults of the objects under the strict schemas of that release; custom resources under ours."""
    faults = []
    for item in objects:
        custom = custom_schema(str(item["apiVersion"]), str(item["kind"]))
        try:
            if custom is None:
                kubernetes_validate.validate(dict(item), release, strict=True)
            else:
                jsonschema.Draft202012Validator(custom).validate(item)
        except kubernetes_validate.SchemaNotFoundError:
            faults.append(f"{title(item)}: Kubernetes {release} has no {item['apiVersion']} {item['kind']}")
        except jsonschema.ValidationError as error:
            faults.append(f"{title(item)}: {'.'.join(map(str, error.path))}: {error.message}")
    return faults


@cache
def custom_schema(api_version: str, kind: str) -> dict[str, Any] | None:
    """Our schema of a custom resource, narrower than the vendor's: the fields that we use. None: not a custom one."""
    file = _FOLDER / f"{api_version.replace('/', '-')}.json"
    if not file.is_file():
        return None
    document = json.loads(file.read_text("utf-8"))
    # An unknown kind of a known group is refused like an unknown kind of Kubernetes itself.
    return {**document, "$ref": f"#/$defs/{kind}"} if kind in document["$defs"] else {"not": {}}
