"""Trial configs: resolving, checking and writing them out again."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from toy_catalogue import PARTS, toy_catalogue

from gan_tune.config import (
    KEYS_FOR_BOTH,
    PART_FIELDS,
    PART_LIST_FIELDS,
    Argument,
    Catalogue,
    Incompatibility,
    Objective,
    Part,
    TrialConfig,
    part_fields,
    signature_arguments,
)
from gan_tune.errors import ConfigError, Fault

TREE: dict[str, Any] = {
    "data": "fashion_mnist",
    "generator": {"name": "mlp", "hidden": [16, 32]},
    "discriminator": "mlp",
    "loss": "hinge",
    "penalties": [{"name": "r1", "weight": 1}],
    "generator_optimizer": {"name": "adam", "lr": 1e-4},
    "discriminator_optimizer": "adam",
    "steps": 100,
}


def faults_in(tree: dict[str, Any], catalogue: Catalogue | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        TrialConfig.from_tree(tree, catalogue or toy_catalogue())
    return str(caught.value).split("\n")


def changed(**fields: Any) -> dict[str, Any]:
    return {**copy.deepcopy(TREE), **fields}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in TREE.items() if key != name}


def test_defaults_are_filled_in_and_values_take_the_arguments_type() -> None:
    config = TrialConfig.from_tree(TREE, toy_catalogue())
    assert config.data.args == {"batch_size": 64}
    assert config.generator.args["hidden"] == (16, 32)
    weight = config.penalties[0].args["weight"]
    assert (weight, type(weight)) == (1.0, float)
    assert config.generator_gradient_clip.name == "none"


@pytest.mark.parametrize(
    ("tree", "faults"),
    [
        (
            changed(loss="hing"),
            "loss.name: loss name must be one of non_saturating, least_squares, hinge, "
            "wasserstein; did you mean 'hinge'?: 'hing'",
        ),
        (changed(loss=3), "loss: must be a name, or a mapping with a name: 3"),
        (changed(loss={"nam": "hinge"}), "loss: must be a name, or a mapping with a name: "),
        (changed(los="hinge"), "los: no such key in a trial; did you mean 'loss'?: 'hinge'"),
        (without("loss"), "loss: is required"),
        (without("steps"), "steps: is required"),
        (
            changed(generator={"name": "mlp", "hiden": [3]}),
            "generator.hiden: no such key in mlp; did you mean 'hidden'?: [3]",
        ),
        (
            changed(generator={"name": "mlp", "x": 3}),
            "generator.x: no such key in mlp, which takes latent, hidden, output, norm: 3",
        ),
        (
            changed(loss={"name": "hinge", "x": 3}),
            "loss.x: no such key in hinge, which takes nothing",
        ),
        (changed(generator_optimizer="sgd"), "generator_optimizer.lr: sgd needs lr"),
        (
            changed(discriminator_optimizer={"name": "adam", "lr": "1e-4"}),
            "discriminator_optimizer.lr: must be a number: '1e-4'",
        ),
        (
            changed(discriminator_optimizer={"name": "adam", "lr": True}),
            "discriminator_optimizer.lr: must be a number: True",
        ),
        (
            changed(discriminator_optimizer={"name": "adam", "lr": float("nan")}),
            "discriminator_optimizer.lr: must be a finite number: nan",
        ),
        (
            changed(discriminator_optimizer={"name": "adam", "lr": 0}),
            "discriminator_optimizer.lr: must be above 0: 0",
        ),
        (
            changed(discriminator_optimizer={"name": "adam", "beta1": 1}),
            "discriminator_optimizer.beta1: must be below 1: 1",
        ),
        (
            changed(generator={"name": "mlp", "hidden": [8, 0.5]}),
            "generator.hidden.1: must be a whole number: 0.5",
        ),
        (
            changed(generator={"name": "mlp", "hidden": []}),
            "generator.hidden: must have at least 1 entries: []",
        ),
        (
            changed(generator={"name": "mlp", "hidden": 8}),
            "generator.hidden: must be a list: 8",
        ),
        (
            changed(generator={"name": "mlp", "output": "tan"}),
            "generator.output: must be 'sigmoid', 'tanh' or 'linear': 'tan'",
        ),
        (
            changed(generator={"name": "conv", "attention": "yes"}),
            "generator.attention: must be true or false: 'yes'",
        ),
        (
            changed(data={"name": "fashion_mnist", "batch_size": 5000}),
            "data.batch_size: must be at most 4096: 5000",
        ),
        (changed(penalties="r1"), "penalties: must be a list: 'r1'"),
        (changed(penalties=[{"name": "r3"}]), "penalties.0.name: penalty name must be one of "),
        (changed(ema=1), "ema: must be below 1: 1"),
        (changed(ema="0.9"), "ema: must be a number: '0.9'"),
        (changed(d_steps=True), "d_steps: must be a whole number: True"),
        (changed(d_steps=1.5), "d_steps: must be a whole number: 1.5"),
        (changed(collapse={"varietyy": 1}), "collapse.varietyy: no such key in collapse; did you"),
        (changed(collapse=3), "collapse: must be a mapping: 3"),
        (changed(objective={"mode": "less"}), "objective.mode: must be 'min' or 'max': 'less'"),
        (changed(seed=-1), "seed: must be at least 0: -1"),
        (
            changed(gradient_clip={"name": "norm", "max_norm": -1}),
            "gradient_clip.max_norm: must be above 0: -1",
        ),
        (
            changed(gradient_clip="none", generator_gradient_clip="none"),
            "generator_gradient_clip: cannot be given together with gradient_clip: 'none'",
        ),
        (changed(generator="mine:Nothing", steps=1), "generator.name: the import path leads to"),
        (changed(generator="mine:Net"), "generator.latent: mine:Net needs latent"),
        (
            changed(discriminator={"name": "mlp", "norm": "batch"}),
            "discriminator.norm: batch does not go with penalties = r1: a penalty is on single ",
        ),
        (
            changed(generator={"name": "mlp", "hidden": [1, 2, 3, 4]}),
            "generator.hidden: has more layers than the toy can build",
        ),
    ],
)
def test_each_fault_is_one_line_with_place_rule_and_value(
    tree: dict[str, Any], faults: str
) -> None:
    (line,) = faults_in(tree)
    assert line.startswith(faults)


def test_all_faults_are_found_at_once_whatever_their_kind() -> None:
    tree = changed(
        los="hinge",
        loss="hing",
        ema=2,
        generator={"name": "mlp", "hidden": [1, 2, 3, 4]},
        discriminator_optimizer={"name": "sgd"},
    )
    places = [line.split(":")[0] for line in faults_in(tree)]
    assert sorted(places) == [
        "discriminator_optimizer.lr",
        "ema",
        "generator.hidden",
        "los",
        "loss.name",
    ]


def test_a_clash_is_found_beside_other_faults() -> None:
    tree = changed(discriminator={"name": "mlp", "norm": "batch"}, loss="hing")
    assert [line.split(":")[0] for line in faults_in(tree)] == ["loss.name", "discriminator.norm"]


def test_a_stand_in_never_clashes() -> None:
    always = Incompatibility(("loss", "generator"), "never", lambda config: True)
    parts = toy_catalogue().parts
    assert len(faults_in(changed(loss="hing"), Catalogue(parts, (always,)))) == 1
    assert len(faults_in(TREE, Catalogue(parts, (always,)))) == 1


def test_a_kind_without_a_stand_in_still_reports_its_fault() -> None:
    parts = {**toy_catalogue().parts, "loss": {"a": {"x": Argument("x", int, required=True)}}}
    assert faults_in(changed(loss="b"), Catalogue(parts)) == [
        "loss.name: loss name must be one of a: 'b'"
    ]


def test_null_means_no_part_where_none_is_a_part() -> None:
    config = TrialConfig.from_tree(changed(gradient_clip=None, penalties=None), toy_catalogue())
    assert config.discriminator_gradient_clip.name == "none"
    assert config.penalties == ()
    assert TrialConfig.from_tree(changed(penalties=["none"]), toy_catalogue()).penalties == ()


def test_gradient_clip_stands_for_both_networks() -> None:
    both = TrialConfig.from_tree(
        changed(gradient_clip={"name": "norm", "max_norm": 1}), toy_catalogue()
    )
    each = {
        f"{network}_gradient_clip": {"name": "norm", "max_norm": 1.0}
        for network in ("generator", "discriminator")
    }
    assert both == TrialConfig.from_tree(changed(**each), toy_catalogue())


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, parts in PARTS.items() for name in parts]
)
def test_every_part_survives_the_way_into_a_tree_and_back(kind: str, name: str) -> None:
    catalogue = toy_catalogue()
    required = {"lr": 0.1, "max_norm": 1.0, "root": "x"}
    arguments = catalogue.arguments(kind, name)
    given = {"name": name, **{a: required[a] for a, v in arguments.items() if v.required}}
    part = catalogue.resolve(kind, given, kind, faults := [])
    assert faults == []
    assert catalogue.resolve(kind, json.loads(json.dumps(part.tree())), kind, []) == part


def test_every_part_of_a_trial_says_its_kind_in_its_annotation() -> None:
    fields = TrialConfig.model_fields
    single = {name for name, field in fields.items() if field.annotation is Part}
    lists = {name for name, field in fields.items() if field.annotation == tuple[Part, ...]}
    assert (part_fields(TrialConfig).keys(), PART_LIST_FIELDS.keys()) == (single, lists)
    assert {*PART_FIELDS.values(), *PART_LIST_FIELDS.values()} <= PARTS.keys()


def test_a_word_for_both_networks_stands_for_a_field_of_each() -> None:
    assert {
        word: (f"generator_{word}", f"discriminator_{word}")
        for word in ("gradient", "gradient_clip", "schedule")
    } == KEYS_FOR_BOTH


def test_a_config_survives_the_way_into_a_tree_and_back() -> None:
    config = TrialConfig.from_tree(changed(gradient_clip="none", seed=7), toy_catalogue())
    written = json.loads(json.dumps(config.tree()))
    read = TrialConfig.from_tree(written, toy_catalogue())
    assert read == config
    assert read.digest() == config.digest()
    assert pickle.loads(pickle.dumps(config)) == config


def test_the_digest_tells_configs_apart() -> None:
    configs = [
        TrialConfig.from_tree(tree, toy_catalogue())
        for tree in (TREE, changed(seed=1), changed(ema=0.5), changed(loss="wasserstein"))
    ]
    assert len({config.digest() for config in configs}) == len(configs)


def test_params_are_dotted_with_plain_lists_in_one_piece() -> None:
    params = TrialConfig.from_tree(TREE, toy_catalogue()).params()
    assert params["generator.hidden"] == (16, 32)
    assert params["penalties.0.weight"] == 1.0
    assert params["generator_optimizer.lr"] == 1e-4


@pytest.mark.parametrize("evaluations", [1, 3, 10, 100, 1000])
def test_reports_are_spread_evenly_and_the_last_is_the_last_step(evaluations: int) -> None:
    config = TrialConfig.from_tree(changed(evaluations=evaluations), toy_catalogue())
    steps = config.report_steps
    assert len(steps) == min(evaluations, 100)
    assert steps[-1] == 100
    assert list(steps) == sorted(set(steps))


def test_build_is_asked_once_or_not_at_all() -> None:
    catalogue = toy_catalogue()
    TrialConfig.from_tree(TREE, catalogue)
    assert catalogue.build.calls == 1  # type: ignore[attr-defined]
    TrialConfig.from_tree(TREE, catalogue, build=False)
    assert catalogue.build.calls == 1  # type: ignore[attr-defined]


def test_a_users_part_is_named_by_import_path() -> None:
    given = {"name": "mine:Net", "latent": 2, "anything": {"a": [1]}}
    config = TrialConfig.from_tree(changed(generator=given), toy_catalogue())
    assert config.generator.args == {"latent": 2, "width": 8, "anything": {"a": [1]}}


def test_signatures_are_read_with_bounds_and_defaults() -> None:
    arguments = signature_arguments(PARTS["optimizer"]["sgd"])
    assert list(arguments) == ["lr", "momentum"]
    assert arguments["lr"].required
    assert not arguments["momentum"].required
    assert arguments["lr"].json_schema() == {"exclusiveMinimum": 0, "type": "number"}


def test_a_type_that_cannot_be_resolved_accepts_anything() -> None:
    def part(x: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert signature_arguments(part, skip=0)["x"].check("anything") == "anything"


def test_unions_are_reported_as_one_fault() -> None:
    def part(*, betas: tuple[float, float] | float | None = None) -> None: ...

    catalogue = Catalogue({"optimizer": {"part": signature_arguments(part)}})
    faults: list[Fault] = []
    catalogue.resolve("optimizer", {"name": "part", "betas": "x"}, "opt", faults)
    assert [str(fault) for fault in faults] == ["opt.betas: must be a list or a number: 'x'"]


def test_better_and_worst_follow_the_mode() -> None:
    less, more = Objective(mode="min"), Objective(mode="max")
    assert less.better(1, than=2)
    assert more.better(2, than=1)
    assert not less.better(1, than=1)
    assert less.better(1e300, than=less.worst)
    assert more.better(-1e300, than=more.worst)
