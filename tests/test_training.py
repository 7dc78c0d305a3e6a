"""The GAN loop: repeats and resumes bit for bit, tells how it ended, and keeps the best."""

from __future__ import annotations

import itertools
import math
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import conftest
import pytest
import torch
from test_data import OWN_ARGUMENTS
from torch import nn
from user_networks import Generator, NoisyNormal

from gan_tune.config import TrialConfig
from gan_tune.data.by_name import DATASETS
from gan_tune.data.scaling import SCALES, scaling_of
from gan_tune.errors import CheckpointError, DataError
from gan_tune.gan import checkpoint
from gan_tune.gan.augment import AUGMENTS
from gan_tune.gan.averages import STATISTICS_BATCHES
from gan_tune.gan.estimators import ESTIMATORS
from gan_tune.gan.fork_chain import Phase, replay
from gan_tune.gan.gradients import GRADIENT_CLIPS
from gan_tune.gan.losses import LOSSES
from gan_tune.gan.networks import NETWORKS
from gan_tune.gan.optimizers import OPTIMIZERS
from gan_tune.gan.penalties import PENALTIES
from gan_tune.gan.randomness import seeded
from gan_tune.gan.schedules import SCHEDULES
from gan_tune.gan.sparsity import SPARSITIES
from gan_tune.gan.training import Report, build_training, train
from gan_tune.gan.updates import UPDATES
from gan_tune.metrics import build_judge
from gan_tune.model.export import best_generator, draw
from gan_tune.parts.all_parts import dataset_of


def trial_config(**changes: Any) -> TrialConfig:
    """A small trial that is too short to learn anything, and does not end for that."""
    return conftest.trial_config(**({"collapse": "none"} | changes))


CLIPS: dict[str, Any] = {
    "norm": {"max_norm": 0.5},
    "value": {"max_value": 0.01},
}
NETWORK_ARGS: dict[str, Any] = {
    "mlp": {"hidden": [16]},
    "dcgan": {"width": 4},
    "residual": {"width": 4},
    "conv5": {"maps": [4, 8]},
    "fourier_mlp": {"waves": 4, "hidden": [16]},
    "conv": {"maps": [4, 8]},
}
POINTS: dict[str, Any] = {
    "data": {"name": "ring", "batch_size": 16, "scale": "symmetric", "size": 500},
    "generator": {"name": "mlp", "latent": 2, "hidden": [6], "output": "tanh"},
    "discriminator": {"name": "mlp", "hidden": [6]},
    "objective": {"metric": "energy_distance", "mode": "min"},
}
LATENT = {"latent": 8}
SPARSITY_ARGS: dict[str, Any] = {
    "l1": {"weight": 0.1},
    "kl": {"weight": 0.1},
    "k_sparse": {"k": 3},
}
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "ema": {"ema": 0.9},
    "ema of a wide reach": {"ema": 0.999, "ema_reach": 0.5},
    **{f"{p} precision": {"matmul_precision": p} for p in ("highest", "high", "medium")},
    "bfloat16": {"precision": "bfloat16", "penalties": [{"name": "r1", "weight": 0.1}]},
    "bfloat16 convolutions": {
        "precision": "bfloat16",
        "generator": {"name": "dcgan", "latent": 8, "width": 4},
        "discriminator": {"name": "dcgan", "width": 4, "norm": "spectral"},
        "ema": 0.9,
    },
    "batch norm in G": {
        "generator": {"name": "mlp", "latent": 8, "hidden": [16], "norm": "batch"},
        "ema": 0.9,
    },
    "batch norm in D": {"discriminator": {"name": "mlp", "hidden": [16], "norm": "batch"}},
    "two D steps": {"d_steps": 2},
    "patience": {"patience": 2},
    "a user's dropout": {"discriminator": {"name": "test_training:DropoutDiscriminator"}},
    "a user's tied weights": {"discriminator": {"name": "test_training:TiedDiscriminator"}},
    "batch norm in a decoder": {
        "generator": {"name": "mlp", "latent": 8, "hidden": [16], "norm": "batch"},
        "encoder": {"name": "mlp", "hidden": [16]},
        "ema": 0.9,
    },
    "points": POINTS,
    **{
        f"scale {n}": {
            **POINTS,
            "data": {**POINTS["data"], "scale": n},
            "generator": {**POINTS["generator"], "output": "linear"},
        }
        for n in SCALES
    },
    "lazy penalty": {"penalties": [{"name": "r1", "weight": 0.1, "every": 4}]},
    "label smoothing": {"loss": {"name": "non_saturating", "label_smoothing": 0.1}},
    "instance noise": {"instance_noise": {"std": 0.3, "until": 0.8}},
    "geometric noise": {"instance_noise": {"std": 0.3, "until": 0.8, "fade": "geometric"}},
    "weight clipping": {"weight_clip": 0.02},
    "block schedule": {"block": {"both": 3, "generator": 2}},
    "lookahead": {"lookahead": {"every": 5, "alpha": 0.5}},
    "measure": {"measure": ["linear_probe_accuracy"]},
    "spectral norm in D": {"discriminator": {"name": "mlp", "hidden": [16], "norm": "spectral"}},
    "spectral norm in G": {
        "generator": {"name": "mlp", "latent": 8, "hidden": [16], "norm": "spectral"},
        "ema": 0.9,
    },
    **{f"loss {name}": {"loss": name} for name in LOSSES},
    **{
        f"{player} {name}": {f"{player}_optimizer": {"name": name, "lr": 1e-3}}
        for name in OPTIMIZERS
        for player in ("generator", "discriminator")
    },
    "sgd momentum": {"generator_optimizer": {"name": "sgd", "lr": 1e-2, "momentum": 0.9}},
    **{f"clip {n}": {"gradient_clip": {"name": n, **CLIPS.get(n, {})}} for n in GRADIENT_CLIPS},
    **{f"penalty {n}": {"penalties": [{"name": n, "weight": 0.01}]} for n in PENALTIES},
    **{f"schedule {n}": {"schedule": {"name": n, "warm_up": 3}} for n in SCHEDULES},
    **{f"augment {name}": {"augment": name} for name in AUGMENTS},
    **{f"update {name}": {"update": name} for name in UPDATES},
    **{
        f"gradient {name}": {**POINTS, "gradient": name, "steps": 6, "evaluations": 2}
        for name in ESTIMATORS
    },
    **{
        f"{role} {n}": {
            role: {"name": n, **NETWORK_ARGS[n], **(LATENT if role == "generator" else {})}
        }
        for role in NETWORKS
        for n in NETWORKS[role]
    },
    **{
        f"sparsity {n}": {
            "encoder": {"name": "mlp", "hidden": [16]},
            "sparsity": {"name": n, **SPARSITY_ARGS.get(n, {})},
            "ema": 0.9,
        }
        for n in SPARSITIES
    },
}


class DropoutDiscriminator(nn.Module):
    """A user's network that draws from torch's global generator."""

    def __init__(self, shape: tuple[int, ...], width: int = 16) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(math.prod(shape), width), nn.Dropout(0.5), nn.Linear(width, 1)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.net(x)
        return logits


class TiedDiscriminator(nn.Module):
    """A user's network in which two layers have one weight."""

    def __init__(self, shape: tuple[int, ...], width: int = 16) -> None:
        super().__init__()
        self.first = nn.Linear(math.prod(shape), width)
        self.second, self.third = nn.Linear(width, width), nn.Linear(width, width)
        self.third.weight = self.second.weight
        self.head = nn.Linear(width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        hidden = self.first(x.flatten(1)).tanh()
        logits: torch.Tensor = self.head(self.third(self.second(hidden).tanh()).tanh())
        return logits


def run(config: TrialConfig, **options: Any) -> Iterator[Report]:
    dataset = dataset_of(config.data)
    return train(config, dataset, build_judge(dataset, "selection"), **options)


def finished(config: TrialConfig, **options: Any) -> list[tuple[Report, bytes]]:
    return [(report, report.checkpoint()) for report in run(config, **options)]


def assert_equal(mine: tuple[Report, bytes], other: tuple[Report, bytes]) -> None:
    (a, a_bytes), (b, b_bytes) = mine, other
    assert (a.step, a.value, a.best, a.outcome) == (b.step, b.value, b.best, b.outcome)
    assert a.scalars == b.scalars
    assert torch.equal(a.grid, b.grid)
    a_state, b_state = checkpoint.read(a_bytes), checkpoint.read(b_bytes)
    assert a_state.scalars == b_state.scalars
    assert a_state.tensors.keys() == b_state.tensors.keys()
    for name, tensor in a_state.tensors.items():
        assert torch.equal(tensor, b_state.tensors[name]), name


@pytest.mark.parametrize("variant", VARIANTS)
def test_repeats_and_resumes_bit_for_bit(variant: str) -> None:
    assert_repeats_and_resumes(trial_config(**VARIANTS[variant]))


@pytest.mark.parametrize("name", DATASETS)
def test_every_data_set_repeats_and_resumes_bit_for_bit(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GAN_TUNE_CACHE", str(tmp_path / "cache"))
    own = OWN_ARGUMENTS.get(name, lambda folder: {})(tmp_path / "own")
    data = {"name": name, **own, "batch_size": 8}
    assert_repeats_and_resumes(
        trial_config(
            data=data,
            generator={"name": "mlp", "latent": 8, "hidden": [16], "output": "linear"},
            objective={"metric": "sliced_wasserstein", "mode": "min"},
        )
    )


class EveryThirdStep:
    """Keeps the state between reports, as often as it is asked."""

    def __init__(self) -> None:
        self.states: list[bytes] = []

    def is_due(self) -> bool:
        return True

    def keep(self, state: Callable[[], bytes]) -> None:
        self.states.append(state())
        torch.randn(5)  # what else draws from torch's generator must not matter


def assert_repeats_and_resumes(config: TrialConfig) -> None:
    through = finished(config)
    torch.randn(17)  # what else draws from torch's generator must not matter
    between = EveryThirdStep()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("gan_tune.gan.training.CHECK_EVERY", 3)
        again = finished(config, keeper=between)
    for mine, other in zip(again, through, strict=True):
        assert_equal(mine, other)
    for state in between.states[-1:]:  # there is none if it reports at each step, or diverges
        (rest,) = finished(config, resume_from=state)
        assert_equal(rest, through[-1])
    for i, (_, state) in enumerate(through[:-1]):
        rest = finished(config, resume_from=state)
        for mine, other in zip(rest, through[i + 1 :], strict=True):
            assert_equal(mine, other)


def test_training_leaves_torchs_generator_alone() -> None:
    torch.manual_seed(1)
    expected = torch.randn(3)
    torch.manual_seed(1)
    finished(trial_config())
    assert torch.equal(torch.randn(3), expected)


def test_seeds_differ() -> None:
    first, second = (finished(trial_config(seed=seed))[-1][0] for seed in (0, 1))
    assert first.value != second.value


def test_reports_are_evenly_spread_and_end_with_an_outcome() -> None:
    reports = list(run(trial_config(steps=10, evaluations=4)))
    assert [report.step for report in reports] == [2, 5, 7, 10]
    assert [report.outcome for report in reports] == [None, None, None, "completed"]


def test_best_is_the_running_minimum_and_its_weights_are_kept() -> None:
    config = trial_config(steps=60, evaluations=6)
    dataset = dataset_of(config.data)
    judge = build_judge(dataset, "selection")
    reports = list(train(config, dataset, judge))
    values = [report.value for report in reports]
    assert [report.best for report in reports] == list(itertools.accumulate(values, min))  # type: ignore[arg-type]
    again = [(r, r.checkpoint()) for r in train(config, dataset, judge)]
    generator = best_generator(config, dataset, again[-1][1])
    # The best weights judged on the trial's own evaluation noise give the best value.
    random = seeded(config.seed, "evaluation", torch.device("cpu"))
    z = torch.randn(judge.count, config.generator.args["latent"], generator=random)
    with torch.no_grad():
        value = judge(generator(z))[config.objective.metric]
    assert value == pytest.approx(min(v for v in values if v is not None), rel=1e-5)


def test_training_improves_the_generator() -> None:
    wide = {"name": "mlp", "hidden": [64]}
    config = trial_config(
        steps=600,
        evaluations=6,
        data={"name": "digits", "batch_size": 64},
        generator=wide | {"latent": 16, "norm": "batch"},
        discriminator=wide,
        penalties=[{"name": "r1", "weight": 0.1}],
    )
    reports = list(run(config))
    assert reports[-1].best is not None
    assert reports[0].value is not None
    assert reports[-1].best < 0.5 * reports[0].value


@pytest.mark.parametrize(
    "changes",
    [
        {"discriminator_optimizer": {"name": "sgd", "lr": 1e3}, "loss": "least_squares"},
        {"divergence": {"max_logit": 1e-6}},
        {"divergence": {"max_gradient_norm": 1e-6}},
    ],
    ids=["explodes", "logit limit", "norm limit"],
)
def test_divergence_ends_the_trial_at_its_first_report(changes: dict[str, Any]) -> None:
    reports = list(run(trial_config(steps=300, evaluations=2, **changes)))
    assert [report.outcome for report in reports] == ["diverged"]
    assert reports[0].value is None
    assert reports[0].step < 150, "it should not have trained up to the evaluation"


def test_a_gradient_that_spikes_between_two_looks_has_diverged() -> None:
    players = ("generator", "discriminator")
    (report,) = run(trial_config(steps=40, evaluations=1))
    peak = max(report.scalars[f"{player}_gradient_norm_max"] for player in players)
    last = max(report.scalars[f"{player}_gradient_norm"] for player in players)
    assert last < 0.95 * peak, "no spike to be seen"
    limit = {"divergence": {"max_gradient_norm": 0.98 * peak}}
    (report,) = run(trial_config(steps=40, evaluations=1, **limit))
    assert report.outcome == "diverged"


def test_the_largest_logit_is_that_of_all_steps_since_the_last_report() -> None:
    """And it alone decides: each step a report of its own, or one report of all."""
    fading = {"instance_noise": {"std": 10.0, "until": 0.5}}
    name = "discriminator_logit_max"
    each = [r.scalars[name] for r in run(trial_config(steps=40, evaluations=40, **fading))]
    assert each[-1] < 0.9 * max(each), "no spike to be seen"
    (report,) = run(trial_config(steps=40, evaluations=1, **fading))
    assert report.scalars[name] == max(each)
    limit = {"divergence": {"max_logit": 0.95 * max(each)}}
    (report,) = run(trial_config(steps=40, evaluations=1, **fading, **limit))
    assert report.outcome == "diverged"


def test_a_generator_that_draws_noise_of_its_own_is_judged_alike() -> None:
    """In evaluation too, as StyleGAN's does, and wherever the global generator stands."""
    noisy = {"name": "user_networks:Noisy"}
    values = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        values.append([report.value for report in run(trial_config(generator=noisy))])
    assert values[0] == values[1]


def noted(monkeypatch: pytest.MonkeyPatch, read: Callable[[], Any]) -> set[tuple[bool, Any]]:
    """What ``read`` says at each pass of a user's generator, and whether that is in training."""
    seen = set()
    forward = Generator.forward

    def noting(network: Generator, z: torch.Tensor) -> torch.Tensor:
        seen.add((network.training, read()))
        return forward(network, z)

    monkeypatch.setattr(Generator, "forward", noting)
    return seen


@pytest.mark.parametrize("asked", [True, False])
@pytest.mark.parametrize("outside", [True, False])
def test_training_and_evaluation_take_the_kernels_that_the_trial_asks_for(
    asked: bool, outside: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = noted(monkeypatch, torch.are_deterministic_algorithms_enabled)
    # Checked and built by others, under their own setting.
    reports = run(trial_config(deterministic=asked, generator={"name": "user_networks:Generator"}))
    seen.clear()
    torch.use_deterministic_algorithms(outside)
    try:
        next(reports)
        assert torch.are_deterministic_algorithms_enabled() == outside
    finally:
        torch.use_deterministic_algorithms(False)
    assert seen == {(True, asked), (False, asked)}


@pytest.mark.parametrize("asked", ["highest", "high", "medium"])
@pytest.mark.parametrize("outside", ["highest", "medium"])
def test_training_multiplies_in_the_precision_that_the_trial_asks_for(
    asked: str, outside: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And evaluation exactly, whatever a user's network or an earlier trial has set."""
    seen = noted(monkeypatch, torch.get_float32_matmul_precision)
    network = {"name": "user_networks:Generator"}
    reports = run(trial_config(matmul_precision=asked, generator=network, ema=0.9))
    seen.clear()
    torch.set_float32_matmul_precision(outside)
    try:
        next(reports)
        assert torch.get_float32_matmul_precision() == outside
    finally:
        torch.set_float32_matmul_precision("highest")
    assert seen == {(True, asked), (False, "highest")}


def test_a_precision_set_for_one_backend_fails_no_trial() -> None:
    """Then torch cannot tell the precision in one word, and raises where it is asked for it."""
    matmul = torch.backends.mkldnn.matmul
    before = matmul.fp32_precision
    matmul.fp32_precision = "bf16"
    try:
        with pytest.raises(RuntimeError, match="precision"):
            torch.get_float32_matmul_precision()
        assert [r.outcome for r in run(trial_config(steps=2, evaluations=1))] == ["completed"]
        assert matmul.fp32_precision == "bf16"
    finally:
        torch.set_float32_matmul_precision("highest")
        matmul.fp32_precision = before


def test_a_networks_own_noise_is_not_that_of_its_input() -> None:
    """It has another seed, in evaluation and where averages take their statistics."""
    network = {"name": "user_networks:NoisyNormal"}
    config = trial_config(generator=network, ema=0.9, steps=2, evaluations=1)
    dataset = dataset_of(config.data)
    training = build_training(config, dataset, build_judge(dataset, "selection"))
    variances = []
    forward = nn.BatchNorm1d.forward

    def noting(layer: nn.BatchNorm1d, x: torch.Tensor) -> torch.Tensor:
        if len(x) > config.data.args["batch_size"]:
            variances.append(float(x.var()))
        return forward(layer, x)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(nn.BatchNorm1d, "forward", noting)
        training.next_report()
    assert len(variances) > STATISTICS_BATCHES
    assert variances == pytest.approx([2.0] * len(variances), rel=0.4)  # 4 if noise equals z
    average = training.game.evaluation.generator()
    assert isinstance(average, NoisyNormal)
    assert float(average.norm.running_var.mean()) == pytest.approx(2.0, rel=0.05)  # type: ignore[union-attr]


def test_a_generator_of_one_sample_has_collapsed() -> None:
    """By the default rule: variety far below the data's, late enough, in two reports."""
    constant = {"name": "user_networks:Constant"}
    *_, last = run(conftest.trial_config(steps=20, evaluations=10, generator=constant))
    assert last.outcome == "collapsed"
    assert last.step == 8  # 30 % of 20 steps is step 6: reports 6 and 8
    off = conftest.trial_config(
        steps=20, evaluations=10, generator=constant, collapse={"variety": 0.0}
    )
    *_, last = run(off)
    assert last.outcome == "completed"


def test_all_scalars_are_floats() -> None:
    measured = ["generator_parameters", "generator_multiply_adds"]
    *_, last = run(trial_config(measure=measured))
    assert {type(value) for value in last.scalars.values()} == {float}


def test_patience_completes_a_trial_that_gets_no_better() -> None:
    still = {"name": "sgd", "lr": 1e-12}
    config = trial_config(steps=20, evaluations=10, generator_optimizer=still, patience=3)
    reports = list(run(config))
    assert len(reports) == 4
    assert reports[-1].outcome == "completed"


def test_a_checkpoint_of_another_config_is_refused() -> None:
    state = finished(trial_config())[0][1]
    with pytest.raises(CheckpointError, match="must be of trial config"):
        run(trial_config(seed=6), resume_from=state)


@pytest.mark.parametrize("damage", [lambda s: s[:-5], lambda s: b"", lambda s: b"x" * 100])
def test_a_torn_checkpoint_is_refused(damage: Any) -> None:
    state = finished(trial_config())[0][1]
    with pytest.raises(CheckpointError, match="torn or not gan-tune's"):
        run(trial_config(), resume_from=damage(state))


def test_a_saved_report_is_resumed_from_its_folder(tmp_path: Path) -> None:
    reports = run(trial_config())
    path = next(reports).save(tmp_path / "trial")
    assert [p.name for p in path.parent.iterdir()] == ["checkpoint.safetensors"]
    assert [r.step for r in run(trial_config(), resume_from=path.parent)] == [16, 24]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("data", ["digits", "ring"])
def test_scaling_is_undone(scale: str, data: str) -> None:
    dataset = dataset_of(trial_config(data={"name": data}, generator={
        "name": "mlp", "output": "linear"}, objective={
            "metric": "frechet_distance"}).data)  # fmt: skip
    if scale == "by_column" and dataset.kind == "pictures":
        with pytest.raises(DataError, match="by_column is for points and tables: pictures"):
            scaling_of(dataset, scale)
        return
    scaling = scaling_of(dataset, scale)
    some = torch.tensor(dataset.train[:50])
    plain = some.float() / 255 if dataset.kind == "pictures" else some
    assert torch.allclose(scaling.undo(scaling.apply(some)), plain, atol=1e-6)
    if scale == "symmetric":
        assert float(scaling.apply(torch.tensor(dataset.train)).abs().max()) <= 1


def test_the_exported_generator_draws_the_same_samples_for_a_seed() -> None:
    config = trial_config(data={"name": "ring", "size": 500, "scale": "symmetric"}, generator={
        "name": "mlp", "latent": 2, "output": "tanh"}, ema=0.5, objective={
            "metric": "energy_distance"})  # fmt: skip
    state = finished(config)[-1][1]
    generator = best_generator(config, dataset_of(config.data), state)
    samples = draw(generator, 2_500, latent=2, seed=3)
    assert samples.shape == (2_500, 2)
    assert torch.equal(samples[:10], draw(generator, 2_500, latent=2, seed=3)[:10])
    assert float(samples.abs().max()) > 0.01


def test_a_window_without_steps_of_the_discriminator_says_nothing_of_it() -> None:
    reports = list(run(trial_config(steps=24, evaluations=6, block={"both": 4, "generator": 20})))
    assert "discriminator_loss" in reports[0].scalars
    assert "generator_loss" in reports[2].scalars
    assert not [name for name in reports[2].scalars if name.startswith("discriminator_")]


# ---------------------------------------------------------------- forks

MOMENTUM = {"name": "sgd", "lr": 1e-2, "momentum": 0.9}
RMSPROP = {"name": "rmsprop", "lr": 1e-3}
SPARSE = VARIANTS["sparsity l1"]
FORKS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "another rate": ({}, {"generator_optimizer": {"name": "adam", "lr": 5e-3}}),
    "another optimizer": ({}, {"generator_optimizer": RMSPROP}),
    "momentum from none": (
        {"generator_optimizer": {**MOMENTUM, "momentum": 0.0}},
        {"generator_optimizer": MOMENTUM},
    ),
    "momentum of RMSprop": (
        {"generator_optimizer": RMSPROP},
        {"generator_optimizer": {**RMSPROP, "momentum": 0.5}},
    ),
    "EMA begins": ({}, {"ema": 0.9}),
    "EMA ends": ({"ema": 0.9}, {}),
    "EMA over batch norm begins": (
        VARIANTS["batch norm in a decoder"] | {"ema": 0.0},
        VARIANTS["batch norm in a decoder"],
    ),
    "lookahead begins": ({}, {"lookahead": {"every": 5, "alpha": 0.5}}),
    "lookahead ends": ({"lookahead": {"every": 5, "alpha": 0.5}}, {}),
    "clipping": ({}, {"gradient_clip": {"name": "norm", "max_norm": 0.5}}),
    "another loss": ({"penalties": [{"name": "r1", "weight": 0.1}]}, {"loss": "hinge"}),
    "sparsity": (SPARSE, {**SPARSE, "sparsity": {"name": "l1", "weight": 0.5}}),
    "two D steps": ({}, {"d_steps": 2}),
}


def fork_of(name: str) -> tuple[TrialConfig, TrialConfig]:
    parent, child = FORKS[name]
    return trial_config(**parent), trial_config(**child)


@pytest.mark.parametrize("name", FORKS)
def test_a_fork_goes_on_from_its_parents_weights_and_resumes_bit_for_bit(name: str) -> None:
    parent, child = fork_of(name)
    child = child.model_copy(update={"seed": 6})
    state = finished(parent)[0][1]
    through = finished(child, inherit_from=state)
    assert [report.step for report, _ in through] == [16, 24]
    for mine, other in zip(finished(child, inherit_from=state), through, strict=True):
        assert_equal(mine, other)
    (rest,) = finished(child, resume_from=through[0][1])
    assert_equal(rest, through[1])


def test_a_fork_without_a_change_trains_as_its_parent_does() -> None:
    """But for the best so far, which is its own."""
    config = trial_config(ema=0.9, lookahead={"every": 5, "alpha": 0.5})
    first, *rest = finished(config)
    fork = finished(config, inherit_from=first[1])
    assert [report.scalars for report, _ in fork] == [report.scalars for report, _ in rest]
    values = [report.value for report, _ in fork]
    assert [report.best for report, _ in fork] == list(itertools.accumulate(values, min))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("parent", "child", "kept"),
    [("adam", "adam", True), ("adam", "rmsprop", False), ("rmsprop", "rmsprop", True)],
)
def test_an_optimizers_state_is_inherited_by_its_own_kind(
    parent: str, child: str, kept: bool
) -> None:
    def state_of(name: str, **options: Any) -> bytes:
        still = {"name": name, "lr": 1e-12}
        config = trial_config(generator_optimizer=still, discriminator_optimizer=still)
        return next(run(config, **options)).checkpoint()

    before = state_of(parent)
    after = checkpoint.read(state_of(child, inherit_from=before))
    assert float(after.under("generator_optimizer")["0/step"]) == (16 if kept else 8)
    for name, weights in checkpoint.read(before).under("discriminator").items():
        assert torch.allclose(weights, after.under("discriminator")[name], atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"discriminator": {"name": "mlp", "hidden": [17]}},
        {"encoder": {"name": "mlp", "hidden": [16]}},
    ],
)
def test_weights_of_other_networks_are_refused(changes: dict[str, Any]) -> None:
    state = finished(trial_config())[0][1]
    with pytest.raises(CheckpointError, match="must be of the same networks"):
        run(trial_config(**changes), inherit_from=state)


# ---------------------------------------------------------------- schedules of settings


def replayed(phases: list[Phase], **options: Any) -> list[tuple[Report, bytes]]:
    dataset = dataset_of(phases[0].config.data)
    judge = build_judge(dataset, "selection")
    reports = replay(phases, dataset, judge, **options)
    return [(report, report.checkpoint()) for report in reports]


@pytest.mark.parametrize("name", FORKS)
def test_a_replay_equals_the_forks_it_stands_for_and_resumes_bit_for_bit(name: str) -> None:
    first, last = fork_of(name)
    phases = [Phase(8, first), Phase(16, last), Phase(24, first)]
    between = EveryThirdStep()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("gan_tune.gan.training.CHECK_EVERY", 3)
        through = replayed(phases, keeper=between)
    steps = [checkpoint.read(state).scalars["step"] for state in between.states]
    assert steps == [3, 6, 11, 14, 19, 22]
    (rest,) = replayed(phases, resume_from=between.states[-1])
    assert_equal(rest, through[-1])
    parent = finished(first)[0]
    child = finished(last, inherit_from=parent[1])[0]
    grandchild = finished(first, inherit_from=child[1])[0]
    for (mine, _), (alone, _) in zip(through, (parent, child, grandchild), strict=True):
        assert (mine.step, mine.value, mine.scalars) == (alone.step, alone.value, alone.scalars)
    assert_equal(through[2], grandchild)
    for i, (_, state) in enumerate(through[:-1]):
        rest = replayed(phases, resume_from=state)
        for again, other in zip(rest, through[i + 1 :], strict=True):
            assert_equal(again, other)


def test_only_the_last_phase_of_a_replay_has_a_best() -> None:
    first, last = fork_of("another rate")
    reports = [report for report, _ in replayed([Phase(16, first), Phase(24, last)])]
    assert [report.best for report in reports] == [None, None, reports[2].value]
    assert [report.outcome for report in reports] == [None, None, "completed"]


def test_a_replay_that_diverges_in_an_early_phase_has_no_value() -> None:
    first, last = trial_config(divergence={"max_logit": 1e-6}), trial_config()
    (report,) = (report for report, _ in replayed([Phase(16, first), Phase(24, last)]))
    assert (report.outcome, report.best) == ("diverged", None)


def test_a_checkpoint_of_no_phase_is_refused() -> None:
    state = finished(trial_config(seed=9))[0][1]
    with pytest.raises(CheckpointError, match="must belong to a phase"):
        replayed([Phase(16, trial_config()), Phase(24, trial_config(d_steps=2))], resume_from=state)


def test_a_checkpoint_is_replaced_as_a_whole(tmp_path: Path) -> None:
    """Whoever has the old file open, here by a second name, never meets a byte of the new one."""
    old, new = (checkpoint.pack({"w": torch.full((50,), v)}, {"step": v}, "x") for v in (1.0, 2.0))
    path = checkpoint.write(old, tmp_path / "trial")
    second_name = tmp_path / "second"
    second_name.hardlink_to(path)
    assert checkpoint.write(new, tmp_path / "trial") == path
    assert second_name.read_bytes() == old
    assert path.read_bytes() == new
    assert checkpoint.read(path.parent).scalars == {"step": 2.0}
    assert [entry.name for entry in path.parent.iterdir()] == [checkpoint.FILE_NAME]


def test_a_write_that_fails_half_way_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    """The disk is full: bytes can be written, and then no more."""
    old = checkpoint.pack({"w": torch.zeros(50)}, {}, "x")
    path = checkpoint.write(old, tmp_path / "trial")
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(old) // 2, before[1]))
        with pytest.raises(OSError, match="too large"):
            checkpoint.write(checkpoint.pack({"w": torch.ones(50)}, {}, "x"), tmp_path / "trial")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, previous)
    assert path.read_bytes() == old
