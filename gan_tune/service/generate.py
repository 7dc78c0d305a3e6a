"""`gan-tune generate`: samples of a registered generator, written to files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gan_tune.samples.files import check_output, write_samples
from gan_tune.service.registered_models import load_generator

if TYPE_CHECKING:
    from gan_tune.registry.pull import Generator


def generate(
    model: str,
    out: str,
    *,
    count: int = 64,
    seed: int = 0,
    tracking_uri: str | None = None,
    force: bool = False,
) -> Generator:
    """Draw samples from a registered generator and write them to ``out``.

    Args:
        model: a name as for :func:`load_generator`.
        out: a `.png`, `.npy` or `.csv` file, or a folder of single pictures.
        count: how many samples.
        seed: of the noise; the same seed gives the same samples.
        tracking_uri: of MLflow.
        force: replace existing files.

    Returns:
        The generator, which has the model's name and version.

    Raises:
        OutputError: ``out`` exists already and ``force`` is False, or it cannot be written.
        ModelNotFoundError: there is no such model.
        TrackingError: MLflow does not answer.
    """
    check_output(out, force=force)
    generator = load_generator(model, tracking_uri=tracking_uri)
    write_samples(generator.sample(count, seed), out, force=force)
    return generator
