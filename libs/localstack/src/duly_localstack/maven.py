"""The machine's Maven settings, for `jgo`, which reads none: local repository, mirrors, offline switch.

Read from `~/.m2/settings.xml` (or the file named by `MAVEN_SETTINGS`). Proxies and certificates come from the usual
environment variables (`HTTPS_PROXY`, `REQUESTS_CA_BUNDLE`, ..), which `requests` inside `jgo` honours.
"""

from __future__ import annotations

import os
import re
from functools import cache
from pathlib import Path
from xml.etree import ElementTree

from jgo.constants import MAVEN_CENTRAL_URL
from jgo.maven import MavenContext

from duly_localstack.errors import StackError

TIMEOUT_SECONDS = 30
_MIRRORS_CENTRAL = {"*", "central", "external:*"}


def context(repo_cache: Path) -> MavenContext:
    """A `jgo` context that downloads into `repo_cache` from the machine's mirror of Maven Central, or from Central
    itself.
    """
    settings = _settings(_settings_file())
    return MavenContext(
        repo_cache=repo_cache,
        remote_repos={"central": _mirror_of_central(settings) or MAVEN_CENTRAL_URL},
        timeout=TIMEOUT_SECONDS,
        offline=(settings.get("offline") or ["false"])[0] == "true",
    )


def local_repository() -> Path:
    """The machine's own Maven repository, which is only read: M2_REPO, the settings' `localRepository`, or
    `~/.m2/repository`.
    """
    from_settings = _settings(_settings_file()).get("localRepository")
    named = os.environ.get("M2_REPO") or (from_settings[0] if from_settings else "")
    return Path(named).expanduser() if named else Path.home() / ".m2" / "repository"


def _settings_file() -> Path:
    return Path(os.environ.get("MAVEN_SETTINGS") or Path.home() / ".m2" / "settings.xml")


@cache
def _settings(path: Path) -> dict[str, list[str]]:
    """The few elements that matter: element name -> texts; mirrors as `mirrorOf|url`."""
    if not path.is_file():
        return {}
    try:
        root = ElementTree.parse(path).getroot()  # noqa: S314 - the user's own file
    except (ElementTree.ParseError, OSError) as error:
        raise StackError(f"The Maven settings {path} cannot be read: {error}. Mend or remove that file.") from error
    found: dict[str, list[str]] = {}
    for element in root.iter():
        name = element.tag.rpartition("}")[2]
        if name == "mirror":
            parts = {child.tag.rpartition("}")[2]: _expand(child.text or "") for child in element}
            found.setdefault("mirror", []).append(f"{parts.get('mirrorOf', '')}|{parts.get('url', '')}")
        elif name in ("localRepository", "offline") and (element.text or "").strip():
            found.setdefault(name, []).append(_expand(element.text or ""))
    return found


def _mirror_of_central(settings: dict[str, list[str]]) -> str:
    for mirror in settings.get("mirror", []):
        of, _, url = mirror.partition("|")
        names = {name.strip() for name in of.split(",")}
        if names & _MIRRORS_CENTRAL and "!central" not in names and url:
            return url.rstrip("/")
    return ""


def _expand(text: str) -> str:
    """`${env.NAME}` and `${user.home}`, as Maven does."""
    text = text.strip().replace("${user.home}", str(Path.home()))
    return re.sub(r"\$\{env\.(\w+)\}", lambda match: os.environ.get(match.group(1), ""), text)
