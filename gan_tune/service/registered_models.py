"""The registered generators."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from gan_tune.errors import TrackingError

if TYPE_CHECKING:
    from gan_tune.model.generator import Generator
    from gan_tune.registry.versions import ModelInfo, VersionInfo


def load_generator(
    model: str, *, tracking_uri: str | None = None, device: str = "cpu"
) -> Generator:
    """Pull a registered generator: `NAME` (its champion), `NAME@ALIAS` or `NAME/VERSION`.

    ``device`` is one of torch's, such as `cuda`.

    Raises:
        ModelNotFoundError: there is no such model; the message lists the existing ones.
        DeviceError: torch has no such device.
        TrackingError: MLflow does not answer.
    """
    from gan_tune.registry.pull import load_generator as load

    return load(model, uri=tracking_uri, device=device)


def find_version(model: str, *, tracking_uri: str | None = None) -> VersionInfo:
    """The registered version of a model; names and errors are as for :func:`load_generator`."""
    from gan_tune.registry.versions import find_version as find

    return find(model, uri=tracking_uri)


def models(tracking_uri: str | None = None) -> list[ModelInfo]:
    """The registered generators, by name; none if there is no record yet.

    Raises:
        TrackingError: MLflow does not answer.
    """
    from gan_tune.registry.versions import list_models

    try:
        return list_models(tracking_uri)
    except TrackingError:
        if asked_for(tracking_uri):
            raise
        return []


def model_names(tracking_uri: str | None) -> list[str]:
    """The names of the registered generators."""
    return [model.name for model in models(tracking_uri)]


def bare(model: str) -> str:
    """The name in `NAME@alias` or `NAME/3`."""
    return re.split("[@/]", model.removeprefix("models:/"))[0]


def asked_for(tracking_uri: str | None) -> bool:
    """Whether the user named the record's place. If not, a missing record is no error."""
    return bool(tracking_uri or os.environ.get("MLFLOW_TRACKING_URI"))
