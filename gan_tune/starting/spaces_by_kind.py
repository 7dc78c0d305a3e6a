"""What is proposed for each kind of data: the shipped space of that kind, fitted to the data.

Ranges come from the shipped files, so that what is learnt there serves here. Each kind says which
networks it takes at a width, and which setting is tried first.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from gan_tune.space import shipped_spaces
from gan_tune.space.reading import read_space
from gan_tune.starting.seen_data import Seen

__all__ = ["FEW_PICTURES", "KINDS", "KindOfData", "kind_of"]

FEW_PICTURES = 10_000
"""Below so many, a discriminator learns single pictures by heart, and augmentation helps most
(Zhao et al. 2020, figure 1)."""
VERY_FEW_PICTURES = 1_000
SMALLEST_CONVOLVED = 16
"""Smaller pictures are few enough pixels for multi-layer perceptrons."""

Tree = dict[str, Any]


@dataclass(frozen=True)
class KindOfData:
    """How a space is made for a kind of data.

    Attributes:
        source: name of the shipped space whose ranges are taken.
        networks: in words, for people.
        widths: what the networks may be as wide as, narrow to wide; see the shipped file.
        most_steps: longest useful trial.
        trial: data seen and width → the `trial` block.
        starts: data seen and width → the entries of `start_from`; the first one decides everything.
    """

    source: str
    networks: str
    widths: Sequence[int]
    most_steps: int
    trial: Callable[[Seen, int], Tree]
    starts: Callable[[Seen, int], list[Tree]]

    def objective(self) -> Tree:
        """The objective of the shipped space."""
        return dict(_shipped(self.source)["objective"])


def kind_of(seen: Seen) -> KindOfData:
    """The kind of a data set."""
    shape = seen.dataset.shape
    if seen.dataset.kind == "points":
        return KINDS["points"]
    square = shape[1] == shape[2] >= SMALLEST_CONVOLVED
    return KINDS["pictures" if square else "small pictures"]


# ---------------------------------------------------------------- pictures


def _pictures(seen: Seen, width: int) -> Tree:
    shipped = _shipped("conv")["trial"]
    generator = _option(shipped["generator"], "dcgan")
    discriminator = _option(shipped["discriminator"], "dcgan")
    del generator["attention"]
    return {
        "data": {**seen.tree, "batch_size": 32, "scale": "symmetric"},
        "generator": {**generator, "latent": 64, "width": width},
        "discriminator": {**discriminator, "width": width},
        "loss": shipped["loss"],
        **_augmentation(seen),
        "generator_optimizer": {**shipped["generator_optimizer"], "beta2": 0.99},
        "discriminator_optimizer": {**shipped["discriminator_optimizer"], "beta2": 0.99},
        "generator_schedule": {"choice": ["constant", "cosine"]},
        "discriminator_schedule": {"choice": ["constant", "cosine"]},
        "penalties": [_lazy_r1(shipped["penalties"][0])],
        "ema": {"choice": [0.99, 0.999]},
    }


def _starts_of_pictures(seen: Seen, width: int) -> list[Tree]:
    """Rates that fall to zero, pairs and a light slope penalty.

    Few pictures are tried with augmentation and without; very few, with it first.
    """
    start: Tree = {
        "generator": {"norm": "batch"},
        "discriminator": {"norm": "none"},
        "loss": "relativistic",
        **_rates(2e-3, beta1=0.0),
        "generator_schedule": "cosine",
        "discriminator_schedule": "cosine",
        "penalties": [{"name": "r1", "weight": 0.1}],
        "ema": 0.999,
    }
    if not _is_few(seen):
        return [start, {**start, **_rates(1e-3, beta1=0.0)}]
    order = ("diffaugment", "none") if seen.count < VERY_FEW_PICTURES else ("none", "diffaugment")
    return [{**start, "augment": augment} for augment in order]


def _small_pictures(seen: Seen, width: int) -> Tree:
    shipped = _shipped("digits")["trial"]
    return {
        "data": {**seen.tree, "batch_size": 64},
        "generator": {**shipped["generator"], "hidden": [width, 2 * width]},
        "discriminator": {**shipped["discriminator"], "hidden": [2 * width, width]},
        "loss": shipped["loss"],
        "generator_optimizer": _option(shipped["generator_optimizer"], "adam"),
        "discriminator_optimizer": _option(shipped["discriminator_optimizer"], "adam"),
        "penalties": shipped["penalties"],
        "ema": {"choice": [0.99, 0.999]},
    }


def _starts_of_small_pictures(seen: Seen, width: int) -> list[Tree]:
    return [
        {
            "generator": {"norm": "batch"},
            "loss": "hinge",
            **_rates(2e-3, beta1=0.0),
            "penalties": [{"name": "r1", "weight": 1.0}],
            "ema": 0.999,
        },
        {
            "generator": {"norm": "none"},
            "loss": "non_saturating",
            **_rates(2e-4, beta1=0.9),
            "penalties": ["none"],
            "ema": 0.99,
        },
    ]


def _augmentation(seen: Seen) -> Tree:
    return {"augment": {"choice": ["none", "diffaugment"]}} if _is_few(seen) else {}


def _is_few(seen: Seen) -> bool:
    return seen.dataset.kind == "pictures" and seen.count < FEW_PICTURES


def _lazy_r1(penalty: Tree) -> Tree:
    """The shipped choice of a penalty, without the costly ones and R1 in every fourth step only."""
    return {"choice": ["none", {**_option(penalty, "r1"), "every": 4}]}


# ---------------------------------------------------------------- points


def _points(seen: Seen, width: int) -> Tree:
    trial: Tree = _shipped("points")["trial"]
    columns = seen.dataset.shape[0]
    latents = sorted({max(2, columns), 16, 100})
    scale = "by_column" if seen.dataset.columns else "standard"
    trial["data"] = {**seen.tree, "batch_size": trial["data"]["batch_size"], "scale": scale}
    trial["generator"] |= {
        "latent": {"choice": latents},
        "hidden": {"choice": [[2 * width], [width] * 2, [width] * 4]},
        "output": "linear",
    }
    del trial["patience"]
    return trial


def _starts_of_points(seen: Seen, width: int) -> list[Tree]:
    """What trains well on points: long waves for D, both gradient penalties, noise that fades.

    Relativistic pairing with R1 and R2 is R3GAN's (Huang et al. 2024), the waves are those of
    Tancik et al. 2020.
    """
    adam = {"name": "adam", "beta1": 0.0, "beta2": 0.99}
    latent = max(2, seen.dataset.shape[0])
    return [
        {
            "data": {"batch_size": 256},
            "generator": {"latent": latent, "hidden": [width] * 4, "norm": "none"},
            "discriminator": {"name": "fourier_mlp", "hidden": [256, 256], "scale": 0.5},
            "loss": "relativistic",
            "generator_optimizer": {**adam, "lr": 5e-4},
            "discriminator_optimizer": {**adam, "lr": 2e-3},
            "generator_schedule": "cosine",
            "discriminator_schedule": {"name": "cosine", "end": 0.5},
            "penalties": [{"name": "r1", "weight": 2e-4}, {"name": "r2", "weight": 2e-4}],
            "instance_noise": {"std": 0.3, "until": 0.75},
            "ema": 0.995,
        }
    ]


# ---------------------------------------------------------------- all


KINDS: Mapping[str, KindOfData] = MappingProxyType(
    {
        "pictures": KindOfData(
            source="conv",
            networks="convolutional networks (dcgan)",
            widths=(8, 16, 24, 32, 48, 64, 96, 128),
            most_steps=30_000,
            trial=_pictures,
            starts=_starts_of_pictures,
        ),
        "small pictures": KindOfData(
            source="digits",
            networks="multi-layer perceptrons (mlp)",
            widths=(64, 128, 256),
            most_steps=20_000,
            trial=_small_pictures,
            starts=_starts_of_small_pictures,
        ),
        "points": KindOfData(
            source="points",
            networks="multi-layer perceptrons (mlp)",
            widths=(128,),
            most_steps=20_000,
            trial=_points,
            starts=_starts_of_points,
        ),
    }
)
"""Name of a kind → how its space is made."""


def _shipped(name: str) -> Tree:
    return copy.deepcopy(read_space(shipped_spaces()[name]).tree)


def _option(choice: Tree, name: str) -> Tree:
    """The option of that name, of a choice between parts."""
    return copy.deepcopy(
        next(one for one in choice["choice"] if one != "none" and one["name"] == name)
    )


def _rates(rate: float, *, beta1: float) -> Tree:
    """Adam for both players."""
    adam = {"name": "adam", "lr": rate, "beta1": beta1}
    return {"generator_optimizer": dict(adam), "discriminator_optimizer": dict(adam)}
