"""Samples as files: a picture, an array, a table of points, or a folder of single pictures."""

from __future__ import annotations

import io
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from torch import Tensor

from gan_tune.atomic_file import write_whole
from gan_tune.data.scaling import pixels
from gan_tune.errors import OutputError
from gan_tune.samples import pictures

__all__ = ["WRITERS", "check_output", "check_place", "write_file", "write_samples"]

PICTURE_NAME = "{:05}.png"


def _array(samples: Tensor) -> bytes:
    """float32 [N, C, H, W] in [0, 1], or [N, D] in data units."""
    buffer = io.BytesIO()
    np.save(buffer, samples.numpy(), allow_pickle=False)
    return buffer.getvalue()


def _picture(samples: Tensor) -> bytes:
    """A grid of pictures, or a plot of points."""
    return pictures.png(pictures.grid(samples)) if samples.ndim == 4 else _plot(samples)


def _plot(points: Tensor) -> bytes:
    """Points [N, D ≥ 2] by their first two coordinates, with axes, each in units of its own."""
    from matplotlib.figure import Figure  # without pyplot: no window, no global state

    figure = Figure(figsize=(6, 6), layout="constrained")
    axes = figure.add_subplot()
    axes.scatter(points[:, 0].numpy(), points[:, 1].numpy(), s=4, linewidths=0)
    axes.set_xlabel("first coordinate")
    axes.set_ylabel("second coordinate")
    axes.set_title(f"{len(points):,} samples")
    axes.set_box_aspect(1)  # a ring stays round, and no column of a table becomes a line
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def _table(points: Tensor) -> bytes:
    """One point a line, below a line of names."""
    header = ",".join(f"x{i}" for i in range(points.shape[1]))
    buffer = io.StringIO()
    np.savetxt(buffer, points.numpy(), fmt="%.9g", delimiter=",", header=header, comments="")
    return buffer.getvalue().encode()


WRITERS: Mapping[str, Callable[[Tensor], bytes]] = MappingProxyType(
    {".png": _picture, ".npy": _array, ".csv": _table}
)
"""Suffix → the content of such a file. No suffix: a folder of pictures."""


def check_output(path: str, *, force: bool = False) -> None:
    """Check in advance that samples can be written to ``path``.

    Raises:
        OutputError: unknown suffix, no such parent folder, or something is there already.
    """
    target, suffix = Path(path), _suffix(path)
    if suffix and suffix not in WRITERS:
        known = ", ".join(WRITERS)
        raise OutputError(f"{path}: must end in {known}, or be a folder (no suffix, or a slash)")
    check_place(target, force=force, folder=not suffix)


def write_samples(samples: Tensor, path: str, *, force: bool = False) -> None:
    """Write samples [N, ...] to ``path``, whole or not at all; its suffix says how.

    Raises:
        OutputError: as :func:`check_output`; or the kind of file does not suit the samples.
    """
    check_output(path, force=force)
    target, suffix, is_pictures = Path(path), _suffix(path), samples.ndim == 4
    if suffix == ".csv" and is_pictures:
        raise OutputError(f"{path}: pictures are written as .png, .npy or a folder")
    if not suffix and not is_pictures:
        raise OutputError(f"{path}: points are written as .csv, .npy or .png")
    if suffix == ".png" and not is_pictures and samples.shape[1] < 2:
        raise OutputError(f"{path}: a plot needs points of two coordinates; write .csv or .npy")
    if suffix:
        write_file(target, WRITERS[suffix](samples), force=force)
    else:
        _write_folder(target, samples)


def write_file(path: Path, content: bytes, *, force: bool = False) -> None:
    """Write a file, whole or not at all.

    Raises:
        OutputError: it is there and not to be replaced, or cannot be written.
    """
    check_place(path, force=force)
    try:
        write_whole(path, content)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None


def _write_folder(path: Path, samples: Tensor) -> None:
    """Each picture in a file of its own, at its own size."""
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    replaced = path.with_name(f"{partial.name}.old")
    try:
        partial.mkdir()
        for i, sample in enumerate(samples):
            (partial / PICTURE_NAME.format(i)).write_bytes(_single(sample))
        if path.exists():
            path.rename(replaced)
        partial.rename(path)
    except OSError as error:
        if replaced.exists():
            replaced.rename(path)
        raise OutputError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)


def _single(sample: Tensor) -> bytes:
    """One picture [C, H, W] in [0, 1] as PNG, one grey or three colour channels."""
    from PIL import Image

    channels = pixels(sample).permute(1, 2, 0).numpy()
    buffer = io.BytesIO()
    Image.fromarray(channels.squeeze(-1) if channels.shape[-1] == 1 else channels).save(
        buffer, format="PNG"
    )
    return buffer.getvalue()


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
