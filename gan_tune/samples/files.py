"""Samples as files: pictures, arrays, tables, or a folder of pictures; whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from gan_tune.atomic_file import whole_file, whole_folder
from gan_tune.errors import OutputError
from gan_tune.samples.formats import (
    FORMATS,
    Format,
    Samples,
    folder_size,
    picture_names,
    single_picture,
)
from gan_tune.samples.output import check_place
from gan_tune.words.readable import file_size

__all__ = ["check_output", "planned_size", "write_samples"]

GUESS = 2.0
"""So many times as much space as the disk has must a guessed size ask for to be refused."""


def check_output(path: str, *, force: bool = False) -> None:
    """Check in advance that samples can be written to ``path``.

    Raises:
        OutputError: unknown suffix, no such parent folder, or something is there already.
    """
    target, suffix = Path(path), _suffix(path)
    if suffix and suffix not in FORMATS:
        known = ", ".join(FORMATS)
        raise OutputError(f"{path}: must end in {known}, or be a folder (no suffix, or a slash)")
    check_place(target, force=force, folder=not suffix)


def planned_size(samples: Samples, path: str) -> str:
    """The size of what :func:`write_samples` will write: `3.14 MB`, or `about 2 MB`.

    Raises:
        OutputError: the kind of file does not suit the samples or their number, or the disk has
            less space.
    """
    kind = _format_for(samples, path)
    size = kind.size(samples) if _suffix(path) else folder_size(samples)
    free = shutil.disk_usage(Path(path).absolute().parent).free
    about = "" if kind.exact else "about "
    if size > free * (1 if kind.exact else GUESS):
        raise OutputError(
            f"{path}: {samples.count:,} samples take {about}{file_size(size)}, but the disk has "
            f"{file_size(free)}"
        )
    return about + file_size(size)


def write_samples(samples: Samples, path: str, *, force: bool = False) -> None:
    """Write samples to ``path``, whole or not at all; the suffix selects the format.

    Raises:
        OutputError: as :func:`check_output` and :func:`planned_size`; or it cannot be written.
    """
    check_output(path, force=force)
    kind = _format_for(samples, path)
    try:
        if _suffix(path):
            with whole_file(Path(path)) as file:
                kind.write(file, samples)
        else:
            _write_folder(Path(path), samples)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from None


def _format_for(samples: Samples, path: str) -> Format:
    """The format that a path asks for.

    Raises:
        OutputError: it does not suit the samples or their number.
    """
    suffix = _suffix(path)
    kind = FORMATS[suffix or ".zip"]
    if not (kind.pictures if samples.pictures else kind.points):
        fitting = [s for s, f in FORMATS.items() if (f.pictures if samples.pictures else f.points)]
        what = "pictures are written as a folder," if samples.pictures else "points are written as"
        raise OutputError(f"{path}: {what} {', '.join(fitting[:-1])} or {fitting[-1]}")
    if suffix == ".png" and not samples.pictures and samples.shape[0] < 2:
        raise OutputError(f"{path}: a plot needs points of two coordinates; write .csv or .npy")
    if kind.most is not None and samples.count > kind.most:
        raise OutputError(
            f"{path}: a {suffix} file must hold at most {kind.most:,} samples, but got "
            f"{samples.count:,}; write .npy, or fewer"
        )
    return kind


def _write_folder(path: Path, samples: Samples) -> None:
    """Write each picture to its own file, at its original size."""
    names = picture_names(samples.count)
    with whole_folder(path) as folder:
        for batch in samples.batches:
            for picture in batch:
                (folder / next(names)).write_bytes(single_picture(picture))


def _suffix(path: str) -> str:
    return "" if path.endswith(("/", os.sep)) else Path(path).suffix.lower()
