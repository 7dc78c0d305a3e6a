"""A user's own folder of pictures, of any size and format, as one array."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from gan_tune.data.mapped import cached_rows
from gan_tune.errors import DataError

__all__ = ["CROPS", "Crop", "PictureFolder", "check_first", "decoded", "list_pictures"]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
DECODED_AT_ONCE = 256
NAMED_FAULTS = 3

Crop = Literal["centre", "resize"]
CROPS: Mapping[str, Callable[[Image.Image, tuple[int, int]], Image.Image]] = MappingProxyType(
    {
        "centre": lambda picture, size: ImageOps.fit(picture, size, Image.Resampling.LANCZOS),
        "resize": lambda picture, size: picture.resize(size, Image.Resampling.LANCZOS),
    }
)
"""How a picture becomes a square: its centre is cut out, or it is stretched. Lanczos filters while
it shrinks, so that fine patterns do not alias."""


class PictureFolder(NamedTuple):
    """The pictures below a folder, sorted; labels int64 [N] where its sub-folders are classes."""

    root: Path
    paths: Sequence[Path]
    labels: NDArray[np.int64] | None


class _Broken(NamedTuple):
    path: Path
    reason: str


def list_pictures(root: Path) -> PictureFolder:
    """Find the pictures. If two or more sub-folders have pictures, each is a class.

    Raises:
        DataError: the folder is missing, empty or unreadable, or has pictures both in itself and in
            sub-folders.
    """
    try:
        if not root.is_dir():
            raise DataError(f"{root}: must be a folder of pictures: no such folder")
        inside = sorted(path for path in root.iterdir() if not path.name.startswith("."))
        loose = [path for path in inside if _is_picture(path)]
        found = {path: _pictures_below(path) for path in inside if path.is_dir()}
    except OSError as error:
        raise DataError(f"{root}: must be readable: {error.strerror}") from None
    classes = [paths for paths in found.values() if paths]
    if loose and classes:
        rule = "must hold pictures or sub-folders of pictures, not both"
        raise DataError(f"{root}: {rule}: {loose[0].name}, {classes[0][0].relative_to(root)}")
    if not loose and not classes:
        raise DataError(f"{root}: must hold pictures ({' '.join(SUFFIXES)}): none found")
    if len(classes) < 2:
        return PictureFolder(root, loose or classes[0], None)
    labels = np.repeat(np.arange(len(classes)), [len(paths) for paths in classes])
    return PictureFolder(root, [path for paths in classes for path in paths], labels)


def check_first(folder: PictureFolder, *, size: int, channels: int, crop: str) -> None:
    """Open the first picture.

    Raises:
        DataError: it is no picture.
    """
    _raise_broken(folder, [_decode(folder.paths[0], size, channels, crop)])


def decoded(
    folder: PictureFolder, order: NDArray[np.int64], *, size: int, channels: int, crop: str
) -> NDArray[np.uint8]:
    """All pictures in ``order``, uint8 [N, channels, size, size].

    They are decoded once, several at a time, into an array in the cache folder. The array is made
    again if the list of files, a file's size or time of change, or an argument has changed.

    Raises:
        DataError: a file is no picture, or the cache folder cannot be written.
    """
    paths = [folder.paths[i] for i in order]
    shape = (len(paths), channels, size, size)
    return cached_rows(
        ("pictures", folder.root.resolve(), crop, [_state(folder.root, path) for path in paths]),
        shape=shape,
        dtype=np.uint8,
        rows=_decode_all(folder, paths, size, channels, crop),
    )


def _decode_all(
    folder: PictureFolder, paths: Sequence[Path], size: int, channels: int, crop: str
) -> Iterator[NDArray[np.uint8]]:
    from rich.console import Console
    from rich.progress import track

    starts = track(
        range(0, len(paths), DECODED_AT_ONCE),
        f"decoding {len(paths):,} pictures of {folder.root.name}",
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    broken: list[_Broken] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside of Python's lock
        for start in starts:
            some = paths[start : start + DECODED_AT_ONCE]
            results = list(pool.map(lambda path: _decode(path, size, channels, crop), some))
            broken += [result for result in results if isinstance(result, _Broken)]
            if not broken:  # after the first one, only further broken files are searched
                yield np.stack([r for r in results if not isinstance(r, _Broken)])
    _raise_broken(folder, broken)


def _decode(path: Path, size: int, channels: int, crop: str) -> NDArray[np.uint8] | _Broken:
    try:
        with Image.open(path) as source:
            if source.mode.startswith(("I", "F")):  # converting these cuts off all above 255
                raise ValueError(f"must have 8 bits a channel, but is of mode {source.mode}")
            upright = _on_white(ImageOps.exif_transpose(source))
            upright = upright.convert("L" if channels == 1 else "RGB")
    except Exception as error:  # Pillow may raise anything for a damaged file
        return _Broken(path, str(error) or type(error).__name__)
    fitted = np.asarray(CROPS[crop](upright, (size, size)))
    return fitted.reshape(size, size, channels).transpose(2, 0, 1)


def _on_white(picture: Image.Image) -> Image.Image:
    """The picture on a white background, since colours of transparent pixels are arbitrary."""
    if not picture.has_transparency_data:
        return picture
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)


def _raise_broken(folder: PictureFolder, results: Sequence[object]) -> None:
    broken = [result for result in results if isinstance(result, _Broken)]
    if not broken:
        return
    named = "; ".join(
        f"{path.relative_to(folder.root)}: {reason}" for path, reason in broken[:NAMED_FAULTS]
    )
    more = f"; and {len(broken) - NAMED_FAULTS} more" if len(broken) > NAMED_FAULTS else ""
    rule = "must hold pictures that Pillow can open (repair or remove the others)"
    raise DataError(
        f"{folder.root}: {rule}: {len(broken)} of {len(folder.paths)} broken: {named}{more}"
    )


def _state(root: Path, path: Path) -> tuple[Any, ...]:
    status = path.stat()
    return str(path.relative_to(root)), status.st_size, status.st_mtime_ns


def _pictures_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if _is_picture(path))


def _is_picture(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return not hidden and path.suffix.lower() in SUFFIXES and path.is_file()
