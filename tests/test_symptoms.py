"""Symptoms: told from made-up histories, and provoked in real training."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from conftest import trial_config
from torch import Tensor

from gan_tune.data.by_name import load_dataset
from gan_tune.data.dataset import Dataset, Mixture
from gan_tune.data.scaling import in_data_space
from gan_tune.gan.symptoms import SYMPTOMS, Vitals, symptoms
from gan_tune.gan.training import Report, train
from gan_tune.metrics import Judge, build_judge
from gan_tune.parts.all_parts import dataset_of

SOUND = Vitals(1.0, 2.0, 1.0, 2.0, 0.7, 0.7, 10.0)


def vitals(**changes: float) -> Vitals:
    return SOUND._replace(**changes)


def test_a_sound_history_shows_nothing() -> None:
    falling = [vitals(value=100 / (i + 1), generator_norm=1 / (i + 1)) for i in range(20)]
    assert symptoms(falling) == ()
    assert symptoms([]) == ()


HISTORIES: dict[str, list[Vitals]] = {
    "vanishing": [SOUND, vitals(generator_norm=9e-3)],
    "exploding": [SOUND, vitals(discriminator_norm_max=51.0)],
    "oscillating": [vitals(value=v) for v in (10.0, 5.0, 9.0, 5.0, 9.0, 5.0)],
    "dominated": [SOUND, *[vitals(accuracy_real=1.0, accuracy_fake=0.995)] * 2],
    "mode_dropping": [SOUND, *[vitals(density=1.2, coverage=0.49)] * 2],
    "repeating": [SOUND, *[vitals(distinct=0.39)] * 2],
}


@pytest.mark.parametrize("name", SYMPTOMS)
def test_each_is_told_from_its_history_alone(name: str) -> None:
    assert symptoms(HISTORIES[name]) == (name,)


@pytest.mark.parametrize("name", SYMPTOMS)
def test_just_inside_the_threshold_is_sound(name: str) -> None:
    inside = {
        "vanishing": [SOUND, vitals(generator_norm=1.1e-2)],
        "exploding": [SOUND, vitals(discriminator_norm_max=49.0)],
        "oscillating": [vitals(value=v) for v in (10.0, 5.0, 7.4, 5.0, 7.4, 5.0, 7.4)],
        "dominated": [SOUND, vitals(accuracy_real=1.0, accuracy_fake=0.995)],
        "mode_dropping": [SOUND, *[vitals(density=1.2, coverage=0.51)] * 2],
        "repeating": [vitals(distinct=0.39), vitals(distinct=0.4)],
    }
    assert symptoms(inside[name]) == ()


def test_ups_and_downs_within_the_noise_are_no_oscillation() -> None:
    wobble = (1.0, 2.9, 1.0, 2.9, 1.0, 2.9, 1.0, 2.9)
    assert symptoms([vitals(value=v, noise=1.0) for v in wobble]) == ()
    assert symptoms([vitals(value=v, noise=0.1) for v in wobble]) == ("oscillating",)


@cache
def judged(name: str) -> tuple[Dataset, Judge]:
    dataset = load_dataset(name)
    return dataset, build_judge(dataset, "selection")


NO_UPS_AND_DOWNS = {
    "reverse_kl": (0.0009, 0.002),
    "kernel_distance": (-1e-4, 1e-4),
    "coverage": (0.0, 0.002),
    "modes_covered": (8.0, 5.0),
    "energy_distance": (0.024, 0.04),
}
"""Objective → two values between which the draw of the samples alone may move it."""
UPS_AND_DOWNS = {
    "reverse_kl": (0.02, 0.2),
    "kernel_distance": (0.02, 0.2),
    "coverage": (0.2, 0.6),
    "modes_covered": (8.0, 2.0),
    "energy_distance": (0.05, 0.3),
}


@pytest.mark.parametrize("metric", UPS_AND_DOWNS)
def test_an_objective_oscillates_by_its_own_noise(metric: str) -> None:
    noise = judged("ring")[1].noise[metric]
    for pair, shown in ((NO_UPS_AND_DOWNS[metric], ()), (UPS_AND_DOWNS[metric], ("oscillating",))):
        assert symptoms([vitals(value=v, noise=noise) for v in pair * 5]) == shown


@pytest.mark.parametrize("name", ["digits", "ring"])
def test_real_samples_do_not_oscillate_by_any_metric_of_samples(name: str) -> None:
    """Fresh real samples at each report: all ups and downs are those of the draw."""
    dataset, judge = judged(name)
    random = np.random.RandomState(0)
    drawn = [
        judge(in_data_space(torch.tensor(random.permutation(dataset.train)[: judge.count])))
        for _ in range(12)
    ]
    metrics = judge.noise.keys() & drawn[0].keys()
    assert {"frechet_distance", "coverage", "precision"} <= metrics
    for metric in metrics:
        history = [vitals(value=f[metric], noise=judge.noise[metric]) for f in drawn]
        assert symptoms(history) == (), metric


def test_ups_and_downs_long_after_the_worst_count_where_they_are_more_than_slight() -> None:
    for worst, shown in ((100.0, ("oscillating",)), (10_000.0, ())):
        assert symptoms([vitals(value=v) for v in (worst, *(2.0, 6.0) * 5)]) == shown


def mixture_samples(mixture: Mixture, modes: int) -> Tensor:
    """As many good samples as the judge wants, of the first few modes alone."""
    few = replace(mixture, modes=mixture.modes[:modes])
    return torch.tensor(few.draw(judged("ring")[1].count, seed=1))


@pytest.mark.parametrize("modes", range(1, 9))
def test_one_mode_of_eight_is_missed(modes: int) -> None:
    dataset, judge = judged("ring")
    assert dataset.mixture is not None
    figures = judge(mixture_samples(dataset.mixture, modes))
    shown = vitals(
        modes_missed=8 - figures["modes_covered"], high_quality_share=figures["high_quality_share"]
    )
    assert symptoms([shown] * 2) == (("mode_dropping",) if modes < 8 else ())
    assert symptoms([shown]) == ()


@pytest.mark.parametrize("classes", [1, 2, 4, 10])
def test_digits_of_some_classes_alone_are_dropped_modes(classes: int) -> None:
    dataset, judge = judged("digits")
    assert dataset.train_labels is not None
    some = np.flatnonzero(dataset.train_labels < classes)
    drawn = np.random.RandomState(0).choice(some, judge.count, replace=classes < 4)
    figures = judge(in_data_space(torch.tensor(dataset.train[drawn])))
    shown = vitals(density=figures["density"], coverage=figures["coverage"])
    assert symptoms([shown] * 2) == (("mode_dropping",) if classes < 10 else ())


def test_samples_that_are_nowhere_drop_no_modes() -> None:
    assert symptoms([vitals(modes_missed=8.0, high_quality_share=0.1)] * 2) == ()
    assert symptoms([vitals(density=0.01, coverage=0.001)] * 2) == ()


def test_a_generator_that_never_heard_anything_has_vanished() -> None:
    for norm in (0.0, 1e-9):
        silent = vitals(generator_norm=norm, generator_norm_max=norm)
        assert symptoms([silent] * 3) == ("vanishing",)


def test_what_is_not_finite_has_exploded() -> None:
    assert "exploding" in symptoms([vitals(generator_norm_max=math.inf)])
    assert "exploding" in symptoms([vitals(generator_norm_max=math.nan)])


@pytest.mark.parametrize("name", ["exploding", "dominated"])
def test_reports_without_a_step_of_the_discriminator_say_nothing_of_it(name: str) -> None:
    idle = Vitals(1.0, 2.0, None, None, None, None, 10.0)
    assert symptoms([SOUND, idle, idle, idle]) == ()
    seen = HISTORIES[name]
    assert symptoms([*seen[:-1], idle, idle, idle, *seen[-1:]]) == (name,)


def test_a_block_longer_than_the_way_between_reports_is_sound() -> None:
    shown = last_report(steps=40, block={"both": 10, "generator": 10}).symptoms
    assert shown == ("repeating",)  # forty steps make no samples that differ


ADAM = {"name": "adam", "lr": 1e-3, "beta1": 0.5}
PROVOKED: dict[str, dict[str, Any]] = {
    # The saturating loss, and a discriminator that is always ahead.
    "vanishing": {
        "loss": "minimax",
        "d_steps": 5,
        "generator_optimizer": {"name": "sgd", "lr": 1e-5},
        "discriminator_optimizer": {"name": "adam", "lr": 1e-2},
    },
    # A critic without any bound on its slope.
    "exploding": {
        "loss": "wasserstein",
        "discriminator_optimizer": {"name": "sgd", "lr": 1.0},
    },
    # Both players chase each other with momentum, by the other's last move.
    "oscillating": {
        "data": {"name": "ring", "batch_size": 64, "scale": "symmetric"},
        "generator": {"name": "mlp", "latent": 2, "hidden": [64], "output": "linear"},
        "discriminator": {"name": "mlp", "hidden": [64]},
        "loss": "wasserstein",
        "weight_clip": 0.1,
        "update": "simultaneous",
        "generator_optimizer": {"name": "adam", "lr": 1e-2, "beta1": 0.9},
        "discriminator_optimizer": {"name": "adam", "lr": 1e-2, "beta1": 0.9},
        "objective": {"metric": "energy_distance", "mode": "min"},
        "evaluations": 30,
    },
    # A generator that hardly moves.
    "dominated": {
        "generator_optimizer": {"name": "sgd", "lr": 1e-5},
        "discriminator_optimizer": ADAM,
    },
    # A ring of wide modes, with neither a penalty nor an average to keep eight modes.
    "mode_dropping": {
        "data": {"name": "ring", "batch_size": 64, "scale": "symmetric", "sigma": 0.2},
        "generator": {"name": "mlp", "latent": 2, "hidden": [32], "output": "linear"},
        "discriminator": {"name": "mlp", "hidden": [32]},
        "generator_optimizer": {"name": "adam", "lr": 1e-3, "beta1": 0.9},
        "discriminator_optimizer": {"name": "adam", "lr": 1e-3, "beta1": 0.9},
        "objective": {"metric": "energy_distance", "mode": "min"},
        "steps": 640,
        "evaluations": 4,
        "seed": 6,
    },
    # Small and without any remedy.
    "repeating": {"generator_optimizer": ADAM, "discriminator_optimizer": ADAM},
}


@pytest.mark.ci
@pytest.mark.parametrize("name", SYMPTOMS)
def test_each_can_be_provoked(name: str) -> None:
    assert name in last_report(**PROVOKED[name]).symptoms


def test_the_plain_gan_of_the_digits_drops_modes() -> None:
    """Dense where it draws (density 1.6), a tenth covered."""
    assert last_report(**PROVOKED["repeating"]).symptoms == ("mode_dropping", "repeating")


def test_sound_training_shows_none() -> None:
    """The champion of the shipped search of the digits, smaller."""
    sound = last_report(
        data={"name": "digits", "batch_size": 64},
        generator={"name": "mlp", "latent": 32, "hidden": [64, 128], "norm": "batch"},
        discriminator={"name": "mlp", "hidden": [128, 64]},
        loss="hinge",
        generator_optimizer={"name": "rmsprop", "lr": 2.66e-3},
        discriminator_optimizer={"name": "adam", "lr": 8.5e-4, "beta1": 0.0},
        penalties=[{"name": "r1", "weight": 0.13}],
        ema=0.995,
        steps=900,
        evaluations=3,
    )
    assert sound.symptoms == ()


def last_report(**changes: Any) -> Report:
    off = {"collapse": {"variety": 0.0}, "steps": 600, "evaluations": 10}
    config = trial_config(**{**off, **changes})
    dataset = dataset_of(config.data)
    *_, last = train(config, dataset, build_judge(dataset, "selection"))
    return last


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("values", [(10.0, 5.0, 9.0, 5.0, 9.0, 5.0), (10.0, 5.0, 7.4, 5.0, 7.4)])
def test_an_objective_without_a_finite_value_is_no_swing(
    values: tuple[float, ...], bad: float
) -> None:
    """Wherever it stands, the others say what they say without it."""
    told = symptoms([vitals(value=v) for v in values])
    for place in range(len(values) + 1):
        history = [vitals(value=v) for v in (*values[:place], bad, *values[place:])]
        assert symptoms(history) == told, place
    assert symptoms([vitals(value=bad)] * 6) == ()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_mean_norm_that_is_not_finite_says_nothing_of_vanishing(bad: float) -> None:
    faint, sound = vitals(generator_norm=9e-3), vitals(generator_norm=1.1e-2)
    broken = vitals(generator_norm=bad)
    for last, told in ((faint, True), (sound, False)):
        for history in ([broken, SOUND, last], [SOUND, broken, last], [SOUND, last, broken]):
            assert SYMPTOMS["vanishing"](history) == told
    assert not SYMPTOMS["vanishing"]([broken])


@pytest.mark.parametrize("player", ["generator", "discriminator"])
def test_a_leap_of_either_player_is_told_from_its_own_means(player: str) -> None:
    """The other's norms are a thousand times as long and say nothing of it."""
    other = {"generator": "discriminator", "discriminator": "generator"}[player]
    long = {f"{other}_norm": 1000.0, f"{other}_norm_max": 2000.0}

    def history(peak: float) -> list[Vitals]:
        norms = ((1.0, 3.0), (3.0, 4.0), (2.0, peak))
        return [vitals(**long, **{f"{player}_norm": m, f"{player}_norm_max": p}) for m, p in norms]

    assert symptoms(history(99.0)) == ()  # 50 times the mean of 1 and 3
    assert symptoms(history(101.0)) == ("exploding",)
    assert symptoms(history(math.inf)) == ("exploding",)


@pytest.mark.parametrize("real", [0.9, 0.985, 0.995])
@pytest.mark.parametrize("fake", [0.9, 0.985, 0.995])
def test_the_discriminator_dominates_where_it_is_right_about_both(real: float, fake: float) -> None:
    won = vitals(accuracy_real=real, accuracy_fake=fake)
    dominates = real > 0.99 and fake > 0.99
    assert SYMPTOMS["dominated"]([won] * 2 + [SOUND]) == dominates
    assert not SYMPTOMS["dominated"]([won] * 2 + [SOUND] * 2), "half of them are not over half"


@pytest.mark.parametrize("missed", [0.0, 1.0])
@pytest.mark.parametrize("share", [0.3, 0.4])
def test_a_mixtures_modes_are_dropped_where_samples_lie_on_others(
    share: float, missed: float
) -> None:
    shown = vitals(high_quality_share=share, modes_missed=missed)
    expected = share > 0.35 and missed > 0
    assert SYMPTOMS["mode_dropping"]([shown] * 2) == expected
    assert not SYMPTOMS["mode_dropping"]([shown, SOUND])
    assert not SYMPTOMS["mode_dropping"]([SOUND, shown])
    assert not SYMPTOMS["mode_dropping"]([shown])


@pytest.mark.parametrize(
    ("density", "coverage", "crowded"),
    [
        (0.34, 0.1, False),
        (0.4, 0.19, True),
        (0.4, 0.21, False),
        (1.0, 0.49, True),
        (3.0, 0.51, False),
        (3.0, 0.49, True),
    ],
)
def test_samples_crowd_where_coverage_is_under_half_of_density(
    density: float, coverage: float, crowded: bool
) -> None:
    """A density beyond that of real samples counts as theirs, which is 1."""
    shown = vitals(density=density, coverage=coverage)
    assert SYMPTOMS["mode_dropping"]([SOUND, shown, shown]) == crowded
