"""The MLflow run of one trial: created, found, and made equal to the trial's folder."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple

from mlflow import MlflowClient
from mlflow.entities import Run, RunTag

from gan_tune.record.descriptions import trial_description
from gan_tune.record.mlflow_grids import Grid, log_grids, recorded_grids
from gan_tune.record.mlflow_internals import HAS_IMAGES, PARENT_RUN
from gan_tune.record.note import NOTE_TAGS, is_own, note_tags
from gan_tune.record.requests import Entity, as_metrics, as_tags, log, new_params
from gan_tune.record.tags import Tag
from gan_tune.record.trial_state import TrialState, now_ms
from gan_tune.storage.trial_folder import TrialFolder
from gan_tune.storage.trial_records import Ending, Result
from gan_tune.words.outcomes import OUTCOMES
from gan_tune.words.wording import first_line

__all__ = ["TOTAL_KEY", "RunPlace", "TrialRun", "end_as_interrupted"]

ENDING_TAGS = (Tag.OUTCOME, Tag.SYMPTOMS, Tag.ERROR, Tag.REPORTS)

LAST_KEY = "seconds.evaluation"
"""The metric that is written last of a report: a step that has it has them all."""

TOTAL_KEY = "seconds.total"
"""What a trial that has ended took, training and evaluation together, without its waiting."""

GRIDS_AT_ONCE = 16
"""So many grids are read and delivered together."""


class RunPlace(NamedTuple):
    """Where the runs of a search's trials are: below its run."""

    experiment_id: str
    parent_run_id: str
    search: str
    code_version: str
    metric: str
    searched: Mapping[str, str] = MappingProxyType({})


@dataclass
class TrialRun:
    """One trial's run, and what it holds so far. Only what it lacks is written.

    Attributes:
        artifacts: URI of the folder with the run's files.
        tags, status: as MLflow has them.
        params: keys of its params.
        has_steps: whether it may have figures that this process did not write.
        is_new: whether this process created the run, so that nothing must be looked up.
    """

    client: MlflowClient
    run_id: str
    artifacts: str
    tags: dict[str, str]
    status: str = "RUNNING"
    params: frozenset[str] = frozenset()
    has_steps: bool = False
    is_new: bool = True
    _steps: set[int] | None = field(default=None, repr=False)
    _grids: set[int] | None = field(default=None, repr=False)
    _seconds: dict[int, float] = field(default_factory=dict, repr=False)

    @classmethod
    def create(
        cls, client: MlflowClient, place: RunPlace, state: TrialState, folder: TrialFolder
    ) -> TrialRun:
        """A new run below the search's run; it starts when the trial did."""
        tags = {
            **state.origin_tags,
            PARENT_RUN: place.parent_run_id,
            Tag.SEARCH: place.search,
            Tag.SETTING: str(state.described.setting),
            Tag.REPLICATE: str(state.described.replicate),
            Tag.TRIAL: state.name,
            Tag.KIND: state.kind,
            Tag.CODE_VERSION: place.code_version,
        }
        if state.steps:  # each report has a grid; one request less
            tags[HAS_IMAGES] = "True"
        first = folder.report(state.steps[0]) if state.steps else None
        run = client.create_run(
            place.experiment_id,
            start_time=now_ms() if first is None else _begin_of(first),
            tags={tag.key: tag.value for tag in as_tags(tags)},
            run_name=state.name,
        )
        return cls(client, run.info.run_id, run.info.artifact_uri, tags)

    @classmethod
    def found(cls, client: MlflowClient, run: Run) -> TrialRun:
        """A run that already exists in MLflow."""
        return cls(
            client,
            run.info.run_id,
            run.info.artifact_uri,
            tags=dict(run.data.tags),
            status=run.info.status,
            params=frozenset(run.data.params),
            has_steps=LAST_KEY in run.data.metrics,
            is_new=False,
        )

    def is_complete(self, state: TrialState) -> bool:
        """Whether the run's status and tags say that it holds all of an ended trial."""
        ending = state.ending
        if ending is None or self.status != OUTCOMES[ending.outcome].mlflow_status:
            return False
        if self.tags.get(Tag.OUTCOME) != ending.outcome:
            return False
        counted = self.tags.get(Tag.REPORTS)
        if counted is None:  # an older version ended it, after it had written everything
            return ending.is_final
        return counted == str(len(state.steps))

    def is_of_a_failed_try(self, state: TrialState) -> bool:
        """Whether it shows a trial that had failed, and has begun again since."""
        had_failed = self.tags.get(Tag.OUTCOME) == "failed"
        return had_failed and (state.ending is None or state.ending.outcome != "failed")

    def write_figures(self, state: TrialState, folder: TrialFolder, place: RunPlace) -> None:
        """Write the params, figures and tags that the run lacks; take back an end that was none."""
        if state.ending is None:
            self._reopen(place)
        params, searched = state.described.params, place.searched.values()
        missing = new_params(params, self.params, first=searched)
        steps = [step for step in state.steps if step not in self._known_steps()]
        reports = [report for step in steps if (report := folder.report(step)) is not None]
        self._seconds |= {report.step: report.seconds for report in reports}
        entities: list[Entity] = [*missing]
        for report in reports:
            entities += as_metrics(_figures(report), time_ms=report.timestamp_ms, step=report.step)
        if state.ending is not None:
            entities += self._ending(state, state.ending, folder, place)
        log(self.client, self.run_id, entities)
        self.params |= {param.key for param in missing}
        self._known_steps().update(steps)
        self.tags |= {e.key: e.value for e in entities if isinstance(e, RunTag)}

    def write_grids(self, state: TrialState, folder: TrialFolder) -> None:
        """Write the sample grids that the run lacks."""
        missing = [step for step in state.steps if step not in self._known_grids()]
        for at in range(0, len(missing), GRIDS_AT_ONCE):
            steps = missing[at : at + GRIDS_AT_ONCE]
            grids = [grid for step in steps if (grid := _grid(folder, step)) is not None]
            if grids and HAS_IMAGES not in self.tags:
                log(self.client, self.run_id, as_tags({HAS_IMAGES: "True"}))
                self.tags[HAS_IMAGES] = "True"
            if grids:
                log_grids(self.client, self.run_id, self.artifacts, grids)
            self._known_grids().update(steps)

    def end(self, state: TrialState, folder: TrialFolder) -> None:
        """End the run of a trial that has ended, after everything else is written."""
        if state.ending is None:
            return
        if self.tags.get(Tag.REPORTS) != str(len(state.steps)):
            self._set(Tag.REPORTS, str(len(state.steps)))
        status = OUTCOMES[state.ending.outcome].mlflow_status
        if status != self.status:
            self.client.set_terminated(self.run_id, status, _end_of(folder))
            self.status = status
        self._steps = self._grids = None  # frees the memory; a trial that goes on is rare
        self._seconds = {}
        self.has_steps, self.is_new = True, False

    def _set(self, tag: str, value: str) -> None:
        log(self.client, self.run_id, as_tags({tag: value}))
        self.tags[tag] = value

    def _reopen(self, place: RunPlace) -> None:
        """The trial goes on in a later command: its run is RUNNING again, without ending tags."""
        if self.status != "RUNNING":
            self.client.update_run(self.run_id, status="RUNNING")
            self.status = "RUNNING"
            log(self.client, self.run_id, as_tags({Tag.CODE_VERSION: place.code_version}))
        written = (*ENDING_TAGS, *(NOTE_TAGS if is_own(self.tags) else ()))
        self._delete_tags(tag for tag in written if tag in self.tags)

    def _delete_tags(self, tags: Iterable[str]) -> None:
        for tag in [*tags]:
            self.client.delete_tag(self.run_id, tag)
            del self.tags[tag]

    def _ending(
        self, state: TrialState, ending: Ending, folder: TrialFolder, place: RunPlace
    ) -> list[Entity]:
        """What the end of a trial adds: its outcome, its best values, and its description."""
        tags: dict[str, str] = {Tag.OUTCOME: ending.outcome}
        if ending.symptoms:
            tags[Tag.SYMPTOMS] = ", ".join(ending.symptoms)
        if ending.error and (error := first_line(ending.error)):
            tags[Tag.ERROR] = error
        self._delete_tags(tag for tag in ENDING_TAGS if tag in self.tags and tag not in tags)
        if self.status == "RUNNING":  # else it would seem complete before it has its grids
            tags[Tag.REPORTS] = str(len(state.steps))
        text = trial_description(state, metric=place.metric, searched=place.searched)
        tags |= note_tags(self.tags, text)
        # Where no report was finite there is no best one.
        values = state.best(place.metric)
        best = {f"best.{name}": v for name, v in values.items() if math.isfinite(v)}
        took = {TOTAL_KEY: self._took(state, folder)} if state.steps else {}
        return [*as_metrics(best | took, time_ms=_end_of(folder)), *as_tags(tags)]

    def _took(self, state: TrialState, folder: TrialFolder) -> float:
        """The seconds of all its reports; those that an earlier command wrote are read for it."""
        unread = [step for step in state.steps if step not in self._seconds]
        reports = [report for step in unread if (report := folder.report(step)) is not None]
        self._seconds |= {report.step: report.seconds for report in reports}
        return sum(self._seconds[step] for step in state.steps if step in self._seconds)

    def _known_steps(self) -> set[int]:
        """The steps whose figures the run has; makes one request for a run that was found."""
        if self._steps is None:
            known = not self.is_new and self.has_steps
            history = self.client.get_metric_history(self.run_id, LAST_KEY) if known else []
            self._steps = {metric.step for metric in history}
        return self._steps

    def _known_grids(self) -> set[int]:
        """The steps whose grids the run has; makes one request for a run that was found."""
        if self._grids is None:
            self._grids = set() if self.is_new else recorded_grids(self.client, self.run_id)
        return self._grids


def end_as_interrupted(client: MlflowClient, run: Run, time_ms: int) -> None:
    """End a run that is still RUNNING and whose trial has no folder any more."""
    outcome = run.data.tags.get(Tag.OUTCOME, "interrupted")
    log(client, run.info.run_id, as_tags({Tag.OUTCOME: outcome}))
    client.set_terminated(run.info.run_id, OUTCOMES[outcome].mlflow_status, time_ms)


def _figures(report: Result) -> dict[str, float]:
    """A report's figures, with the seconds it took; the last one is :data:`LAST_KEY`."""
    return {
        **report.scalars,
        "seconds.training": report.training_seconds,
        LAST_KEY: report.evaluation_seconds,
    }


def _grid(folder: TrialFolder, step: int) -> Grid | None:
    png, report = folder.grid(step), folder.report(step)
    return None if png is None or report is None else Grid(step, report.timestamp_ms, png)


def _begin_of(first: Result) -> int:
    return first.timestamp_ms - int(first.seconds * 1000)


def _end_of(folder: TrialFolder) -> int:
    """When a trial ended: at its last report."""
    last = folder.last_report()
    return now_ms() if last is None else last.timestamp_ms
