"""The share of a GPU that a trial gets for `resources: {gpu: auto}`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from gan_tune.service.trial_cost import TrialCost
from gan_tune.words.readable import gibibytes

__all__ = ["CONTEXT_BYTES", "Room", "Share", "kept_beside", "share_of"]

HEADROOM = 2
"""How many times the memory of the first setting a trial may take: others may be larger."""
CONTEXT_BYTES = 512 * 2**20
"""Memory on a GPU for a process of CUDA itself, which PyTorch's allocator does not count."""


@dataclass(frozen=True)
class Room:
    """A machine with GPUs: its CPU cores, its GPUs, bytes of each GPU (0: it does not tell)."""

    cores: float
    gpus: int
    memory_bytes: int


@dataclass(frozen=True)
class Share:
    """The GPUs of one trial, and a sentence why."""

    gpu: float
    why: str


def share_of(rooms: Sequence[Room], cpu: float, on_gpu: TrialCost, on_cpu: TrialCost) -> Share:
    """The share at which each core trains a trial on a GPU, if the trials' memory fits.

    It is 1 / n for n trials on each GPU, rounded down to four digits, the finest that Ray counts
    (above 99 trials, one more may get room).
    It is 0 if a step alone on the GPU is not faster than one alone on the CPU; whether it still is
    beside the others, :func:`kept_beside` decides.

    Args:
        rooms: the machines with GPUs.
        cpu: CPU cores of a trial, > 0.
        on_gpu, on_cpu: what the first setting costs on each, alone on one of the machines.
    """
    by_cores = max((_by_cores(room, cpu) for room in rooms), default=0)
    if by_cores == 0:
        return Share(0, f"no machine has a GPU and {cpu:g} cores for a trial")
    if on_gpu.step_seconds >= on_cpu.step_seconds:
        return Share(
            0,
            f"a step of the first setting takes {1000 * on_gpu.step_seconds:.2g} ms on the GPU, "
            f"{1000 * on_cpu.step_seconds:.2g} ms on the CPU",
        )
    needed = HEADROOM * on_gpu.gpu_memory_bytes + CONTEXT_BYTES
    smallest = min(room.memory_bytes for room in rooms)
    if smallest and on_gpu.gpu_memory_bytes + CONTEXT_BYTES > smallest:
        taken = gibibytes(on_gpu.gpu_memory_bytes)
        return Share(0, f"the first setting takes {taken} of a GPU of {gibibytes(smallest)}")
    together = max(1, min(by_cores, smallest // needed)) if smallest else by_cores
    limit = "the cores" if together == by_cores else f"its memory of {gibibytes(smallest)}"
    return Share(
        math.floor(10_000 / together) / 10_000,
        f"{together} {'trial' if together == 1 else 'trials'} on each GPU, as {limit} allow"
        f"{'s' if together < by_cores else ''}; the first setting takes "
        f"{gibibytes(on_gpu.gpu_memory_bytes)} there",
    )


def kept_beside(others: Sequence[TrialCost], share: Share, on_cpu: TrialCost) -> Share:
    """The share, or 0 if a step on the GPU is not faster than one on the CPU any more.

    Args:
        others: what trials cost that had the share of one GPU at once.
        share: above 0.
        on_cpu: what a trial costs alone on the CPU.
    """
    step = median(cost.step_seconds for cost in others)
    if step < on_cpu.step_seconds:
        return share
    return Share(
        0,
        f"with {len(others)} trials on a GPU a step of the first setting takes {1000 * step:.2g} "
        f"ms, {1000 * on_cpu.step_seconds:.2g} ms on the CPU",
    )


def _by_cores(room: Room, cpu: float) -> int:
    """How many trials on each GPU occupy every core, or as many as leave no GPU idle.

    0 if there are too few cores for one trial. Ray fills one GPU before the next.
    """
    trials = int(room.cores / cpu + 1e-9)
    most = math.ceil(trials / room.gpus)
    fills_all = most == 0 or math.ceil(trials / most) == min(trials, room.gpus)
    return most if fills_all else max(1, trials // room.gpus)
