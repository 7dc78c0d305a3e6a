"""`gan-tune promote`, `rollback`, `compare` and `rm`: the versions of a registered model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gan_tune.errors import GanTuneError, OutputError
from gan_tune.service.registered_models import find_version, load_generator

if TYPE_CHECKING:
    from gan_tune.registry.curation import Moved
    from gan_tune.registry.promotion import Measured, Promotion
    from gan_tune.registry.versions import VersionInfo

__all__ = ["Comparison", "compare", "promote", "remove", "rollback"]

SAMPLES = 64


@dataclass(frozen=True)
class Comparison:
    """Two versions side by side.

    Attributes:
        names: `NAME/2` and `NAME/3`.
        figures: by name, of both; None: it has none.
        comparable: whether the figures were measured alike: by the same metrics, on the same data.
        verdict: whether the second would replace the first as champion, and why.
    """

    names: tuple[str, str]
    figures: Mapping[str, tuple[float | None, float | None]]
    comparable: bool
    verdict: Promotion


def promote(model: str, *, tracking_uri: str | None = None) -> Moved:
    """See :func:`gan_tune.registry.curation.promote`."""
    from gan_tune.registry.curation import promote as move

    return move(model, uri=tracking_uri)


def rollback(model: str, *, tracking_uri: str | None = None) -> Moved:
    """See :func:`gan_tune.registry.curation.rollback`."""
    from gan_tune.registry.curation import rollback as move

    return move(model, uri=tracking_uri)


def remove(model: str, *, force: bool = False, tracking_uri: str | None = None) -> str:
    """See :func:`gan_tune.registry.curation.remove`."""
    from gan_tune.registry.curation import remove as take_away

    return take_away(model, force=force, uri=tracking_uri)


def compare(
    first: str,
    second: str,
    *,
    out: str | Path | None = None,
    force: bool = False,
    tracking_uri: str | None = None,
) -> Comparison:
    """Compare two registered versions, by their figures and, with ``out``, by pictures.

    Args:
        first: a name as for :func:`load_generator`.
        second: another.
        out: a PNG with samples of both for the same seed, side by side; None: none is drawn.
        force: replace an existing file.
        tracking_uri: of MLflow.

    Raises:
        ModelNotFoundError: there is no such model.
        OutputError: the file exists already and ``force`` is False, or it cannot be written.
        GanTuneError: both are the same version, or draw samples of different shapes.
        TrackingError: MLflow does not answer.
    """
    from gan_tune.registry.curation import between
    from gan_tune.registry.promotion import Measured
    from gan_tune.samples.output import check_place

    path = None if out is None else Path(out)
    if path is not None:
        if path.suffix.lower() != ".png":
            raise OutputError(f"{path}: must end in .png")
        check_place(path, force=force)
    one = find_version(first, tracking_uri=tracking_uri)
    other = find_version(second, tracking_uri=tracking_uri)
    names = (f"{one.name}/{one.version}", f"{other.name}/{other.version}")
    if names[0] == names[1]:
        raise GanTuneError(f"two versions must be given, but both are {names[0]}")
    before, after = (
        Measured.from_tags(found.name, found.version, found.tags) for found in (one, other)
    )
    verdict = between(before, after, model=other.name)
    if path is not None:
        _draw(names, path, tracking_uri, force=force)
    alike = before.comparable is not None and before.comparable == after.comparable
    mine, others = _figures(one, before), _figures(other, after)
    figures = {name: (mine.get(name), others.get(name)) for name in mine | others}
    return Comparison(names, figures, alike, verdict)


def _figures(found: VersionInfo, measured: Measured) -> dict[str, float]:
    from gan_tune.record.tags import Tag
    from gan_tune.registry.card import figures_of

    name = f"{found.tags.get(Tag.OBJECTIVE, 'objective')} (selection split)"
    value = {} if measured.value is None else {name: measured.value}
    return {**value, "fresh seeds": float(measured.confirmed_seeds), **figures_of(found.tags)}


def _draw(names: tuple[str, str], path: Path, tracking_uri: str | None, *, force: bool) -> None:
    """Samples of both for the same latents, side by side."""
    from gan_tune.samples import pictures
    from gan_tune.samples.output import write_file

    generators = [load_generator(name, tracking_uri=tracking_uri) for name in names]
    shapes = [generator.shape for generator in generators]
    if shapes[0] != shapes[1]:
        raise GanTuneError(
            f"both must draw samples of one shape, but {names[0]} draws {shapes[0]} and "
            f"{names[1]} {shapes[1]}"
        )
    if len(shapes[0]) == 3:
        blocks = [
            pictures.SheetBlock(generator.sample(SAMPLES).unflatten(0, (8, -1)), title=name)
            for name, generator in zip(names, generators, strict=True)
        ]
        png = pictures.sheet(blocks, title="samples of the same seed")
    else:
        clouds = {name: made.sample(2000) for name, made in zip(names, generators, strict=True)}
        png = pictures.clouds(clouds, title="samples of the same seed")
    write_file(path, png, force=force)
