"""The study of one search: asks Optuna for settings, and reports their results to it.

:func:`gan_tune.searching.study.opening.open_study` opens a study. Nothing here depends on Ray.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
from gan_tune.searching.study.optuna_internals import (
    quiet_optuna,
    stored_trial,
    trial_without_params,
)
from gan_tune.searching.study.reading import (
    CURVE,
    OUTCOME,
    REPLICATES,
    ReportedValue,
    curve,
    is_own,
    own_study,
    reports_of,
    settings_of,
)
from gan_tune.searching.study.samplers import SAMPLERS, build_sampler
from gan_tune.searching.study.seeds import trial_seed
from gan_tune.searching.study.telling import HEALTH, Told, told_of
from gan_tune.space import SearchSpace
from gan_tune.storage.trial_name import Kind, TrialName, setting_name
from gan_tune.words.outcomes import Outcome

__all__ = ["Study"]


class Study:
    """Proposes settings of a space and records their results.

    Every method raises StudyError if an SQLite database stays locked.

    Args:
        study: Optuna's study, prepared by :func:`~.opening.open_study`.
        space: the checked space with which it began.
        journal: the file that holds it; None if it is in a database.
    """

    def __init__(
        self, study: optuna.Study, space: SearchSpace, journal: Journal | None = None
    ) -> None:
        self.space = space
        self._study, self._journal = study, journal
        # Earlier searches' trials are added when a study is created, never later.
        self._is_warm = not all(map(is_own, self._trials()))

    def _trials(self, *states: TrialState) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False, states=states or None)

    def _settings(self, *states: TrialState) -> list[FrozenTrial]:
        """This search's own trials; a setting's number is its place among all of them."""
        trials = self._trials(*states)
        # Called for every report: skip the pass over all trials if all are this search's own.
        return [trial for trial in trials if is_own(trial)] if self._is_warm else trials

    def _synced_once(self) -> AbstractContextManager[None]:
        """Wait for the disk once, instead of at each line of a proposal or an ending."""
        return nullcontext() if self._journal is None else self._journal.synced_once()

    # ---------------------------------------------------------------- counting

    def proposed(self) -> int:
        """How many settings have been handed out so far."""
        return sum(trial.state != TrialState.WAITING for trial in self._settings())

    def count(self) -> int:
        """How many settings there are, including those that wait to be handed out."""
        return len(self._settings())

    def waiting(self) -> int:
        """How many decided settings wait to be handed out."""
        return len(self._settings(TrialState.WAITING))

    # ---------------------------------------------------------------- asking

    def ask(self) -> Job:
        """The next setting, as a job."""
        with quiet_optuna(), self._synced_once():
            self._study.sampler = self._sampler(self.proposed())
            return self._decided(self._study.ask())

    def ask_founder(self) -> Job:
        """The next setting that is no fork, as a job, even if forks wait."""
        waiting = self._settings(TrialState.WAITING)
        if not waiting or not is_fork(waiting[0]):
            return self.ask()
        with quiet_optuna():
            # Optuna's `ask` takes waiting trials first.
            self._study.sampler = self._sampler(self.proposed())
            self._study.add_trial(optuna.trial.create_trial(state=TrialState.RUNNING))
            return self._decided(stored_trial(self._study, self._settings()[-1]))

    def _sampler(self, proposal: int) -> BaseSampler:
        search = self.space.search
        return build_sampler(search.sampler, search_seed=search.seed, proposal=proposal)

    def finish_proposals(self) -> list[Job]:
        """Jobs that an earlier command handed out and that have not ended.

        If a kill interrupted a proposal, it is completed first, in the study.
        """
        running = (
            number
            for number, trial in enumerate(self._settings())
            if trial.state == TrialState.RUNNING
        )
        with quiet_optuna():
            return [self._asked_again(setting) for setting in running]

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
            return self._decided(trial_without_params(self._study, self._settings()[setting]))

    def _decided(self, trial: Trial) -> Job:
        """Have Optuna decide on all parameters of a trial."""
        self.space.sample(trial, seed=0)
        earlier = sum(not is_own(other) for other in self._trials()[: trial.number])
        return self._replicate(trial.params, trial.number - earlier, 0)

    # ---------------------------------------------------------------- forks

    def add_fork(self, fork: Fork, *, replaces: int) -> None:
        """Add a waiting fork that replaces a setting that ends."""
        attributes = fork_attributes(fork, replaces=replaces)
        self._study.enqueue_trial(dict(fork.assignment), user_attrs=attributes)

    def forks(self) -> dict[int, Replacement]:
        """All forks by their number, each with the setting it replaces."""
        return {
            number: replacement_of(trial)
            for number, trial in enumerate(self._settings())
            if is_fork(trial)
        }

    # ---------------------------------------------------------------- jobs of a setting

    def job(self, setting: int, replicate: int) -> Job:
        """A replicate of a setting that was handed out before.

        Replicates from ``search.seeds`` on belong to the confirmation.
        """
        return self._replicate(self._settings()[setting].params, setting, replicate)

    def assignment(self, setting: int) -> dict[str, Any]:
        """The values that the search decided for a setting: dimension → value."""
        return dict(self._settings()[setting].params)

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
        lineage = self._lineage(setting, seed)
        return Job(name, setting, replicate, config, shown, kind, lineage)

    def _lineage(self, setting: int, seed: int) -> tuple[Ancestor, ...]:
        """The settings from whose weights a setting continues, oldest first, all with one seed."""
        trials = self._settings()
        ancestors = [
            # Patience or collapse must not end it earlier: it was trained up to this step.
            Ancestor(
                setting_name(ancestor),
                until,
                _never_ending(self.space.config(trials[ancestor].params, seed=seed)),
            )
            for ancestor, until in ancestry(trials, setting)
        ]
        return tuple(reversed(ancestors))

    # ---------------------------------------------------------------- telling

    def report(self, setting: int, step: int, best: float | None) -> bool:
        """Report a setting's best value so far to Optuna; False if that step is known already.

        Steps of later replicates are counted on from those of the first.
        """
        frozen = self._settings()[setting]
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
        frozen = self._settings()[setting]
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
            outcome: see :func:`~.telling.told_of`.
            value: its best by the first objective; None if it never had a finite one.
            further: the other objectives' values at the same report.
        """
        frozen = self._settings()[setting]
        if frozen.state.is_finished():
            return
        trial = stored_trial(self._study, frozen)
        told = self._told(outcome, [v for v in (value, *further) if v is not None])
        with quiet_optuna(), self._synced_once():
            trial.set_user_attr(OUTCOME, outcome)
            if told.health is not None and HEALTH not in frozen.constraints:
                # Optuna refuses this afterwards, so it comes first. A kill may follow it.
                trial.set_constraint(HEALTH, told.health)
            self._study.tell(trial, told.values, state=told.state, skip_if_finished=True)

    def _told(self, outcome: Outcome, values: list[float]) -> Told:
        return told_of(
            outcome,
            values,
            self.space.objectives,
            reads_constraints=SAMPLERS[self.space.search.sampler.name].reads_constraints,
            completed=[trial.values for trial in self._trials(TrialState.COMPLETE)],
        )

    # ---------------------------------------------------------------- looking back

    def settings(self) -> list[Setting]:
        """Every setting handed out, in order."""
        return settings_of(self._study)

    def reports(self) -> Iterator[ReportedValue]:
        """All reports, step by step, to rebuild a stopping rule."""
        return reports_of(self._study)

    @property
    def seconds_used(self) -> float:
        """Wall time spent on this search by all commands together."""
        return float(self._study.user_attrs.get("seconds_used", 0.0))

    @seconds_used.setter
    def seconds_used(self, seconds: float) -> None:
        self._study.set_user_attr("seconds_used", seconds)

    @property
    def optuna_study(self) -> optuna.Study:
        """The study of this search's own settings, for Optuna's own plots."""
        return own_study(self._study)


def _never_ending(config: TrialConfig) -> TrialConfig:
    """The config of a trial that runs its full length: neither patience nor collapse ends it."""
    return config.model_copy(update={"collapse": CollapseRule(variety=0), "patience": 0})
