"""Warm start: which trials of earlier searches the sampler of a new one can learn from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gan_tune.config import Argument, Catalogue, TrialConfig
from gan_tune.errors import ConfigError, GanTuneError
from gan_tune.gan.schedules import PACED
from gan_tune.service.running.context import SearchContext
from gan_tune.space import SearchSpace
from gan_tune.words.readable import plural

if TYPE_CHECKING:
    from gan_tune.record.ended_trials import EndedTrial, RecordedSearch
    from gan_tune.searching.study.warm_start import EarlierTrial


@dataclass(frozen=True)
class WarmStart:
    """The ``trials`` of earlier searches; ``shifted`` of them were moved to the new grid."""

    searches: Sequence[str] = ()
    trials: Sequence[EarlierTrial] = ()
    shifted: int = 0
    dropped: int = 0

    def __str__(self) -> str:
        count = len(self.trials) + self.dropped
        return (
            f"warm start: {plural(count, 'trial')} of {', '.join(self.searches)}: "
            f"{len(self.trials) - self.shifted} used, {self.shifted} shifted, "
            f"{self.dropped} dropped"
        )


def read_searches(names: Sequence[str], space: SearchSpace, uri: str) -> list[RecordedSearch]:
    """The searches that a new one starts from, checked as far as possible without its data.

    Raises:
        SearchNotFoundError: no search has that name.
        GanTuneError: one has another objective or no ended trial, or the space has several
            objectives.
    """
    from gan_tune.record.ended_trials import ended_trials

    if names and len(space.objectives) > 1:
        metrics = ", ".join(objective.metric for objective in space.objectives)
        raise GanTuneError(f"warm start: the new search must have one objective: {metrics}")
    found = [ended_trials(uri, name) for name in names]
    for search in found:
        ours, theirs = (f"{o.metric} ({o.mode})" for o in (space.objective, search.objective))
        _check(search.name, "the objective", ours, theirs)
        if not search.trials:
            raise GanTuneError(
                f"warm start: {search.name}: must hold a trial that has completed or was pruned, "
                "diverged or collapsed: it has none"
            )
    return found


def warm_start(
    found: Sequence[RecordedSearch], space: SearchSpace, *, metric_version: str, data: str
) -> WarmStart:
    """Fit the trials of earlier searches into a space.

    Args:
        found: the searches, with the space's objective.
        space: of the new search.
        metric_version: version of the new search's metric.
        data: digest of its data set.

    Raises:
        GanTuneError: values of one of the searches cannot be compared with the new ones.
    """
    for search in found:
        _check(search.name, "the version of the metric", metric_version, search.metric_version)
        _check(search.name, "the data", data, ", ".join(sorted(search.data)))
    known = _without_others_code(space)
    fitted = [
        _fitted(search.name, trial, space, known) for search in found for trial in search.trials
    ]
    kept = [fit for fit in fitted if fit is not None]
    return WarmStart(
        searches=[search.name for search in found],
        trials=[trial for trial, _ in kept],
        shifted=sum(shifted for _, shifted in kept),
        dropped=len(fitted) - len(kept),
    )


def told_of(found: Sequence[RecordedSearch], context: SearchContext) -> WarmStart:
    """The warm start of a search. Its data are needed only if there are earlier searches.

    Raises:
        GanTuneError: values of one of them cannot be compared with those of this search.
    """
    if not found:
        return WarmStart()
    from gan_tune.searching.study.samplers import SAMPLERS

    version = context.judge.versions[context.objective.metric]
    data = context.dataset.digest
    warm = warm_start(found, context.space, metric_version=version, data=data)
    context.watcher.note(str(warm))
    sampler = context.space.search.sampler.name
    if not SAMPLERS[sampler].reads_others:
        context.watcher.note(f"warm start: the sampler {sampler} learns nothing from it; tpe does")
    return warm


def _check(search: str, what: str, ours: str, theirs: str) -> None:
    if ours != theirs:
        raise GanTuneError(
            f"warm start: {search}: {what} must be that of the new search, {ours}: "
            f"{theirs or 'none is recorded'}"
        )


def _without_others_code(space: SearchSpace) -> Catalogue:
    """The space's catalogue, which imports no part that the space itself does not name.

    Others may write to the record, so its import paths are not trusted. A trial with another part
    could not be used anyway.
    """
    own, load = set(_texts(space.decisive["trial"])), space.catalogue.load

    def load_own(kind: str, name: str) -> Mapping[str, Argument]:
        if name not in own or load is None:
            raise KeyError("must be a part that the new search's space names")
        return load(kind, name)

    return replace(space.catalogue, load=load_own)


def _texts(tree: Any) -> Iterator[str]:
    """All texts among the values of a tree."""
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, (Mapping, list)):
        for value in tree.values() if isinstance(tree, Mapping) else tree:
            yield from _texts(value)


def _fitted(
    search: str, trial: EndedTrial, space: SearchSpace, catalogue: Catalogue
) -> tuple[EarlierTrial, bool] | None:
    """A trial as a setting of the space, and whether a value was moved; None if it does not fit."""
    from gan_tune.searching.study.warm_start import EarlierTrial, outcome_within

    steps = space.budget.steps
    try:
        config = TrialConfig.from_params(trial.params, catalogue)
    except ConfigError:  # from another version of gan-tune, or with another user's own parts
        return None
    fit = space.fit(config)
    if fit is None or (config.steps != steps and _goes_by_its_length(config)):
        return None
    patience = space.config(fit.assignment, seed=0).patience
    outcome = outcome_within(
        steps,
        trial.outcome,
        reached=trial.reached,
        by_patience=trial.reached < config.steps and config.patience == patience,
    )
    if space.search.seeds > 1 and outcome == "completed":
        outcome = "pruned"  # it has been trained with one seed only
    curve = {step: value for step, value in trial.curve.items() if step <= steps}
    if not curve and outcome in ("completed", "pruned"):
        return None
    return EarlierTrial(f"{search}/{trial.name}", fit.assignment, outcome, curve), bool(fit.shifted)


def _goes_by_its_length(config: TrialConfig) -> bool:
    """Whether training depends on its length from the first step on."""
    schedules = (config.generator_schedule, config.discriminator_schedule)
    paced = any(part.name in PACED and part.args["end"] < 1 for part in schedules)
    return config.instance_noise.std > 0 or paced
