"""MLflow's pages as an ASGI application in this process."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp

__all__ = ["mlflow_pages"]


def mlflow_pages(store: str) -> ASGIApp:
    """MLflow's server for a store, as `mlflow server` would start it.

    It listens nowhere itself, so that whoever serves it decides who may ask. It can be made for one
    store in a process.
    """
    from mlflow.environment_variables import MLFLOW_SERVER_ENABLE_JOB_EXECUTION
    from mlflow.server import constants

    os.environ |= {
        constants.BACKEND_STORE_URI_ENV_VAR: store,
        constants.REGISTRY_STORE_URI_ENV_VAR: store,
        constants.ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
        constants.SERVE_ARTIFACTS_ENV_VAR: "true",
    }
    # Its workers for background jobs are not needed here, and are further processes.
    os.environ[MLFLOW_SERVER_ENABLE_JOB_EXECUTION.name] = "false"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what MLflow itself uses
        from mlflow.server.fastapi_app import app

    return app  # type: ignore[no-any-return]
