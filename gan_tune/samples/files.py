"""Samples as files: pictures, arrays, tables, or a folder of pictures; whole or not at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from gan_tune.atomic_file import whole_file, whole_folder, write_whole
from gan_tune.errors import OutputError
from gan_tune.samples.formats import FORMATS, Format, Samples, picture_names, single_picture
from gan_tune.words.readable import file_size

__all__ = ["check_output", "check_place", "planned_size", "write_file", "write_samples"]


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
    size = kind.size(samples)
    free = shutil.disk_usage(Path(path).absolute().parent).free
    about = "" if kind.exact else "about "
    if kind.exact and size > free:
        raise OutputError(
            f"{path}: {samples.count:,} samples take {file_size(size)}, but the disk has "
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


def write_file(path: Path, content: bytes, *, force: bool = False) -> None:
    """Write a file, whole or not at all.

    Raises:
        OutputError: the file exists and ``force`` is off, or it cannot be written.
    """
    check_place(path, force=force)
    try:
        write_whole(path, content)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None


def _write_folder(path: Path, samples: Samples) -> None:
    """Write each picture to its own file, at its original size."""
    names = picture_names(samples.count)
    with whole_folder(path) as folder:
        for batch in samples.batches:
            for picture in batch:
                (folder / next(names)).write_bytes(single_picture(picture))


def _suffix(path: str) -> str:
    return "" if path.endswith(("/", os.sep)) else Path(path).suffix.lower()


def check_place(path: Path, *, force: bool = False, folder: bool = False) -> None:
    """Check in advance that a file (or a folder of samples) can be written to ``path``.

    Raises:
        OutputError: no such parent folder, or something is there already.
    """
    if not path.parent.is_dir():
        raise OutputError(f"{path}: its folder {path.parent} must exist")
    if not path.exists():
        return
    if path.is_dir() != folder:
        raise OutputError(f"{path}: is {'a folder' if path.is_dir() else 'a file'} already")
    if folder:
        _check_folder(path, force=force)
    elif not force:
        raise OutputError(f"{path}: exists already; --force replaces it")


def _check_folder(path: Path, *, force: bool) -> None:
    """Accept an empty folder; replace only a folder that contains nothing but samples."""
    names = [entry.name for entry in path.iterdir()]
    if any(not (name.endswith(".png") and name[:-4].isdigit()) for name in names):
        raise OutputError(f"{path}: holds other files than samples; give a new folder")
    if names and not force:
        raise OutputError(f"{path}: exists already; --force replaces it")
