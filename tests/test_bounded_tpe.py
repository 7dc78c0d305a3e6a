"""TPE that sees the good and the latest trials proposes as Optuna's own does, but faster."""

from __future__ import annotations

from collections.abc import Iterator

import optuna
import pytest
from optuna.samplers import RandomSampler, TPESampler
from optuna.trial import Trial, TrialState, create_trial

from gan_tune.searching.study import bounded_tpe
from gan_tune.searching.study.bounded_tpe import BoundedTPE, bounded
from gan_tune.searching.study.optuna_internals import quiet_optuna


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with quiet_optuna():
        yield


def draw(trial: Trial) -> float:
    """A conditional space of two groups of ranges."""
    if trial.suggest_categorical("optimizer", ["adam", "sgd"]) == "adam":
        return trial.suggest_float("lr", 1e-5, 1e-1, log=True)
    return 1 + trial.suggest_float("momentum", 0, 1)


def searched(trials: int, objectives: int = 1) -> optuna.Study:
    """A study of which every third trial was pruned, and the last one runs."""
    study = optuna.create_study(directions=["minimize"] * objectives, sampler=RandomSampler(seed=0))
    for number in range(trials):
        trial = study.ask()
        value = draw(trial)
        if number % 3 or objectives > 1:
            study.tell(trial, [value] * objectives)
        else:
            trial.report(value, 1)
            study.tell(trial, state=TrialState.PRUNED)
    draw(study.ask())
    return study


def proposal(study: optuna.Study, sampler: TPESampler) -> dict[str, object]:
    study.sampler = sampler
    trial = study.ask()
    draw(trial)
    return trial.params


OPTIONS = {"seed": 7, "multivariate": True, "group": True, "constant_liar": True}


@pytest.mark.parametrize("objectives", [1, 2])
@pytest.mark.parametrize("multivariate", [True, False])
def test_up_to_a_thousand_trials_it_is_optunas_own(objectives: int, multivariate: bool) -> None:
    options = {**OPTIONS, "multivariate": multivariate, "group": multivariate}
    mine, theirs = searched(40, objectives), searched(40, objectives)
    assert bounded(mine) is mine
    assert proposal(mine, BoundedTPE(**options)) == proposal(theirs, TPESampler(**options))


@pytest.mark.parametrize("objectives", [1, 2])
def test_of_more_it_sees_the_good_and_the_latest(
    monkeypatch: pytest.MonkeyPatch, objectives: int
) -> None:
    monkeypatch.setattr(bounded_tpe, "LATEST", 20)
    study = searched(90, objectives)
    seen = {trial.number for trial in bounded(study).get_trials(deepcopy=False)}
    ended = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    best = min(ended, key=lambda trial: trial.values[0]).number
    assert {90, *range(72, 90), best} <= seen, "the running one, the latest, and the best"
    assert 20 + 1 < len(seen) <= 20 + 1 + 25, "Optuna takes 25 as good, at most"
    assert proposal(study, BoundedTPE(**OPTIONS)), "and proposes from them"
    assert len(study.trials) == 92, "nothing is lost in the study itself"


def test_a_good_trial_of_long_ago_still_draws_proposals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_tpe, "LATEST", 20)
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    narrow = optuna.distributions.FloatDistribution(0, 1)
    for number in range(200):
        x = 0.25 + number / 10_000 if number < 10 else 0.5 + number / 500
        study.add_trial(
            create_trial(params={"x": x}, distributions={"x": narrow}, value=abs(x - 0.25))
        )
    drawn = []
    for seed in range(20):
        study.sampler = BoundedTPE(**{**OPTIONS, "seed": seed})
        trial = study.ask()
        drawn.append(trial.suggest_float("x", 0, 1))
        study.tell(trial, state=TrialState.FAIL)
    assert sum(x < 0.4 for x in drawn) >= 15, drawn
