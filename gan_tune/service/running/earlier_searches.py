"""Warm start: what a new search takes from earlier ones.

Of a search on the same data it takes the trials, for the sampler. Of one on other data it takes the
best settings as starts, since values on different data cannot be compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING

from gan_tune.config import Argument, Catalogue, TrialConfig
from gan_tune.errors import ConfigError, GanTuneError
from gan_tune.experience.fitting import fit_settings
from gan_tune.experience.recorded import recorded_setting
from gan_tune.experience.settings import Setting
from gan_tune.gan.schedules import LENGTH_DEPENDENT
from gan_tune.service.running.context import SearchContext
from gan_tune.space import SearchSpace
from gan_tune.space.texts import texts_in
from gan_tune.words.readable import plural

if TYPE_CHECKING:
    from gan_tune.record.ended_trials import EndedTrial, RecordedSearch
    from gan_tune.searching.study.origins import Start
    from gan_tune.searching.study.warm_start import EarlierTrial

MOST_STARTS = 8
"""Most settings that are taken from searches on other data."""


@dataclass(frozen=True)
class WarmStart:
    """What a search takes from earlier searches.

    Attributes:
        searches: names of the earlier searches.
        trials: those of their trials that fit into the new space.
        shifted: how many of these have a value that was moved to the new space's grid.
        dropped: how many trials do not fit.
        starts: the best settings of searches on other data.
        on_other_data: names of those searches.
    """

    searches: Sequence[str] = ()
    trials: Sequence[EarlierTrial] = ()
    shifted: int = 0
    dropped: int = 0
    starts: Sequence[Start] = ()
    on_other_data: Sequence[str] = ()

    def notes(self) -> Iterator[str]:
        """What is taken, in sentences."""
        alike = [name for name in self.searches if name not in self.on_other_data]
        if alike:
            count = len(self.trials) + self.dropped
            yield (
                f"warm start: {plural(count, 'trial')} of {', '.join(alike)}: "
                f"{len(self.trials) - self.shifted} used, {self.shifted} shifted, "
                f"{self.dropped} dropped"
            )
        if self.on_other_data:
            yield (
                f"warm start: {', '.join(self.on_other_data)}: on other data, where values mean "
                f"something else: {plural(len(self.starts), 'setting')} of the best to try first"
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
        _check_same(search.name, "the objective", ours, theirs)
        if not search.trials:
            raise GanTuneError(
                f"warm start: {search.name}: must hold a trial that has completed or was pruned, "
                "diverged or collapsed: it has none"
            )
    return found


def at_their_length(found: Sequence[RecordedSearch], space: SearchSpace) -> SearchSpace:
    """The space with the length of the earlier searches' trials, if it leaves the length open.

    Only values at equal lengths can be compared.
    """
    texts = [trial.params.get("steps", "") for search in found for trial in search.trials]
    lengths = [int(text) for text in texts if text.isdecimal()]
    if not lengths or not space.has_open_length or space.planned_steps is not None:
        return space
    return space.with_length(max(lengths))


def warm_start(
    found: Sequence[RecordedSearch],
    space: SearchSpace,
    *,
    metric_version: str,
    data: str,
    kind: str = "pictures",
) -> WarmStart:
    """Fit the trials of earlier searches into a space.

    Args:
        found: the searches, with the space's objective.
        space: of the new search.
        metric_version: version of the new search's metric.
        data: digest of its data set.
        kind: of its data, `points` or `pictures`.

    Raises:
        GanTuneError: values of one of the searches cannot be compared with the new ones.
    """
    alike = [search for search in found if search.data == {data}]
    others = [search for search in found if search.data != {data}]
    for search in alike:
        _check_same(search.name, "the version of the metric", metric_version, search.metric_version)
    known = _catalogue_of_own_parts(space)
    fitted = [
        _fitted(search.name, trial, space, known) for search in alike for trial in search.trials
    ]
    kept = [fit for fit in fitted if fit is not None]
    return WarmStart(
        searches=[search.name for search in found],
        trials=[trial for trial, _ in kept],
        shifted=sum(shifted for _, shifted in kept),
        dropped=len(fitted) - len(kept),
        starts=_best_of(others, space, kind, known),
        on_other_data=[search.name for search in others],
    )


def _best_of(
    searches: Sequence[RecordedSearch], space: SearchSpace, kind: str, catalogue: Catalogue
) -> list[Start]:
    """The best settings of some searches on other data that fit a space, in turn."""
    from gan_tune.searching.study.origins import Start

    ranked = [_ranked(search, kind, catalogue) for search in searches]
    in_turn = [setting for row in zip_longest(*ranked) for setting in row if setting is not None]
    return [
        Start(f"warm start {place}", fitted.values)
        for place, (_, fitted) in enumerate(fit_settings(space, in_turn)[:MOST_STARTS], start=1)
    ]


def _ranked(search: RecordedSearch, kind: str, catalogue: Catalogue) -> list[Setting]:
    """The settings of the sound trials, best first."""
    cost = search.objective.cost
    sound = [t for t in search.trials if t.curve and t.outcome in ("completed", "pruned")]
    sound.sort(key=lambda trial: cost(trial.curve[max(trial.curve)]))
    read = (recorded_setting(trial.params, kind, catalogue) for trial in sound)
    return [found[0] for found in read if found is not None]


def prepare_warm_start(found: Sequence[RecordedSearch], context: SearchContext) -> WarmStart:
    """The warm start of a search. Its data are needed only if there are earlier searches.

    Raises:
        GanTuneError: values of one of them cannot be compared with those of this search.
    """
    if not found:
        return WarmStart()
    from gan_tune.searching.study.samplers import SAMPLERS

    version = context.judge.versions[context.objective.metric]
    data = context.dataset.digest
    kind = context.dataset.kind
    warm = warm_start(found, context.space, metric_version=version, data=data, kind=kind)
    for note in warm.notes():
        context.watcher.note(note)
    sampler = context.space.search.sampler.name
    if warm.trials and not SAMPLERS[sampler].reads_others:
        context.watcher.note(f"warm start: the sampler {sampler} learns nothing from it; tpe does")
    return warm


def _check_same(search: str, what: str, ours: str, theirs: str) -> None:
    if ours != theirs:
        raise GanTuneError(
            f"warm start: {search}: {what} must be that of the new search, {ours}: "
            f"{theirs or 'none is recorded'}"
        )


def _catalogue_of_own_parts(space: SearchSpace) -> Catalogue:
    """The space's catalogue, which imports no part that the space itself does not name.

    Other people may write to the record, so its import paths are not trusted. A trial with a part
    that the space does not name could not be used anyway.
    """
    own, load = set(texts_in(space.decisive["trial"])), space.catalogue.load

    def load_own(kind: str, name: str) -> Mapping[str, Argument]:
        if name not in own or load is None:
            raise KeyError("must be a part that the new search's space names")
        return load(kind, name)

    return replace(space.catalogue, load=load_own)


def _fitted(
    search: str, trial: EndedTrial, space: SearchSpace, catalogue: Catalogue
) -> tuple[EarlierTrial, bool] | None:
    """A trial as a setting of the space, and whether a value was moved; None if it does not fit."""
    from gan_tune.searching.study.warm_start import EarlierTrial, outcome_within

    steps = space.steps
    try:
        config = TrialConfig.from_params(trial.params, catalogue)
    except ConfigError:  # from another version of gan-tune, or with another user's own parts
        return None
    fit = space.fit(config)
    if fit is None or (config.steps != steps and _depends_on_length(config)):
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


def _depends_on_length(config: TrialConfig) -> bool:
    """Whether even the first steps depend on how many steps there are, as with a schedule."""
    schedules = (config.generator_schedule, config.discriminator_schedule)
    paced = any(part.name in LENGTH_DEPENDENT and part.args["end"] < 1 for part in schedules)
    return config.instance_noise.std > 0 or paced
