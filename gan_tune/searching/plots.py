"""Optuna's own plots of a study, on one page that needs no network.

Every setting stands with its best value: a pruned one with the best it had come to, a diverged or
collapsed one, marked, with the worst of the sound ones, since its own would flatten every axis.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from html import escape
from types import MappingProxyType
from typing import TYPE_CHECKING

import optuna
from optuna.trial import FrozenTrial, TrialState

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["PLOTS", "Plot", "comparable_study", "figures", "plots_page"]

MOST_PARAMETERS = 8
"""Slices and parallel coordinates show so many parameters, the most important ones."""

LOG_FROM = 30.0
"""Values that span more than this factor are drawn by their logarithm."""


UNSOUND = "diverged or collapsed"


@dataclass(frozen=True)
class Plot:
    """One figure: its title, what it tells, and how many parameters it makes sense for.

    ``draw(study, metric, parameters)`` takes the parameters to show, the most important first.
    """

    title: str
    caption: str
    parameters: int
    draw: Callable[[optuna.Study, str, list[str]], Figure]


def _history(study: optuna.Study, metric: str, parameters: list[str]) -> Figure:
    figure = optuna.visualization.plot_optimization_history(study, target_name=metric)
    sound = [trial for trial in _valued(study) if _is_sound(trial)]
    symbols = ["circle-open" if "pruned" in trial.user_attrs else "circle" for trial in sound]
    figure.update_traces(marker_symbol=symbols, selector={"name": metric})
    figure.update_traces(name=UNSOUND, showlegend=True, selector={"name": "Infeasible Trial"})
    figure.update_traces(name="best so far", selector={"name": "Best Value"})
    figure.update_layout(xaxis_title="setting")
    return _scaled(figure, study)


def _importances(study: optuna.Study, metric: str, parameters: list[str]) -> Figure:
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    figure = optuna.visualization.plot_param_importances(
        study, evaluator=evaluator, target_name=metric
    )
    count = len(figure.data[0].y)  # as high as it takes to name every one
    figure.update_layout(
        xaxis_title=f"share in reaching the best tenth of {metric}",
        yaxis_title="",
        height=150 + 20 * count,
    )
    return figure


def _parallel_coordinates(study: optuna.Study, metric: str, parameters: list[str]) -> Figure:
    figure = optuna.visualization.plot_parallel_coordinate(
        study, params=parameters, target_name=metric
    )
    # Optuna cuts names to 20 characters, which leaves paths alike; its axes are in order of name.
    figure.update_xaxes(ticktext=[metric, *map(_broken, sorted(parameters))])
    figure.update_traces(name="sound", selector={"name": "Feasible"})
    figure.update_traces(name=UNSOUND, selector={"name": "Infeasible"})
    return figure


def _slices(study: optuna.Study, metric: str, parameters: list[str]) -> Figure:
    figure = optuna.visualization.plot_slice(study, params=parameters, target_name=metric)
    return _scaled(figure, study)


PLOTS: Mapping[str, Plot] = MappingProxyType(
    {
        "history": Plot(
            "History",
            "The value of each setting, in the order in which they were proposed. Open circles "
            "were pruned and stand with the best value they had come to; grey ones diverged or "
            "collapsed and stand with the worst value of the others.",
            0,
            _history,
        ),
        "importances": Plot(
            "Importances",
            "How much of what sets the best tenth of the settings apart falls to each parameter "
            "(PED-ANOVA). A rough guess with fewer than 50 settings.",
            2,
            _importances,
        ),
        "parallel_coordinates": Plot(
            "Parallel coordinates",
            "One line for each setting; dotted ones diverged or collapsed. “None” stands where a "
            "setting does not have the parameter.",
            1,
            _parallel_coordinates,
        ),
        "slices": Plot(
            "Slices",
            "The value against each parameter alone; later settings are darker, grey ones diverged "
            "or collapsed.",
            1,
            _slices,
        ),
    }
)
"""Name → one of Optuna's figures."""


def figures(study: optuna.Study, *, metric: str) -> dict[str, Figure | str]:
    """Each of :data:`PLOTS` as a plotly figure; a sentence in its place where it would say nothing.

    ``study`` is as a search leaves it, ``metric`` the objective's name.
    """
    drawn: dict[str, Figure | str] = {}
    with warnings.catch_warnings():
        # Optuna's notes on what is experimental, and on importances of very few settings.
        warnings.simplefilter("ignore")
        compared = comparable_study(study)
        count = len(_valued(compared))
        parameters = _by_importance(compared) if count > 1 else []
        for name, plot in PLOTS.items():
            if count < 2:
                drawn[name] = f"Left out: only {count} of the settings had a value to compare."
            elif len(parameters) < plot.parameters:
                drawn[name] = f"Left out: the search decided {len(parameters)} parameters only."
            else:
                figure = plot.draw(compared, metric, parameters[:MOST_PARAMETERS])
                drawn[name] = figure.update_layout(title=None, margin_t=40)
    return drawn


def plots_page(study: optuna.Study, *, metric: str, title: str) -> bytes:
    """All figures on one HTML page, with plotly's JavaScript in it once (some 5 MB)."""
    parts = []
    script = True
    for name, figure in figures(study, metric=metric).items():
        plot = PLOTS[name]
        parts.append(f"<h2>{plot.title}</h2>")
        if isinstance(figure, str):
            parts.append(f"<p>{escape(figure)}</p>")
            continue
        parts.append(f"<p>{plot.caption}</p>")
        parts.append(
            figure.to_html(
                full_html=False,
                include_plotlyjs=script,
                div_id=name,
                config={"displaylogo": False, "responsive": True},
            )
        )
        script = False
    return _PAGE.format(title=escape(title), body="\n".join(parts)).encode()


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{title}</title>
<style>
body {{ font-family: sans-serif; margin: 1.5em; color: #2f3b52; }}
body > div {{ overflow-x: auto; }}
p {{ max-width: 50em; }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def comparable_study(study: optuna.Study) -> optuna.Study:
    """A copy in memory in which every setting that came to something is complete.

    Optuna's plots and importances look at complete trials alone. Pruned ones become complete with
    their best value, unsound ones with the worst of the sound; what failed, still runs or waits has
    no value. Numbers stay.
    """
    trials = study.get_trials(deepcopy=False)
    values = [v for t in trials if (v := t.value) is not None and _is_sound(t)]
    lower_is_better = study.direction == optuna.study.StudyDirection.MINIMIZE
    worst = (max if lower_is_better else min)(values, default=None)
    compared = optuna.create_study(direction=study.direction)
    compared.add_trials([_comparable(trial, worst) for trial in trials])
    return compared


def _comparable(trial: FrozenTrial, worst: float | None) -> FrozenTrial:
    told = trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
    value = None
    if told:  # Optuna takes a pruned trial's last report for its value: the best so far
        value = trial.value if _is_sound(trial) else worst
    return optuna.trial.create_trial(
        state=TrialState.FAIL if value is None else TrialState.COMPLETE,
        value=value,
        params=trial.params,
        distributions=trial.distributions,
        constraints=trial.constraints,
        user_attrs={"pruned": True} if trial.state == TrialState.PRUNED else {},
    )


def _is_sound(trial: FrozenTrial) -> bool:
    return all(constraint <= 0 for constraint in trial.constraints.values())


def _valued(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _by_importance(study: optuna.Study) -> list[str]:
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    return list(optuna.importance.get_param_importances(study, evaluator=evaluator))


def _broken(name: str) -> str:
    """A dotted path over several lines."""
    return name.replace(".", ".<br>")


def _scaled(figure: Figure, study: optuna.Study) -> Figure:
    """The figure with values by their logarithm where they span orders of magnitude."""
    values = [value for trial in _valued(study) if (value := trial.value) is not None]
    if min(values) > 0 and max(values) / min(values) > LOG_FROM:
        figure.update_yaxes(type="log")
    return figure
