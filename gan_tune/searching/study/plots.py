"""The plots of a search: Optuna's plots of a study in which all settings can be compared.

How settings become comparable says :mod:`gan_tune.searching.study.comparable`.

To add a plot, write a function like :func:`_history` and name it in :data:`PLOTS`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import FrozenTrial, TrialState

from gan_tune.searching.study.comparable import MOST_DRAWN, comparable_study, what_is_drawn
from gan_tune.searching.study.insight import FEWEST, Insight, is_sound
from gan_tune.searching.study.optuna_internals import (
    BEST_SO_FAR_TRACE,
    FEASIBLE_TRACE,
    INFEASIBLE_HISTORY_TRACE,
    INFEASIBLE_TRACE,
    parallel_axes,
)
from gan_tune.searching.study.reading import pareto_front

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

__all__ = ["PLOTS", "Drawn", "Plot", "drawn", "figures", "script"]

MOST_PARAMETERS = 8
"""Largest number of parameters in slices and parallel coordinates; the most important are shown."""

MOST_ON_SURFACE = 300
"""Largest number of settings between whose values a surface is guessed; of more the points say it.
"""

LOG_FROM = 30.0
"""Values that span more than this factor are drawn on a logarithmic axis."""

UNSOUND_LABEL = "diverged or collapsed"

TOO_FEW = (
    "Too few settings to say: {count} can be compared, and it takes {fewest}, so that five are "
    "among the best quarter."
)


@dataclass(frozen=True)
class PlotView:
    """The data from which the plots of one search are drawn.

    Attributes:
        study: the search's own.
        insight: the analyses of it.
        compared: :func:`comparable_study` of it.
        metric: the objective's name.
        parameters: at most :data:`MOST_PARAMETERS` names; those with an importance come first.
    """

    study: optuna.Study
    insight: Insight
    compared: optuna.Study
    metric: str
    parameters: list[str]

    @property
    def ranked(self) -> list[str]:
        """The parameters with an importance, the most important first."""
        return list(self.insight.importances.shares)


@dataclass(frozen=True)
class Plot:
    """How one figure is drawn and described.

    Attributes:
        title: its title.
        caption: what it shows.
        draw: makes the figure.
        missing: returns why there is nothing to draw; empty if there is something.
        several: whether it is only for searches with several objectives.
        of_all: whether it is made from all settings, not from those that are drawn.
    """

    title: str
    caption: str
    draw: Callable[[PlotView], Figure]
    missing: Callable[[PlotView], str] = lambda view: ""
    several: bool = False
    of_all: bool = False


def _history(view: PlotView) -> Figure:
    figure = optuna.visualization.plot_optimization_history(view.compared, target_name=view.metric)
    sound = [trial for trial in _valued(view.compared) if is_sound(trial)]
    symbols = ["circle-open" if "pruned" in trial.user_attrs else "circle" for trial in sound]
    figure.update_traces(marker_symbol=symbols, selector={"name": view.metric})
    figure.update_traces(
        name=UNSOUND_LABEL, showlegend=True, selector={"name": INFEASIBLE_HISTORY_TRACE}
    )
    figure.update_traces(name="best so far", selector={"name": BEST_SO_FAR_TRACE})
    figure.update_layout(xaxis_title="setting")
    return _scaled(figure, view.compared)


def _importances(view: PlotView) -> Figure:
    """The shares as bars. Optuna's plot computes them again and copies the study for each bar."""
    from plotly.graph_objects import Bar, Figure

    shares = dict([*view.insight.importances.shares.items()][::-1])  # the first one on top
    bars = Bar(
        x=list(shares.values()),
        y=list(shares),
        text=[f"{share:.2f}" for share in shares.values()],
        textposition="outside",
        cliponaxis=False,
        orientation="h",
    )
    return Figure(bars).update_layout(
        xaxis_title=f"share in reaching the best quarter of {view.metric}",
        height=150 + 20 * len(shares),  # high enough for every name
    )


def _pair(view: PlotView) -> Figure:
    pair = list(view.insight.pair or ())
    hows = [trial.distributions.get(name) for trial in _valued(view.compared) for name in pair]
    choices = any(isinstance(how, CategoricalDistribution) for how in hows)
    if choices or len(_valued(view.compared)) > MOST_ON_SURFACE:
        # The options of a choice have no surface between them. A surface has as many rows and
        # columns as there are settings: of 2,000 it takes 12 MB, and a browser over half a
        # minute.
        figure = optuna.visualization.plot_rank(view.compared, params=pair, target_name=view.metric)
    else:
        figure = optuna.visualization.plot_contour(
            view.compared, params=pair, target_name=view.metric
        )
        figure.update_traces(connectgaps=True, selector={"type": "contour"})
    return figure.update_layout(height=520)


def _parallel_coordinates(view: PlotView) -> Figure:
    figure = optuna.visualization.plot_parallel_coordinate(
        view.compared, params=view.parameters, target_name=view.metric
    )
    metric, *parameters = parallel_axes(view.metric, view.parameters)
    figure.update_xaxes(ticktext=[metric, *map(_broken, parameters)])
    figure.update_traces(name="sound", selector={"name": FEASIBLE_TRACE})
    figure.update_traces(name=UNSOUND_LABEL, selector={"name": INFEASIBLE_TRACE})
    return figure


def _slices(view: PlotView) -> Figure:
    figure = optuna.visualization.plot_slice(
        view.compared, params=view.parameters, target_name=view.metric
    )
    return _scaled(figure, view.compared)


def _pareto_front(view: PlotView) -> Figure:
    figure = optuna.visualization.plot_pareto_front(
        view.study,
        target_names=view.study.metric_names,
        include_dominated_trials=len(view.study.get_trials(deepcopy=False)) <= MOST_DRAWN,
    )
    return figure.update_layout(height=520)


def _no_front(view: PlotView) -> str:
    if len(view.study.directions) > 3:
        return "Left out: more than three objectives cannot be drawn."
    return "" if pareto_front(view.study) else "Left out: no setting ran to its end."


def _no_parameters(view: PlotView) -> str:
    return "" if view.parameters else "Left out: the search decided no parameter."


def _no_ranking(view: PlotView) -> str:
    count = view.insight.importances.settings
    if count < FEWEST:
        return TOO_FEW.format(count=count, fewest=FEWEST)
    return "" if view.ranked else "Left out: nothing that was searched sets the best apart."


def _no_pair(view: PlotView) -> str:
    alone = (
        ""
        if view.insight.pair
        else "Left out: no two parameters that matter stand in enough settings."
    )
    return _no_ranking(view) or alone


PLOTS: Mapping[str, Plot] = MappingProxyType(
    {
        "importances": Plot(
            "What mattered",
            "How much of what sets the best quarter of the settings apart falls to each parameter "
            "(PED-ANOVA); parameters that fewer than three of these have are left out. A rough "
            "guess with fewer than 50 settings.",
            _importances,
            _no_ranking,
            of_all=True,
        ),
        "pair": Plot(
            "The two most important together",
            "Each point is a setting with its best value, grey ones diverged or collapsed; the "
            "surface between numbers, if there is one, is guessed.",
            _pair,
            _no_pair,
        ),
        "pareto_front": Plot(
            "Pareto front",
            "Each point is a setting that ran to its end; those on the front are beaten by no "
            "other in one objective without losing in another. Of more than "
            f"{MOST_DRAWN:,} settings the front alone is drawn.",
            _pareto_front,
            _no_front,
            several=True,
            of_all=True,
        ),
        "history": Plot(
            "History",
            "The value of each setting, in the order in which they were proposed. Open circles "
            "were pruned and stand with the best value they had come to; grey ones diverged or "
            "collapsed and stand with the worst value of the others.",
            _history,
        ),
        "parallel_coordinates": Plot(
            "Parallel coordinates",
            "One line for each setting; dotted ones diverged or collapsed. “None” stands where a "
            "setting does not have the parameter.",
            _parallel_coordinates,
            _no_parameters,
        ),
        "slices": Plot(
            "Slices",
            "The value against each parameter alone; later settings are darker, grey ones diverged "
            "or collapsed.",
            _slices,
            _no_parameters,
        ),
    }
)
"""Name → one of Optuna's figures."""


def figures(
    study: optuna.Study,
    *,
    metric: str,
    names: Collection[str] = PLOTS,
    insight: Insight | None = None,
) -> dict[str, Figure | str]:
    """Each of :data:`PLOTS` as a plotly figure, or a sentence that says why it is left out.

    Plots for several objectives are included only if the study has several.

    Args:
        study: of the search.
        metric: the objective's name.
        names: which of the plots.
        insight: into the study, if it has been made already.
    """
    found: dict[str, Figure | str] = {}
    with warnings.catch_warnings():
        # Optuna warns of experimental features and of importances of rare options.
        warnings.simplefilter("ignore")
        view = _view(study, metric, insight or Insight(study))
        count = len(_valued(view.compared))
        for name, plot in PLOTS.items():
            if name not in names or (plot.several and len(study.directions) == 1):
                continue
            if count < 2:
                found[name] = f"Left out: only {count} of the settings had a value to compare."
            elif missing := plot.missing(view):
                found[name] = missing
            else:
                found[name] = plot.draw(view).update_layout(title=None, margin_t=60)
    return found


@dataclass(frozen=True)
class Drawn:
    """A plot on a page: its title, its caption, and its HTML (empty if it is left out)."""

    title: str
    text: str
    html: str


def drawn(study: optuna.Study, *, metric: str, insight: Insight | None = None) -> dict[str, Drawn]:
    """Each of :data:`PLOTS` as HTML for a page that includes :func:`script`."""
    found = {}
    part = what_is_drawn(study)
    for name, figure in figures(study, metric=metric, insight=insight).items():
        plot = PLOTS[name]
        if isinstance(figure, str):
            found[name] = Drawn(plot.title, figure, "")
            continue
        config = {"displaylogo": False, "responsive": True}
        html = figure.to_html(full_html=False, include_plotlyjs=False, div_id=name, config=config)
        caption = plot.caption if plot.of_all or not part else f"{plot.caption} {part}"
        found[name] = Drawn(plot.title, caption, html)
    return found


def script() -> str:
    """Plotly's JavaScript, about 5 MB."""
    from plotly.offline import get_plotlyjs

    return str(get_plotlyjs())


def _view(study: optuna.Study, metric: str, insight: Insight) -> PlotView:
    compared, shares = comparable_study(study), insight.importances.shares
    # Each parameter once, in order of appearance.
    decided = {name: None for trial in _valued(compared) for name in trial.params}
    ordered = [*shares, *(name for name in decided if name not in shares)]
    return PlotView(study, insight, compared, metric, parameters=ordered[:MOST_PARAMETERS])


def _valued(study: optuna.Study) -> list[FrozenTrial]:
    return study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))


def _broken(name: str) -> str:
    """A dotted path, broken into several lines."""
    return name.replace(".", ".<br>")


def _scaled(figure: Figure, study: optuna.Study) -> Figure:
    """The figure; its axis of values is logarithmic if they span orders of magnitude."""
    values = [value for trial in _valued(study) if (value := trial.value) is not None]
    if min(values) > 0 and max(values) / min(values) > LOG_FROM:
        figure.update_yaxes(type="log")
    return figure
