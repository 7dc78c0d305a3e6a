"""`gan-tune best`: the champion of a search, or a registered version of a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_tune.errors import ModelNotFoundError, SearchNotFoundError, TrackingError
from gan_tune.record.tags import Tag
from gan_tune.record.tracking_uri import locate, sqlite_path
from gan_tune.service.registered_models import bare, find_version, model_names, models
from gan_tune.service.search_result import SearchResult, read_result
from gan_tune.space import check_name
from gan_tune.storage.places import DEFAULT_STORAGE, look_in, search_names
from gan_tune.storage.trial_records import EarlierSetting
from gan_tune.words.wording import masked, there_are

if TYPE_CHECKING:
    from gan_tune.registry.versions import VersionInfo


@dataclass(frozen=True)
class Best:
    """The champion of a search, or a registered version of a model.

    Attributes:
        search: the search that found it; None if the model does not name it.
        trial: the trial that trained it.
        model, version: the registered model; None if none was registered.
        alias_holder: whether that version is the model's champion; None if not known.
        removed: whether the search's version is known to be gone from the registry.
        metric, mode: the objective.
        value: mean on the selection split.
        spread: sample deviation over the seeds; None for fewer than two.
        seeds: how many fresh seeds confirmed it; 0: not confirmed.
        first_mean: the same mean for the search's first setting.
        test: figures on the test split.
        decided: the values that the search decided, by dimension; empty if only MLflow knows the
            trial.
        config: the trial config, as a tree, or as MLflow's dotted params.
        lineage: the settings with which it was trained before, oldest first. Empty if it is no fork
            of a population, or if only MLflow knows the trial.
    """

    search: str | None
    trial: str | None
    model: str | None
    version: int | None
    alias_holder: bool | None
    metric: str | None
    mode: str | None
    value: float | None
    spread: float | None
    seeds: int
    first_mean: float | None
    test: Mapping[str, float]
    decided: Mapping[str, Any]
    config: Mapping[str, Any]
    lineage: Sequence[EarlierSetting] = ()
    removed: bool = False


def best(
    name: str, storage: str | Path = DEFAULT_STORAGE, *, tracking_uri: str | None = None
) -> Best:
    """The champion of a search (`NAME`), or a model's version (`NAME@alias`, `NAME/3`).

    Raises:
        SearchNotFoundError: no search or model has that name, or the search has no champion yet.
        ModelNotFoundError: the model has no such version or alias.
    """
    root = look_in(storage)
    result = read_result(root.below(name)) if check_name(name) is None else None
    if result is not None:
        return _best_of(result, tracking_uri)
    known = model_names(tracking_uri)
    if bare(name) in known:
        return _best_of_model(find_version(name, tracking_uri=tracking_uri), tracking_uri)
    here = search_names(root)
    if name in here:
        raise SearchNotFoundError(
            f"search {name!r} has no champion yet; see gan-tune status {name}"
        )
    there = [*here, *known]
    raise SearchNotFoundError(f"no search or model named {name!r}; {there_are(name, there)}")


def _holds_alias(result: SearchResult, tracking_uri: str | None) -> bool | None:
    """Whether a search's version is the champion now; None if MLflow does not answer."""
    try:
        holders = {model.name: model.version for model in models(tracking_uri)}
    except TrackingError:
        return None
    return holders.get(result.model or "") == result.model_version if result.model else None


def _is_removed(result: SearchResult, tracking_uri: str | None) -> bool:
    """Whether a search's version is no longer in the store in which it was registered."""
    if result.model is None:
        return result.is_removed
    try:
        if _is_store_of(result, locate(tracking_uri)):
            find_version(f"{result.model}/{result.model_version}", tracking_uri=tracking_uri)
    except ModelNotFoundError:
        return True
    except TrackingError:
        return False
    return False


def _is_store_of(result: SearchResult, uri: str) -> bool:
    """Whether a store is that of a search's record; a file may have been moved with its folder."""
    known = result.tracking_uri
    if masked(uri) == known:
        return True
    return (
        all(one.startswith("sqlite:") for one in (uri, known)) and not sqlite_path(known).exists()
    )


def _best_of(result: SearchResult, tracking_uri: str | None) -> Best:
    champion = result.champion
    if champion is None:
        why = "no trial was sound" if result.finished else "it was interrupted"
        raise SearchNotFoundError(
            f"search {result.name!r} has no champion ({why}); see gan-tune status {result.name}"
        )
    rows = {row.setting: row for row in result.rows}
    return Best(
        search=result.name,
        trial=champion.trial,
        model=result.model,
        version=result.model_version,
        alias_holder=_holds_alias(result, tracking_uri),
        metric=result.metric,
        mode=result.mode,
        value=champion.mean,
        spread=champion.spread,
        seeds=champion.seeds,
        first_mean=result.first_mean,
        test=result.test,
        decided=rows[champion.setting].changes if champion.setting in rows else {},
        config=champion.config,
        lineage=champion.lineage,
        removed=_is_removed(result, tracking_uri),
    )


def recorded_params(tags: Mapping[str, str], tracking_uri: str | None) -> Mapping[str, str]:
    """The config of the trial that trained a model, as MLflow's params; empty where unknown.

    ``tags`` are those of the model version.

    Raises:
        TrackingError: MLflow does not answer.
    """
    from gan_tune.record import history
    from gan_tune.record.mlflow_store import connect

    search, trial = tags.get(Tag.SEARCH), tags.get(Tag.TRIAL)
    if search is None:
        return {}
    rows = history.leaderboard(connect(tracking_uri, create=False), search)
    return next((row.params for row in rows if row.trial == trial), {})


def _best_of_model(found: VersionInfo, tracking_uri: str | None) -> Best:
    from gan_tune.record.sound_tags import VersionTags, read_tags

    label = f"model {found.name}/{found.version}"
    numbers = read_tags(VersionTags, found.tags, label)
    tags = {key.removeprefix(Tag.PREFIX): value for key, value in found.tags.items()}
    holder = {model.name: model.version for model in models(tracking_uri)}.get(found.name)
    return Best(
        search=tags.get("search"),
        trial=tags.get("trial"),
        model=found.name,
        version=found.version,
        alias_holder=holder == found.version,
        metric=tags.get("objective"),
        mode=tags.get("mode"),
        value=numbers.value,
        spread=None,
        seeds=numbers.confirmed_seeds,
        first_mean=None,
        test={key: value for key, value in _figures(tags).items() if key.startswith("test.")},
        decided={},
        config=recorded_params(found.tags, tracking_uri),
    )


def _figures(tags: Mapping[str, str]) -> dict[str, float]:
    """Those tags that are numbers."""
    found = {}
    for key, value in tags.items():
        with suppress(ValueError):
            found[key] = float(value)
    return found
