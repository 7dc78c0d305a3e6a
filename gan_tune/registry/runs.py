"""What a run in MLflow has to draw from: a registered version, or a trial's folder."""

from __future__ import annotations

from dataclasses import dataclass

from mlflow.exceptions import MlflowException

from gan_tune.errors import ModelNotFoundError
from gan_tune.record.mlflow_store import answering, client, connect, quoted
from gan_tune.record.tags import Tag
from gan_tune.words.wording import masked

__all__ = ["TrialRun", "find_run"]


@dataclass(frozen=True)
class TrialRun:
    """A run: the trial that it records, and the registered version made from it (`NAME/3`)."""

    search: str | None
    trial: str | None
    model: str | None


def find_run(run_id: str, *, uri: str | None = None) -> TrialRun:
    """The run of that id.

    Raises:
        ModelNotFoundError: there is no such run.
        TrackingError: MLflow does not answer.
    """
    uri = connect(uri, create=False)
    mlflow_client = client(uri)
    with answering(uri):
        try:
            tags = mlflow_client.get_run(run_id).data.tags
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            raise ModelNotFoundError(f"no run {run_id!r:.80} in {masked(uri)}") from None
        found = mlflow_client.search_model_versions(f"run_id = {quoted(run_id)}")
    versions = sorted(found, key=lambda version: int(version.version))
    model = f"{versions[-1].name}/{versions[-1].version}" if versions else None
    return TrialRun(tags.get(Tag.SEARCH), tags.get(Tag.TRIAL), model)
