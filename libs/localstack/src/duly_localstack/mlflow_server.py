"""MLflow's tracking server and model registry on SQLite and a folder."""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from duly_localstack.ports import LOOPBACK
from duly_localstack.process import bytecode_cache
from duly_localstack.server import LocalServer


class MlflowServer(LocalServer):
    """One MLflow server, one process, no telemetry. It answers after 4 s (7 s at the very first start), as its import
    alone takes 3 s.
    """

    name = "mlflow"
    start_within_seconds = 120.0

    def __init__(self, state_dir: Path, port: int, log_file: Path) -> None:
        super().__init__(log_file)
        self.state_dir = state_dir.absolute()
        self.port = port

    @property
    def tracking_uri(self) -> str:
        """The address for clients (`MLFLOW_TRACKING_URI`)."""
        return f"http://{LOOPBACK}:{self.port}"

    def ports(self) -> Mapping[str, int]:
        """The one port."""
        return {"MLflow": self.port}

    def _prepare(self) -> None:
        """Make the folders."""
        (self.state_dir / "artifacts").mkdir(parents=True, exist_ok=True)

    def argv(self) -> Sequence[str]:
        """The one process."""
        module = "duly_localstack.mlflow_app"
        return [sys.executable, "-m", module, "--port", str(self.port), "--state-dir", str(self.state_dir)]

    def env(self) -> Mapping[str, str]:
        """Telemetry and jobs off; bytecode kept in the state folder; this package found also when it is only on our
        path.
        """
        here = str(Path(__file__).parents[1])
        return {
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_TRACKING_URI": "",
            "PYTHONWARNINGS": "ignore::DeprecationWarning",
            "PYTHONPATH": os.pathsep.join(part for part in (here, os.environ.get("PYTHONPATH", "")) if part),
            **bytecode_cache(self.state_dir / "pycache"),
        }

    def is_ready(self) -> bool:
        """Whether `/health` says OK."""
        connection = http.client.HTTPConnection(LOOPBACK, self.port, timeout=2.0)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
