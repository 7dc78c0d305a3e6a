"""MLflow servers for tests: the faulty ones of the benchmarks, and one that asks for passwords."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.server.auth.client import AuthServiceClient

from benchmarks.mlflow_servers import Proxy, Server, free_port, serving

__all__ = ["ADMIN", "USER", "Proxy", "Server", "free_port", "guarded_serving", "log_in", "serving"]

ADMIN, PASSWORD, USER = "admin", "password1234-of-tests", "worker"


@contextlib.contextmanager
def guarded_serving(folder: Path, store: Path) -> Iterator[Server]:
    """A server with basic authentication, and on it :data:`USER`, who is no administrator."""
    folder.mkdir(exist_ok=True)
    (folder / "auth.ini").write_text(
        "[mlflow]\ndefault_permission = READ\n"
        f"database_uri = sqlite:///{folder}/auth.db\n"
        f"admin_username = {ADMIN}\nadmin_password = {PASSWORD}\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    environment = {
        "MLFLOW_AUTH_CONFIG_PATH": str(folder / "auth.ini"),
        "MLFLOW_FLASK_SERVER_SECRET_KEY": "of tests",
    }
    with serving(folder, store, "--app-name", "basic-auth", **environment) as made:
        with pytest.MonkeyPatch.context() as as_admin:
            log_in(as_admin, ADMIN)
            AuthServiceClient(made.uri).create_user(USER, PASSWORD)
        yield made


def log_in(patched: pytest.MonkeyPatch, user: str, password: str = PASSWORD) -> None:
    """What this process calls from now on, it calls as this user."""
    patched.setenv("MLFLOW_TRACKING_USERNAME", user)
    patched.setenv("MLFLOW_TRACKING_PASSWORD", password)
