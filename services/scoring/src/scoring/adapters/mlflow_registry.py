"""MLflow's registry over its REST API: the files of a version.

The `mlflow` package is not used: its import alone takes three seconds, and four GET requests are all that is needed.
Aliases are not read: they tell people what serves, `model-control` alone tells the stream.
"""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from scoring.adapters.booster_model import FILES, ModelUnavailable

_TIMEOUT_SECONDS = 10.0
_FILE_BYTES_MAX = 256 * 1024 * 1024


class RegistryUnavailable(ModelUnavailable):
    """The registry does not answer, or knows no such model."""

    code = "registry_unavailable"


class MlflowRegistry:
    """Read-only client of a tracking server that serves its artifacts (`mlflow-artifacts:`)."""

    def __init__(self, tracking_uri: str) -> None:
        self._url = urlsplit(tracking_uri)

    def download(self, name: str, version: str, folder: Path) -> None:
        """The model's files into `folder`, wherever they lie below its artifact root.

        Raises RegistryUnavailable, and OSError where the folder cannot be written.
        """
        try:
            found = self._located(name, version)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise RegistryUnavailable(f"answer of {self._url.netloc} is none of MLflow's: {error!r}") from error
        missing = [file for file in FILES if file not in found]
        if missing:
            raise RegistryUnavailable(f"{name} {version} has no {', '.join(missing)}")
        folder.mkdir(parents=True, exist_ok=True)
        for file in FILES:
            (folder / file).write_bytes(self._get(f"/api/2.0/mlflow-artifacts/artifacts/{quote(found[file])}"))

    def _located(self, name: str, version: str) -> dict[str, str]:
        """File name -> path for everything below a version's artifact root."""
        query = urlencode({"name": name, "version": version})
        uri = str(self._json(f"/api/2.0/mlflow/model-versions/get-download-uri?{query}")["artifact_uri"])
        if not uri.startswith("mlflow-artifacts:"):
            raise RegistryUnavailable(f"artifacts at {uri.split(':')[0]}: only a server that serves them is supported")
        return self._find(urlsplit(uri).path.strip("/"), depth=3)

    def _find(self, path: str, depth: int) -> dict[str, str]:
        """File name -> path for everything below a folder of the artifact store."""
        found: dict[str, str] = {}
        listing = self._json(f"/api/2.0/mlflow-artifacts/artifacts?{urlencode({'path': path})}")
        for entry in listing.get("files", []):
            below = f"{path}/{entry['path']}"
            if not entry.get("is_dir"):
                found.setdefault(Path(below).name, below)
            elif depth > 0:
                found |= {name: at for name, at in self._find(below, depth - 1).items() if name not in found}
        return found

    def _json(self, path: str) -> Any:
        try:
            return json.loads(self._get(path))
        except ValueError as error:
            raise RegistryUnavailable(f"answer to {path.split('?')[0]} is no JSON") from error

    def _get(self, path: str) -> bytes:
        secure = self._url.scheme == "https"
        connect = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = connect(self._url.netloc, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request("GET", self._url.path.rstrip("/") + path)
            response = connection.getresponse()
            body = response.read(_FILE_BYTES_MAX + 1)
        except (OSError, http.client.HTTPException) as error:
            raise RegistryUnavailable(f"{self._url.netloc}: {type(error).__name__}: {error}") from error
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK or len(body) > _FILE_BYTES_MAX:
            raise RegistryUnavailable(f"{self._url.netloc} answered {response.status} to {path.split('?')[0]}")
        return body
