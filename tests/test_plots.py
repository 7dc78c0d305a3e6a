"""The plots: some for every study a search can leave, however little there is in it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState
from toy_study import AWKWARD, CONDITIONAL, METRIC, ONE, add, random_study, study_of

from gan_tune.searching.study import comparable
from gan_tune.searching.study.comparable import comparable_study
from gan_tune.searching.study.insight import FEWEST, Insight
from gan_tune.searching.study.plots import LOG_FROM, PLOTS, drawn, figures

OF_ONE = {name: plot for name, plot in PLOTS.items() if not plot.several}
"""Plots of a search with one objective."""
PLAIN = {"history", "parallel_coordinates", "slices"}
SHOWN = {
    "two": PLAIN,
    "one pruned": PLAIN,
    "all pruned": set(OF_ONE),
    "every outcome": set(OF_ONE),
    "one parameter": set(OF_ONE) - {"pair"},
    "no parameter": {"history"},
}
"""Which plots there are of the awkward studies; none of the others."""


@pytest.mark.parametrize("name", AWKWARD)
def test_every_study_has_its_plots(name: str, tmp_path: Path) -> None:
    plots = drawn(study_of(tmp_path, *AWKWARD[name]), metric=METRIC)
    assert list(plots) == list(OF_ONE)
    assert {key for key, plot in plots.items() if plot.html} == SHOWN.get(name, set())
    for key, plot in plots.items():
        assert plot.title == PLOTS[key].title
        assert (plot.text == PLOTS[key].caption) == ("Plotly.newPlot(" in plot.html)


def test_too_few_settings_are_counted(tmp_path: Path) -> None:
    plots = drawn(study_of(tmp_path, CONDITIONAL, ["completed"] * (FEWEST - 1)), metric=METRIC)
    for name in ("importances", "pair"):
        assert plots[name].text.startswith(f"Too few settings to say: {FEWEST - 1} can be compared")


def test_a_figure_names_the_objective_and_its_parameters(tmp_path: Path) -> None:
    study = study_of(tmp_path, CONDITIONAL, ["completed"] * 30)
    pair = Insight(study).pair
    assert pair is not None
    named = {"history": (), "importances": Insight(study).importances.shares, "pair": pair}
    for name, figure in figures(study, metric=METRIC).items():
        text = figure.to_json().replace(".\\u003cbr\\u003e", ".")
        for word in (METRIC, *named.get(name, ["generator_optimizer.adam.lr"])):
            assert word in text, name
        assert "Objective Value" not in text, f"{name} has Optuna's word for it somewhere"


def test_unsound_settings_are_marked_and_do_not_count_as_good(tmp_path: Path) -> None:
    outcomes = ["completed", "completed", "diverged", "pruned", "collapsed", "failed", None]
    study = study_of(tmp_path, ONE, outcomes)
    compared = comparable_study(study)
    assert [t.number for t in compared.trials] == list(range(len(outcomes)))
    values = [t.value if t.state == TrialState.COMPLETE else None for t in compared.trials]
    # Sound ones keep their value; the others have the worst of these: 3, 4 and 6.
    assert values == [3, 4, 6, 6, 6, None, None]
    history = figures(study, metric=METRIC)["history"]
    traces = {trace.name: trace for trace in history.data}
    assert list(traces[METRIC].x) == [0, 1, 3]
    assert list(traces[METRIC].marker.symbol) == ["circle", "circle", "circle-open"]
    assert list(traces["diverged or collapsed"].x) == [2, 4]
    assert traces["diverged or collapsed"].showlegend
    assert min(traces["best so far"].y) == 3


def test_of_too_many_settings_a_part_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparable, "MOST_DRAWN", 20)
    monkeypatch.setattr(comparable, "BEST_DRAWN", 5)
    study = random_study()
    values = [50.0 + (i * 37) % 100 for i in range(100)]
    for value in values:
        add(study, "completed", {10: value})
    compared = comparable_study(study)
    assert len(compared.trials) == 100, "all keep their numbers"
    seen = {t.number: t.value for t in compared.trials if t.state == TrialState.COMPLETE}
    assert all(values[number] == value for number, value in seen.items())
    assert 15 <= len(seen) <= 20
    assert sorted(values)[:5] == sorted(seen.values())[:5]
    told = drawn(study, metric=METRIC)
    for name, plot in PLOTS.items():
        if not plot.several:
            assert (f"Drawn are {len(seen)} of 100" in told[name].text) != plot.of_all
    history = figures(study, metric=METRIC)["history"]
    line = next(trace for trace in history.data if trace.name == "best so far")
    assert min(line.y) == min(values)


@pytest.mark.parametrize(("direction", "worst"), [("minimize", 5.0), ("maximize", 1.0)])
def test_worst_is_by_the_direction(direction: str, worst: float) -> None:
    study = optuna.create_study(direction=direction)
    for value, health in ((1.0, 0.0), (5.0, 0.0), (99.0, 1.0), (-99.0, 1.0)):
        trial = study.ask()
        trial.set_constraint("health", health)
        study.tell(trial, value)
    assert [t.value for t in comparable_study(study).trials] == [1.0, 5.0, worst, worst]


@pytest.mark.parametrize(
    ("values", "kind"),
    [((1.0, LOG_FROM * 2), "log"), ((1.0, LOG_FROM / 2), None), ((-1.0, 1e6), None)],
)
def test_values_of_unlike_size_are_drawn_by_their_logarithm(
    values: tuple[float, float], kind: str | None
) -> None:
    study = optuna.create_study()
    for value in values:
        trial = study.ask()
        trial.suggest_float("x", 0, 1)
        study.tell(trial, value)
    drawn = figures(study, metric=METRIC)
    assert drawn["history"].layout.yaxis.type == kind
    assert drawn["slices"].layout.yaxis.type == kind


def test_the_bars_are_the_importances_that_are_told() -> None:
    study = random_study()
    for i in range(60):
        add(study, "completed" if i % 3 else "pruned", {10: 1.0 + i % 11})
    bars = figures(study, metric=METRIC)["importances"].data[0]
    shares = dict(zip(bars.y, bars.x, strict=True))
    assert shares == pytest.approx(Insight(study).importances.shares)


@pytest.mark.parametrize(("other", "surface"), [("penalty", False), ("idle", True)])
def test_a_surface_is_drawn_between_numbers_only(other: str, surface: bool) -> None:
    study = random_study()
    for i in range(40):
        options = {"penalty": ("none", "r1")[i % 2], "idle": 1 + i % 8}
        wanted = {"loss": "hinge", "penalty": "none", "idle": 1, other: options[other]}
        cost = i % 2 if other == "penalty" else i % 8
        add(study, "completed", {10: cost + i / 40}, rate=1e-4 * (1 + i), **wanted)
    pair = Insight(study).pair
    assert pair is not None
    assert set(pair) == {"rate", other}
    figure = figures(study, metric=METRIC)["pair"]
    assert ("contour" in {trace.type for trace in figure.data}) == surface
    assert METRIC in figure.to_json(), "the legend names the objective"
    assert "Objective Value" not in figure.to_json()


@pytest.mark.ci
def test_plotly_is_loaded_for_the_plots_only() -> None:
    script = (
        "import sys, gan_tune.service, gan_tune.searching.study.plots;"
        "print('plotly' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
