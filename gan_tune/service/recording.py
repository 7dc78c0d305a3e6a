"""What the record of a search is given, in the recorder's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gan_tune.config import Part
from gan_tune.metrics import Judge
from gan_tune.space import SearchSpace

if TYPE_CHECKING:
    from gan_tune.record.recorder import Recorder
    from gan_tune.searching.leading.jobs import Job
    from gan_tune.searching.rules.champion import Champion
    from gan_tune.service.looking_inside import Inside
    from gan_tune.storage.trial_records import Ending, Result


class Recording:
    """Hands what the conductor says to the recorder."""

    def __init__(self, recorder: Recorder, metric: str) -> None:
        self._recorder, self._metric = recorder, metric

    def trial_started(self, job: Job, *, resumed: bool) -> None:
        self._recorder.trial_started(
            job.name,
            setting=job.setting,
            replicate=job.replicate,
            kind=job.kind,
            params=job.params,
            tags=_lineage_tags(job),
        )

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        seconds = {
            "seconds.training": result.training_seconds,
            "seconds.evaluation": result.evaluation_seconds,
        }
        self._recorder.reported(
            job.name,
            result.step,
            {**result.scalars, **seconds},
            timestamp_ms=result.timestamp_ms,
            grid=grid,
        )

    def trial_ended(self, job: Job, ending: Ending) -> None:
        if ending.paused:
            return  # its run goes on as the trial does
        best = {} if ending.value is None else {self._metric: ending.value, **ending.further}
        self._recorder.trial_ended(
            job.name, ending.outcome, best=best, error=ending.error, symptoms=ending.symptoms
        )


def _lineage_tags(job: Job) -> dict[str, str]:
    """Whose weights a trial goes on from, and all settings that led to its own."""
    if not job.lineage:
        return {}
    phases = ", ".join(f"{ancestor.trial} until {ancestor.until}" for ancestor in job.lineage)
    tags = {"gan_tune.lineage": phases}
    if job.kind == "search":
        parent = job.lineage[-1]
        tags |= {"gan_tune.parent": parent.trial, "gan_tune.parent_step": str(parent.until)}
    return tags


def space_params(space: SearchSpace) -> dict[str, Any]:
    """The blocks beside `trial` as the parent's params; a part by its name and its arguments."""
    params: dict[str, Any] = {}
    for block in ("budget", "search", "confirm", "resources"):
        for key, value in getattr(space, block):
            place = f"{block}.{key}"
            if isinstance(value, Part):
                params |= {place: value.name}
                params |= {f"{place}.{name}": given for name, given in value.args.items()}
            else:
                params[place] = value
    return params


def flat_row(row: Mapping[str, Any]) -> dict[str, Any]:
    plain = {key: value for key, value in row.items() if key not in ("changes", "further")}
    return plain | dict(row["further"]) | dict(row["changes"])


def parent_metrics(
    champion: Champion | None, judge: Judge, test: Mapping[str, float], seen: Inside | None
) -> dict[str, float]:
    figures = {f"selection.floor.{name}": value for name, value in judge.floor.items()}
    if champion is not None:
        figures["champion.mean"] = champion.mean
        if champion.first_mean is not None:
            figures["first.mean"] = champion.first_mean
    if seen is not None and seen.nearest_neighbour_ratio is not None:
        figures["champion.nearest_neighbour_ratio"] = seen.nearest_neighbour_ratio
    return figures | dict(test)
