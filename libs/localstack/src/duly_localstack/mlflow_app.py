"""MLflow's tracking server in one process: `python -m duly_localstack.mlflow_app --port N --state-dir DIR`.

`mlflow server` imports MLflow in a command process, then again in a server process, and starts seven more for jobs that
we never run: 12 s and 850 MB. This does what its command line does for SQLite, artifacts served from a folder and one
worker, in one process. The names come from MLflow's own constants; the version is pinned, and the test of
`MlflowServer` logs a run and an artifact through it.
"""

from __future__ import annotations

import argparse
import os
import uuid
from pathlib import Path

import uvicorn
from mlflow.server import constants

from duly_localstack.ports import LOOPBACK

ARTIFACT_ROOT = "mlflow-artifacts:/"  # clients up- and download through the server


def main() -> None:
    """Make or migrate the database, then serve until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--state-dir", type=Path, required=True)
    arguments = parser.parse_args()
    store = f"sqlite:///{arguments.state_dir.absolute() / 'mlflow.db'}"
    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: store,
        constants.REGISTRY_STORE_URI_ENV_VAR: store,
        constants.ARTIFACT_ROOT_ENV_VAR: ARTIFACT_ROOT,
        constants.ARTIFACTS_DESTINATION_ENV_VAR: (arguments.state_dir.absolute() / "artifacts").as_uri(),
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
        "_MLFLOW_SGI_NAME": "uvicorn",
        "_MLFLOW_SERVER_BOOT_ID": uuid.uuid4().hex,
    }
    from mlflow.server.handlers import initialize_backend_stores  # after the environment: the import reads it

    initialize_backend_stores(store, store, ARTIFACT_ROOT)
    uvicorn.run(
        "mlflow.server.fastapi_app:app", host=LOOPBACK, port=arguments.port, log_level="warning", access_log=False
    )


if __name__ == "__main__":
    main()
