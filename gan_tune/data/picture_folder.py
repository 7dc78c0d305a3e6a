"""A user's own folder of pictures, of any size and format, as one array."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from gan_tune.data.folder_walk import files_below, holds, unreadable
from gan_tune.data.mapped import cached_rows
from gan_tune.data.short_text import TOLD_LETTERS, short, without_addresses
from gan_tune.errors import DataError
from gan_tune.regular_file import why_not_regular
from gan_tune.words.wording import first_line

__all__ = [
    "CROPS",
    "SUFFIXES",
    "Broken",
    "Crop",
    "PictureFolder",
    "RefusedFolderError",
    "at_once",
    "broken_error",
    "check_unchanged",
    "decoded",
    "list_pictures",
    "opened",
    "states",
    "upright",
]

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM", "AVIF")
"""Pillow's formats of these files, and of those that :mod:`gan_tune.data.found_folder` adds."""
LARGEST = 89_478_485
"""Pixels of a picture. Beyond these Pillow warns; a file of some KB can promise far more."""
DECODED_AT_ONCE = 256
NAMED_FAULTS = 3

# On odd EXIF data, palettes and sizes: for nobody who trains. Not by `catch_warnings` around each
# picture: that is of the whole process, and pictures are opened in several threads at once.
for _kind in (UserWarning, Image.DecompressionBombWarning):
    warnings.filterwarnings("ignore", category=_kind, module=r"PIL\.")

T = TypeVar("T")
FileState = tuple[str, int, int]

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


class Broken(NamedTuple):
    """A file that cannot be read as a picture."""

    path: Path
    reason: str

    @classmethod
    def by(cls, path: Path, error: Exception) -> Broken:
        """A file of which Pillow said this."""
        text = without_addresses(first_line(error)) or type(error).__name__
        return cls(path, short(text, TOLD_LETTERS))


class RefusedFolderError(DataError):
    """A folder that :mod:`gan_tune.data.found_folder` may read by its own rules."""


def list_pictures(root: Path) -> PictureFolder:
    """Find the pictures. If two or more sub-folders have pictures, each is a class.

    Raises:
        DataError: the folder is missing, empty, unreadable or too deep.
        RefusedFolderError: it has pictures both in itself and in sub-folders.
    """
    try:
        if not root.is_dir():
            raise DataError(f"{root}: must be a folder of pictures: no such folder")
        inside = sorted(path for path in root.iterdir() if not path.name.startswith("."))
        loose = [path for path in inside if _is_picture(path)]
        folders = [path for path in inside if _is_open(path) and not holds(path, root)]
        found = {path: _pictures_below(path) for path in folders}
    except OSError as error:
        raise unreadable(root, error) from None
    classes = [paths for paths in found.values() if paths]
    if loose and classes:
        rule = "must hold pictures or sub-folders of pictures, not both"
        named = f"{loose[0].name}, {classes[0][0].relative_to(root)}"
        raise RefusedFolderError(f"{root}: {rule}: {named}")
    if not loose and not classes:
        raise DataError(f"{root}: must hold pictures ({' '.join(SUFFIXES)}): none found")
    if len(classes) < 2:
        return PictureFolder(root, loose or classes[0], None)
    labels = np.repeat(np.arange(len(classes)), [len(paths) for paths in classes])
    return PictureFolder(root, [path for paths in classes for path in paths], labels)


def decoded(
    folder: PictureFolder, order: NDArray[np.int64], *, size: int, channels: int, crop: str
) -> NDArray[np.uint8]:
    """All pictures in ``order``, uint8 [N, channels, size, size].

    They are decoded once, several at a time, into an array in the cache folder. The array is made
    again if the list of files, a file's size or time of change, or an argument has changed.

    Raises:
        RefusedFolderError: a file is no picture.
        DataError: the cache folder cannot be written, or a file changes while it is read.
    """
    paths = [folder.paths[i] for i in order]
    before = states(folder.root, paths)
    return cached_rows(
        ("pictures", folder.root.resolve(), crop, before),
        shape=(len(paths), channels, size, size),
        dtype=np.uint8,
        rows=_decode_all(folder, paths, before, size, channels, crop),
    )


def _decode_all(
    folder: PictureFolder,
    paths: Sequence[Path],
    before: Sequence[FileState],
    size: int,
    channels: int,
    crop: str,
) -> Iterator[NDArray[np.uint8]]:
    broken: list[Broken] = []
    title = f"decoding {len(paths):,} pictures of {folder.root.name}"
    for results in at_once(lambda path: _decode(path, size, channels, crop), paths, title):
        broken += [result for result in results if isinstance(result, Broken)]
        if not broken:  # after the first one, only further broken files are searched
            yield np.stack([r for r in results if not isinstance(r, Broken)])
    if broken:
        raise broken_error(folder.root, len(folder.paths), broken)
    check_unchanged(folder.root, paths, before)


def at_once(function: Callable[[Path], T], paths: Sequence[Path], title: str) -> Iterator[list[T]]:
    """The results of a function of each path, in order, some hundred at a time.

    A bar with the ``title`` shows how far it is, where people look on.
    """
    from rich.console import Console
    from rich.progress import track

    starts = track(
        range(0, len(paths), DECODED_AT_ONCE),
        title,
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    with ThreadPoolExecutor(os.cpu_count()) as pool:  # Pillow decodes outside of Python's lock
        for start in starts:
            yield list(pool.map(function, paths[start : start + DECODED_AT_ONCE]))


def _decode(path: Path, size: int, channels: int, crop: str) -> NDArray[np.uint8] | Broken:
    try:
        with upright(path) as source:
            picture = _on_white(source).convert("L" if channels == 1 else "RGB")
        fitted = np.asarray(CROPS[crop](picture, (size, size)))
    except Exception as error:  # Pillow may raise anything for a damaged file
        return Broken.by(path, error)
    return fitted.reshape(size, size, channels).transpose(2, 0, 1)


def opened(path: Path) -> Image.Image:
    """A picture in one of :data:`FORMATS`, not yet decoded.

    Pillow goes by a file's content, whatever its name says; for PostScript it starts Ghostscript.

    Raises:
        ValueError: it is a pipe or a device, or has more pixels than :data:`LARGEST`.
        Exception: any error of Pillow for a damaged file, or one of another format.
    """
    if why_not := why_not_regular(path):
        raise ValueError(why_not)
    picture = Image.open(path, formats=FORMATS)
    width, height = picture.size
    if width * height > LARGEST:
        picture.close()
        raise ValueError(f"must have at most {LARGEST:,} pixels, but has {width:,} x {height:,}")
    return picture


@contextlib.contextmanager
def upright(path: Path) -> Iterator[Image.Image]:
    """A picture as its camera held it.

    Raises:
        ValueError: it has more than 8 bits a channel, or too many pixels.
        Exception: any error of Pillow for a damaged file.
    """
    with opened(path) as source:
        if source.mode.startswith(("I", "F")):  # converting these cuts off all above 255
            raise ValueError(f"must have 8 bits a channel, but is of mode {source.mode}")
        yield ImageOps.exif_transpose(source)


def _on_white(picture: Image.Image) -> Image.Image:
    """The picture on a white background, since colours of transparent pixels are arbitrary."""
    if not picture.has_transparency_data:
        return picture
    picture = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)


def broken_error(root: Path, count: int, broken: Sequence[Broken]) -> RefusedFolderError:
    """The error that names the broken ones of ``count`` pictures."""
    named = "; ".join(f"{path.relative_to(root)}: {why}" for path, why in broken[:NAMED_FAULTS])
    more = f"; and {len(broken) - NAMED_FAULTS} more" if len(broken) > NAMED_FAULTS else ""
    rule = "must hold pictures that Pillow can open (repair or remove the others)"
    faults = f"{len(broken)} of {count} broken: {named}{more}"
    return RefusedFolderError(f"{root}: {rule}: {faults}")


def states(root: Path, paths: Sequence[Path]) -> list[FileState]:
    """What identifies the content of files below ``root``: path, size and time of change.

    Size and time are 0 for a file that is not there.
    """
    return [_state(root, path) for path in paths]


def _state(root: Path, path: Path) -> FileState:
    try:
        status = path.stat()
    except OSError:
        return str(path.relative_to(root)), 0, 0
    return str(path.relative_to(root)), status.st_size, status.st_mtime_ns


def check_unchanged(root: Path, paths: Sequence[Path], before: Sequence[FileState]) -> None:
    """Check that files are still as :func:`states` found them.

    Raises:
        DataError: a file has changed; the first one is named.
    """
    now = states(root, paths)
    changed = [one[0] for one, other in zip(before, now, strict=True) if one != other]
    if changed:
        rule = "files must not change while they are read"
        raise DataError(f"{root}: {rule}: {len(changed)} of {len(paths)} did, as {changed[0]}")


def _pictures_below(folder: Path) -> list[Path]:
    below = files_below(folder, enters=lambda path: not path.is_symlink() and _is_open(path))
    return sorted(path for path in below if _is_picture(path))


def _is_open(folder: Path) -> bool:
    """Whether it is a folder that can be read; others, such as `lost+found`, are passed over."""
    return folder.is_dir() and os.access(folder, os.R_OK | os.X_OK)


def _is_picture(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return not hidden and path.suffix.lower() in SUFFIXES and path.is_file()
