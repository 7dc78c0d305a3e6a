"""Whether the user may write the record of a search, asked before its first trial."""

from __future__ import annotations

import uuid

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from gan_tune.errors import TrackingError
from gan_tune.record.mlflow_client import answering, client, lacks_rights
from gan_tune.record.search_run import EXPERIMENT_TAGS, open_experiment
from gan_tune.record.tags import Tag
from gan_tune.registry.versions import GENERATOR, all_versions, create_model
from gan_tune.words.wording import masked

__all__ = ["check_rights", "try_rights"]


def check_rights(uri: str, *, experiment: str, model: str) -> None:
    """Check that runs can be written to an experiment, and versions to a registered model.

    Only writing tells: the experiment is created, or gets a tag that it has; so does the model.

    Raises:
        TrackingError: the user may not; or MLflow does not answer.
    """
    mlflow_client = client(uri)
    with answering(uri):
        try:
            experiment_id = open_experiment(mlflow_client, uri, experiment)
            for key, text in EXPERIMENT_TAGS.items():
                mlflow_client.set_experiment_tag(experiment_id, key, text)
        except MlflowException as error:
            _refuse(error, uri, f"the experiment {experiment!r}", "--experiment")
        try:
            _touch_model(mlflow_client, model)
        except MlflowException as error:
            _refuse(error, uri, f"the registered model {model!r}", "--model")


def try_rights(uri: str) -> None:
    """Check that a new search could be recorded and its model registered; what is made is deleted.

    Raises:
        TrackingError: the user may not; or MLflow does not answer.
    """
    mlflow_client, name = client(uri), f"gan-tune-doctor-{uuid.uuid4().hex[:8]}"
    try:
        check_rights(uri, experiment=name, model=name)
    finally:
        with answering(uri):
            if (made := mlflow_client.get_experiment_by_name(name)) is not None:
                mlflow_client.delete_experiment(made.experiment_id)


def _touch_model(mlflow_client: MlflowClient, model: str) -> None:
    try:
        mlflow_client.get_registered_model(model)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return  # everyone may register a new one
        if not lacks_rights(error):
            raise
        # With basic authentication the answer is the same whether there is such a model or not.
        # One that is there is another user's, or was made just now by another search of this one.
        if create_model(mlflow_client, model) and not all_versions(mlflow_client, model):
            mlflow_client.delete_registered_model(model)
    else:
        mlflow_client.set_registered_model_tag(model, Tag.KIND, GENERATOR)


def _refuse(error: MlflowException, uri: str, what: str, option: str) -> None:
    if error.error_code != "PERMISSION_DENIED":
        raise error
    raise TrackingError(
        f"{masked(uri)}: this user must have the right to write {what}, but has not: ask its owner "
        f"for the permission EDIT, or give {option} OTHERNAME"
    ) from error
