"""Augmentation and noise applied to samples before the discriminator sees them.

Pure functions of a batch and of the random numbers drawn for it. They are differentiable in the
samples, so the generator learns through them. Real and fake samples are treated alike. All work in
the scaled space of the networks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NamedTuple

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import pad

__all__ = [
    "AUGMENTS",
    "Augment",
    "View",
    "ViewDraws",
    "diffaugment",
    "draw_noise",
    "draw_uniforms",
    "instance_noise",
    "noise_level",
    "unaugmented",
]

Policy = Literal["color", "translation", "cutout"]
Policies = Annotated[tuple[Policy, ...], Field(min_length=1, max_length=3)]
Share = Annotated[float, Field(ge=0, le=1)]
Deviation = Annotated[float, Field(ge=0, le=1e30)]
Until = Annotated[float, Field(gt=0, le=1)]


def unaugmented(samples: Tensor, uniforms: Sequence[Tensor]) -> Tensor:
    """Return the samples unchanged."""
    return samples


def _color(x: Tensor, brightness: Tensor, saturation: Tensor, contrast: Tensor) -> Tensor:
    """Brightness by ±½, then saturation by 0..2, then contrast by ½..1½."""
    x = x + (brightness - 0.5)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * (2 * saturation)
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * (0.5 + contrast)


def _whole(count: float | Tensor, uniform: Tensor) -> Tensor:
    """A whole number among 0 .. count − 1 for each sample: [batch, 1, 1, 1]."""
    return (uniform * count).floor()


def _places(x: Tensor, dim: int) -> Tensor:
    """0, 1, ... along one dimension of a batch: [1, 1, H, 1] or [1, 1, 1, W]."""
    shape = [1, 1, 1, 1]
    shape[dim] = x.shape[dim]
    return torch.arange(x.shape[dim], device=x.device, dtype=x.dtype).view(shape)


def _translate(x: Tensor, down: Tensor, right: Tensor, *, share: float | Tensor) -> Tensor:
    """Shift by up to a share of the height and of the width; uncovered pixels become zero."""
    shape = x.shape
    for dim, border, uniform in ((2, (0, 0, 1, 1), down), (3, (1, 1), right)):
        size = x.shape[dim]
        farthest = (share * size + 0.5) // 1
        shift = _whole(2 * farthest + 1, uniform) - farthest
        # Place 0 and place size + 1 of the padded samples are zero.
        source = (_places(x, dim) + shift + 1).clamp(0, size + 1).long()
        x = pad(x, border).gather(dim, source.expand(shape))
    return x


def _cut_out(x: Tensor, down: Tensor, right: Tensor, *, share: float | Tensor) -> Tensor:
    """Set a box to zero. Its sides are a share of height and width; it may cross the edge."""
    inside = torch.ones((), dtype=torch.bool, device=x.device)
    for dim, uniform in ((2, down), (3, right)):
        length = (share * x.shape[dim] + 0.5) // 1
        centre = _whole(x.shape[dim] + 1 - length % 2, uniform)
        from_start = _places(x, dim) - (centre - length // 2)
        inside = inside & (from_start >= 0) & (from_start < length)
    return x * ~inside


UNIFORMS: Mapping[str, int] = {"color": 3, "translation": 2, "cutout": 2}
"""Policy → how many random numbers it needs for each sample."""
ALL_POLICIES: tuple[Policy, ...] = ("color", "translation", "cutout")


def diffaugment(
    samples: Tensor,
    uniforms: Sequence[Tensor],
    *,
    policy: Policies = ALL_POLICIES,
    translation: Share = 0.125,
    cutout: Share = 0.5,
) -> Tensor:
    """DiffAugment (Zhao et al. 2020) of pictures [batch, channels, height, width].

    The policies are applied in the order given. Each sample has its own random numbers:
    ``uniforms``, drawn by :func:`draw_uniforms`. ``translation`` and ``cutout`` are shares of
    height and width; the defaults are the paper's. The brightness of ±½ and the fill value of zero
    are meant for pictures in [−1, 1].
    """
    policies: dict[str, Callable[..., Tensor]] = {
        "color": _color,
        "translation": lambda *given: _translate(*given, share=translation),
        "cutout": lambda *given: _cut_out(*given, share=cutout),
    }
    left = list(uniforms)
    for name in policy:
        own, left = left[: UNIFORMS[name]], left[UNIFORMS[name] :]
        samples = policies[name](samples, *own)
    return samples


def draw_nothing(samples: Tensor, random: torch.Generator) -> tuple[Tensor, ...]:
    """Draw nothing, for augmentations that need no random numbers."""
    return ()


def draw_uniforms(
    samples: Tensor,
    random: torch.Generator,
    *,
    policy: Policies = ALL_POLICIES,
    translation: Share = 0.125,
    cutout: Share = 0.5,
) -> tuple[Tensor, ...]:
    """Numbers in [0, 1) for :func:`diffaugment` with the same knobs, each [batch, 1, 1, 1]."""
    return tuple(
        torch.rand(
            len(samples), 1, 1, 1, generator=random, device=samples.device, dtype=samples.dtype
        )
        for name in policy
        for _ in range(UNIFORMS[name])
    )


@dataclass(frozen=True)
class Augment:
    """An augmentation ``function(samples, draws, **knobs)``, and the function
    ``draw(samples, random, **knobs)`` that draws its random numbers."""

    function: Callable[..., Tensor]
    draw: Callable[..., tuple[Tensor, ...]] = draw_nothing


AUGMENTS: dict[str, Augment] = {
    "none": Augment(unaugmented),
    "diffaugment": Augment(diffaugment, draw=draw_uniforms),
}

FAINT = 0.03
"""The final level of geometrically decreasing noise, as a share of the first level."""


def draw_noise(samples: Tensor, random: torch.Generator) -> Tensor:
    """Standard normal noise, of the shape of the samples."""
    return torch.randn(samples.shape, generator=random, device=samples.device, dtype=samples.dtype)


def instance_noise(samples: Tensor, noise: Tensor, *, std: Deviation) -> Tensor:
    """samples + std · noise, with noise ~ N(0, 1) of the samples' shape [batch, ...].

    The noise makes the supports of real and fake data overlap (Sønderby et al. 2017; Arjovsky and
    Bottou 2017).
    """
    return samples + std * noise


def noise_level(
    step: int,
    steps: int,
    *,
    std: Deviation,
    until: Until = 1.0,
    fade: Literal["linear", "geometric"] = "linear",
) -> float:
    """The noise's deviation at a step counted from 0: from ``std`` to 0 at ``until``.

    ``until`` is a share of the training. `linear`: the deviation falls in a straight line.
    `geometric`: it falls by the same factor each step to :data:`FAINT` times ``std``, then to 0, so
    that every scale of the data has its share of the steps (the sequence of Song and Ermon 2019,
    "Generative modeling by estimating gradients of the data distribution").
    """
    done = step / (until * steps)
    left = 1 - done
    level = FAINT**done * (left > 0) if fade == "geometric" else 0.5 * (left + abs(left))
    return std * level  # no branch on the knobs, so that they may be tensors


class ViewDraws(NamedTuple):
    """The random numbers of one view: those of the augmentation, and noise if it is used."""

    augment: tuple[Tensor, ...]
    noise: Tensor | None
    std: float


def no_noise(step: int) -> float:
    """Deviation 0 at every step."""
    return 0.0


@dataclass(frozen=True)
class View:
    """The discriminator's view of samples: they are augmented, then noise is added.

    Attributes:
        augment, knobs: an augmentation, and its keyword arguments.
        noise: the noise's deviation at each step.
    """

    augment: Augment = AUGMENTS["none"]
    knobs: Mapping[str, Any] = field(default_factory=dict)
    noise: Callable[[int], float] = no_noise

    def draw(self, samples: Tensor, random: torch.Generator, step: int) -> ViewDraws:
        """Draw the random numbers of one view; no noise if its deviation is 0."""
        uniforms = self.augment.draw(samples, random, **self.knobs)
        std = self.noise(step)
        return ViewDraws(uniforms, draw_noise(samples, random) if std else None, std)

    def __call__(self, samples: Tensor, draws: ViewDraws) -> Tensor:
        seen = self.augment.function(samples, draws.augment, **self.knobs)
        return seen if draws.noise is None else instance_noise(seen, draws.noise, std=draws.std)
