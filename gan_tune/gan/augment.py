"""What both players' samples go through before the discriminator sees them.

Pure functions of a batch and of what was drawn for it: differentiable in the samples, so the
generator learns through them, and applied alike to real and fake. All work in the scaled space of
the networks.
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
    """The samples as they are."""
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
    """Shift by up to a share of the height and of the width; what comes in is zero."""
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
    """Blank a box of that share of the height and of the width, which may reach over the edge."""
    inside = torch.ones((), dtype=torch.bool, device=x.device)
    for dim, uniform in ((2, down), (3, right)):
        length = (share * x.shape[dim] + 0.5) // 1
        centre = _whole(x.shape[dim] + 1 - length % 2, uniform)
        from_start = _places(x, dim) - (centre - length // 2)
        inside = inside & (from_start >= 0) & (from_start < length)
    return x * ~inside


UNIFORMS: Mapping[str, int] = {"color": 3, "translation": 2, "cutout": 2}
"""Policy → how many numbers it takes for each sample."""
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

    The policies are applied in the order given, each sample by its own numbers: ``uniforms`` are
    those of :func:`draw_uniforms`. ``translation`` and ``cutout`` are shares of height and width,
    the defaults the paper's. Its brightness of ±½ and its fill of zero are meant for pictures in
    [−1, 1].
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
    """Of what needs no random numbers."""
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
    """An augmentation ``function(samples, draws, **knobs)``, and ``draw(samples, random, **knobs)``
    for what it needs of random numbers."""

    function: Callable[..., Tensor]
    draw: Callable[..., tuple[Tensor, ...]] = draw_nothing


AUGMENTS: dict[str, Augment] = {
    "none": Augment(unaugmented),
    "diffaugment": Augment(diffaugment, draw=draw_uniforms),
}

FAINT = 0.03
"""What noise that fades geometrically comes to, as a share of where it began."""


def draw_noise(samples: Tensor, random: torch.Generator) -> Tensor:
    """Standard normal noise, of the shape of the samples."""
    return torch.randn(samples.shape, generator=random, device=samples.device, dtype=samples.dtype)


def instance_noise(samples: Tensor, noise: Tensor, *, std: Deviation) -> Tensor:
    """samples + std · noise, for samples and noise ~ N(0, 1) of any one shape [batch, ...].

    It gives real and fake overlapping supports (Sønderby et al. 2017; Arjovsky and Bottou 2017).
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

    ``until`` is a share of the training. `linear`: in a line. `geometric`: by the same factor each
    step, to :data:`FAINT` of ``std`` and then none, so that every scale of the data gets its time
    (the sequence of Song and Ermon 2019, "Generative modeling by estimating gradients of the data
    distribution").
    """
    done = step / (until * steps)
    left = 1 - done
    level = FAINT**done * (left > 0) if fade == "geometric" else 0.5 * (left + abs(left))
    return std * level  # no branch on the knobs, so that they may be tensors


class ViewDraws(NamedTuple):
    """What was drawn for one view: numbers for the augmentation, and noise where there is any."""

    augment: tuple[Tensor, ...]
    noise: Tensor | None
    std: float


def no_noise(step: int) -> float:
    """Of deviation 0 at all steps."""
    return 0.0


@dataclass(frozen=True)
class View:
    """What the discriminator sees of samples: augmented, then noisy.

    Attributes:
        augment, knobs: an augmentation, and what it is called with.
        noise: the noise's deviation at each step.
    """

    augment: Augment = AUGMENTS["none"]
    knobs: Mapping[str, Any] = field(default_factory=dict)
    noise: Callable[[int], float] = no_noise

    def draw(self, samples: Tensor, random: torch.Generator, step: int) -> ViewDraws:
        """What one view of such samples needs; no noise is drawn of deviation 0."""
        uniforms = self.augment.draw(samples, random, **self.knobs)
        std = self.noise(step)
        return ViewDraws(uniforms, draw_noise(samples, random) if std else None, std)

    def __call__(self, samples: Tensor, draws: ViewDraws) -> Tensor:
        seen = self.augment.function(samples, draws.augment, **self.knobs)
        return seen if draws.noise is None else instance_noise(seen, draws.noise, std=draws.std)
