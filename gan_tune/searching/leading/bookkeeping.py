"""Reports the search's trials to the study and to the stopping rule, replicate by replicate.

Optuna knows settings, not replicates. It gets the reports of a setting's first trial, and the mean
of all its replicates at their end.
"""

from __future__ import annotations

import math
from statistics import fmean

from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.running_trial import RunningTrial
from gan_tune.searching.rules.replicates import Replicates
from gan_tune.searching.rules.stopping import StoppingRule
from gan_tune.searching.study.study import Study
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_records import Ending, Result

__all__ = ["Bookkeeper"]


class Bookkeeper:
    """Notes in the study what the search's trials report and how their settings end.

    Args:
        study: the study that is updated.
        trials: the folders in which earlier replicates' endings are read.
    """

    def __init__(self, study: Study, trials: TrialFolders) -> None:
        self._study, self._trials = study, trials
        self._objectives = study.space.objectives
        self._pruned_by = study.space.pruned_by
        self._seeds = study.space.search.seeds
        first = study.space.objective.metric
        several = len(self._objectives) > 1
        self._is_pruned_on_first = not several or study.space.search.prune_on == first
        self._bests: dict[int, float] = {}  # setting → best so far of the rule's objective
        self.replicates = Replicates(
            seeds=self._seeds,
            steps=study.space.steps,
            mode=study.space.objective.mode,
        )

    def report(self, job: Job, result: Result) -> None:
        """Note a report. The study gets those of first replicates only."""
        self.replicates.reported(job.setting, job.replicate, result.step, result.best)
        if not job.replicate:
            self._study.report(job.setting, result.step, result.best)

    def end(self, job: Job, ending: Ending) -> Job | None:
        """Note how a trial ended; returns the setting's next replicate if there is one to train.

        Confirming trials and interrupted trials are not noted.
        """
        if job.kind == "confirmation" or not ending.is_final:
            return None
        setting, replicate, following = job.setting, job.replicate, None
        if ending.outcome == "completed":
            self.replicates.ended(setting, replicate, ending.value)
            following = self.replicates.next(setting)
        value = self.replicates.mean(setting)
        if ending.outcome == "completed" and replicate:
            steps = self.replicates.total_steps(replicate, ending.step)
            self._study.report(setting, steps, value)
        if self._seeds > 1:
            self._study.note_replicates(setting, self.replicates.values(setting))
        if following is not None:
            return self._study.job(setting, following)
        known = self.replicates.outcome(setting, ending.outcome)
        self._study.tell(setting, known, value, self._further_means(setting, replicate + 1))
        return None

    def is_behind(self, trial: RunningTrial, result: Result, rule: StoppingRule) -> bool:
        """Whether a trial's last report puts it behind.

        A setting's first trial is judged by the rule, which gets every report. A later replicate is
        compared seed by seed; with several objectives, only if the search prunes on the first one.
        """
        setting, replicate = trial.job.setting, trial.job.replicate
        if not replicate:
            trial.watched = self.watched(setting, result)
            return rule.decide(setting, result.step, trial.watched)
        return self._is_pruned_on_first and self.replicates.behind(setting, replicate, result.step)

    def watched(self, setting: int, result: Result) -> float | None:
        """The setting's best value so far of the objective that the stopping rule uses.

        Must be called for every report, in their order.
        """
        if self._pruned_by == self._objectives[0]:
            return result.best
        value = result.scalars.get(self._pruned_by.metric, math.nan)
        best = self._bests.get(setting)
        if math.isfinite(value) and (best is None or self._pruned_by.better(value, best)):
            self._bests[setting] = value
        return self._bests.get(setting)

    def further(self, result: Result) -> dict[str, float]:
        """A report's values of all objectives after the first."""
        metrics = [objective.metric for objective in self._objectives[1:]]
        return {metric: result.scalars[metric] for metric in metrics if metric in result.scalars}

    def _further_means(self, setting: int, replicates: int) -> list[float | None]:
        """The mean of each objective after the first, over the replicates that ran to their end."""
        if len(self._objectives) == 1:
            return []
        names = [self._study.job(setting, replicate).name for replicate in range(replicates)]
        endings = [self._trials[name].ending() for name in names]
        found = [end.further for end in endings if end is not None and end.outcome == "completed"]
        if not found:
            return []
        metrics = [objective.metric for objective in self._objectives[1:]]
        means = [fmean(each.get(metric, math.nan) for each in found) for metric in metrics]
        return [mean if math.isfinite(mean) else None for mean in means]
