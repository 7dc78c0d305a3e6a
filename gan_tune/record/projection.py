"""Events → MLflow runs: the record as a function of what happened.

Applying events twice gives the same record as applying them once, so that a delivery which broke
off midway can simply be repeated, and a search that goes on finds the runs of its trials again.
The one exception is MLflow's own: a picture whose two files were being written when the server died
may show twice.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import re
import tempfile
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import url2pathname

import PIL.Image
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, Run, RunTag
from mlflow.tracking.multimedia import compress_image_size
from mlflow.utils.mlflow_tags import MLFLOW_LOGGED_IMAGES

from gan_tune.record.events import (
    Event,
    Picture,
    Reported,
    SearchFinished,
    TrialEnded,
    TrialStarted,
)
from gan_tune.record.mlflow_store import first_line, quoted, search_runs
from gan_tune.words.outcomes import OUTCOMES

__all__ = ["Projection", "batches", "metric_value", "param_text"]

logger = logging.getLogger("gan_tune")

GRID_KEY = "samples"  # the name of the slider in MLflow's UI
THUMBNAIL_EFFORT = 2  # of 6, for WebP: under half the time of 4, its default, a little larger

MAX_METRICS = 1000  # MLflow's limits on one log_batch request
MAX_PARAMS = 100
MAX_TAGS = 100
MAX_ENTITIES = 1000
MAX_BYTES = 900_000  # of 1 MB, which holds the JSON around the entities too

MAX_PARAM_LENGTH = 6000
MAX_TAG_LENGTH = 8000

_ENDING_TAGS = ("gan_tune.outcome", "gan_tune.symptoms", "gan_tune.error")

Entity = Metric | Param | RunTag
_Entity = TypeVar("_Entity", bound=Entity)


@dataclass
class _TrialRun:
    """One trial's run, and what of the trial is in it already."""

    run_id: str
    artifacts: str  # where its files go
    status: str = "RUNNING"
    fresh: bool = True
    params: frozenset[str] = frozenset()
    ending_tags: tuple[str, ...] = ()
    outcome: str | None = None  # None while it is RUNNING
    recorded: frozenset[str] = frozenset()  # metrics of which an earlier command wrote something
    steps: dict[str, set[int]] = field(default_factory=dict)
    pictures: set[int] | None = None


@dataclass
class _Pending:
    """What is to be written to one run next."""

    entities: list[Entity] = field(default_factory=list)
    pictures: list[Reported] = field(default_factory=list)


class Projection:
    """Writes the events of one search into the child runs of its parent run.

    Not thread-safe: one thread applies. ``run_ids`` (trial → run) may be read from others.
    """

    def __init__(
        self,
        client: MlflowClient,
        *,
        experiment_id: str,
        parent_run_id: str,
        search: str,
        code_version: str,
    ) -> None:
        self._client = client
        self._experiment_id = experiment_id
        self._parent_run_id = parent_run_id
        self._search = search
        self._code_version = code_version
        self._runs: dict[str, _TrialRun] | None = None
        self._pending: dict[str, _Pending] = {}
        self.run_ids: dict[str, str] = {}

    def outcomes(self) -> dict[str, str]:
        """Trial → outcome of all trials whose end MLflow holds. At most one request."""
        runs = self._known_runs()
        return {trial: run.outcome for trial, run in runs.items() if run.outcome is not None}

    def apply(self, events: Sequence[Event]) -> None:
        """Write events, in their order, in as few requests as they allow.

        Raises:
            MlflowException, OSError: as MLflow does; call :meth:`forget`, then apply again.
            KeyError: an event of a trial that never started.
        """
        for event in events:
            match event:
                case TrialStarted():
                    self._start(event)
                case Reported():
                    self._report(event)
                case TrialEnded():
                    self._end(event)
                case SearchFinished():
                    self._write_all()
                    self._finish(event)
        self._write_all()

    def forget(self) -> None:
        """Drop what is believed of the runs: the next :meth:`apply` reads it from MLflow."""
        self._runs = None
        self._pending = {}

    def _start(self, event: TrialStarted) -> None:
        run = self._known_runs().get(event.trial)
        if run is None:
            run = self._create_run(event)
        else:
            self._reopen(run)
            self._pending_of(event.trial).entities += _tags(
                {**event.tags, "gan_tune.code_version": self._code_version}
            )
        params = {_key(name): param_text(value) for name, value in event.params.items()}
        missing = [Param(key, text) for key, text in params.items() if key not in run.params]
        self._pending_of(event.trial).entities += missing
        run.params |= params.keys()

    def _reopen(self, run: _TrialRun) -> None:
        """Make an ended run RUNNING, with nothing left that told of its end."""
        if run.status != "RUNNING":
            self._client.update_run(run.run_id, status="RUNNING")
        for tag in run.ending_tags:
            self._client.delete_tag(run.run_id, tag)
        run.status, run.ending_tags, run.outcome = "RUNNING", (), None

    def _report(self, event: Reported) -> None:
        run = self._run_of(event.trial)
        pending = self._pending_of(event.trial)
        for name, value in event.scalars.items():
            key = _key(name)
            steps = self._steps_of(run, key)
            if event.step not in steps:
                steps.add(event.step)
                metric = Metric(key, metric_value(value), event.time_ms, event.step)
                pending.entities.append(metric)
        if event.grid is not None and event.step not in (pictures := self._pictures_of(run)):
            if not pictures:
                pending.entities.append(RunTag(MLFLOW_LOGGED_IMAGES, "True"))
            pictures.add(event.step)
            pending.pictures.append(event)

    def _end(self, event: TrialEnded) -> None:
        run = self._run_of(event.trial)
        tags = {"gan_tune.outcome": event.outcome}
        if event.symptoms:
            tags["gan_tune.symptoms"] = ", ".join(event.symptoms)
        if event.error and event.error.strip():
            tags["gan_tune.error"] = event.error.strip().splitlines()[0]
        entities = self._pending_of(event.trial).entities
        entities += _tags(tags)
        entities += [
            Metric(_key(f"best.{name}"), float(value), event.time_ms, 0)
            for name, value in event.best.items()
            if math.isfinite(value)  # no report was finite: then there is no best one
        ]
        self._write(event.trial)
        self._client.set_terminated(
            run.run_id, OUTCOMES[event.outcome].mlflow_status, event.time_ms
        )
        self._known_runs()[event.trial] = _TrialRun(
            run.run_id,
            run.artifacts,
            status=OUTCOMES[event.outcome].mlflow_status,
            fresh=False,
            params=run.params,
            ending_tags=tuple(tags),
            outcome=event.outcome,
            recorded=run.recorded | run.steps.keys(),
        )

    def _finish(self, event: SearchFinished) -> None:
        metrics = [
            Metric(_key(name), metric_value(value), event.time_ms, 0)
            for name, value in event.metrics.items()
        ]
        tags = _tags({**event.tags, "gan_tune.outcome": event.outcome})
        self._log(self._parent_run_id, [*metrics, *tags])
        self._sweep(event.time_ms)
        with tempfile.TemporaryDirectory() as folder:
            _write_table(Path(folder), event.leaderboard)
            for name, figure in event.figures.items():
                _write_file(Path(folder), name, figure)
            self._client.log_artifacts(self._parent_run_id, folder)
        self._client.set_terminated(
            self._parent_run_id, OUTCOMES[event.outcome].mlflow_status, event.time_ms
        )

    def _sweep(self, time_ms: int) -> None:
        """Leave no child run RUNNING: what has no outcome was interrupted."""
        rule = f"{self._children} and attributes.status = 'RUNNING'"
        for run in search_runs(self._client, [self._experiment_id], rule):
            outcome = run.data.tags.get("gan_tune.outcome", "interrupted")
            self._log(run.info.run_id, _tags({"gan_tune.outcome": outcome}))
            self._client.set_terminated(run.info.run_id, OUTCOMES[outcome].mlflow_status, time_ms)
        self._runs = None

    @property
    def _children(self) -> str:
        return f"tags.`mlflow.parentRunId` = {quoted(self._parent_run_id)}"

    def _known_runs(self) -> dict[str, _TrialRun]:
        if self._runs is None:
            self._runs = {}
            for run in search_runs(self._client, [self._experiment_id], self._children):
                trial = run.data.tags.get("gan_tune.trial")
                if trial is not None:
                    self._runs.setdefault(trial, _found(run))
                    self.run_ids.setdefault(trial, run.info.run_id)
        return self._runs

    def _run_of(self, trial: str) -> _TrialRun:
        run = self._known_runs().get(trial)
        if run is None:
            raise KeyError(f"trial {trial!r} has no run: it was never started")
        return run

    def _create_run(self, event: TrialStarted) -> _TrialRun:
        tags = {
            **event.tags,
            "mlflow.parentRunId": self._parent_run_id,
            "gan_tune.search": self._search,
            "gan_tune.setting": str(event.setting),
            "gan_tune.replicate": str(event.replicate),
            "gan_tune.trial": event.trial,
            "gan_tune.kind": event.kind,
            "gan_tune.code_version": self._code_version,
        }
        created = self._client.create_run(
            self._experiment_id,
            start_time=event.time_ms,
            tags={tag.key: tag.value for tag in _tags(tags)},
            run_name=event.trial,
        )
        run = _TrialRun(created.info.run_id, created.info.artifact_uri)
        self._known_runs()[event.trial] = run
        self.run_ids[event.trial] = run.run_id
        return run

    def _steps_of(self, run: _TrialRun, key: str) -> set[int]:
        """The steps at which a metric of this run is recorded already."""
        if key not in run.steps:
            known = not run.fresh and key in run.recorded
            history = self._client.get_metric_history(run.run_id, key) if known else []
            run.steps[key] = {metric.step for metric in history}
        return run.steps[key]

    def _pictures_of(self, run: _TrialRun) -> set[int]:
        """The steps whose grids this run holds already."""
        if run.pictures is None:
            files = [] if run.fresh else self._client.list_artifacts(run.run_id, "images")
            names = [Path(file.path).name for file in files]
            found = [re.match(rf"{GRID_KEY}[+%]step[+%](\d+)[+%].*\.png$", name) for name in names]
            run.pictures = {int(match[1]) for match in found if match}
        return run.pictures

    def _pending_of(self, trial: str) -> _Pending:
        return self._pending.setdefault(trial, _Pending())

    def _write_all(self) -> None:
        for trial in list(self._pending):
            self._write(trial)

    def _write(self, trial: str) -> None:
        pending = self._pending.pop(trial, _Pending())
        run = self._run_of(trial)
        self._log(run.run_id, pending.entities)
        if pending.pictures:
            self._log_pictures(run, pending.pictures)

    def _log_pictures(self, run: _TrialRun, reports: Sequence[Reported]) -> None:
        """Write pictures as `MlflowClient.log_image` does, all in one go.

        It would encode each a second time, take two deliveries and a database transaction for it:
        more than all else of a short trial's record. Nor need it copy what stays on this machine.
        """
        local = _local_folder(run.artifacts)
        if local is not None:
            (local / "images").mkdir(parents=True, exist_ok=True)
            _write_pictures(local / "images", reports)
            return
        with tempfile.TemporaryDirectory() as temporary:
            _write_pictures(Path(temporary), reports)
            self._client.log_artifacts(run.run_id, temporary, "images")

    def _log(self, run_id: str, entities: Iterable[Entity]) -> None:
        for batch in batches(entities):
            self._client.log_batch(
                run_id,
                metrics=[entity for entity in batch if isinstance(entity, Metric)],
                params=[entity for entity in batch if isinstance(entity, Param)],
                tags=[entity for entity in batch if isinstance(entity, RunTag)],
            )


def batches(entities: Iterable[_Entity]) -> Iterator[list[_Entity]]:
    """Split into lists that each fit one request, in the given order."""
    limits: dict[type, int] = {Metric: MAX_METRICS, Param: MAX_PARAMS, RunTag: MAX_TAGS}
    batch: list[_Entity] = []
    counts, size = dict.fromkeys(limits, 0), 0
    for entity in entities:
        kind = type(entity)
        weight = 120 + 4 * (len(entity.key) + len(str(entity.value)))  # up to 4 bytes a character
        full = counts[kind] == limits[kind] or len(batch) == MAX_ENTITIES
        if full or size + weight > MAX_BYTES:
            yield batch
            batch, counts, size = [], dict.fromkeys(limits, 0), 0
        batch.append(entity)
        counts[kind] += 1
        size += weight
    if batch:
        yield batch


def metric_value(value: float) -> float:
    """The value as MLflow keeps it soundly: what is not finite becomes NaN.

    MLflow's SQL store keeps NaN, but turns ±inf into ±1.8e308, which flattens every chart.
    """
    value = float(value)
    return value if math.isfinite(value) else math.nan


def param_text(value: Any) -> str:
    """A param as it would stand in a space file (`null`, `[128, 256]`), cut to 6,000 characters."""
    text = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return _cut(text, MAX_PARAM_LENGTH)


def _found(run: Run) -> _TrialRun:
    return _TrialRun(
        run.info.run_id,
        run.info.artifact_uri,
        status=run.info.status,
        fresh=False,
        params=frozenset(run.data.params),
        ending_tags=tuple(tag for tag in _ENDING_TAGS if tag in run.data.tags),
        outcome=None if run.info.status == "RUNNING" else run.data.tags.get("gan_tune.outcome"),
        recorded=frozenset(run.data.metrics),
    )


def _tags(tags: Mapping[str, str]) -> list[RunTag]:
    return [RunTag(_key(key), _cut(str(value), MAX_TAG_LENGTH)) for key, value in tags.items()]


def _key(name: str) -> str:
    """A name with the characters that MLflow refuses (the `#` of an unnamed option) replaced."""
    return re.sub(r"[^\w.\- :/]", "_", name)[:250]


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _local_folder(uri: str) -> Path | None:
    """The folder of this machine that an artifact URI means, None where it is elsewhere."""
    parts = urlsplit(uri)
    return Path(url2pathname(parts.path)) if parts.scheme == "file" and not parts.netloc else None


def _write_pictures(folder: Path, reports: Sequence[Reported]) -> None:
    for report in reports:
        _write_picture(folder, report)


def _write_picture(folder: Path, report: Reported) -> None:
    """A report's grid and its thumbnail, by MLflow's names; a warning where it cannot be read.

    The grid, by which a picture is known to be there, comes last and whole.
    """
    grid = report.grid
    assert grid is not None
    name = f"{GRID_KEY}+step+{report.step}+timestamp+{report.time_ms}+{uuid.uuid4()}"
    try:
        content = grid if isinstance(grid, bytes) else grid.read_bytes()
        with PIL.Image.open(io.BytesIO(content)) as picture:
            thumbnail = compress_image_size(picture.convert("RGB"))
    except OSError as error:
        logger.warning("a sample grid is missing from the record: %s", first_line(error))
        return
    thumbnail.save(folder / f"{name}+compressed.webp", method=THUMBNAIL_EFFORT)
    partial = folder / f"{name}.partial"
    partial.write_bytes(content)
    partial.rename(folder / f"{name}.png")


def _write_file(folder: Path, name: str, content: Picture) -> None:
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    except OSError as error:
        logger.warning("%s is missing from the record: %s", name, first_line(error))


def _write_table(folder: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """`leaderboard.csv`, which MLflow's UI shows as a table, and `leaderboard.json`."""
    if not rows:
        return
    columns = list(dict.fromkeys(column for row in rows for column in row))
    with (folder / "leaderboard.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    text = json.dumps([dict(row) for row in rows], indent=1, default=str)
    (folder / "leaderboard.json").write_text(text, encoding="utf-8")
