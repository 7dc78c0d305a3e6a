"""Creates, finds, writes and ends the MLflow run of one trial."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from mlflow import MlflowClient
from mlflow.entities import Run

from gan_tune.record.events import Reported, TrialEnded, TrialStarted
from gan_tune.record.grids import log_grids, recorded_grids
from gan_tune.record.mlflow_internals import HAS_IMAGES, PARENT_RUN
from gan_tune.record.requests import Entity, as_metrics, as_tags, key_of, log, new_params
from gan_tune.record.tags import Tag
from gan_tune.words.outcomes import OUTCOMES
from gan_tune.words.wording import first_line

__all__ = ["TrialRun", "end_as_interrupted"]

ENDING_TAGS = (Tag.OUTCOME, Tag.SYMPTOMS, Tag.ERROR)


@dataclass
class TrialRun:
    """One trial's run: its content so far, and the content to write next.

    Nothing is written twice: a repeated event adds only what the run lacks.

    Attributes:
        artifacts: URI of the folder with the run's files.
        is_new: whether this process created the run, so that nothing must be looked up.
        params: keys of its params.
        ending_tags: tags that describe its end.
        outcome: None while it is RUNNING.
        recorded: keys of metrics that have values from an earlier command.
    """

    client: MlflowClient
    run_id: str
    artifacts: str
    status: str = "RUNNING"
    is_new: bool = True
    params: frozenset[str] = frozenset()
    ending_tags: tuple[str, ...] = ()
    outcome: str | None = None
    recorded: frozenset[str] = frozenset()
    _steps: dict[str, set[int]] = field(default_factory=dict)
    _grids: set[int] | None = None
    _entities: list[Entity] = field(default_factory=list)
    _reports_with_grids: list[Reported] = field(default_factory=list)

    @classmethod
    def create(
        cls,
        client: MlflowClient,
        event: TrialStarted,
        *,
        experiment_id: str,
        parent_run_id: str,
        search: str,
        code_version: str,
    ) -> TrialRun:
        """A new run below the search's run."""
        tags = {
            **event.tags,
            PARENT_RUN: parent_run_id,
            Tag.SEARCH: search,
            Tag.SETTING: str(event.setting),
            Tag.REPLICATE: str(event.replicate),
            Tag.TRIAL: event.trial,
            Tag.KIND: event.kind,
            Tag.CODE_VERSION: code_version,
        }
        run = client.create_run(
            experiment_id,
            start_time=event.time_ms,
            tags={tag.key: tag.value for tag in as_tags(tags)},
            run_name=event.trial,
        )
        return cls(client, run.info.run_id, run.info.artifact_uri)

    @classmethod
    def found(cls, client: MlflowClient, run: Run) -> TrialRun:
        """A run that already exists in MLflow."""
        is_running = run.info.status == "RUNNING"
        return cls(
            client,
            run.info.run_id,
            run.info.artifact_uri,
            status=run.info.status,
            is_new=False,
            params=frozenset(run.data.params),
            ending_tags=tuple(tag for tag in ENDING_TAGS if tag in run.data.tags),
            outcome=None if is_running else run.data.tags.get(Tag.OUTCOME),
            recorded=frozenset(run.data.metrics),
        )

    def go_on(self, event: TrialStarted, code_version: str) -> None:
        """The trial continues in a later command: its run is RUNNING again, without ending tags."""
        if self.status != "RUNNING":
            self.client.update_run(self.run_id, status="RUNNING")
        for tag in self.ending_tags:
            self.client.delete_tag(self.run_id, tag)
        self.status, self.ending_tags, self.outcome = "RUNNING", (), None
        self._entities += as_tags({**event.tags, Tag.CODE_VERSION: code_version})

    def add_params(self, event: TrialStarted) -> None:
        """Add the trial's params that the run lacks."""
        missing = new_params(event.params, self.params)
        self._entities += missing
        self.params |= {param.key for param in missing}

    def report(self, event: Reported) -> None:
        """Add the scalars and the grid of a report; a step that is already recorded is skipped."""
        new = {
            name: value
            for name, value in event.scalars.items()
            if self._is_new_step(key_of(name), event.step)
        }
        self._entities += as_metrics(new, time_ms=event.time_ms, step=event.step)
        if event.grid is not None and event.step not in (grids := self._known_grids()):
            if not grids:
                self._entities += as_tags({HAS_IMAGES: "True"})
            grids.add(event.step)
            self._reports_with_grids.append(event)

    def end(self, event: TrialEnded) -> None:
        """End the trial's run; this and all waiting content is written at once."""
        tags: dict[str, str] = {Tag.OUTCOME: event.outcome}
        if event.symptoms:
            tags[Tag.SYMPTOMS] = ", ".join(event.symptoms)
        if event.error and (error := first_line(event.error)):
            tags[Tag.ERROR] = error
        # Where no report was finite there is no best one.
        best = {f"best.{name}": v for name, v in event.best.items() if math.isfinite(v)}
        self._entities += [*as_tags(tags), *as_metrics(best, time_ms=event.time_ms)]
        self.write()
        self.status = OUTCOMES[event.outcome].mlflow_status
        self.client.set_terminated(self.run_id, self.status, event.time_ms)
        self.ending_tags, self.outcome = tuple(tags), event.outcome
        self._forget_steps()

    def write(self) -> None:
        """Write the waiting content."""
        entities, self._entities = self._entities, []
        reports, self._reports_with_grids = self._reports_with_grids, []
        log(self.client, self.run_id, entities)
        if reports:
            log_grids(self.client, self.run_id, self.artifacts, reports)

    def _is_new_step(self, key: str, step: int) -> bool:
        """Whether a metric has no value at a step yet; marks the step as written."""
        if key not in self._steps:
            known = not self.is_new and key in self.recorded
            history = self.client.get_metric_history(self.run_id, key) if known else []
            self._steps[key] = {metric.step for metric in history}
        if step in self._steps[key]:
            return False
        self._steps[key].add(step)
        return True

    def _known_grids(self) -> set[int]:
        """The steps whose grids this run already has."""
        if self._grids is None:
            self._grids = set() if self.is_new else recorded_grids(self.client, self.run_id)
        return self._grids

    def _forget_steps(self) -> None:
        """Free the memory. If an ended trial continues, which is rare, MLflow is queried."""
        self.recorded |= self._steps.keys()
        self._steps, self._grids, self.is_new = {}, None, False


def end_as_interrupted(client: MlflowClient, run: Run, time_ms: int) -> None:
    """End a run that is still RUNNING: the trial was interrupted, if nothing else is known."""
    outcome = run.data.tags.get(Tag.OUTCOME, "interrupted")
    log(client, run.info.run_id, as_tags({Tag.OUTCOME: outcome}))
    client.set_terminated(run.info.run_id, OUTCOMES[outcome].mlflow_status, time_ms)
