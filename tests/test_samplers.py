"""Samplers: all can be asked at once, go on where they were, and learn what they promise."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import optuna
import pytest
from conftest import trial_tree
from optuna.trial import TrialState

from gan_tune.config import Argument, signature_arguments
from gan_tune.errors import SpaceError
from gan_tune.parts.all_parts import catalogue
from gan_tune.searching.jobs import Job
from gan_tune.searching.study import samplers
from gan_tune.searching.study.opening import open_study
from gan_tune.searching.study.samplers import SAMPLERS
from gan_tune.searching.study.seeds import Seeds
from gan_tune.searching.study.study import Study
from gan_tune.service.running.recording import space_params
from gan_tune.space import SearchSpace

RATE = {"log_uniform": [1e-4, 1e-2]}
LEFT_OUT = ("steps", "evaluations", "seed")
TREE = {key: value for key, value in trial_tree().items() if key not in LEFT_OUT}
LOSS = {"choice": ["hinge", "non_saturating"]}
NESTED = {"choice": [{"name": "adam", "lr": RATE}, {"name": "sgd", "lr": RATE}]}

EARLY = {"tpe": {"startup": 4}, "gp": {"startup": 4}, "cmaes": {"population": 4}}
"""Options that make a sampler learn early."""

READS_CONSTRAINTS = {"tpe", "random", "qmc"}
"""Samplers that learn of what diverged from its constraint, or learn nothing; the others must be
told a bad value."""

every_sampler = pytest.mark.parametrize("name", SAMPLERS)


def space(sampler: Any, scheduler: str = "none", **trial: Any) -> SearchSpace:
    tree = {
        "name": "toy",
        "budget": {"trials": 6, "steps": 100},
        "search": {"sampler": sampler, "scheduler": scheduler},
        "trial": TREE
        | {"generator_optimizer": {"name": "adam", "lr": RATE, "beta1": {"uniform": [0, 0.9]}}}
        | trial,
        "start_from": [{"generator_optimizer": {"lr": 1e-3, "beta1": 0.5}}],
    }
    if trial:
        del tree["start_from"]
    return SearchSpace.load(tree, catalogue())


def eager(name: str) -> dict[str, Any]:
    return {"name": name, **EARLY.get(name, {})}


def rate(job: Job) -> float:
    return float(job.config.generator_optimizer.args["lr"])


def end(study: Study, job: Job, value: float) -> None:
    study.report(job.setting, 100, value)
    study.tell(job.setting, "completed", value)


# ---------------------------------------------------------------- options


def variants(argument: Argument) -> list[Any]:
    """Values that an option may take beside its default."""
    schema = argument.json_schema()
    if "enum" in schema:
        return [value for value in schema["enum"] if value != argument.default]
    if schema.get("type") == "boolean":
        return [not argument.default]
    return [12]


OPTIONS = [
    (name, argument.name, value)
    for name, sampler in SAMPLERS.items()
    for argument in signature_arguments(sampler.build).values()
    for value in variants(argument)
]


@pytest.mark.parametrize(("name", "option", "value"), OPTIONS)
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_every_option_reaches_optuna(name: str, option: str, value: Any) -> None:
    seeds = Seeds(1, 2)
    plain = SAMPLERS[name].build(seeds)
    changed = SAMPLERS[name].build(seeds, **{option: value})
    assert isinstance(changed, optuna.samplers.BaseSampler)
    differing = {
        key
        for key in vars(plain)
        if isinstance(vars(plain)[key], (bool, int, str, type(None)))
        and vars(plain)[key] != vars(changed)[key]
    }
    assert differing


# ---------------------------------------------------------------- asking


@every_sampler
def test_the_settings_to_start_from_come_first(name: str, tmp_path: Path) -> None:
    first = open_study(tmp_path / "study.journal", space(name)).ask()
    assert (rate(first), first.config.generator_optimizer.args["beta1"]) == (1e-3, 0.5)


@every_sampler
def test_many_can_be_asked_at_once_and_all_differ(name: str, tmp_path: Path) -> None:
    study = open_study(tmp_path / "study.journal", space(eager(name)))
    assert len({rate(study.ask()) for _ in range(16)}) == 16


@pytest.mark.parametrize(
    "sampler",
    [
        *map(eager, SAMPLERS),
        *(
            {**eager("cmaes"), "variant": variant}
            for variant in ("separable", "margin", "adaptive")
        ),
        {"name": "qmc", "sequence": "halton", "scramble": False},
        {**eager("tpe"), "multivariate": False},
    ],
    ids=lambda sampler: " ".join(map(str, sampler.values())),
)
def test_a_study_taken_up_again_proposes_what_it_would_have(
    sampler: dict[str, Any], tmp_path: Path
) -> None:
    """What a sampler knows is in the study, so that no command need remember it."""
    generator = {"name": "adam", "lr": RATE, "beta1": {"uniform": [0, 0.9]}}
    checked = space(sampler, generator_optimizer=generator, d_steps={"int": [1, 4]}, loss=LOSS)
    whole = open_study(tmp_path / "whole.journal", checked)
    for _ in range(12):
        job = whole.ask()
        cut = open_study(tmp_path / "cut.journal", checked)
        again = cut.ask()
        assert again.config == job.config
        for study, one in ((whole, job), (cut, again)):
            end(study, one, abs(math.log10(rate(one)) + 3))


@every_sampler
def test_another_seed_proposes_something_else(name: str, tmp_path: Path) -> None:
    checked = space(name, loss=LOSS)
    other = SearchSpace.load(checked.tree, catalogue(), overrides=["search.seed=1"])
    first = [open_study(tmp_path / f"{i}.journal", s) for i, s in enumerate((checked, other))]
    for _ in range(2):
        one, two = (study.ask() for study in first)
        assert rate(one) != rate(two)


@pytest.mark.parametrize("sequence", ["sobol", "halton"])
def test_qmc_fills_a_range_evenly_across_commands(sequence: str, tmp_path: Path) -> None:
    """Of the first 2^k points of a (scrambled) Sobol sequence each lies in a 2^k-th of its own."""
    checked = space({"name": "qmc", "sequence": sequence})
    path = tmp_path / "study.journal"
    end(study := open_study(path, checked), study.ask(), 1.0)
    parts = sorted(
        int(16 * (math.log10(rate(open_study(path, checked).ask())) + 4) / 2) for _ in range(16)
    )
    if sequence == "sobol":
        assert parts == list(range(16))
    else:
        assert len(set(parts)) >= 12


# ---------------------------------------------------------------- learning


@every_sampler
def test_what_diverged_is_told_in_the_way_the_sampler_reads(name: str, tmp_path: Path) -> None:
    study = open_study(tmp_path / "study.journal", space(name))
    early, good, bad, late = (study.ask() for _ in range(4))
    study.tell(early.setting, "diverged", None)
    end(study, good, 1.0)
    end(study, bad, 3.0)
    study.tell(late.setting, "collapsed", 0.5)
    told = study.optuna_study.trials
    assert told[0].state == TrialState.PRUNED, "there was no finite value yet"
    if name in READS_CONSTRAINTS:
        assert told[3].state == TrialState.PRUNED
    else:
        assert (told[3].state, told[3].value) == (TrialState.COMPLETE, 3.0)
    assert told[3].constraints == {"health": 1.0}
    assert [s.outcome for s in study.settings()] == [
        "diverged", "completed", "completed", "collapsed",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["tpe", "gp", "cmaes"])
def test_a_sampler_that_learns_finds_the_best_rate_and_avoids_what_diverges(
    name: str, tmp_path: Path
) -> None:
    study = open_study(tmp_path / "study.journal", space(eager(name)))
    rates = []
    for _ in range(30):
        job = study.ask()
        rates.append(math.log10(rate(job)))
        if rates[-1] > -3:  # half of the range
            study.tell(job.setting, "diverged", None)
        else:
            end(study, job, abs(rates[-1] + 3.5))
    late = rates[-10:]
    assert sum(r > -3 for r in late) <= 3, "5 by chance"
    assert sum(abs(r + 3.5) for r in late) / 10 < 0.45, "0.62 by chance"


# ---------------------------------------------------------------- limits


@pytest.mark.parametrize(
    ("sampler", "scheduler", "trial", "warned"),
    [
        ("tpe", "asha", {"generator_optimizer": NESTED}, None),
        ("random", "asha", {"generator_optimizer": NESTED}, None),
        ("qmc", "asha", {"loss": LOSS}, None),
        ("gp", "none", {"loss": LOSS}, None),
        ("cmaes", "asha", {}, None),
        ("cmaes", "asha", {"loss": LOSS}, "cmaes draws the options of a choice at random"),
        ("gp", "none", {"generator_optimizer": NESTED}, "gp draws parameters that exist only"),
        ("gp", "median", {}, "gp learns only from trials that ran their full length"),
        ("qmc", "none", {"generator_optimizer": NESTED}, "qmc covers evenly only the ranges"),
        ({"name": "cmaes", "pruned": False}, "asha", {}, "cmaes with pruned: false learns only"),
        ({"name": "cmaes", "pruned": False}, "none", {}, None),
    ],
)
def test_what_a_sampler_does_badly_is_warned_of(
    sampler: Any, scheduler: str, trial: dict[str, Any], warned: str | None
) -> None:
    warnings = space(sampler, scheduler, **trial).warnings
    assert len(warnings) == (warned is not None)
    assert all(line.startswith(f"search.sampler: {warned}") for line in warnings)


@pytest.mark.parametrize(
    ("trial", "rule"),
    [
        ({"generator_optimizer": NESTED}, "cmaes needs the same ranges of numbers in every"),
        (
            {"generator_optimizer": {"name": "adam", "lr": 1e-3}, "loss": LOSS},
            "cmaes needs ranges of numbers, but the space has none",
        ),
    ],
)
def test_what_cmaes_cannot_do_is_refused(trial: dict[str, Any], rule: str) -> None:
    with pytest.raises(SpaceError) as raised:
        space("cmaes", **trial)
    (fault,) = raised.value.faults
    assert str(fault).startswith(f"search.sampler: does not go with trial: {rule}")


def test_the_record_shows_a_part_by_its_name_and_its_arguments() -> None:
    params = space_params(space({"name": "qmc", "scramble": False}))
    assert params["search.sampler"] == "qmc"
    assert params["search.sampler.sequence"] == "sobol"
    assert params["search.sampler.scramble"] is False
    assert (params["search.scheduler"], params["budget.steps"]) == ("none", 100)


def test_cmaes_without_its_package_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(samplers, "find_spec", lambda name: None)
    with pytest.raises(SpaceError, match=r"^search.sampler: .*: pip install cmaes$"):
        open_study(tmp_path / "study.journal", space("cmaes"))


@pytest.mark.parametrize(
    ("metric", "mode", "worst"), [("frechet_distance", "min", 3.0), ("precision", "max", 1.0)]
)
def test_a_bad_value_is_the_worst_by_the_objectives_mode(
    metric: str, mode: str, worst: float, tmp_path: Path
) -> None:
    checked = space("gp")
    overrides = [f"objective={{metric: {metric}, mode: {mode}}}"]
    other = SearchSpace.load(checked.tree, catalogue(), overrides=overrides)
    study = open_study(tmp_path / "study.journal", other)
    for value in (2.0, 1.0, 3.0):
        end(study, study.ask(), value)
    diverged = study.ask()
    study.tell(diverged.setting, "diverged", None)
    assert study.optuna_study.trials[-1].value == worst
