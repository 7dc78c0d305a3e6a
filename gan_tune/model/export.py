"""The best generator of a trial as a self-contained module from noise to samples."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor, nn

from gan_tune.config import Part, TrialConfig
from gan_tune.data.dataset import Dataset
from gan_tune.data.scaling import UNDO, Scaling, Undo, scaling_of
from gan_tune.errors import CheckpointError
from gan_tune.gan import checkpoint
from gan_tune.gan.networks import build_network, without_parametrizations
from gan_tune.gan.randomness import seeded_globals
from gan_tune.model.generator_config import GeneratorConfig

__all__ = [
    "ExportedGenerator",
    "best_generator",
    "check_exportable",
    "draw",
    "exported",
    "generator_from_checkpoint",
    "save_program",
    "saved_whole",
]

_ONE_AT_A_TIME = threading.Lock()

BATCH = 1_000
"""Samples that :func:`draw` makes in one forward pass."""


class ExportedGenerator(nn.Module):
    """z [batch, latent] → pictures [batch, C, H, W] in [0, 1], or points [batch, D].

    ``config`` says how it is built again; None if nobody will want to.
    """

    def __init__(
        self, network: nn.Module, scaling: Undo, *, config: GeneratorConfig | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.config = config
        self.pictures = scaling.pictures
        self._back = UNDO[scaling.kind]
        self._names = tuple(scaling.tensors)
        for name, tensor in scaling.tensors.items():
            self.register_buffer(name, tensor)

    def forward(self, z: Tensor) -> Tensor:
        tensors = {name: getattr(self, name) for name in self._names}
        samples = self._back(self.network(z), tensors)
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
    return generator_from_checkpoint(
        state, dataset.shape, name=name, args=args, seed=config.seed, scaling=scaling
    )


def generator_from_checkpoint(
    state: checkpoint.Checkpoint,
    shape: tuple[int, ...],
    *,
    name: str,
    args: Mapping[str, Any],
    seed: int,
    scaling: Scaling,
) -> ExportedGenerator:
    """Build the generator ``name`` with ``args``, and load a checkpoint's best weights into it.

    ``shape`` is the shape of one sample, ``seed`` the trial's seed. ``scaling`` maps the network's
    samples back to data space.

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
    config = GeneratorConfig(args["latent"], shape, Part(name=name, args=args), scaling.kind)
    return ExportedGenerator(plain, scaling, config=config).eval()


def check_exportable(network: nn.Module, *, latent: int) -> None:
    """Check that a generator z[B, latent] can be exported as the registry will export it.

    Raises:
        ValueError: it has operators that are not torch's own.
        Exception: any error of torch if it cannot copy the network, or export it for any batch
            size.
    """
    from gan_tune.model.archive import check_operators  # it imports torch.export: over a second

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


def save_program(program: torch.export.ExportedProgram, path: str | Path) -> None:
    """Write an exported program as `torch.export.save` does, by way of memory.

    Left to itself torch writes the file from C++. Where the disk is full it raises, and then fails
    once more as it frees what it has begun, which aborts the process.

    Raises:
        OSError: the file cannot be written.
        Exception: any error of torch if it cannot store the program.
    """
    _save_through_memory(torch.export.save, program, path)


@contextlib.contextmanager
def saved_whole() -> Iterator[None]:
    """Have whatever calls `torch.export.save`, as MLflow does, write as :func:`save_program`.

    It holds for the whole process; one thread at a time has such a block.
    """
    with _ONE_AT_A_TIME:
        original = torch.export.save
        torch.export.save = partial(_save_through_memory, original)
        try:
            yield
        finally:
            torch.export.save = original


def _save_through_memory(
    save: Callable[..., None],
    program: torch.export.ExportedProgram,
    target: str | os.PathLike[str] | IO[bytes],
    **options: Any,
) -> None:
    if not isinstance(target, str | os.PathLike):
        save(program, target, **options)
        return
    written = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        save(program, written, **options)
    Path(target).write_bytes(written.getbuffer())


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
    """Samples [count, ...] of standard normal noise; the same seed gives the same ones.

    The seed also decides what a user's network draws itself, such as noise or dropout.
    """
    random = torch.Generator().manual_seed(seed)
    z = torch.randn(count, latent, generator=random)
    with seeded_globals(seed, "forward", torch.device("cpu")):
        return torch.cat([generator(part) for part in z.split(BATCH)])
