"""The precision of a network's matrix products and convolutions in training.

In bfloat16 a network's forward pass runs under :func:`torch.autocast`, and the backward pass
follows it operation by operation. Outside of the pass all is float32: logits and samples, losses,
the averages of batch norm, the gradients of penalties (with their second derivatives), optimizers,
averages of weights, and all that judges.

bfloat16 has the exponents of float32 and 8 bits of precision, so no loss needs to be scaled
(Kalamkar et al. 2019, "A study of bfloat16 for deep learning training").
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median

import torch
from torch import Tensor, nn

from gan_tune.config import TrialConfig
from gan_tune.gan.device import has_bfloat16
from gan_tune.gan.input_gradients import Network
from gan_tune.gan.networks.memory_format import channels_last

__all__ = [
    "Rounding",
    "emulation",
    "exact",
    "in_bfloat16",
    "lay_out",
    "prefers_float32",
    "resolved",
    "rounding",
    "slowdown",
]

Rounding = Callable[[Network], Network]
"""A network as training computes it."""

MEASURED_SIZE = 512
MEASURED_TURNS = 9


def exact(network: Network) -> Network:
    """The network itself: all of it in float32."""
    return network


def in_bfloat16(device_type: str) -> Rounding:
    """A rounding to bfloat16: products and convolutions on bfloat16 inputs, the result in float32.

    ``device_type`` is the type of the networks' device, such as `cpu` or `cuda`.
    """

    def rounded(network: Network) -> Network:
        def call(x: Tensor) -> Tensor:
            # Without a cache: weights change between two passes, so each cast serves one.
            with torch.autocast(device_type, torch.bfloat16, cache_enabled=False):
                return network(x).float()

        return call

    return rounded


def rounding(precision: str, device: torch.device) -> Rounding:
    """The rounding of a resolved precision, `float32` or `bfloat16`."""
    return in_bfloat16(device.type) if precision == "bfloat16" else exact


def lay_out(network: nn.Module, precision: str) -> None:
    """Have a network's convolutions take their maps channels last, where they are in bfloat16.

    In float32 the order stays as it is, since another one sums in another order.
    """
    if precision == "bfloat16":
        channels_last(network)


# ---------------------------------------------------------------- hardware


def prefers_float32(config: TrialConfig, kind: str) -> bool:
    """Whether `auto` is float32 for a trial on any hardware: for points, and where a player's
    gradient is estimated from values. ``kind`` is the data's."""
    gradients = (config.generator_gradient, config.discriminator_gradient)
    return kind == "points" or any(gradient.name != "backprop" for gradient in gradients)


def resolved(config: TrialConfig, kind: str, device: torch.device | str) -> TrialConfig:
    """The config with `float32` or `bfloat16` in place of `auto`."""
    if config.precision != "auto":
        return config
    exactly = prefers_float32(config, kind) or not has_bfloat16(device)
    return config.model_copy(update={"precision": "float32" if exactly else "bfloat16"})


def emulation(device: torch.device | str) -> str | None:
    """The warning that a device computes bfloat16 without having it; None if it has it."""
    if has_bfloat16(device):
        return None
    return (
        f"precision: bfloat16 is emulated on this {torch.device(device).type}: a matrix product "
        f"takes {slowdown(device):.1f} times as long as in float32 (use float32 or auto)"
    )


def slowdown(device: torch.device | str) -> float:
    """How many times as long a matrix product takes in bfloat16 as in float32, measured now."""
    taken: dict[torch.dtype, list[float]] = {torch.float32: [], torch.bfloat16: []}
    factors = {
        dtype: torch.ones(MEASURED_SIZE, MEASURED_SIZE, device=device, dtype=dtype)
        for dtype in taken
    }
    for _ in range(MEASURED_TURNS):
        for dtype, seconds in taken.items():
            started = time.perf_counter()
            (factors[dtype] @ factors[dtype])[0, 0].item()  # waits for the device
            seconds.append(time.perf_counter() - started)
    return median(taken[torch.bfloat16]) / median(taken[torch.float32])
