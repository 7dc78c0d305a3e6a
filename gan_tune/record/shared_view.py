"""The table and the charts in which MLflow's pages show a search, kept as a view of its experiment.

MLflow keeps a shared view in a tag of the experiment, and an address names the view. The form is
that of the JavaScript of MLflow 3.17. Fields that another release does not know are ignored there.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from gan_tune.record.mlflow_grids import GRIDS
from gan_tune.record.mlflow_internals import PARENT_RUN
from gan_tune.record.tags import Tag
from gan_tune.record.trial_run import TOTAL_KEY

__all__ = ["shared_view"]

PICTURES = 10
"""Curves and pictures of so many of the best trials are shown; the rest can be switched on."""

LONGEST = 20_000
"""Characters that MLflow takes of an experiment's tag."""

SECTION = "gan-tune"
PICTURES_SECTION = "gan-tune-samples"


def shared_view(
    name: str,
    parent_run_id: str,
    *,
    created_ms: int,
    metric: str,
    ascending: bool,
    searched: Sequence[str],
    compared: Sequence[str],
    last_step: int = 0,
) -> str:
    """A search's trials, best first, in the form in which MLflow's pages read a view.

    Args:
        name: of the view, in the pages' list of views.
        created_ms: when it was made, milliseconds since 1970.
        parent_run_id: of the search's run.
        metric: the objective.
        ascending: whether less of it is better.
        searched: the params that the search decides; the last ones are left out where MLflow would
            not take them all.
        compared: those of them that every trial has, for the parallel coordinates.
        last_step: of the longest trial, at which the pictures are shown.
    """
    while True:
        axes = [param for param in compared if param in searched]
        state = _state(parent_run_id, metric, ascending, searched, axes, last_step)
        text = json.dumps({"name": name, "createdAt": created_ms, "state": state})
        if len(text) <= LONGEST or not searched:
            return text
        searched = searched[:-1]


def _state(
    run_id: str,
    metric: str,
    ascending: bool,
    searched: Sequence[str],
    compared: Sequence[str],
    step: int,
) -> str:
    best = f"best.{metric}"
    columns = list(_columns(best, searched))
    return json.dumps(
        {
            "searchFilter": f"tags.`{PARENT_RUN}` = '{run_id}'",
            # Runs are nested only where nothing is sorted but dates.
            "orderByKey": _column("metrics", best),
            "orderByAsc": ascending,
            "selectedColumns": columns,
            # The first two are always there: the checkbox and the trial's name.
            "columnOrder": ["1", _column("attributes", "Run Name"), *columns],
            "columnWidths": {_column("attributes", "Run Name"): 140} | dict.fromkeys(columns, 105),
            "runsHiddenMode": "FIRST_10_RUNS",
            "compareRunCharts": list(_charts(metric, best, compared, step)),
            "compareRunSections": [
                _section(SECTION, "The search", columns=2, height=330),
                # MLflow shows the best trial's picture last: a wide card has several in sight.
                _section(PICTURES_SECTION, "Samples", columns=1, height=1130),
            ],
            "isAccordionReordered": True,  # else the sections are sorted by name
        },
        separators=(",", ":"),
    )


def _section(uuid: str, name: str, *, columns: int, height: int) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "name": name,
        "display": True,
        "isReordered": False,
        "columns": columns,
        "cardHeight": height,
    }


def _column(kind: str, name: str) -> str:
    return f"{kind}.`{name}`"


def _columns(best: str, searched: Iterable[str]) -> Iterable[str]:
    yield _column("metrics", best)
    yield _column("metrics", TOTAL_KEY)
    yield _column("tags", Tag.OUTCOME)
    yield _column("tags", Tag.SYMPTOMS)
    for param in searched:
        yield _column("params", param)
    yield _column("tags", Tag.ORIGIN)


def _charts(metric: str, best: str, compared: Sequence[str], step: int) -> Iterable[dict[str, Any]]:
    """The objective by step, the parallel coordinates, and the pictures of the best trials."""
    common = {"metricSectionId": SECTION, "deleted": False, "isGenerated": False}
    samples = {**common, "metricSectionId": PICTURES_SECTION}
    yield {
        **common,
        "uuid": f"{SECTION}-curves",
        "type": "LINE",
        "metricKey": metric,
        "selectedMetricKeys": [metric],
        "displayName": f"{metric} by step",
        "runsCountToCompare": PICTURES,
        "xAxisKey": "step",
        "yAxisKey": "metric",
        "scaleType": "linear",
        "xAxisScaleType": "linear",
        "lineSmoothness": 0,
        "range": {},
        "yAxisExpressions": [],
        "ignoreOutliers": False,
        "useGlobalXaxisKey": True,
        "useGlobalLineSmoothing": True,
    }
    yield {
        **common,
        "uuid": f"{SECTION}-parallel",
        "type": "PARALLEL",
        "displayName": "What was searched",
        "selectedParams": list(compared),
        "selectedMetrics": [best],
        "showAllRuns": True,
    }
    yield {
        **samples,
        "uuid": f"{SECTION}-pictures",
        "type": "IMAGE",
        "imageKeys": [GRIDS],
        "displayName": "Samples of the best trials",
        "step": step,
        "showRunParams": False,
        "runsCountToCompare": PICTURES,
    }
