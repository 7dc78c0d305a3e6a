"""The conformance kit: sound parts pass, and each broken rule is named."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import user_networks
from torch import Tensor, nn

from gan_tune import Dataset
from gan_tune.data.by_name import DATASETS
from gan_tune.gan.networks import DISCRIMINATORS, ENCODERS, GENERATORS
from gan_tune.testing import check_dataset, check_discriminator, check_encoder, check_generator

PICTURE, POINT = (1, 8, 8), (2,)
SMALL: dict[str, dict[str, Any]] = {
    "mlp": {"hidden": [8]},
    "fourier_mlp": {"waves": 4, "hidden": [8]},
    "dcgan": {"width": 4},
    "residual": {"width": 4},
    "conv5": {"maps": [4, 8]},
    "conv": {"maps": [4, 8]},
}
"""Narrow networks, so that the tests are quick."""


@pytest.mark.parametrize("name", GENERATORS)
def test_shipped_generators_conform(name: str) -> None:
    check_generator(GENERATORS[name], shape=PICTURE, latent=6, **SMALL[name])


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_shipped_discriminators_conform(name: str) -> None:
    check_discriminator(DISCRIMINATORS[name], shape=PICTURE, **SMALL[name])


@pytest.mark.parametrize("name", ENCODERS)
def test_shipped_encoders_conform(name: str) -> None:
    check_encoder(ENCODERS[name], shape=PICTURE, code=5, **SMALL[name])


def test_networks_of_points_conform() -> None:
    check_generator(GENERATORS["mlp"], shape=POINT, latent=3, hidden=[8], output="linear")
    check_discriminator(DISCRIMINATORS["fourier_mlp"], shape=POINT, waves=4, hidden=[8])
    check_encoder(ENCODERS["mlp"], shape=POINT, code=3, hidden=[8])


@pytest.mark.parametrize(
    "name", ["Generator", "HiddenBuffer", "ReadsNumbers", "FromNumpy", "WithClass"]
)
def test_sound_generators_of_users_conform(name: str) -> None:
    check_generator(getattr(user_networks, name), shape=PICTURE, latent=5)


@pytest.mark.parametrize("name", ["Discriminator", "MinibatchDeviation", "PictureFeatures"])
def test_sound_discriminators_of_users_conform(name: str) -> None:
    check_discriminator(getattr(user_networks, name), shape=PICTURE)


# ---------------------------------------------------------------- what breaks a rule


class Wide(user_networks.Generator):
    """Makes one sample too many."""

    def forward(self, z: Tensor) -> Tensor:
        samples = super().forward(z)
        return torch.cat([samples, samples[:1]])


class Idle(user_networks.Generator):
    """Has a layer that its forward pass leaves out."""

    def __init__(self, shape: tuple[int, ...], latent: int = 5) -> None:
        super().__init__(shape, latent)
        self.left_out = nn.Linear(2, 2)


class Unseeded(user_networks.Generator):
    """Draws its weights from a source that no seed reaches."""

    def __init__(self, shape: tuple[int, ...], latent: int = 5) -> None:
        super().__init__(shape, latent)
        with torch.no_grad():
            self.net[0].weight.copy_(torch.from_numpy(np.random.default_rng().random((64, 5))))


class Exploding(user_networks.Generator):
    """Leaves the real numbers."""

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z) / 0


class Pair(user_networks.Generator):
    """Returns more than the samples."""

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return super().forward(z), z


@pytest.mark.parametrize(
    ("network", "rule"),
    [
        (Pair, "generator: must return a tensor: tuple"),
        (Wide, r"generator: must map \(3, 5\) to \(3, 1, 8, 8\): \(4, 1, 8, 8\)"),
        (user_networks.Float64, "must give float32: torch.float64"),
        (user_networks.NoModule, "must be a class derived from torch.nn.Module"),
        (user_networks.Lazy, "no lazy layers"),
        (user_networks.Branching, "torch.export must take it for any batch size"),
        (user_networks.BatchOfTwo, "cannot be built and run for samples of shape"),
        (Idle, "a gradient must reach each parameter, but none reaches left_out.weight, left_out"),
        (user_networks.Noisy, "must be a fixed function in eval mode, but two passes differ"),
        (Unseeded, "equal seeds must give equal networks, but two built with one seed differ"),
        (user_networks.PlainTensor, "must run on the device it is moved to .*buffers"),
        (user_networks.Constant, "must depend on its noise, but all samples are equal"),
        (Exploding, "training must give finite figures, but at step 3 it gave"),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_broken_rule_of_a_generator_is_named(
    network: Callable[..., nn.Module], rule: str
) -> None:
    with pytest.raises(AssertionError, match=rule) as caught:
        check_generator(network, shape=PICTURE, latent=5)
    assert str(caught.value).startswith(f"{network.__name__}: ")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("NoFeatures", r"its `features` must map \(3, 1, 8, 8\) to \(3, features\): 3"),
        ("EmptyFeatures", r"its `features` must map .*: \(3, 0\)"),
    ],
)
def test_a_broken_rule_of_a_discriminator_is_named(name: str, rule: str) -> None:
    with pytest.raises(AssertionError, match=f"{name}: discriminator: {rule}"):
        check_discriminator(getattr(user_networks, name), shape=PICTURE)


class Decided(user_networks.Discriminator):
    """Says yes or no, which has no gradient."""

    def forward(self, x: Tensor) -> Tensor:
        return (super().forward(x) > 0).float()


@pytest.mark.parametrize(
    ("network", "rule"),
    [
        (user_networks.Deaf, "one training step fails: no gradient passes through it to the samp"),
        (Decided, "cannot be trained: one training step fails: its output has no gradient"),
        (user_networks.Discriminator(PICTURE), "must stand at the top level of a module"),
    ],
    ids=["deaf", "decided", "an instance"],
)
def test_a_discriminator_from_which_no_generator_learns_is_named(
    network: Callable[..., nn.Module], rule: str
) -> None:
    with pytest.raises(AssertionError, match=rule) as caught:
        check_discriminator(network, shape=PICTURE)
    assert "\n" not in str(caught.value)


def test_a_class_that_no_space_file_can_name_is_refused() -> None:
    class Local(user_networks.Generator):
        pass

    with pytest.raises(AssertionError, match="must stand at the top level of a module"):
        check_generator(Local, shape=PICTURE, latent=5)


# ---------------------------------------------------------------- data sets


def points(seed: int | None = 0, shared: bool = False) -> Dataset:
    random = np.random.default_rng(seed)
    splits = [random.standard_normal((60, 2)).astype(np.float32) for _ in range(3)]
    test = splits[0] if shared else splits[2]
    return Dataset("own", "points", train=splits[0], selection=splits[1], test=test)


def no_dataset() -> int:
    return 3


def test_sound_data_sets_conform() -> None:
    check_dataset(DATASETS["gaussian"], size=400)
    check_dataset(points)


@pytest.mark.parametrize(
    ("function", "args", "rule"),
    [
        (points, {"seed": None}, "two calls must give the same samples"),
        (points, {"shared": True}, "the splits must be different samples, but test is train"),
        (no_dataset, {}, "must be annotated to return one"),
        (user_networks.no_data, {}, "cannot be loaded: RuntimeError: no luck"),
        (partial(points, seed=1), {}, "must stand at the top level of a module"),
    ],
)
def test_a_broken_rule_of_a_data_set_is_named(
    function: Callable[..., Dataset], args: dict[str, Any], rule: str
) -> None:
    with pytest.raises(AssertionError, match=rule):
        check_dataset(function, **args)
