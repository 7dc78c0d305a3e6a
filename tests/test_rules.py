"""The rules between parts, each with a trial that breaks it and one beside it that does not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import trial_tree

from gan_tune.config import Incompatibility, TrialConfig
from gan_tune.errors import ConfigError, SpaceError
from gan_tune.gan.estimators import OBSTACLES
from gan_tune.gan.networks.layers import ACTIVATIONS
from gan_tune.gan.players import PLAYERS
from gan_tune.metrics import BEST_NEAR_ONE, METRICS
from gan_tune.parts.all_parts import catalogue
from gan_tune.parts.incompatibilities import INCOMPATIBILITIES
from gan_tune.space import SearchSpace

Changes = dict[str, Any]

PICTURES: Changes = {"data": {"name": "digits", "batch_size": 16}}
RING: Changes = {
    "data": {"name": "ring", "batch_size": 16, "scale": "symmetric", "size": 500},
    "generator": {"name": "mlp", "latent": 2, "hidden": [4], "output": "tanh"},
    "discriminator": {"name": "mlp", "hidden": [4]},
    "objective": {"metric": "energy_distance", "mode": "min"},
}


def data(name: str, **args: Any) -> Changes:
    return {"data": {"name": name, "batch_size": 16, **args}}


def generator(**args: Any) -> Changes:
    return {"generator": {"name": "mlp", "latent": 4, "hidden": [4], **args}}


def discriminator(**args: Any) -> Changes:
    return {"discriminator": {"name": "mlp", "hidden": [4], **args}}


def penalty(name: str, **args: Any) -> Changes:
    return {"penalties": [{"name": name, "weight": 1.0, **args}]}


R1, ENCODER = penalty("r1"), {"encoder": {"name": "mlp", "hidden": [4]}}
ESTIMATE = {"name": "random_directions", "directions": 2}
CLIPPED: Changes = {"loss": "wasserstein", "weight_clip": 0.01}
KL = {"sparsity": {"name": "kl", "weight": 1.0}}


def own(role: str, layer: str) -> Changes:
    """A network of a user's own with a layer that its name does not tell of."""
    names = {"generator": "LayeredGenerator", "discriminator": "Discriminator"}
    return {role: {"name": f"user_networks:{names[role]}", "layer": layer}}


EXAMPLES: dict[str, tuple[Changes, Changes]] = {
    "sigmoid reaches": (
        data("digits", scale="symmetric") | generator(output="sigmoid"),
        data("digits", scale="none") | generator(output="sigmoid"),
    ),
    "tanh reaches only -1..1, but standardised": (
        RING | data("ring", scale="standard") | generator(output="tanh"),
        RING | data("ring", scale="symmetric") | generator(output="tanh"),
    ),
    "tanh reaches only -1..1, but columns": (
        RING | data("ring", scale="by_column") | generator(output="tanh"),
        RING | data("ring", scale="by_column") | generator(output="linear"),
    ),
    "by_column is for points": (
        data("digits", scale="by_column"),
        RING | data("ring", scale="by_column") | generator(output="linear"),
    ),
    "tanh reaches only -1..1, but unscaled": (
        RING | data("grid", scale="none") | generator(output="tanh"),
        RING | data("grid", scale="none") | generator(output="linear"),
    ),
    "batch norm ties": (discriminator(norm="batch") | R1, discriminator(norm="spectral") | R1),
    "batch norm takes": (
        discriminator(norm="batch") | {"loss": "relativistic"},
        discriminator(norm="batch") | {"loss": "hinge"},
    ),
    "a lazy penalty": (RING | penalty("r1", every=2), PICTURES | penalty("r1", every=2)),
    "values of two or three digits": (
        RING | {"precision": "bfloat16"},
        RING | {"precision": "auto"},
    ),
    "points have no pixels": (RING | {"augment": "diffaugment"}, {"augment": "diffaugment"}),
    "activation penalties": (
        generator(hidden=[]) | penalty("activation_l1"),
        generator(hidden=[4]) | penalty("activation_l1"),
    ),
    "k must be": (
        ENCODER | generator(latent=4) | {"sparsity": {"name": "k_sparse", "k": 5}},
        ENCODER | generator(latent=4) | {"sparsity": {"name": "k_sparse", "k": 4}},
    ),
    "kl asks": (
        KL | {"encoder": {"name": "mlp", "hidden": [4], "output": "relu"}},
        KL | ENCODER,
    ),
    "there is no code": (KL, KL | ENCODER),
    "an autoencoder needs": (
        ENCODER | {"generator_gradient": ESTIMATE},
        ENCODER | {"discriminator_gradient": ESTIMATE},
    ),
    "each perturbed copy would be augmented": (
        {"augment": "diffaugment", "generator_gradient": ESTIMATE},
        {"augment": "diffaugment", "discriminator_gradient": ESTIMATE},
    ),
    "each perturbed copy would get noise": (
        {"instance_noise": {"std": 0.1}, "generator_gradient": ESTIMATE},
        {"instance_noise": {"std": 0.0}, "generator_gradient": ESTIMATE},
    ),
}
"""How a rule's reason begins → a trial that breaks it, and one that does not."""

OWN_D: dict[tuple[str, str], Changes] = {
    ("discriminator", "penalties"): R1,
    ("discriminator", "loss"): {"loss": "relativistic"},
}
"""The rules of batch norm in a discriminator of a user's own, by their fields → the other part."""

ESTIMATES: dict[tuple[str, str], tuple[Changes, Changes]] = {
    ("generator_gradient", "generator.norm"): (generator(norm="batch"), generator(norm="none")),
    ("generator_gradient", "discriminator.norm"): (
        discriminator(norm="batch"),
        discriminator(norm="none"),
    ),
    ("discriminator_gradient", "discriminator.norm"): (
        discriminator(norm="spectral"),
        generator(norm="spectral"),
    ),
    ("generator_gradient", "penalties"): (
        penalty("l2", network="generator"),
        penalty("l2", network="discriminator"),
    ),
    ("discriminator_gradient", "penalties"): (R1, penalty("activation_l1")),
    **{
        (f"{player}_gradient", "matmul_precision"): (
            {"matmul_precision": "high"},
            {"matmul_precision": "highest"},
        )
        for player in PLAYERS
    },
    **{
        (f"{player}_gradient", "precision"): (
            {"precision": "bfloat16"},
            {"precision": "auto"},
        )
        for player in PLAYERS
    },
}
"""The rules of estimates, by their fields: with an estimate of the gradient that the first says."""

OBSTACLE_LAYERS = {
    "half precision": "half",
    "differences of values cannot be taken through batch": "batch",
    "differences of values cannot be taken through spectral": "spectral",
    "differences of values cannot be taken through dropout": "dropout",
}


def example(rule: Incompatibility) -> tuple[Changes, Changes]:
    one, other = rule.fields
    if rule.fields in OWN_D:
        bad, good = (own("discriminator", layer) for layer in ("batch", "none"))
        return bad | OWN_D[rule.fields], good | OWN_D[rule.fields]
    if rule.fields in ESTIMATES:
        bad, good = ESTIMATES[rule.fields]
        return {one: ESTIMATE} | bad, {one: ESTIMATE} | good
    if rule.reason in OBSTACLES:
        (layer,) = (OBSTACLE_LAYERS[s] for s in OBSTACLE_LAYERS if rule.reason.startswith(s))
        return {one: ESTIMATE} | own(other, layer), {one: ESTIMATE} | own(other, "none")
    (start,) = (text for text in EXAMPLES if rule.reason.startswith(text))
    return EXAMPLES[start]


def faults(changes: Changes) -> str:
    try:
        TrialConfig.from_tree(trial_tree(**changes), catalogue())
    except ConfigError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("rule", INCOMPATIBILITIES, ids=lambda r: f"{r.fields}: {r.reason}")
def test_a_rule_refuses_what_breaks_it_and_nothing_else(rule: Incompatibility) -> None:
    bad, good = example(rule)
    one, other = rule.fields
    told = [line for line in faults(bad).splitlines() if line.startswith(f"{one}: ")]
    assert any(f"does not go with {other}" in line and line.endswith(rule.reason) for line in told)
    assert faults(good) == ""


@pytest.mark.parametrize("tree", ["digits", 3, None, [1]])
def test_a_trial_is_a_mapping(tree: Any) -> None:
    with pytest.raises(ConfigError, match="a trial must be a mapping"):
        TrialConfig.from_tree(tree, catalogue())


def test_a_list_with_a_wrong_entry_is_not_called_too_short_as_well() -> None:
    wrong = {"augment": {"name": "diffaugment", "policy": ["colour"]}}
    assert faults(wrong).count("\n") == 0
    assert "augment.policy.0: must be" in faults(wrong)
    assert "must have at least 1 entries" in faults(
        {"augment": {"name": "diffaugment", "policy": []}}
    )


@pytest.mark.parametrize("metric", sorted(BEST_NEAR_ONE))
def test_what_is_best_near_1_is_no_objective(metric: str) -> None:
    trial = trial_tree(**({} if METRICS[metric].needs_no_mixture else RING))
    for name in ("objective", "steps", "evaluations", "seed"):
        trial.pop(name, None)
    tree = {
        "name": "toy",
        "objective": {"metric": metric, "mode": METRICS[metric].mode},
        "budget": {"steps": 10},
        "trial": trial,
    }
    with pytest.raises(SpaceError, match=f"objective.metric: {metric} is best near 1"):
        SearchSpace.load(tree, catalogue())


@pytest.mark.parametrize(
    ("output", "low", "high", "refused"),
    [
        ("sigmoid", 0, 1, False),
        ("sigmoid", -0.5, 1, True),
        ("tanh", -1, 1, False),
        ("tanh", 0, 1.5, True),
    ],
)
def test_a_table_may_lie_where_the_output_reaches(
    output: str, low: float, high: float, refused: bool, tmp_path: Path
) -> None:
    path = tmp_path / "table.npy"
    np.save(path, np.linspace(low, high, 200, dtype=np.float32)[:, None].repeat(2, 1))
    table = RING | data("npz", path=str(path), scale="none") | generator(output=output)
    assert ("reaches only" in faults(table)) == refused


ADVISED: dict[str, tuple[Changes, Changes]] = {
    "tanh reaches": (
        PICTURES | generator(output="tanh"),
        data("digits", scale="symmetric") | generator(output="tanh"),
    ),
    "diffaugment's brightness": (
        PICTURES | {"augment": "diffaugment"},
        data("digits", scale="symmetric") | generator(output="tanh") | {"augment": "diffaugment"},
    ),
    "l1 makes": (
        ENCODER | {"sparsity": {"name": "l1", "weight": 0.1}},
        {
            "encoder": {"name": "mlp", "hidden": [4], "output": "relu"},
            "sparsity": {"name": "l1", "weight": 0.1},
        },
    ),
    "activation_kl asks": (
        generator(activation="relu") | penalty("activation_kl"),
        generator(activation="leaky_relu") | penalty("activation_kl"),
    ),
    "wasserstein wants": (
        {"loss": "wasserstein", **own("discriminator", "dropout")},
        {"loss": "wasserstein", **own("discriminator", "spectral")},
    ),
    "Adam's momentum": (
        CLIPPED | {"discriminator_optimizer": {"name": "adam", "lr": 1e-4, "beta1": 0.5}},
        CLIPPED | {"discriminator_optimizer": {"name": "adam", "lr": 1e-4, "beta1": 0.0}},
    ),
    "products rounded": (
        data("ring", scale="symmetric")
        | generator(output="tanh")
        | {"matmul_precision": {"choice": ["highest", "medium"]}},
        {"matmul_precision": "medium"},
    ),
    "nesterov looks": (
        {"generator_optimizer": {"name": "sgd", "lr": 1e-2, "nesterov": True}},
        {"generator_optimizer": {"name": "sgd", "lr": 1e-2, "nesterov": True, "momentum": 0.9}},
    ),
    "the rate still climbs": (
        {"generator_schedule": {"name": "linear", "warm_up": {"choice": [0, 1_000_000]}}},
        {"generator_schedule": {"name": "linear", "warm_up": 1}},
    ),
}
"""How an advice's reason begins → a trial that it is for, and one that it is not for."""


@pytest.mark.parametrize("reason", ADVISED)
def test_advice_is_given_where_it_is_due(reason: str) -> None:
    one = {"trials": 1, "steps": 10}
    bad, good = (searched(changes, budget=one).warnings for changes in ADVISED[reason])
    assert [reason in line for line in bad] == [True]
    assert not good


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("target", [0.05, 0.25, 0.29, 0.45])
def test_a_target_is_advised_against_where_no_activation_reaches_it(
    activation: str, target: float
) -> None:
    least = float(ACTIVATIONS[activation]()(torch.linspace(-50, 0, 1000)).sigmoid().min())
    changes = generator(activation=activation) | penalty("activation_kl", target=target)
    assert any("activation_kl asks" in w for w in searched(changes).warnings) == (target < least)


@pytest.mark.parametrize("columns", [1, 2, 3, 50])
def test_lazy_penalties_are_refused_in_the_plane_alone(columns: int, tmp_path: Path) -> None:
    path = tmp_path / "table.npy"
    np.save(path, np.random.RandomState(0).rand(60, columns))
    lazy = RING | data("npz", path=str(path), scale="symmetric") | penalty("r1", every=4)
    lazy |= {"objective": {"metric": "frechet_distance", "mode": "min"}}
    assert ("a lazy penalty" in faults(lazy)) == (columns == 2)
    assert columns == 2 or faults(lazy) == ""


# ---------------------------------------------------------------- of a search

COSTS = {"metric": "generator_parameters", "mode": "min"}
DISTANCE = {"metric": "frechet_distance", "mode": "min"}
WIDTHS = {"generator": {"name": "mlp", "latent": 4, "hidden": [{"int": [4, 8]}]}}
SPREAD = {
    "choice": [
        {"label": "narrow", **generator(hidden=[4])},
        {"label": "wide", **generator(hidden=[8])},
    ]
}


def searched(ranges: Changes, **blocks: Any) -> SearchSpace:
    left_out = {"steps", "evaluations", "seed", *({"generator"} if ranges == SPREAD else ())}
    trial = {key: value for key, value in trial_tree().items() if key not in left_out}
    rate = {"name": "adam", "lr": {"log_uniform": [1e-4, 1e-2]}}
    tree = {
        "name": "rules",
        "budget": {"trials": 2, "steps": 10},
        "trial": trial | {"generator_optimizer": rate} | ranges,
    }
    return SearchSpace.load(tree | blocks, catalogue())


@pytest.mark.parametrize("scheduler", ["none", "asha", "median"])
def test_prune_on_wants_a_scheduler(scheduler: str) -> None:
    search = {"prune_on": "frechet_distance", "scheduler": scheduler}
    if scheduler != "none":
        assert not searched({}, search=search).warnings
        return
    with pytest.raises(SpaceError) as raised:
        searched({}, search=search)
    assert str(raised.value) == (
        "search.prune_on: does not go with search.scheduler: it says by which objective trials are "
        "stopped, and none stops no trial (use asha or median, or leave prune_on out)"
    )


@pytest.mark.parametrize("starts", [0, 1, 2, 3])
def test_more_starts_than_trials_are_told_of(starts: int) -> None:
    start = [{"generator_optimizer": {"lr": 10 ** -(2 + i)}} for i in range(starts)]
    told = searched({}, start_from=start).warnings
    assert [line.partition(":")[0] for line in told] == ["start_from"] * (starts > 2)


@pytest.mark.parametrize("metric", ["generator_parameters", "generator_multiply_adds"])
@pytest.mark.parametrize("ranges", [{}, WIDTHS, SPREAD], ids=["nothing", "widths", "spread"])
def test_what_the_generator_costs_is_an_objective_where_it_varies(
    ranges: Changes, metric: str
) -> None:
    costs = COSTS | {"metric": metric}
    further = searched(ranges, objective=[DISTANCE, costs]).warnings
    assert [line.partition(":")[0] for line in further] == ["objective"] * (ranges == {})
    if ranges:
        for objective in (costs, [costs, DISTANCE]):
            assert not searched(ranges, objective=objective).warnings
        return
    for objective in (costs, [costs, DISTANCE]):
        with pytest.raises(SpaceError, match=r"^objective: does not go with trial: no range"):
            searched(ranges, objective=objective)


TWO_LOSSES = [{"label": "a", "loss": "hinge"}, {"label": "b", "loss": "relativistic"}]


@pytest.mark.parametrize(
    "ranged",
    [
        {"choice": TWO_LOSSES, **discriminator(norm={"choice": ["none", "batch"]})},
        {
            "loss": {"choice": ["hinge", "relativistic"]},
            "discriminator": {
                "name": "user_networks:NumberedDiscriminator",
                "normed": {"choice": [0, 1, 2]},
            },
        },
        {
            "loss": "relativistic",
            "discriminator": {
                "name": "user_networks:NumberedDiscriminator",
                "normed": {"choice": [0, 3]},
                "twice": {"choice": [False, True]},
            },
        },
    ],
    ids=["a choice of several fields", "the middle of numbers", "two arguments of one part"],
)
def test_a_clash_is_found_wherever_it_lies_in_a_space(ranged: Changes) -> None:
    trial = trial_tree(**ranged)
    trial = {k: v for k, v in trial.items() if k not in ("steps", "evaluations", "seed")}
    if "choice" in ranged:
        del trial["loss"]
    tree = {
        "name": "clash",
        "objective": {"metric": "frechet_distance", "mode": "min"},
        "budget": {"trials": 2, "steps": 20},
        "trial": trial,
    }
    with pytest.raises(SpaceError, match="compared in pairs"):
        SearchSpace.load(tree, catalogue())
