"""Finds and lists the models that gan-tune registered, and their versions, without loading them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import NamedTuple

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from gan_tune.errors import GanTuneError, ModelNotFoundError, TrackingError
from gan_tune.record.mlflow_store import (
    answering,
    can_be_quoted,
    client,
    connect,
    pages,
    quoted,
    tagged,
)
from gan_tune.record.sound_tags import VersionTags, each_sound, read_tags, warn_once
from gan_tune.record.tags import Tag
from gan_tune.registry.promotion import ALIAS
from gan_tune.words.wording import masked, there_are

__all__ = [
    "GENERATOR",
    "ModelInfo",
    "VersionInfo",
    "all_versions",
    "create_model",
    "find_version",
    "list_models",
    "look_up",
    "named_version",
    "own_version",
    "version_at",
]

GENERATOR = "generator"
"""The kind of gan-tune's models, which distinguishes them from others."""


ABSENT = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "PERMISSION_DENIED")
"""MLflow's error codes where there is no such model, alias (the second) or version.

With basic authentication the third comes for a model that is not there as well as for one that the
user may not read.
"""


@dataclass(frozen=True)
class ModelInfo:
    """A registered model; all fields after the name are its champion's (None: no champion)."""

    name: str
    version: int | None
    value: float | None
    objective: str | None
    search: str | None
    created: datetime


LARGEST_VERSION = 999_999_999
"""MLflow's databases hold 32 bits, and PostgreSQL refuses to be asked for more."""


@dataclass(frozen=True)
class VersionInfo:
    """A version of a registered model, without its weights."""

    name: str
    version: int
    tags: Mapping[str, str]


def find_version(
    model: str, *, alias: str = ALIAS, version: int | None = None, uri: str | None = None
) -> VersionInfo:
    """The registered version of a model; nothing is downloaded.

    ``model`` is `NAME`, `NAME@alias` or `NAME/3`, each with or without `models:/` before it. An
    alias or version in it has priority over ``alias`` and ``version``.

    Raises:
        ModelNotFoundError: no such model, alias or version; the message names the existing ones.
        TrackingError: MLflow does not answer.
    """
    return look_up(connect(uri, create=False), model, alias, version)


def named_version(uri: str, model: str) -> VersionInfo:
    """The version that ``model`` names as `NAME/3` or `NAME@alias`, in a store that answers.

    Raises:
        GanTuneError: it names none.
        ModelNotFoundError: there is no such model, alias or version.
    """
    wanted = _parse(model, "", None)
    if wanted.version is None and not wanted.alias:
        raise GanTuneError(
            f"a version must be named, as {wanted.name or 'NAME'}/3, but given is {model!r:.100}"
        )
    return own_version(look_up(uri, model, wanted.alias, wanted.version))


def own_version(found: VersionInfo) -> VersionInfo:
    """The version itself, if gan-tune registered it: only such ones are read, moved and removed.

    Raises:
        GanTuneError: another program did.
    """
    if Tag.LATENT not in found.tags:
        label = f"{found.name}/{found.version}"
        raise GanTuneError(f"model {label} has no tag {Tag.LATENT}: gan-tune did not save it")
    return found


def look_up(uri: str, model: str, alias: str, version: int | None) -> VersionInfo:
    """As :func:`find_version`, in a store that is known to answer."""
    wanted = _parse(model, alias, version)
    with answering(uri):
        found = _found(client(uri), uri, wanted)
    return VersionInfo(wanted.name, int(found.version), dict(found.tags))


def list_models(uri: str | None = None) -> list[ModelInfo]:
    """The models that gan-tune registered, by name.

    Raises:
        TrackingError: MLflow does not answer.
    """
    uri = connect(uri, create=False)
    mlflow_client = client(uri)
    with answering(uri):
        read = partial(_model_info, mlflow_client)
        found = each_sound(_names(mlflow_client), read, lambda name: f"model {name}")
        return [info for _, info in found]


def version_at(mlflow_client: MlflowClient, name: str, alias: str) -> ModelVersion | None:
    """The version that an alias of a model names; None if there is no such model or alias."""
    return _or_none(lambda: mlflow_client.get_model_version_by_alias(name, alias))


def all_versions(mlflow_client: MlflowClient, name: str) -> list[ModelVersion]:
    """All versions of a model that have a number; none if there is no such model."""
    if not can_be_quoted(name):
        return []  # MLflow cannot be asked for it, and `register` refuses such a name
    rule = f"name = {quoted(name)}"
    found = pages(lambda token: mlflow_client.search_model_versions(rule, page_token=token))
    return [version for version in found if re.fullmatch(r"[0-9]{1,9}", str(version.version))]


def create_model(mlflow_client: MlflowClient, name: str) -> bool:
    """Make a model of gan-tune's; one that is there is named as such. Returns whether it was made.

    Raises:
        MlflowException: the user may not.
    """
    try:
        mlflow_client.create_registered_model(name, tags={Tag.KIND: GENERATOR})
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        mlflow_client.set_registered_model_tag(name, Tag.KIND, GENERATOR)
        return False
    return True


class _Wanted(NamedTuple):
    """The requested version of a model: by its number, or else by the alias."""

    name: str
    alias: str
    version: int | None


def _parse(model: str, alias: str, version: int | None) -> _Wanted:
    """Parse the user's text; its parts have priority over ``alias`` and ``version``."""
    text = model.removeprefix("models:/").strip("/")
    if match := re.fullmatch(r"([^/@]+)/([0-9]{1,100})", text):
        return _Wanted(match[1], alias, int(match[2]))
    if match := re.fullmatch(r"([^/@]+)@([\w-]+)", text):
        return _Wanted(match[1], match[2], None)
    return _Wanted(text, alias, version)


def _found(mlflow_client: MlflowClient, uri: str, wanted: _Wanted) -> ModelVersion:
    name, alias, version = wanted
    if version is not None and version > LARGEST_VERSION:
        found = None
    elif version is not None:
        found = _or_none(lambda: mlflow_client.get_model_version(name, str(version)))
    else:
        found = version_at(mlflow_client, name, alias)
    if found is not None:
        return found
    there = sorted(int(known.version) for known in all_versions(mlflow_client, name))
    if not there:
        known = there_are(name, _names(mlflow_client))
        raise ModelNotFoundError(f"no model named {name!r} in {masked(uri)}; {known}")
    missing = f"alias {alias!r}" if version is None else f"version {version}"
    versions = ", ".join(map(str, there))
    raise ModelNotFoundError(f"model {name!r} has no {missing}; its versions are: {versions}")


def _or_none(find: Callable[[], ModelVersion]) -> ModelVersion | None:
    """What is found; None where there is no such model, version or alias."""
    try:
        return find()
    except MlflowException as error:
        if error.error_code in ABSENT:
            return None
        raise


def _names(mlflow_client: MlflowClient) -> list[str]:
    """Names of the models that gan-tune registered, in order."""
    rule = tagged(Tag.KIND, GENERATOR)
    found = pages(lambda token: mlflow_client.search_registered_models(rule, page_token=token))
    return sorted(model.name for model in found)


def _model_info(mlflow_client: MlflowClient, name: str) -> ModelInfo:
    champion = version_at(mlflow_client, name, ALIAS)
    if champion is None:
        created = mlflow_client.get_registered_model(name).creation_timestamp
        return ModelInfo(name, None, None, None, None, _time(created))
    tags = champion.tags
    return ModelInfo(
        name=name,
        version=int(champion.version),
        value=_value(tags, f"model {name}/{champion.version}"),
        objective=tags.get(Tag.OBJECTIVE, tags.get(Tag.COMPARABLE)),
        search=tags.get(Tag.SEARCH),
        created=_time(champion.creation_timestamp),
    )


def _value(tags: Mapping[str, str], label: str) -> float | None:
    try:
        return read_tags(VersionTags, tags, label).value
    except TrackingError as error:
        warn_once(str(error))
        return None


def _time(time_ms: int | None) -> datetime:
    return datetime.fromtimestamp((time_ms or 0) / 1000).astimezone()
