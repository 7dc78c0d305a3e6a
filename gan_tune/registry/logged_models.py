"""MLflow's logged models: a run's models before they are registered."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities import LoggedModel

from gan_tune.record.mlflow_store import quoted
from gan_tune.record.tags import Tag

__all__ = ["logged_before", "logged_name"]


def logged_name(model: str) -> str:
    """The name of a logged model for a registered one: it may not contain some characters."""
    return re.sub(r"[.%\"']", "_", model)


def logged_before(
    mlflow_client: MlflowClient, model: str, run_id: str, tags: Mapping[str, str]
) -> LoggedModel | None:
    """The run's logged model with the weights in these tags; None if there is none yet."""
    experiment_id = mlflow_client.get_run(run_id).info.experiment_id
    for found in mlflow_client.search_logged_models(
        [experiment_id], f"source_run_id = {quoted(run_id)}"
    ):
        same_weights = found.tags.get(Tag.WEIGHTS) == tags[Tag.WEIGHTS]
        if same_weights and (found.source_run_id, found.name) == (run_id, logged_name(model)):
            return found
    return None
