"""A trial's own random numbers: nothing else draws from them, and the trial uses no others."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor

__all__ = ["global_generators", "global_state", "seeded", "seeded_globals"]


def seeded(seed: int, purpose: str, device: torch.device) -> torch.Generator:
    """A random generator for one purpose of a trial, independent of those for other purposes."""
    return torch.Generator(device).manual_seed(_derived(seed, purpose))


@contextmanager
def seeded_globals(seed: int, purpose: str, device: torch.device) -> Iterator[None]:
    """Run with torch's global generators seeded for a purpose; restore their state afterwards."""
    outer = global_state(device)
    # Not torch.manual_seed: without a GPU it formats a traceback each time, which takes 1 ms.
    torch.default_generator.manual_seed(_derived(seed, purpose))
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(_derived(seed, purpose))
    try:
        yield
    finally:
        _set_global_state(outer, device)


@contextmanager
def global_generators(state: dict[str, Tensor], device: torch.device) -> Iterator[None]:
    """Run with torch's global generators in ``state``; update ``state`` afterwards.

    gan-tune's own parts do not use them, but a user's network may, for dropout.
    """
    outer = global_state(device)
    _set_global_state(state, device)
    try:
        yield
    finally:
        state.update(global_state(device))
        _set_global_state(outer, device)


def global_state(device: torch.device) -> dict[str, Tensor]:
    """The state of torch's global generators that a computation on ``device`` can read."""
    state = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        state["cuda"] = torch.cuda.get_rng_state(device)
    return state


def _set_global_state(state: Mapping[str, Tensor], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"].cpu())
    if "cuda" in state and device.type == "cuda":
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)


def _derived(seed: int, purpose: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:7], "big")
