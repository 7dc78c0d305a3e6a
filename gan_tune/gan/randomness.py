"""A trial's own random numbers: nothing else draws from them, and the trial uses no others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from gan_tune.gan import device as devices

__all__ = ["carry_on", "global_generators", "seeded", "seeded_globals"]


def seeded(seed: int, purpose: str, device: torch.device) -> torch.Generator:
    """A random generator for one purpose of a trial, independent of those for other purposes."""
    return torch.Generator(device).manual_seed(_derived(seed, purpose))


@contextmanager
def seeded_globals(seed: int, purpose: str, device: torch.device) -> Iterator[None]:
    """Run with torch's global generators seeded for a purpose; restore their state afterwards."""
    outer = devices.global_state(device)
    devices.seed_globals(_derived(seed, purpose), device)
    try:
        yield
    finally:
        devices.set_global_state(outer, device)


@contextmanager
def global_generators(state: dict[str, Tensor], device: torch.device) -> Iterator[None]:
    """Run with torch's global generators in ``state``; update ``state`` afterwards.

    gan-tune's own parts do not use them, but a user's network may, for dropout.
    """
    outer = devices.global_state(device)
    devices.set_global_state(state, device)
    try:
        yield
    finally:
        state.update(devices.global_state(device))
        devices.set_global_state(outer, device)


def carry_on(random: torch.Generator, state: Tensor, *, seed: int, purpose: str) -> None:
    """Set a generator to a checkpoint's state, if that was made on the same kind of device.

    If not, its draws cannot go on, and it is seeded for ``purpose``: the same for the same seed.
    """
    devices.reseed(random, state, _derived(seed, purpose))


def _derived(seed: int, purpose: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:7], "big")
