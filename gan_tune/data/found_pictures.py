"""Pictures of a folder as people have them, as one array: decoded by what a survey has seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from gan_tune.data.dataset import few_samples_note, split_order
from gan_tune.data.found_folder import FoundFolder, find_pictures
from gan_tune.data.mapped import cached_rows
from gan_tune.data.picture_folder import (
    CROPS,
    SUFFIXES,
    Broken,
    PictureFolder,
    RefusedFolderError,
    at_once,
    broken_error,
    check_unchanged,
    decoded,
    list_pictures,
    states,
    upright,
)
from gan_tune.data.remembered import recall, remember
from gan_tune.data.survey import Colour, Survey, border_colour, survey, survey_notes
from gan_tune.errors import DataError

__all__ = ["SQUARES", "FoundPictures", "Square", "check_found", "read_found", "read_plainly"]

MAX_BROKEN = 0.01
"""Share of the pictures that may be broken and are left out; one always may."""
NAMED_BROKEN = 3

Square = Literal["fitting", "centre", "pad", "resize"]


Squaring = Callable[[Image.Image, tuple[int, int], Colour], Image.Image]
"""A picture, the wanted size, and the ground of its set → the square."""


def _without_ground(crop: Callable[[Image.Image, tuple[int, int]], Image.Image]) -> Squaring:
    return lambda picture, size, ground: crop(picture, size)


def _padded(picture: Image.Image, size: tuple[int, int], ground: Colour) -> Image.Image:
    """The whole picture in the middle of a square, on its own ground, or on that of the set."""
    own = border_colour(np.asarray(picture.convert("RGB")).astype(np.float64)) or ground
    colour = own if picture.mode == "RGB" else round(sum(own) / 3)
    return ImageOps.pad(picture, size, Image.Resampling.LANCZOS, color=colour)


SQUARES: Mapping[str, Squaring] = MappingProxyType(
    {**{name: _without_ground(crop) for name, crop in CROPS.items()}, "pad": _padded}
)
"""How a picture becomes a square: cut, stretched or padded. `fitting` chooses `centre` or `pad`."""


class FoundPictures(NamedTuple):
    """Pictures uint8 [N, C, size, size] in the order of the splits, with labels [N] or none."""

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64] | None
    notes: tuple[str, ...]
    left_out: tuple[str, ...]


def read_found(root: Path, *, size: int, channels: int, crop: str) -> FoundPictures:
    """All pictures below ``root`` that can be read.

    Raises:
        DataError: there are too few pictures, or too many broken ones; the cache folder cannot be
            written; or a file changes while it is read.
    """
    folder = find_pictures(root)
    found = survey(folder)
    broken = [Broken(folder.paths[place], why) for place, why in found.broken]
    if len(broken) > _most_broken(folder):
        raise broken_error(root, len(folder.paths), broken)
    bad = {place for place, _ in found.broken}
    whole = np.array([i for i in range(len(folder.paths)) if i not in bad], np.int64)
    order = whole[split_order(root.resolve().name, len(whole))]
    square = ("pad" if found.pads else "centre") if crop == "fitting" else crop
    pictures = _decoded(folder, order, size, channels, square, found.ground)
    notes = (*folder.notes, *folder.left_out, *survey_notes(found), *_square_note(found, crop))
    return FoundPictures(
        pictures,
        None if folder.labels is None else folder.labels[order],
        notes=(*notes, *_broken_note(root, broken), *few_samples_note(len(order))),
        left_out=tuple(f"{path.relative_to(root)}: {why}" for path, why in broken),
    )


def read_plainly(root: Path, *, size: int, channels: int, crop: str) -> FoundPictures:
    """All pictures by the plain rules of :func:`list_pictures`; where these refuse, as found.

    Raises:
        DataError: as :func:`read_found`.
    """
    try:
        folder = list_pictures(root)
        key = ("refused", root.resolve(), states(root, folder.paths))
        # Or all pictures would be decoded each time, up to the broken ones.
        if (recall(key) or {}).keys() == {"refused"}:
            return read_found(root, size=size, channels=channels, crop=crop)
    except RefusedFolderError:
        return read_found(root, size=size, channels=channels, crop=crop)
    order = split_order(root.resolve().name, len(folder.paths))
    try:
        pictures = decoded(folder, order, size=size, channels=channels, crop=crop)
    except RefusedFolderError as error:
        remember(key, {"refused": str(error)})
        return read_found(root, size=size, channels=channels, crop=crop)
    labels = None if folder.labels is None else folder.labels[order]
    notes = (*_plain_notes(folder), *few_samples_note(len(order)))
    return FoundPictures(pictures, labels, notes, left_out=())


def _plain_notes(folder: PictureFolder) -> Iterator[str]:
    """What the plain rules read or leave out without being asked."""
    try:
        found = find_pictures(folder.root)
    except DataError:  # all pictures are in hidden folders
        found = FoundFolder(folder.root, [], None, ())
    hidden = len(set(folder.paths) - set(found.paths))
    beyond = set(found.paths) - set(folder.paths)
    nowhere = sum(path.suffix.lower() in SUFFIXES for path in beyond)
    if hidden:
        way = "name: pictures leaves them out"
        yield f"{hidden:,} of the pictures are hidden or thumbnails ({way})"
    if more := len(beyond) - nowhere:
        yield f"left out: {more:,} pictures of rarer kinds (name: pictures reads them)"
    if nowhere:
        names = "name" if nowhere == 1 else "names"
        yield f"left out: {nowhere:,} {names} without a regular file (a pipe, a link to nowhere)"
    yield from (note for note in found.left_out if hidden == 0 or "hidden" not in note)


def check_found(root: Path) -> None:
    """Check that a folder holds enough pictures, and that not all of the first are broken.

    Raises:
        DataError: it does not.
    """
    folder = find_pictures(root)
    split_order(folder.root.resolve().name, len(folder.paths))
    broken = []
    for path in folder.paths[: int(_most_broken(folder)) + 1]:
        try:
            with upright(path) as picture:
                picture.load()
                return
        except Exception as error:  # Pillow may raise anything for a damaged file
            broken.append(Broken.by(path, error))
    raise broken_error(root, len(folder.paths), broken)


def _most_broken(folder: FoundFolder) -> float:
    """How many pictures of a folder may be broken."""
    return max(1, MAX_BROKEN * len(folder.paths))


def _decoded(
    folder: FoundFolder,
    order: NDArray[np.int64],
    size: int,
    channels: int,
    square: str,
    ground: Colour,
) -> NDArray[np.uint8]:
    paths = [folder.paths[i] for i in order]
    before = states(folder.root, paths)

    def decode(path: Path) -> NDArray[np.uint8] | Broken:
        try:
            with upright(path) as source:
                picture = _on_ground(source, ground).convert("L" if channels == 1 else "RGB")
            fitted = np.asarray(SQUARES[square](picture, (size, size), ground))
        except Exception as error:  # Pillow may raise anything for a damaged file
            return Broken.by(path, error)
        return fitted.reshape(size, size, channels).transpose(2, 0, 1)

    def rows() -> Iterator[NDArray[np.uint8]]:
        title = f"decoding {len(paths):,} pictures of {folder.root.name}"
        for results in at_once(decode, paths, title):
            broken = [result for result in results if isinstance(result, Broken)]
            if broken:  # it was sound when it was looked at
                check_unchanged(folder.root, paths, before)
                raise broken_error(folder.root, len(paths), broken)
            yield np.stack([r for r in results if not isinstance(r, Broken)])
        check_unchanged(folder.root, paths, before)

    return cached_rows(
        ("found pictures", folder.root.resolve(), square, ground, before),
        shape=(len(paths), channels, size, size),
        dtype=np.uint8,
        rows=rows(),
    )


def _on_ground(picture: Image.Image, ground: Colour) -> Image.Image:
    if not picture.has_transparency_data:
        return picture
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, (*ground, 255)), picture)


def _square_note(found: Survey, crop: str) -> Iterator[str]:
    if crop != "fitting" or not found.not_square:
        return
    which = f"{found.not_square:,} pictures that are not square are"
    how, only = ("padded", "") if found.pads else ("cropped", "only ")
    yield f"{which} {how}: {only}{found.need_pad:,} would lose a part of what is on a plain ground"


def _broken_note(root: Path, broken: Sequence[Broken]) -> Iterator[str]:
    if broken:
        named = ", ".join(str(one.path.relative_to(root)) for one in broken[:NAMED_BROKEN])
        more = ", ..." if len(broken) > NAMED_BROKEN else ""
        files = (
            "1 picture that cannot be read is"
            if len(broken) == 1
            else (f"{len(broken):,} pictures that cannot be read are")
        )
        yield f"{files} left out: {named}{more} (left_out.txt in the search's folder says why)"
