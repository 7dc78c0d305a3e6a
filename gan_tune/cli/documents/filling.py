"""Makes the documents of `--json` from what the service returns."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gan_tune.cli.documents import shapes
from gan_tune.errors import FaultsError, GanTuneError
from gan_tune.space import shipped_spaces

if TYPE_CHECKING:
    from gan_tune.registry.versions import ModelInfo
    from gan_tune.service import Best, SearchResult, SearchStatus
    from gan_tune.service.estimate import Estimate
    from gan_tune.space import SearchSpace

__all__ = [
    "best_document",
    "checked_document",
    "estimate_document",
    "listing_document",
    "most_trials",
    "refused_file",
    "result_document",
    "space_document",
    "status_document",
    "valid_file",
]


def status_document(found: SearchStatus) -> shapes.Status:
    """How a search stands."""
    return shapes.Status.model_validate(found)


def listing_document(
    searches: Sequence[SearchStatus], models: Sequence[ModelInfo]
) -> shapes.Listing:
    """All that there is."""
    return shapes.Listing(
        spaces=list(shipped_spaces()),
        searches=[shapes.SearchLine.model_validate(search) for search in searches],
        models=[shapes.ModelLine.model_validate(model) for model in models],
    )


def best_document(found: Best) -> shapes.Champion:
    """A champion."""
    return shapes.Champion.model_validate(found)


def most_trials(space: SearchSpace) -> int | None:
    """The settings in the budget; None if only time ends the search."""
    most = space.budget.most_trials
    return None if math.isinf(most) else int(most)


def space_document(space: SearchSpace) -> shapes.Space:
    """What a space searches."""
    return shapes.Space(
        name=space.name,
        objectives=[shapes.Objective(metric=o.metric, mode=o.mode) for o in space.objectives],
        trials=most_trials(space),
        minutes=space.budget.minutes,
        steps=None if space.has_open_length else space.steps,
        evaluations=space.budget.evaluations,
        sampler=space.search.sampler.name,
        scheduler=space.search.scheduler.name,
        seed=space.search.seed,
        starts=len(space.starts),
        confirm_top=space.confirm.top,
        confirm_seeds=space.confirm.seeds,
        dimensions=[
            shapes.DimensionLine(
                name=dimension.name, range=str(dimension), only_where=dict(dimension.conditions)
            )
            for dimension in space.dimensions()
        ],
    )


def estimate_document(space: SearchSpace, measured: Estimate, told: str) -> shapes.Estimate:
    """What a search would take; ``told`` is what was seen of the data that it begins from."""
    also = {
        "name": space.name,
        "minutes": space.budget.minutes,
        "cpu": space.resources.cpu,
        "proposal": told,
    }
    fields = shapes.Estimate.model_fields.keys() - also.keys() - {"format"}
    return shapes.Estimate(**{key: getattr(measured, key) for key in fields}, **also)


def valid_file(file: str, space: SearchSpace, notes: Sequence[str]) -> shapes.CheckedFile:
    """A space file that can be searched."""
    warnings = list(space.warnings)
    return shapes.CheckedFile(file=file, ok=True, faults=[], warnings=warnings, notes=list(notes))


def refused_file(file: str, error: GanTuneError) -> shapes.CheckedFile:
    """A space file that cannot be searched."""
    faults = _faults(error)
    return shapes.CheckedFile(file=file, ok=False, faults=faults, warnings=[], notes=[])


def _faults(error: GanTuneError) -> list[shapes.Fault]:
    if isinstance(error, FaultsError):
        return [
            shapes.Fault(place=fault.path, rule=fault.rule, given=fault.safe_given)
            for fault in error.faults
        ]
    return [shapes.Fault(place="", rule=str(error), given="")]


def checked_document(files: Sequence[shapes.CheckedFile]) -> shapes.Checked:
    """Space files that were checked."""
    return shapes.Checked(files=list(files))


def result_document(result: SearchResult) -> shapes.Result:
    """What came of a search."""
    champion = result.champion
    return shapes.Result(
        search=result.name,
        finished=result.finished,
        metric=result.metric,
        mode=result.mode,
        seconds=result.seconds,
        outcomes=dict(result.outcomes),
        champion_trial=champion.trial if champion else None,
        champion_mean=champion.mean if champion else None,
        first_mean=result.first_mean,
        gain=result.gain,
        test=dict(result.test),
        model=result.model,
        model_version=result.model_version,
        promoted=result.promoted,
        model_note=result.model_note,
        waiting=result.waiting,
        faults=list(result.faults),
        rows=[
            shapes.RowLine.model_validate(
                {key: getattr(row, key) for key in shapes.RowLine.model_fields}
            )
            for row in result.rows
        ],
    )
