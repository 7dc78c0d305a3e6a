"""Networks as users write them, sound and unsound; named in the tests as `user_networks:NAME`."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn


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


class Noisy(Generator):
    """Draws from the global generator, in evaluation too."""

    def forward(self, z: Tensor) -> Tensor:
        return super().forward(z + torch.randn_like(z))


class Constant(nn.Module):
    """One learned sample, whatever the noise."""

    def __init__(self, shape: tuple[int, ...], latent: int = 5) -> None:
        super().__init__()
        self.sample = nn.Parameter(torch.zeros(shape))

    def forward(self, z: Tensor) -> Tensor:
        return torch.sigmoid(self.sample).expand(len(z), *self.sample.shape)


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


class Asserting(Generator):
    def __init__(self, shape: tuple[int, ...], latent: int = 5) -> None:
        assert latent % 16 == 0
        super().__init__(shape, latent)


class BatchNormDiscriminator(nn.Module):
    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(math.prod(shape), 8), nn.BatchNorm1d(8), nn.Linear(8, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x)
        return logits
