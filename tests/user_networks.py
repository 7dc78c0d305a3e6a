"""Networks as users write them, sound and unsound; named in the tests as `user_networks:NAME`."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from gan_tune.data.dataset import Dataset


class Generator(nn.Module):
    """Linear, sigmoid; the others differ from it in one thing."""

    def __init__(self, shape: tuple[int, ...], latent: int = 5) -> None:
        super().__init__()
        self.shape = shape
        self.net = nn.Sequential(nn.Linear(latent, math.prod(shape)), nn.Sigmoid())

    def forward(self, z: Tensor) -> Tensor:
        samples: Tensor = self.net(z)
        return samples.view(-1, *self.shape)


class HiddenBuffer(Generator):
    """Holds a tensor that its state leaves out."""

    def __init__(self, shape: tuple[int, ...], latent: int = 5) -> None:
        super().__init__(shape, latent)
        self.register_buffer("gain", torch.full((latent,), 0.5), persistent=False)

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z * self.gain)


class PlainTensor(Generator):
    """Holds a tensor that is no buffer at all."""

    def __init__(self, shape: tuple[int, ...], latent: int = 5) -> None:
        super().__init__(shape, latent)
        self.gain = torch.full((latent,), 0.5)

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z * self.gain)


class ReadsNumbers(Generator):
    """Cannot be built on the meta device."""

    def __init__(self, shape: tuple[int, ...], latent: int = 5) -> None:
        super().__init__(shape, latent)
        self.rates = [rate.item() for rate in torch.linspace(0, 0.1, 3)]


class FromNumpy(Generator):
    """Mixes the meta device with the CPU."""

    def __init__(self, shape: tuple[int, ...], latent: int = 5) -> None:
        super().__init__(shape, latent)
        self.register_buffer("gain", torch.from_numpy(np.ones(1, dtype=np.float32)))

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z * self.gain)


class AnyLatent(Generator):
    """Its latent has no annotation to be checked by."""

    def __init__(self, shape: tuple[int, ...], latent) -> None:  # type: ignore[no-untyped-def]
        super().__init__(shape, latent)


class WithClass(Generator):
    """A default that is no JSON."""

    def __init__(
        self, shape: tuple[int, ...], latent: int = 5, activation: type[nn.Module] = nn.Sigmoid
    ) -> None:
        super().__init__(shape, latent)
        self.net[1] = activation()


class WithPath(Generator):
    """An argument that its annotation turns into what is no JSON."""

    def __init__(self, shape: tuple[int, ...], latent: int = 5, root: Path = Path()) -> None:
        super().__init__(shape, latent)


class BrokenAnnotation(Generator):
    """An annotation that is no Python."""

    def __init__(
        self,
        shape: tuple[int, ...],
        latent: int = 5,
        width: "3 +" = 1,  # type: ignore  # noqa: F722
    ) -> None:
        super().__init__(shape, latent)


class MisfitAnnotation(Generator):
    """A bound that no text can be held against."""

    def __init__(
        self, shape: tuple[int, ...], latent: int = 5, text: Annotated[str, Field(ge=1)] = "a"
    ) -> None:
        super().__init__(shape, latent)


class Noisy(Generator):
    """Draws from the global generator, in evaluation too."""

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z + torch.randn_like(z))


class NoisyNormal(Generator):
    """And normalises over the batch what it has drawn."""

    def __init__(self, shape: tuple[int, ...], latent: int = 5) -> None:
        super().__init__(shape, latent)
        self.norm = nn.BatchNorm1d(latent)

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(self.norm(z + torch.randn_like(z)))


class Constant(nn.Module):
    """One learned sample, whatever the noise."""

    def __init__(self, shape: tuple[int, ...], latent: int = 5) -> None:
        super().__init__()
        self.sample = nn.Parameter(torch.zeros(shape))

    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.sample).expand(z.shape[0], *self.sample.shape)


class NoModule:
    def __init__(self, shape: tuple[int, ...], latent: int = 5) -> None:
        self.shape = shape

    def __call__(self, z: Tensor) -> Tensor:
        return torch.zeros(len(z), *self.shape)


class NoParameters(nn.Module):
    def __init__(self, shape: tuple[int, ...], latent: int = 5) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, z: Tensor) -> Tensor:
        return torch.zeros(len(z), *self.shape)


class Lazy(Generator):
    def __init__(self, shape: tuple[int, ...], latent: int = 5) -> None:
        super().__init__(shape, latent)
        self.net = nn.Sequential(nn.LazyLinear(math.prod(shape)), nn.Sigmoid())


class Float64(Generator):
    def __init__(self, shape: tuple[int, ...], latent: int = 5) -> None:
        super().__init__(shape, latent)
        self.double()

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z.double())


class BatchOfTwo(Generator):
    def forward(self, z: Tensor) -> Tensor:
        samples: Tensor = self.net(z)
        return samples.view(2, *self.shape)


class Branching(Generator):
    """Decides by values, which no graph can."""

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z if float(z.mean()) > 0 else -z)


class OldWeightNorm(Generator):
    """Its weight is no leaf, and cannot be copied."""

    def __init__(self, shape: tuple[int, ...], latent: int = 5) -> None:
        super().__init__(shape, latent)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            self.net[0] = nn.utils.weight_norm(self.net[0])


class Asserting(Generator):
    def __init__(self, shape: tuple[int, ...], latent: int = 5) -> None:
        assert latent % 16 == 0
        super().__init__(shape, latent)


class Half(nn.Linear):
    """Computes in half precision."""

    def __init__(self, features: int) -> None:
        super().__init__(features, features, dtype=torch.bfloat16)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.bfloat16()).float()


LAYERS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda features: nn.Identity(),
    "batch": nn.BatchNorm1d,
    "spectral": lambda features: spectral_norm(nn.Linear(features, features)),
    "dropout": lambda features: nn.Dropout(0.5),
    "half": Half,
}


class LayeredGenerator(Generator):
    """With a layer that its arguments do not tell of."""

    def __init__(self, shape: tuple[int, ...], latent: int = 5, layer: str = "none") -> None:
        super().__init__(shape, latent)
        self.net = nn.Sequential(LAYERS[layer](latent), *self.net)


class Discriminator(nn.Module):
    """With a layer that its arguments do not tell of."""

    def __init__(self, shape: tuple[int, ...], layer: str = "none") -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(math.prod(shape), 8), LAYERS[layer](8), nn.Linear(8, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        return logits


class NumberedDiscriminator(Discriminator):
    """With batch norm if its number is 1, or if it is 3 and ``twice`` is set, too."""

    def __init__(self, shape: tuple[int, ...], normed: int = 0, twice: bool = False) -> None:
        super().__init__(shape, "batch" if normed == 1 or (normed == 3 and twice) else "none")


class Dropping(Discriminator):
    """Takes only some of the real numbers that its signature allows."""

    def __init__(self, shape: tuple[int, ...], share: float = 0.1) -> None:
        super().__init__(shape)
        self.net = nn.Sequential(self.net, nn.Dropout(share))


class MinibatchDeviation(Discriminator):
    """Reads how far its batch spreads (Karras et al. 2018)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.spread = nn.Linear(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        spread: Tensor = self.spread(x.std(dim=0, correction=0).mean().view(1, 1))
        return super().forward(x) + spread


class Deaf(Discriminator):
    """Lets no gradient through to its input."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.detach())


class Exits(Discriminator):
    """Would end the process."""

    def forward(self, x: Tensor) -> Tensor:
        raise SystemExit(3)


class ExitsWhenBuilt(Discriminator):
    """Would end the process, too."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        raise SystemExit(3)


class RaisesNoException(Discriminator):
    """Raises what no `except Exception` catches, with a name and a text that a terminal obeys."""

    def forward(self, x: Tensor) -> Tensor:
        raise type("Odd\x1b[31m", (BaseException,), {})("\u202eboo")


class RaisesWithoutText(Discriminator):
    """Raises an error that fails to say what it is."""

    def forward(self, x: Tensor) -> Tensor:
        class Odd(Exception):
            def __str__(self) -> str:
                raise ValueError

        raise Odd


class NoFeatures(Discriminator):
    features = 3


class EmptyFeatures(Discriminator):
    def features(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :0]


class RaisingFeatures(Discriminator):
    def features(self, x: Tensor) -> Tensor:
        raise RuntimeError("no luck")


class PictureFeatures(Discriminator):
    def features(self, x: Tensor) -> Tensor:
        return x


def no_data() -> Dataset:
    raise RuntimeError("no luck\nat all")


def leaving_data() -> Dataset:
    raise SystemExit(3)


class LinearDiscriminator(nn.Module):
    """Linear; the others differ from it in one thing, and fail only when they are trained."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 1))

    def forward(self, x: Tensor) -> Tensor:
        judged: Tensor = self.net(x)
        return judged


class ChangesItsInput(LinearDiscriminator):
    """Normalises its input in place."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.mul_(2).sub_(1))


class Detached(Generator):
    """No gradient reaches its weights."""

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z).detach()


class ReattachedOutput(Generator):
    """Its output has a gradient, and its weights none."""

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z).detach().requires_grad_()


class DetachedEncoder(nn.Module):
    """No gradient reaches its weights either."""

    def __init__(self, shape: tuple[int, ...], code: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), code))

    def forward(self, x: Tensor) -> Tensor:
        codes: Tensor = self.net(x)
        return codes.detach()


class WithoutGradient(LinearDiscriminator):
    """Runs under `no_grad`."""

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


class Complex(LinearDiscriminator):
    """Has complex weights."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__(shape)
        self.net = nn.Identity()
        self.weight = nn.Parameter(torch.randn(math.prod(shape), 1, dtype=torch.complex64))

    def forward(self, x: Tensor) -> Tensor:
        return (x.flatten(1).to(torch.complex64) @ self.weight).abs()


class BrokenHere(Generator):
    """Raises on a node whose environment says so, as a driver that is broken there."""

    def forward(self, z: Tensor) -> Tensor:
        if "BROKEN_NODE" in os.environ:
            raise RuntimeError("CUDA error: unspecified launch failure")
        return super().forward(z)
