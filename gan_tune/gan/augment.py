"""What both players' samples go through before the discriminator sees them.

Pure functions of a batch and a generator of randomness on the same device: differentiable in the
samples, so the generator learns through them, and applied alike to real and fake. All work in the
scaled space of the networks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import pad

__all__ = ["AUGMENTS", "diffaugment", "instance_noise", "noise_level", "unaugmented"]

Policy = Literal["color", "translation", "cutout"]
Share = Annotated[float, Field(ge=0, le=1)]
Deviation = Annotated[float, Field(ge=0, le=1e30)]
Until = Annotated[float, Field(gt=0, le=1)]


def unaugmented(samples: Tensor, random: torch.Generator) -> Tensor:
    """The samples as they are."""
    return samples


def _uniform(samples: Tensor, random: torch.Generator) -> Tensor:
    """One number in [0, 1) for each sample: [batch, 1, 1, 1]."""
    return torch.rand(
        len(samples), 1, 1, 1, generator=random, device=samples.device, dtype=samples.dtype
    )


def _color(x: Tensor, random: torch.Generator) -> Tensor:
    """Brightness by ±½, then saturation by 0..2, then contrast by ½..1½."""
    x = x + (_uniform(x, random) - 0.5)
    grey = x.mean(1, keepdim=True)
    x = grey + (x - grey) * (2 * _uniform(x, random))
    mean = x.mean((1, 2, 3), keepdim=True)
    return mean + (x - mean) * (0.5 + _uniform(x, random))


def _whole(count: float | Tensor, x: Tensor, random: torch.Generator) -> Tensor:
    """A whole number among 0 .. count − 1 for each sample: [batch, 1, 1, 1]."""
    return (_uniform(x, random) * count).floor()


def _places(x: Tensor, dim: int) -> Tensor:
    """0, 1, ... along one dimension of a batch: [1, 1, H, 1] or [1, 1, 1, W]."""
    shape = [1, 1, 1, 1]
    shape[dim] = x.shape[dim]
    return torch.arange(x.shape[dim], device=x.device, dtype=x.dtype).view(shape)


def _translate(x: Tensor, random: torch.Generator, *, share: float | Tensor) -> Tensor:
    """Shift by up to a share of the height and of the width; what comes in is zero."""
    shape = x.shape
    for dim, border in ((2, (0, 0, 1, 1)), (3, (1, 1))):
        size = x.shape[dim]
        farthest = (share * size + 0.5) // 1
        shift = _whole(2 * farthest + 1, x, random) - farthest
        # Place 0 and place size + 1 of the padded samples are zero.
        source = (_places(x, dim) + shift + 1).clamp(0, size + 1).long()
        x = pad(x, border).gather(dim, source.expand(shape))
    return x


def _cut_out(x: Tensor, random: torch.Generator, *, share: float | Tensor) -> Tensor:
    """Blank a box of that share of the height and of the width, which may reach over the edge."""
    inside = torch.ones((), dtype=torch.bool, device=x.device)
    for dim in (2, 3):
        length = (share * x.shape[dim] + 0.5) // 1
        centre = _whole(x.shape[dim] + 1 - length % 2, x, random)
        from_start = _places(x, dim) - (centre - length // 2)
        inside = inside & (from_start >= 0) & (from_start < length)
    return x * ~inside


def diffaugment(
    samples: Tensor,
    random: torch.Generator,
    *,
    policy: Annotated[tuple[Policy, ...], Field(min_length=1, max_length=3)] = (
        "color",
        "translation",
        "cutout",
    ),
    translation: Share = 0.125,
    cutout: Share = 0.5,
) -> Tensor:
    """DiffAugment (Zhao et al. 2020) of pictures [batch, channels, height, width].

    The policies are applied in the order given, each sample drawing its own. ``translation`` and
    ``cutout`` are shares of height and width, the defaults the paper's. Its brightness of ±½ and
    its fill of zero are meant for pictures in [−1, 1].
    """
    policies: dict[str, Callable[[Tensor], Tensor]] = {
        "color": lambda x: _color(x, random),
        "translation": lambda x: _translate(x, random, share=translation),
        "cutout": lambda x: _cut_out(x, random, share=cutout),
    }
    for name in policy:
        samples = policies[name](samples)
    return samples


FAINT = 0.03
"""What noise that fades geometrically comes to, as a share of where it began."""

AUGMENTS: dict[str, Callable[..., Tensor]] = {"none": unaugmented, "diffaugment": diffaugment}


def instance_noise(samples: Tensor, random: torch.Generator, *, std: Deviation) -> Tensor:
    """samples + N(0, std²), for samples of any shape [batch, ...].

    It gives real and fake overlapping supports (Sønderby et al. 2017; Arjovsky and Bottou 2017).
    """
    noise = torch.randn(samples.shape, generator=random, device=samples.device, dtype=samples.dtype)
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

    ``until`` is a share of the training. `linear`: in a line. `geometric`: by the same factor each
    step, to :data:`FAINT` of ``std`` and then none, so that every scale of the data gets its time
    (the sequence of Song and Ermon 2019, "Generative modeling by estimating gradients of the data
    distribution").
    """
    done = step / (until * steps)
    left = 1 - done
    level = FAINT**done * (left > 0) if fade == "geometric" else 0.5 * (left + abs(left))
    return std * level  # no branch on the knobs, so that they may be tensors
