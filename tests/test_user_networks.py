"""Users' own networks: what is sound trains and is exported, what is not is refused before."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from conftest import trial_config, trial_tree

from gan_tune.config import TrialConfig
from gan_tune.errors import ConfigError, SpaceError
from gan_tune.gan.training import build_training
from gan_tune.metrics import build_judge
from gan_tune.model.export import best_generator
from gan_tune.parts.all_parts import catalogue, dataset_of
from gan_tune.space import SearchSpace

SOUND = (
    "Generator",
    "HiddenBuffer",
    "PlainTensor",
    "ReadsNumbers",
    "FromNumpy",
    "WithClass",
    "BrokenAnnotation",
)


def of(name: str, **args: Any) -> dict[str, Any]:
    return {"name": f"user_networks:{name}", **args}


def faults(**changes: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        TrialConfig.from_tree(trial_tree(**changes), catalogue())
    return str(caught.value)


@pytest.mark.parametrize("name", SOUND)
def test_what_was_judged_is_what_is_exported(name: str) -> None:
    config = trial_config(generator=of(name), steps=8, evaluations=1)
    dataset = dataset_of(config.data)
    training = build_training(config, dataset, build_judge(dataset, "selection"))
    exported = best_generator(config, dataset, training.next_report().checkpoint())
    z = torch.randn(7, 5)
    with torch.no_grad():
        live = training.game.networks.generator.eval()(z)
        torch.testing.assert_close(exported(z), live)
    torch.export.export(exported, (z,))


def test_a_default_that_is_no_json_is_left_to_the_signature() -> None:
    config = trial_config(generator=of("WithClass"))
    assert config.generator.args == {"latent": 5}
    assert TrialConfig.from_tree(json.loads(json.dumps(config.tree())), catalogue()) == config


@pytest.mark.parametrize(
    ("generator", "rule"),
    [
        (
            of("NoModule"),
            "generator.name: must be a class derived from torch.nn.Module: 'user_netw",
        ),
        (of("NoParameters"), "generator: must have parameters to train"),
        (of("Lazy"), "generator: must know its sizes from the start: no lazy layers"),
        (of("Float64"), "generator: must give float32: torch.float64"),
        (of("BatchOfTwo"), "generator: cannot be built and run for samples of shape (1, 8, 8)"),
        (of("Branching"), "generator: cannot be exported: torch.export must take it for any batch"),
        (of("OldWeightNorm"), "generator: cannot be exported: torch.export must take it"),
        (of("Asserting"), "cannot be built and run for samples of shape (1, 8, 8): AssertionError"),
        (of("Generator", latent=-1), "generator.latent: must be a whole number of at least 1: -1"),
        (of("AnyLatent", latent="big"), "generator.latent: must be a whole number of at least 1"),
        (of("AnyLatent", latent=2.5), "generator.latent: must be a whole number of at least 1"),
        (
            of("WithPath", root="x"),
            "generator.root: must stay JSON, but its annotation makes a PosixPath of it: 'x'",
        ),
        (
            of("MisfitAnnotation", text="b"),
            "generator.text: cannot be checked by its annotation (TypeError: Unable to apply",
        ),
        (of("AnyLatent"), "generator.latent: user_networks:AnyLatent needs latent"),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else None,
)
def test_what_could_not_be_trained_or_exported_is_refused_in_one_line(
    generator: dict[str, Any], rule: str, capfd: pytest.CaptureFixture[str]
) -> None:
    text = faults(generator=generator)
    assert rule in text
    assert "\n" not in text
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"penalties": [{"name": "r1", "weight": 1.0}]}, "batch norm ties a sample's gradient"),
        ({"loss": "relativistic"}, "batch norm takes real and fake apart"),
    ],
)
def test_batch_norm_is_seen_in_a_discriminator_without_a_name_for_it(
    changes: dict[str, Any], reason: str
) -> None:
    discriminator = of("Discriminator", layer="batch")
    assert reason in faults(discriminator=discriminator, **changes)
    TrialConfig.from_tree(trial_tree(discriminator=discriminator), catalogue())


R1 = {"choice": ["none", {"name": "r1", "weight": 1.0}]}
ACTIVATIONS = {"choice": ["none", {"name": "activation_l1", "weight": 1.0}]}
ESTIMATE = {"choice": ["backprop", {"name": "random_directions", "directions": 2}]}


@pytest.mark.parametrize(
    ("changes", "pair"),
    [
        (
            {"discriminator": of("Discriminator", layer={"choice": ["none", "batch"]})}
            | {"penalties": [R1]},
            "discriminator.layer: batch does not go with penalties.0 = r1",
        ),
        (
            {"discriminator": of("Discriminator", layer={"choice": ["none", "batch"]})}
            | {"loss": {"choice": ["hinge", "relativistic"]}},
            "discriminator.layer: batch does not go with loss = relativistic",
        ),
        (
            {"discriminator": of("Discriminator", layer={"choice": ["none", "dropout"]})}
            | {"discriminator_gradient": ESTIMATE},
            "discriminator.layer: dropout does not go with discriminator_gradient = random",
        ),
        (
            {"generator": of("LayeredGenerator", layer={"choice": ["none", "batch"]})}
            | {"generator_gradient": ESTIMATE},
            "generator.layer: batch does not go with generator_gradient = random_directions",
        ),
        (
            {"generator": {"name": "mlp", "hidden": {"choice": [[6], []]}}}
            | {"penalties": [ACTIVATIONS]},
            "generator.hidden: #1 does not go with penalties.0 = activation_l1",
        ),
    ],
    ids=["penalty", "loss", "estimate of D", "estimate of G", "activations"],
)
def test_pairs_that_only_a_built_network_shows_are_refused_with_the_form_that_avoids_them(
    changes: dict[str, Any], pair: str
) -> None:
    trial = trial_tree(**changes)
    budget = {"steps": trial.pop("steps"), "evaluations": trial.pop("evaluations")}
    del trial["seed"]
    tree = {"name": "pairs", "budget": {"trials": 4, **budget}, "trial": trial}
    with pytest.raises(SpaceError) as caught:
        SearchSpace.load(tree, catalogue())
    (fault,) = caught.value.faults
    assert pair in str(fault)
    instead = yaml.safe_load(fault.rule.split("nest them instead: ")[1])
    nested = {key: value for key, value in trial.items() if key not in changes} | instead
    SearchSpace.load(tree | {"trial": nested}, catalogue())


def test_each_end_of_a_range_of_real_numbers_is_tried() -> None:
    trial = trial_tree(discriminator=of("Dropping", share={"uniform": [0.0, 1.5]}))
    budget = {"trials": 4, "steps": trial.pop("steps"), "evaluations": trial.pop("evaluations")}
    del trial["seed"]
    with pytest.raises(SpaceError, match="dropout probability has to be between 0 and 1") as caught:
        SearchSpace.load({"name": "own", "budget": budget, "trial": trial}, catalogue())
    assert "1.5" in str(caught.value)
    trial["discriminator"]["share"] = {"uniform": [0.0, 0.5]}
    SearchSpace.load({"name": "own", "budget": budget, "trial": trial}, catalogue())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("NoFeatures", "its `features` must map (3, 1, 8, 8) to (3, features): 3"),
        ("EmptyFeatures", "its `features` must map (3, 1, 8, 8) to (3, features): (3, 0)"),
        (
            "RaisingFeatures",
            "cannot be built and run for samples of shape (1, 8, 8): RuntimeErr",
        ),
    ],
)
def test_features_are_tried_where_they_are_probed(name: str, says: str) -> None:
    trial_config(discriminator=of(name))
    probed = {"measure": ["linear_probe_accuracy"]}
    assert f"discriminator: {says}" in faults(discriminator=of(name), **probed)
    trial_config(discriminator=of("PictureFeatures"), **probed)


@pytest.mark.parametrize(
    ("name", "says"), [("no_data", "RuntimeError: no luck"), ("leaving_data", "SystemExit: 3")]
)
def test_data_that_cannot_be_loaded_are_told_of_in_one_line(name: str, says: str) -> None:
    tree = {"name": "own", "budget": {"trials": 1, "steps": 4}}
    trial = trial_tree(data=of(name))
    for field in ("steps", "evaluations", "seed"):
        del trial[field]
    with pytest.raises(SpaceError) as caught:
        SearchSpace.load(tree | {"trial": trial}, catalogue())
    assert str(caught.value) == f"data: data set user_networks:{name}: cannot be loaded: {says}"


@pytest.mark.parametrize("field", ["generator_optimizer", "update", "loss"])
def test_only_networks_and_data_can_be_given_by_import_path(field: str) -> None:
    text = faults(**{field: {"name": "torch.optim:Adam"}})
    kind = field.removeprefix("generator_")
    assert f"{field}.name: no {kind} can be given by import path: 'torch.optim:Adam'" in text


def test_a_module_that_ends_the_program_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "leaving.py").write_text("import sys\nsys.exit(0)\n")
    (tmp_path / "talking.py").write_text("raise ImportError('one line\\nand another')\n")
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("leaving", "talking"):
        text = faults(generator={"name": f"{module}:Generator"})
        assert "must be importable as package.module:name" in text
        assert "\n" not in text
        sys.modules.pop(module, None)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ChangesItsInput", r"one training step fails: it changes a tensor in place .*its input"),
        ("WithoutGradient", r"one training step fails: its output has no gradient, as under torch"),
        ("Complex", "must have real weights: complex ones cannot be trained"),
        ("Deaf", "one training step fails: no gradient passes through it to the samples"),
        ("Exits", "cannot be built and run .*: SystemExit: 3$"),
        ("ExitsWhenBuilt", "cannot be built and run .*: SystemExit: 3$"),
        ("RaisesNoException", r"cannot be built and run .*: Odd\\x1b\[31m: \\u202eboo$"),
        ("RaisesWithoutText", r"cannot be built and run .*: Odd: its text cannot be made"),
    ],
)
def test_a_network_that_cannot_be_trained_is_refused_with_the_reason(
    name: str, reason: str
) -> None:
    assert re.search(f"^discriminator: .*{reason}", faults(discriminator=of(name)))
    both = faults(discriminator=of(name), generator=of("Generator"))
    assert re.search(f"^discriminator: .*{reason}", both)
    assert "generator:" not in both, "the sound one of two is not blamed"


@pytest.mark.parametrize(
    ("role", "name"),
    [("generator", "Detached"), ("generator", "ReattachedOutput"), ("encoder", "DetachedEncoder")],
)
def test_a_detached_output_from_which_no_weight_learns_is_seen(role: str, name: str) -> None:
    changes: dict[str, Any] = {role: of(name)}
    if role == "encoder":
        changes |= {"generator": of("Generator"), "sparsity": {"name": "l1", "weight": 1e-3}}
    rule = f"{role}: cannot be trained: one training step fails: its output has no gradient"
    assert rule in faults(**changes)


def test_an_estimator_needs_no_gradient_from_a_network() -> None:
    estimate = {"name": "random_directions", "directions": 2}
    trial_config(generator=of("Detached"), generator_gradient=estimate)


def test_a_sound_network_passes_the_step_and_it_changes_no_random_numbers() -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    trial_config(discriminator=of("LinearDiscriminator"), generator=of("Generator"))
    torch.testing.assert_close(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("data", ["ring", "digits"])
@pytest.mark.parametrize(
    "changes",
    [
        {"penalties": [{"name": "r1", "weight": 1.0}]},
        {"loss": "wasserstein", "weight_clip": 0.1, "d_steps": 100},
        {"gradient_clip": {"name": "norm", "max_norm": 1.0}, "ema": 0.9},
        {"block": {"both": 1, "generator": 3}, "instance_noise": {"std": 0.1}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_a_sound_network_passes_with_every_kind_of_training(
    data: str, changes: dict[str, Any]
) -> None:
    trial_config(
        discriminator=of("LinearDiscriminator"),
        data={"name": data, "batch_size": 16},
        generator={"name": "mlp", "latent": 8, "hidden": [16], "output": "linear"},
        **changes,
    )
