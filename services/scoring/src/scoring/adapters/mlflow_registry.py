"""Where the champion comes from: MLflow's registry over its REST API, with a copy in the data folder.

The `mlflow` package is not used: its import alone takes three seconds, and four GET requests are all that is needed.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from duly_risk.fallback import RulesModel
from duly_risk.model import HazardModel
from duly_runtime.logging import get_logger
from duly_runtime.metrics import MODEL_INFO, Metrics

from scoring.adapters.booster_model import BOOSTER_FILE, FILES, ModelRefused, load_model
from scoring.adapters.model_control import Promotion

_log = get_logger(__name__)
MODEL_NAME = "risk"
ALIAS = "champion"
_TIMEOUT_SECONDS = 10.0
_FILE_BYTES_MAX = 256 * 1024 * 1024
_LAST = "champion.json"


class RegistryUnavailable(RuntimeError):
    """The registry does not answer, or knows no such model."""

    code = "registry_unavailable"


class MlflowRegistry:
    """Read-only client of a tracking server that serves its artifacts (`mlflow-artifacts:`)."""

    def __init__(self, tracking_uri: str) -> None:
        self._url = urlsplit(tracking_uri)

    def version_of_alias(self, name: str, alias: str) -> str:
        """Raises RegistryUnavailable."""
        query = urlencode({"name": name, "alias": alias})
        return str(self._json(f"/api/2.0/mlflow/registered-models/alias?{query}")["model_version"]["version"])

    def download(self, name: str, version: str, folder: Path) -> None:
        """The model's files into `folder`, wherever they lie below its artifact root. Raises RegistryUnavailable."""
        query = urlencode({"name": name, "version": version})
        uri = str(self._json(f"/api/2.0/mlflow/model-versions/get-download-uri?{query}")["artifact_uri"])
        if not uri.startswith("mlflow-artifacts:"):
            raise RegistryUnavailable(f"artifacts at {uri.split(':')[0]}: only a server that serves them is supported")
        found = self._find(urlsplit(uri).path.strip("/"), depth=3)
        missing = [file for file in FILES if file not in found]
        if missing:
            raise RegistryUnavailable(f"{name} {version} has no {', '.join(missing)}")
        folder.mkdir(parents=True, exist_ok=True)
        for file in FILES:
            (folder / file).write_bytes(self._get(f"/api/2.0/mlflow-artifacts/artifacts/{quote(found[file])}"))

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


class RegisteredModels:
    """The model that serves: what `model-control` names, else the alias; else the copy of last time; else the rules."""

    def __init__(
        self, registry: MlflowRegistry | None, promotion: Promotion | None, cache_dir: Path, metrics: Metrics
    ) -> None:
        self._registry = registry
        self._promotion = promotion
        self._cache_dir = cache_dir
        self._metrics = metrics
        self._current: HazardModel | None = None

    def current(self) -> HazardModel:
        """Loaded on the first call, the same handle ever after: a batch never sees two models. One thread calls it."""
        if self._current is None:
            self._current = self._load()
            info = self._current.info
            self._metrics.set(MODEL_INFO, 1, version=info.version, role=info.role.value)
            _log.info("scoring.model_serving", model=info.name, version=info.version, role=info.role.value)
        return self._current

    @property
    def serving(self) -> str:
        """Name, version and role of the loaded model; empty before."""
        if self._current is None:
            return ""
        info = self._current.info
        return f"{info.name} {info.version} {info.role.value}"

    def _load(self) -> HazardModel:
        for find in (self._from_registry, self._from_last_time):
            try:
                model = find()
            except (RegistryUnavailable, ModelRefused, OSError) as error:
                _log.error("scoring.model_unavailable", source=find.__name__.removeprefix("_from_"), error=str(error))
            else:
                if model is not None:
                    return model
        return RulesModel()

    def _from_registry(self) -> HazardModel | None:
        if self._registry is None:
            return None
        version = self._promotion.version if self._promotion else self._registry.version_of_alias(MODEL_NAME, ALIAS)
        folder = self._cache_dir / f"v{version}"
        if not all((folder / file).is_file() for file in FILES):
            # Complete or absent: a folder that a kill left half full must not be taken for a model.
            partial = self._cache_dir / f"v{version}.part"
            shutil.rmtree(partial, ignore_errors=True)
            self._registry.download(MODEL_NAME, version, partial)
            shutil.rmtree(folder, ignore_errors=True)
            partial.replace(folder)
        model = self._checked(folder, version)
        (self._cache_dir / _LAST).write_text(json.dumps({"version": version}), "utf-8")
        return model

    def _from_last_time(self) -> HazardModel | None:
        last = self._cache_dir / _LAST
        if not last.is_file():
            return None
        version = str(json.loads(last.read_text("utf-8"))["version"])
        return self._checked(self._cache_dir / f"v{version}", version)

    def _checked(self, folder: Path, version: str) -> HazardModel:
        if self._promotion and self._promotion.version == version and self._promotion.artifact_sha256:
            found = hashlib.sha256((folder / BOOSTER_FILE).read_bytes()).hexdigest()
            if found != self._promotion.artifact_sha256:
                raise ModelRefused(f"version {version}: the Booster is not the promoted one")
        return load_model(folder, version)
