"""What is read off a study."""

from __future__ import annotations

import optuna
import pytest

from gan_tune.config import Objective
from gan_tune.searching.study.reading import further_values, objective_of


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
@pytest.mark.parametrize(("direction", "mode"), [("minimize", "min"), ("maximize", "max")])
def test_the_first_objective_is_told_by_its_metric_and_mode(direction: str, mode: str) -> None:
    study = optuna.create_study(directions=[direction, "minimize"])
    study.set_metric_names(["coverage", "generator_parameters"])
    assert objective_of(study) == Objective.model_validate({"metric": "coverage", "mode": mode})
    study.add_trial(optuna.trial.create_trial(values=[0.5, 300.0]))
    assert further_values(study.trials[0], study) == {"generator_parameters": 300}


@pytest.mark.parametrize(("direction", "mode"), [("minimize", "min"), ("maximize", "max")])
def test_a_study_of_one_objective_tells_its_mode(direction: str, mode: str) -> None:
    study = optuna.create_study(direction=direction)
    assert objective_of(study).mode == mode
    study.add_trial(optuna.trial.create_trial(value=0.5))
    assert further_values(study.trials[0], study) == {}
