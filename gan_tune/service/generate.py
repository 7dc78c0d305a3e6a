"""`gan-tune generate`: samples of a generator, written to files as they are drawn."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from gan_tune.config.settings import check_seed
from gan_tune.errors import GanTuneError, OutputError
from gan_tune.samples.files import check_output, planned_size, write_samples
from gan_tune.samples.formats import Samples
from gan_tune.service.generator_source import find_generator
from gan_tune.storage.places import DEFAULT_STORAGE

if TYPE_CHECKING:
    from torch import Tensor

    from gan_tune.model.generator import Generator

__all__ = ["STOPS", "DrawingWatcher", "animation", "generate"]

STOPS = 6
"""Latents through which an animation goes unless it is said."""


class DrawingWatcher(Protocol):
    """Is told how the drawing goes on."""

    def begins(self, generator: Generator, samples: Samples, size: str) -> None:
        """The generator is loaded; ``size`` is that of what will be written."""

    def drawn(self, count: int) -> None:
        """So many more samples are written."""


def generate(
    source: str,
    out: str,
    *,
    count: int = 64,
    seed: int = 0,
    truncation: float | None = None,
    interpolate: int | None = None,
    device: str = "cpu",
    storage: str = DEFAULT_STORAGE,
    tracking_uri: str | None = None,
    force: bool = False,
    own: Collection[str] = (),
    watcher: DrawingWatcher | None = None,
) -> Generator:
    """Draw samples from a generator and write them to ``out``, batch by batch.

    Args:
        source: a model, run or folder, as for :func:`find_generator`.
        out: a file, whose suffix is a key of :data:`gan_tune.samples.formats.FORMATS`, or a folder
            of single pictures. Rows of a table have the table's names and types of columns.
        count: how many samples.
        seed: of the latents; the same seed gives the same samples.
        truncation: the largest coordinate of a latent, as for
            :meth:`gan_tune.model.generator.Generator.batches`.
        interpolate: draw the samples on a closed way through so many latents.
        device: of torch.
        storage: where searches are kept.
        tracking_uri: of MLflow.
        force: replace existing files.
        own: import paths of your own parts that a trial's folder may name.
        watcher: is told how it goes on.

    Returns:
        The generator.

    Raises:
        OutputError: ``out`` exists already and ``force`` is False, it does not suit the samples, or
            it cannot be written.
        GanTuneError: an argument is out of range, or the generator cannot be loaded.
        ModelNotFoundError: there is no such model.
        TrackingError: MLflow does not answer.
    """
    check_seed(seed)
    check_output(out, force=force)
    generator = find_generator(
        source, tracking_uri=tracking_uri, storage=storage, device=device, own=own
    )
    try:
        if interpolate is None:
            batches = generator.batches(count, seed, truncation=truncation)
        else:
            batches = generator.walk(count, seed, stops=interpolate, truncation=truncation)
    except ValueError as error:
        raise GanTuneError(str(error)) from None
    told = batches if watcher is None else _told(batches, watcher)
    samples = Samples(told, count, generator.shape, generator.columns)
    size = planned_size(samples, out)
    if watcher is not None:
        watcher.begins(generator, samples, size)
    write_samples(samples, out, force=force)
    return generator


def animation(out: str) -> str:
    """The file of an animation: ``out``, with its suffix.

    Raises:
        OutputError: ``out`` has another suffix.
    """
    suffix = Path(out).suffix
    if out.endswith("/") or suffix not in ("", ".gif"):
        raise OutputError(f"{out}: with --gif it must end in .gif, or have no suffix")
    return out if suffix else f"{out}.gif"


def _told(batches: Iterable[Tensor], watcher: DrawingWatcher) -> Iterator[Tensor]:
    for batch in batches:
        yield batch
        watcher.drawn(len(batch))
