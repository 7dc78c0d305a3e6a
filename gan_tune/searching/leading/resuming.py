"""Resumes a search: loads what earlier commands did, and completes what a kill interrupted.

This is the first step of every command, including the one that begins a search. It may add endings
of trials to the study. Afterwards a conductor can continue the search.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.bookkeeping import Bookkeeper
from gan_tune.searching.leading.confirming import ConfirmationPlanner, stored_confirmations
from gan_tune.searching.leading.protocols import TrialBreeder
from gan_tune.searching.rules.confirmation import Confirmation
from gan_tune.searching.rules.replicates import Replicates
from gan_tune.searching.rules.stopping import StoppingRule
from gan_tune.searching.study.study import Study
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_name import is_confirmation
from gan_tune.words.outcomes import ENDINGS

__all__ = ["ResumedSearch", "resume_search"]


@dataclass(frozen=True)
class ResumedSearch:
    """The state of a search when a command begins to work on it.

    Attributes:
        waiting: unfinished trials, which are continued before all others.
        books: passes reports and endings to the study; holds the replicates so far.
        confirmation: the confirmed values so far.
        planner: chooses the settings to confirm; has done so already if the time is limited.
    """

    waiting: Sequence[Job]
    books: Bookkeeper
    confirmation: Confirmation
    planner: ConfirmationPlanner


def resume_search(
    study: Study,
    trials: TrialFolders,
    rule: StoppingRule,
    breeder: TrialBreeder | None = None,
) -> ResumedSearch:
    """Bring all parts that lead a search up to date with the stored state.

    Args:
        study: the search's study. Endings that a killed command stored only in a trial's folder are
            added to it.
        trials: the folders of its trials.
        rule: a new stopping rule; the reports of earlier commands are passed to it.
        breeder: a new breeder, if the search keeps a population.
    """
    if breeder is not None:
        breeder.resume()
    unfinished = study.finish_proposals()
    books, space = Bookkeeper(study, trials), study.space
    if space.search.seeds > 1:
        _recall_replicates(books.replicates, trials, skipped={job.setting for job in unfinished})
    found = [_to_continue(job, books, trials, breeder) for job in unfinished]
    waiting = [job for job in found if job is not None]
    continued = {job.setting for job in waiting if not job.replicate}
    _inform_rule(rule, _reports(study, trials, books), continued)
    confirmation = Confirmation(
        seeds=space.confirm.seeds, mode=space.objective.mode, first=space.search.seeds
    )
    for trial in stored_confirmations(trials):
        trial.note_in(confirmation)
    planner = ConfirmationPlanner(study, trials, confirmation)
    if space.budget.has_time_limit:  # the plan decides how much time the search has
        planner.review(set())
    return ResumedSearch(waiting, books, confirmation, planner)


def _recall_replicates(replicates: Replicates, trials: TrialFolders, *, skipped: Set[int]) -> None:
    """Load the curves of earlier commands' replicates.

    ``skipped`` settings are unfinished; their replicates are added when they are resumed.
    """
    for name in trials.names():
        described = trials[name].description()
        if described is None or is_confirmation(name) or described.setting in skipped:
            continue
        setting, replicate = described.setting, described.replicate
        for result in trials[name].reports():
            replicates.reported(setting, replicate, result.step, result.best)
        ending = trials[name].ending()
        if ending is not None and ending.outcome == "completed":
            replicates.ended(setting, replicate, ending.value)


def _to_continue(
    job: Job, books: Bookkeeper, trials: TrialFolders, breeder: TrialBreeder | None
) -> Job | None:
    """The trial with which an unfinished setting continues; None if all its trials have ended.

    ``job`` is its first trial. Endings that a killed command did not add to the study are added.
    """
    following: Job | None = job
    while following is not None:
        job = following
        for result in trials[job.name].reports():
            if result.outcome is None or result.outcome in ENDINGS:
                books.report(job, result)
        ending = trials[job.name].ending()
        if ending is None:
            return job
        if breeder is not None and job.kind == "search":
            breeder.ends(job.setting, ending.step, ending.outcome)
        following = books.end(job, ending)
    return None


class _RuleReport(NamedTuple):
    """A report as the stopping rule gets it: ``value`` is of the objective that it prunes by."""

    setting: int
    step: int
    value: float | None


def _inform_rule(rule: StoppingRule, stored: Iterator[_RuleReport], unfinished: Set[int]) -> None:
    """Pass all reports to the stopping rule, except the last one of each ``unfinished`` setting.

    That one is passed when the trial starts again, because a kill may have happened before the
    rule's decision was stored.
    """
    reports = list(stored)
    last = {report.setting: report.step for report in reports if report.setting in unfinished}
    for report in reports:
        if report.step != last.get(report.setting):
            rule.decide(report.setting, report.step, report.value)


def _reports(study: Study, trials: TrialFolders, books: Bookkeeper) -> Iterator[_RuleReport]:
    """All reports that earlier commands stored, each setting's in their order."""
    if study.space.pruned_by == study.space.objective:
        for report in study.reports():
            yield _RuleReport(report.setting, report.step, report.best)
        return
    for setting in range(study.proposed()):
        for result in trials[study.job(setting, 0).name].reports():
            yield _RuleReport(setting, result.step, books.watched(setting, result))
