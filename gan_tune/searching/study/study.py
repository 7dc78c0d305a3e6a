"""The study of one search: asks Optuna for settings, and reports their results to it.

:func:`gan_tune.searching.study.opening.open_study` opens a study. Nothing here depends on Ray.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, Trial, TrialState

from gan_tune.config import CollapseRule, TrialConfig
from gan_tune.errors import ConfigError
from gan_tune.searching.jobs import FIRST_SETTING, Ancestor, Fork, Job, Setting
from gan_tune.searching.study.forks import (
    Replacement,
    ancestry,
    fork_attributes,
    is_fork,
    replacement_of,
)
from gan_tune.searching.study.journal import Journal
from gan_tune.searching.study.numbering import Numbering
from gan_tune.searching.study.optuna_internals import (
    quiet_optuna,
    stored_trial,
    trial_without_params,
)
from gan_tune.searching.study.origins import ORIGIN, origin_of
from gan_tune.searching.study.priors import AROUND_PRIOR, around_priors
from gan_tune.searching.study.reading import (
    CURVE,
    OUTCOME,
    REPEATS,
    REPLICATES,
    ReportedValue,
    curve,
    own_study,
    own_trials,
    reports_of,
)
from gan_tune.searching.study.retrying import retry
from gan_tune.searching.study.samplers import SAMPLERS, build_sampler
from gan_tune.searching.study.seeds import trial_seed
from gan_tune.searching.study.segments import SegmentedJournal
from gan_tune.searching.study.telling import HEALTH, TellArguments, tell_arguments
from gan_tune.searching.study.tried import Tried
from gan_tune.space import SearchSpace
from gan_tune.storage.trial_name import Kind, TrialName, setting_name
from gan_tune.words.outcomes import Outcome

__all__ = ["AnyJournal", "Study"]

AnyJournal = Journal | SegmentedJournal


class _KeptNumber:
    """A number that a study keeps for its search, 0 at first."""

    def __set_name__(self, owner: type[Study], name: str) -> None:
        self._name = name

    def __get__(self, study: Study, owner: type[Study]) -> float:
        return float(study._study.user_attrs.get(self._name, 0.0))

    def __set__(self, study: Study, value: float) -> None:
        study._study.set_user_attr(self._name, value)


class Study:
    """Proposes settings of a space and records their results.

    Every method raises StudyError if an SQLite database stays locked.

    Args:
        study: Optuna's study, prepared by :func:`~.opening.open_study`.
        space: the checked space with which it began.
        journal: the file or segments that hold it; None if it is in a database.
    """

    def __init__(
        self, study: optuna.Study, space: SearchSpace, journal: AnyJournal | None = None
    ) -> None:
        self.space = space
        self._study, self._journal, self._numbering = study, journal, Numbering(study)
        ended = self._settings(TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
        self._tried = Tried(space, [trial.params for trial in ended])

    def _settings(self, *states: TrialState) -> list[FrozenTrial]:
        """This search's own trials; a setting's number is its place among all of them."""
        return own_trials(self._study, *states)

    def _synced_once(self) -> AbstractContextManager[None]:
        """Wait for the disk once, instead of at each line of a proposal or an ending."""
        return nullcontext() if self._journal is None else self._journal.synced_once()

    # ---------------------------------------------------------------- counting

    def proposed(self) -> int:
        """How many settings have been handed out so far."""
        return self._numbering.proposed

    def count(self) -> int:
        """How many settings there are, including those that wait to be handed out."""
        return self._numbering.count

    def waiting(self) -> int:
        """How many decided settings wait to be handed out."""
        return self._numbering.waiting

    # ---------------------------------------------------------------- asking

    def ask(self) -> Job:
        """The next setting, as a job. One that was tried before is replaced by another."""
        with quiet_optuna(), self._synced_once():
            while True:
                proposal = self.proposed()
                self._study.sampler = self._sampler(proposal)
                if not self.waiting() and _enqueued_around_priors(
                    self._study, self.space, proposal
                ):
                    self._numbering.has_changed()
                trial = self._study.ask()
                self._numbering.handed_out(trial)
                job = self._decided(trial)
                new = self._tried.note(trial.params) or is_fork(self._numbering.trial(job.setting))
                if new or (another := self._tried.another(job.setting)) is None:
                    return job
                _replace(self._study, trial, None if self.waiting() else another)
                self._numbering.has_changed(repeated=True)

    def is_exhausted(self) -> bool:
        """Whether every distinct setting of the space has been handed out."""
        return self._tried.is_every

    def ask_founder(self) -> Job:
        """The next setting that is no fork, as a job, even if forks wait."""
        waiting = self._settings(TrialState.WAITING)
        if not waiting or not is_fork(waiting[0]):
            return self.ask()
        with quiet_optuna():
            # Optuna's `ask` takes waiting trials first.
            self._study.sampler = self._sampler(self.proposed())
            self._study.add_trial(optuna.trial.create_trial(state=TrialState.RUNNING))
            self._numbering.has_changed()
            return self._decided(stored_trial(self._study, self._settings()[-1]))

    def _sampler(self, proposal: int) -> BaseSampler:
        search = self.space.search
        return build_sampler(search.sampler, search_seed=search.seed, proposal=proposal)

    def finish_proposals(self) -> list[Job]:
        """Jobs that an earlier command handed out and that have not ended.

        If a kill interrupted a proposal, it is completed first, in the study.
        """
        numbered = enumerate(self._settings())
        running = [number for number, trial in numbered if trial.state == TrialState.RUNNING]
        with quiet_optuna():
            jobs = [self._asked_again(setting) for setting in running]
        for job in jobs:
            self._tried.note(self.assignment(job.setting))
        return jobs

    def _asked_again(self, setting: int) -> Job:
        """A setting as it was proposed, even if a kill came before all of it was stored.

        An incomplete setting is drawn again from the start. If the stored part were kept, the
        sampler's random stream would give the rest different values. Two samplers store more in the
        study than parameters, so they propose something new: `qmc` takes its next point, and `gp`
        avoids its first proposal.
        """
        try:
            return self.job(setting, 0)
        except ConfigError:
            self._study.sampler = self._sampler(setting)
            return self._decided(trial_without_params(self._study, self._numbering.trial(setting)))

    def _decided(self, trial: Trial) -> Job:
        """Have Optuna decide on all parameters of a trial."""
        self.space.sample(trial, seed=0)
        return self._replicate(trial.params, self._numbering.number(trial), 0)

    # ---------------------------------------------------------------- forks

    def add_fork(self, fork: Fork, *, replaces: int) -> None:
        """Add a waiting fork that replaces a setting that ends."""
        attributes = fork_attributes(fork, replaces=replaces)
        self._study.enqueue_trial(dict(fork.assignment), user_attrs=attributes)
        self._numbering.has_changed()

    def forks(self) -> dict[int, Replacement]:
        """All forks by their number, each with the setting it replaces."""
        numbered = enumerate(self._settings())
        return {number: replacement_of(trial) for number, trial in numbered if is_fork(trial)}

    # ---------------------------------------------------------------- jobs of a setting

    def job(self, setting: int, replicate: int) -> Job:
        """A replicate of a setting that was handed out before.

        Replicates from ``search.seeds`` on belong to the confirmation.
        """
        return self._replicate(self._numbering.trial(setting).params, setting, replicate)

    def assignment(self, setting: int) -> dict[str, Any]:
        """The values that the search decided for a setting: dimension → value."""
        return dict(self._numbering.trial(setting).params)

    def is_compared_with(self, setting: int) -> bool:
        """Whether the gain is measured against a setting, so that it runs its full length.

        True for the first setting, if settings are confirmed.
        """
        return setting == FIRST_SETTING and self.space.confirm.top > 0

    def _replicate(self, params: dict[str, Any], setting: int, replicate: int) -> Job:
        seed = trial_seed(self.space.search.seed, setting, replicate)
        config = self.space.config(params, seed=seed)
        if self.is_compared_with(setting):
            config = _never_ending(config)
        kind: Kind = "search" if replicate < self.space.search.seeds else "confirmation"
        name = str(TrialName(setting, replicate, kind))
        shown = config.params() | self.space.choosers(params)
        trial = self._numbering.trial(setting)
        lineage = _lineage(self._settings(), setting, self.space, seed) if is_fork(trial) else ()
        return Job(name, setting, replicate, config, shown, origin_of(trial), kind, lineage)

    # ---------------------------------------------------------------- telling

    def report(self, setting: int, step: int, best: float | None) -> bool:
        """Report a setting's best value so far to Optuna; False if that step is known already.

        Steps of later replicates are counted on from those of the first.
        """
        frozen = self._numbering.trial(setting)
        known = curve(frozen)
        if step in known:
            return False
        if best is not None:
            trial = stored_trial(self._study, frozen)
            if len(self.space.objectives) > 1:  # Optuna refuses reports to such a study
                trial.set_user_attr(CURVE, {**known, step: best})
            else:
                trial.report(best, step)
        return True

    def note_replicates(self, setting: int, values: Sequence[float | None]) -> None:
        """Note the best values of the replicates that ran to their end."""
        frozen = self._numbering.trial(setting)
        if not frozen.state.is_finished():
            stored_trial(self._study, frozen).set_user_attr(REPLICATES, list(values))

    def tell(
        self,
        setting: int,
        outcome: Outcome,
        value: float | None,
        further: Sequence[float | None] = (),
    ) -> None:
        """Record in Optuna how a setting ended; does nothing if that is known already.

        Args:
            setting: its number.
            outcome: see :func:`~.telling.tell_arguments`.
            value: its best by the first objective; None if it never had a finite one.
            further: the other objectives' values at the same report.
        """
        frozen = self._numbering.trial(setting)
        if frozen.state.is_finished():
            return
        trial = stored_trial(self._study, frozen)
        values = [v for v in (value, *further) if v is not None]
        arguments = _tell_arguments(self._study, self.space, outcome, values)
        with quiet_optuna(), self._synced_once():
            trial.set_user_attr(OUTCOME, outcome)
            if arguments.health is not None and HEALTH not in frozen.constraints:
                # Optuna refuses this afterwards, so it comes first. A kill may follow it.
                trial.set_constraint(HEALTH, arguments.health)
            self._study.tell(trial, arguments.values, state=arguments.state, skip_if_finished=True)

    def retry(self, setting: int) -> None:
        """Let a setting that has ended be trained again, as one that was handed out."""
        retry(self._study, self._numbering.trial(setting))
        self._numbering = Numbering(self._study)

    # ---------------------------------------------------------------- looking back

    def settings(self) -> list[Setting]:
        """Every setting handed out, in order."""
        return self._numbering.settings()

    def counting(self, without: Set[int] = frozenset()) -> list[Setting]:
        """The settings that may be confirmed: completed or not ended; and the first one.

        ``without`` are the numbers of those that are left out.
        """
        return self._numbering.counting(without)

    def reports(self) -> Iterator[ReportedValue]:
        """All reports, step by step, to rebuild a stopping rule."""
        return reports_of(self._study)

    seconds_used = _KeptNumber()
    """Wall time spent on this search by all commands together."""

    gpu_seconds_used = _KeptNumber()
    """GPU seconds held by the trials of all commands together, if `budget.gpu_hours` counts."""

    @property
    def optuna_study(self) -> optuna.Study:
        """The study of this search's own settings, for Optuna's own plots."""
        return own_study(self._study)


def _tell_arguments(
    study: optuna.Study, space: SearchSpace, outcome: Outcome, values: list[float]
) -> TellArguments:
    reads_constraints = SAMPLERS[space.search.sampler.name].reads_constraints
    completed: list[list[float]] = []
    if not reads_constraints:
        every = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        completed = [trial.values for trial in every]
    return tell_arguments(
        outcome,
        values,
        space.objectives,
        reads_constraints=reads_constraints,
        completed=completed,
    )


def _enqueued_around_priors(study: optuna.Study, space: SearchSpace, proposal: int) -> bool:
    """Let the next setting have values around the priors, if it is its turn; whether it is."""
    search_seed = space.search.seed
    values = around_priors(space.dimensions(), search_seed=search_seed, proposal=proposal)
    if values:
        study.enqueue_trial(values, user_attrs={ORIGIN: AROUND_PRIOR})
    return bool(values)


def _replace(study: optuna.Study, trial: Trial, another: dict[str, Any] | None) -> None:
    """End a proposal that repeats a setting, and let ``another`` be the next one."""
    trial.set_user_attr(REPEATS, True)
    study.tell(trial, state=TrialState.FAIL)
    if another is not None:
        study.enqueue_trial(another)


def _lineage(
    trials: Sequence[FrozenTrial], fork: int, space: SearchSpace, seed: int
) -> tuple[Ancestor, ...]:
    """The settings from whose weights a fork continues, oldest first, all with one seed."""
    ancestors = [
        # Patience or collapse must not end it earlier: it was trained up to this step.
        Ancestor(
            setting_name(ancestor),
            until,
            _never_ending(space.config(trials[ancestor].params, seed=seed)),
        )
        for ancestor, until in ancestry(trials, fork)
    ]
    return tuple(reversed(ancestors))


def _never_ending(config: TrialConfig) -> TrialConfig:
    """The config of a trial that runs its full length: neither patience nor collapse ends it."""
    return config.model_copy(update={"collapse": CollapseRule(variety=0), "patience": 0})
