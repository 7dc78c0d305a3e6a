"""The best generator of a trial as a self-contained module from noise to samples."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gan_tune.config import TrialConfig
from gan_tune.data.dataset import Dataset
from gan_tune.data.scaling import Scaling, scaling_of
from gan_tune.errors import CheckpointError
from gan_tune.gan import checkpoint
from gan_tune.gan.networks import build_network, without_parametrizations
from gan_tune.gan.randomness import seeded_globals
from gan_tune.model.archive import check_operators

__all__ = [
    "ExportedGenerator",
    "best_generator",
    "check_exportable",
    "draw",
    "exported",
    "exported_best",
]

BATCH = 1_000
"""Samples that :func:`draw` makes in one forward pass."""


class ExportedGenerator(nn.Module):
    """z [batch, latent] → pictures [batch, C, H, W] in [0, 1], or points [batch, D]."""

    def __init__(self, network: nn.Module, scaling: Scaling) -> None:
        super().__init__()
        self.network = network
        self.pictures = scaling.pictures
        self.register_buffer("shift", torch.tensor(scaling.shift))
        self.register_buffer("factor", torch.tensor(scaling.factor))

    def forward(self, z: Tensor) -> Tensor:
        samples: Tensor = self.network(z) * self.factor + self.shift
        return samples.clamp(0, 1) if self.pictures else samples


def best_generator(config: TrialConfig, dataset: Dataset, saved: bytes) -> ExportedGenerator:
    """The generator as it was at the trial's best report, on the CPU, in eval mode.

    Raises:
        CheckpointError: the checkpoint belongs to another config, or has no best report.
    """
    state = checkpoint.read(saved)
    state.check(config.digest())
    scaling = scaling_of(dataset, config.data.args["scale"])
    name, args = config.generator.name, config.generator.args
    return exported_best(
        state, dataset.shape, name=name, args=args, seed=config.seed, scaling=scaling
    )


def exported_best(
    state: checkpoint.Checkpoint,
    shape: tuple[int, ...],
    *,
    name: str,
    args: Mapping[str, Any],
    seed: int,
    scaling: Scaling,
) -> ExportedGenerator:
    """The generator of that name and these arguments with a checkpoint's best weights.

    ``shape`` is one sample's, ``seed`` is the trial's, ``scaling`` maps back to data space.

    Raises:
        CheckpointError: the checkpoint has no best report.
    """
    weights = state.under("best")
    if not weights:
        raise CheckpointError("checkpoint: must hold a best report, but the trial never had one")
    # Built as for training: a user's network may have tensors that are not in its state.
    with seeded_globals(seed, "networks", torch.device("cpu")):
        network = build_network("generator", shape, name=name, args=args)
    network.load_state_dict(weights)
    plain = without_parametrizations(network)  # torch.export cannot handle parametrizations
    return ExportedGenerator(plain, scaling).eval()


def check_exportable(network: nn.Module, *, latent: int) -> None:
    """Check that a generator z[B, latent] can be exported as the registry will export it.

    Raises:
        ValueError: it has operators that are not torch's own.
        Exception: any error of torch if it cannot copy the network, or export it for any batch
            size.
    """
    program = exported(network, latent=latent)
    device = next(network.parameters()).device
    program.module()(torch.zeros(3, latent, device=device))
    check_operators(program)


def exported(network: nn.Module, *, latent: int) -> torch.export.ExportedProgram:
    """A generator in eval mode as a program for any batch size: z [batch, latent] → samples.

    Raises:
        Exception: any error of torch if it cannot copy or export the network.
    """
    plain = without_parametrizations(network)
    device = next(plain.parameters()).device
    # A batch of 1 would freeze the batch dimension.
    examples = (torch.zeros(2, latent, device=device),)
    with _in_silence():
        return torch.export.export(plain, examples, dynamic_shapes=({0: torch.export.Dim.AUTO},))


@contextlib.contextmanager
def _in_silence() -> Iterator[None]:
    """Suppress torch's output, logs and warnings before an error, which contain whole graphs."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


@torch.no_grad()
def draw(generator: nn.Module, count: int, *, latent: int, seed: int) -> Tensor:
    """Samples [count, ...] of standard normal noise; the same seed gives the same ones."""
    random = torch.Generator().manual_seed(seed)
    z = torch.randn(count, latent, generator=random)
    return torch.cat([generator(part) for part in z.split(BATCH)])
