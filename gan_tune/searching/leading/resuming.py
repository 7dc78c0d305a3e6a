"""Taking a search up: what earlier commands did is learnt, and what a kill cut short is finished.

This is the first step of every command, also of the one that begins a search. It may tell the study
how trials ended; after it, a conductor can lead the search on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from typing import NamedTuple

from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.bookkeeping import Bookkeeper
from gan_tune.searching.leading.confirming import ConfirmationDesk, stored_confirmations
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
    """Where a search stands when a command begins to lead it.

    Attributes:
        waiting: the trials to continue, first of all.
        books: what the study was told, with the replicates so far.
        confirmation: what was confirmed so far.
        desk: chooses who is confirmed; where the time is limited, it has chosen by what is stored.
    """

    waiting: Sequence[Job]
    books: Bookkeeper
    confirmation: Confirmation
    desk: ConfirmationDesk


def resume_search(
    study: Study,
    trials: TrialFolders,
    rule: StoppingRule,
    breeder: TrialBreeder | None = None,
) -> ResumedSearch:
    """Bring all who lead a search up to date with what is stored.

    Args:
        study: of the search; is told what a killed command stored but did not tell.
        trials: the folders of its trials.
        rule: a new one; it hears the reports of earlier commands.
        breeder: a new one, where trials are bred.
    """
    if breeder is not None:
        breeder.resume()
    unfinished = study.finish_proposals()
    books, space = Bookkeeper(study, trials), study.space
    if space.search.seeds > 1:
        _recall_replicates(books.replicates, trials, but={job.setting for job in unfinished})
    found = [_to_continue(job, books, trials, breeder) for job in unfinished]
    waiting = [job for job in found if job is not None]
    going_on = {job.setting for job in waiting if not job.replicate}
    _inform_rule(rule, _reports(study, trials, books), going_on)
    confirmation = Confirmation(
        seeds=space.confirm.seeds, mode=space.objective.mode, first=space.search.seeds
    )
    for trial in stored_confirmations(trials):
        confirmation.record(trial.setting, trial.replicate, trial.value)
    desk = ConfirmationDesk(study, trials, confirmation)
    if space.budget.minutes is not None:  # what is planned decides how long the search may go on
        desk.review(set())
    return ResumedSearch(waiting, books, confirmation, desk)


def _recall_replicates(replicates: Replicates, trials: TrialFolders, *, but: Set[int]) -> None:
    """Read the curves of earlier commands' replicates.

    ``but``: not of these settings, whose replicates are told one by one as they are taken up.
    """
    for name in trials.names():
        described = trials[name].description()
        if described is None or is_confirmation(name) or described.setting in but:
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
    """The trial with which an unfinished setting continues, None if all its trials have ended.

    ``job`` is its first trial. Trials that have ended, but of which a killed command did not tell,
    are told on the way.
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


class _Watched(NamedTuple):
    """A report as the stopping rule hears it: ``value`` is what that rule looks at."""

    setting: int
    step: int
    value: float | None


def _inform_rule(rule: StoppingRule, told: Iterator[_Watched], going_on: Set[int]) -> None:
    """Have the stopping rule hear of all reports but the last ones of the settings ``going_on``.

    The rule decides on those when the trial is started again, knowing all others: a kill may have
    come before its decision was stored.
    """
    reports = list(told)
    last = {report.setting: report.step for report in reports if report.setting in going_on}
    for report in reports:
        if report.step != last.get(report.setting):
            rule.decide(report.setting, report.step, report.value)


def _reports(study: Study, trials: TrialFolders, books: Bookkeeper) -> Iterator[_Watched]:
    """All reports that earlier commands stored, each setting's in their order."""
    if study.space.pruned_by == study.space.objective:
        yield from (_Watched(told.setting, told.step, told.best) for told in study.reports())
        return
    for setting in range(study.proposed()):
        for result in trials[study.job(setting, 0).name].reports():
            yield _Watched(setting, result.step, books.watched(setting, result))
