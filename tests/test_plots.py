"""The page of plots: one for every study a search can leave, however little there is in it."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import optuna
import pytest
from conftest import trial_tree
from optuna.trial import TrialState

from gan_tune.catalogue import catalogue
from gan_tune.searching.jobs import ENDINGS
from gan_tune.searching.plots import LOG_FROM, PLOTS, comparable_study, figures, plots_page
from gan_tune.searching.study import Study
from gan_tune.space import SearchSpace

METRIC = "frechet_distance"
RATE = {"log_uniform": [1e-4, 1e-2]}
CONDITIONAL = {
    "generator_optimizer": {
        "choice": [
            {"name": "adam", "lr": RATE, "beta1": {"uniform": [0.0, 0.9]}},
            {"name": "sgd", "lr": RATE},
        ]
    },
    "generator": {"name": "mlp", "latent": {"int": [4, 16]}, "hidden": {"choice": [[8], [8, 8]]}},
}
ONE = {"loss": {"choice": ["non_saturating", "hinge"]}}
ONLY_STARTS: dict[str, Any] = {}


def study_of(folder: Path, ranges: dict[str, Any], outcomes: list[Any]) -> optuna.Study:
    """A search's own study, with a trial of each outcome; None still runs."""
    left_out = ("steps", "evaluations", "seed")
    trial = {key: value for key, value in trial_tree().items() if key not in left_out}
    tree = {
        "name": "toy",
        "budget": {"trials": 99, "steps": 100, "evaluations": 5},
        "search": {"sampler": "random"},
        "trial": trial | ranges,
    }
    study = Study(folder / "study.journal", SearchSpace.load(tree, catalogue()))
    for i, outcome in enumerate(outcomes):
        job = study.ask()
        value = 3.0 + i % 7
        study.report(job.setting, 20, value + 1)
        study.report(job.setting, 40, value)
        if outcome is not None:
            study.tell(job.setting, outcome, value)
    return study.optuna_study


AWKWARD: dict[str, tuple[dict[str, Any], list[Any], set[str]]] = {
    "no setting": (CONDITIONAL, [], set()),
    "one": (CONDITIONAL, ["completed"], set()),
    "one sound": (CONDITIONAL, ["completed", "failed", None], set()),
    "none sound": (CONDITIONAL, ["diverged", "collapsed", "failed"], set()),
    "two": (CONDITIONAL, ["completed", "completed"], set(PLOTS)),
    "one pruned": (CONDITIONAL, ["completed", "pruned"], set(PLOTS)),
    "all pruned": (CONDITIONAL, ["pruned"] * 3, set(PLOTS)),
    "every outcome": (CONDITIONAL, [*ENDINGS, None] * 3, set(PLOTS)),
    "one parameter": (ONE, ["completed"] * 4, set(PLOTS) - {"importances"}),
    "no parameter": (ONLY_STARTS, ["completed"] * 4, {"history"}),
}


@pytest.mark.parametrize("name", AWKWARD)
def test_every_study_has_its_page(name: str, tmp_path: Path) -> None:
    ranges, outcomes, expected = AWKWARD[name]
    study = study_of(tmp_path, ranges, outcomes)
    drawn = figures(study, metric=METRIC)
    assert list(drawn) == list(PLOTS)
    shown = {key for key, figure in drawn.items() if not isinstance(figure, str)}
    assert shown == expected
    page = plots_page(study, metric=METRIC, title="<toy> & co").decode()
    assert page.count("Left out: ") == len(PLOTS) - len(expected)
    assert "<h1>&lt;toy&gt; &amp; co</h1>" in page
    assert page.count("Plotly.newPlot(") >= len(expected)


def test_the_page_holds_its_script_once_and_loads_nothing(tmp_path: Path) -> None:
    page = plots_page(
        study_of(tmp_path, CONDITIONAL, ["completed"] * 3), metric=METRIC, title="toy"
    ).decode()
    assert len(page) < 8e6
    assert page.count("plotly.js v") == 1
    assert not re.search(r"""<(script|link|img|iframe)[^>]+(src|href)=["']?http""", page)


def test_a_figure_names_the_objective_and_the_settings(tmp_path: Path) -> None:
    drawn = figures(study_of(tmp_path, CONDITIONAL, ["completed"] * 6), metric=METRIC)
    for name, figure in drawn.items():
        text = figure.to_json().replace(".\\u003cbr\\u003e", ".")
        assert METRIC in text, name
        assert name == "history" or "generator_optimizer.adam.lr" in text, name


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


def test_a_parameter_that_decides_everything_has_all_the_importance() -> None:
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))

    def objective(trial: optuna.Trial) -> float:
        x, _ = trial.suggest_float("x", 0, 1), trial.suggest_float("idle", 0, 1)
        return x

    study.optimize(objective, n_trials=60)
    bars = figures(study, metric=METRIC)["importances"].data[0]
    shares = dict(zip(bars.y, bars.x, strict=True))
    assert shares["x"] > 0.9
    assert math.fsum(shares.values()) == pytest.approx(1)


def test_plotly_is_loaded_for_the_plots_only() -> None:
    script = (
        "import sys, gan_tune.service, gan_tune.searching.plots; print('plotly' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
