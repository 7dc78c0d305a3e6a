"""The formats in which samples are written, each by a function that takes them batch by batch.

Samples are float32: pictures [N, C, H, W] in [0, 1], or points [N, D] in the data's own units.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import IO, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gan_tune.data.columns import Column
from gan_tune.data.scaling import pixels
from gan_tune.samples import pictures
from gan_tune.samples.tables import write_csv, write_parquet

__all__ = ["FORMATS", "Format", "Samples", "folder_size", "picture_names", "single_picture"]

NPY_HEADER = 128
LARGEST_GRID = 10_000
"""Pictures on one sheet."""
LARGEST_ANIMATION = 10_000
"""Frames of an animation, some minutes of it."""
FRAME_MS = 50
SMALL_FRAME = 256
"""Small frames of an animation are enlarged, without smoothing, to at most this many pixels."""


@dataclass(frozen=True, eq=False)
class Samples:
    """``count`` samples of ``shape``, batch by batch; ``columns`` are those of a table."""

    batches: Iterable[Tensor]
    count: int
    shape: tuple[int, ...]
    columns: Sequence[Column] = ()

    @classmethod
    def of(cls, tensor: Tensor, columns: Sequence[Column] = ()) -> Samples:
        """Samples [N, ...] that are in memory."""
        return cls([tensor], len(tensor), tuple(tensor.shape[1:]), columns)

    @property
    def pictures(self) -> bool:
        """Whether they are pictures."""
        return len(self.shape) == 3

    @property
    def values(self) -> int:
        """The number of all values."""
        return self.count * math.prod(self.shape)

    def arrays(self) -> Iterator[NDArray[np.float32]]:
        """The batches as arrays in main memory."""
        for batch in self.batches:
            yield np.ascontiguousarray(batch.cpu().numpy(), np.float32)


@dataclass(frozen=True)
class Format:
    """A format: how it is written, and for what.

    Attributes:
        write: writes samples to a file.
        size: the file's size in bytes.
        exact: whether that is exact, or a guess.
        pictures, points: what it can hold.
        most: the largest number of samples; None: no limit.
    """

    write: Callable[[IO[bytes], Samples], None]
    size: Callable[[Samples], float]
    exact: bool = False
    pictures: bool = True
    points: bool = True
    most: int | None = None


# ------------------------------------------------------------------ arrays


def _write_array(file: IO[bytes], samples: Samples) -> None:
    """`.npy`: float32 [N, ...]."""
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype("<f4")),
        "fortran_order": False,
        "shape": (samples.count, *samples.shape),
    }
    np.lib.format.write_array_header_1_0(file, header)
    for array in samples.arrays():
        file.write(array.astype("<f4", copy=False).data)


def _write_zipped_array(file: IO[bytes], samples: Samples) -> None:
    """`.npz`: the array `samples`, uncompressed, as `numpy.savez` writes it."""
    with (
        zipfile.ZipFile(file, "w") as archive,
        archive.open("samples.npy", "w", force_zip64=True) as member,
    ):
        _write_array(member, samples)


# ------------------------------------------------------------------ pictures


def _write_sheet(file: IO[bytes], samples: Samples) -> None:
    """`.png`: a grid of pictures, or a plot of points."""
    together = torch.cat([batch.cpu() for batch in samples.batches])
    file.write(pictures.png(pictures.grid(together)) if samples.pictures else _plot(together))


def _plot(points: Tensor) -> bytes:
    """The first two coordinates of points [N, D ≥ 2] as a plot; each axis has its own scale."""
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


def _write_animation(file: IO[bytes], samples: Samples) -> None:
    """`.gif`: one picture after the other, for ever."""
    enlarge = _enlarging(samples, SMALL_FRAME)

    def frames() -> Iterator[Any]:
        for batch in samples.batches:
            large = batch.cpu().repeat_interleave(enlarge, -1).repeat_interleave(enlarge, -2)
            yield from map(_image, large)

    rest = frames()
    next(rest).save(
        file, format="GIF", save_all=True, append_images=rest, duration=FRAME_MS, loop=0
    )


def _write_zipped_pictures(file: IO[bytes], samples: Samples) -> None:
    """`.zip`: each picture as a file."""
    names = picture_names(samples.count)
    with zipfile.ZipFile(file, "w") as archive:  # PNG is compressed already
        for batch in samples.batches:
            for picture in batch:
                archive.writestr(next(names), single_picture(picture))


def picture_names(count: int) -> Iterator[str]:
    """File names of single pictures, which sort in their order."""
    digits = max(5, len(str(count - 1)))
    return (f"{i:0{digits}}.png" for i in range(count))


def single_picture(picture: Tensor) -> bytes:
    """One picture [C, H, W] in [0, 1] as PNG, one grey or three colour channels."""
    buffer = io.BytesIO()
    _image(picture).save(buffer, format="PNG")
    return buffer.getvalue()


def _image(picture: Tensor) -> Any:
    from PIL import Image

    channels = pixels(picture.cpu()).permute(1, 2, 0).numpy()
    return Image.fromarray(channels.squeeze(-1) if channels.shape[-1] == 1 else channels)


# ------------------------------------------------------------------ sizes, as they were measured

PER_VALUE = 0.7
"""Bytes of a value of a picture as PNG; noise takes 1, and 0.5 is for smooth pictures."""
PER_PNG = 76
"""Bytes of a PNG before its first value."""
PER_ENTRY = 76
"""Bytes of an archive for a file in it, without its name, which is there twice."""
PER_PARQUET, PER_COLUMN, PER_CELL = 300, 270, 5.5
"""Bytes of a Parquet file, of a column of it and of a value; of whole numbers it may be a tenth."""
PLOT = 40_000
"""Bytes of a plot, however many points it has."""


def folder_size(samples: Samples) -> float:
    """About how many bytes a folder of single pictures has; each row has one of its own."""
    return samples.count * (PER_PNG + samples.shape[1]) + PER_VALUE * samples.values


def _archive_size(samples: Samples) -> float:
    name = next(picture_names(samples.count))
    return folder_size(samples) + samples.count * (PER_ENTRY + 2 * len(name))


def _sheet_size(samples: Samples) -> float:
    if not samples.pictures:
        return PLOT
    return PER_VALUE * samples.values + 0.1 * _pixels(samples, pictures.CELL) + PER_PNG


def _animation_size(samples: Samples) -> float:
    """The larger the squares of one colour, the better a frame is packed."""
    enlarged = _enlarging(samples, SMALL_FRAME)
    return 0.8 * _pixels(samples, SMALL_FRAME) / math.pow(enlarged, 0.65)


def _parquet_size(samples: Samples) -> float:
    return PER_PARQUET + PER_COLUMN * samples.shape[0] + PER_CELL * samples.values


def _enlarging(samples: Samples, side: int) -> int:
    return max(1, side // samples.shape[-1])


def _pixels(samples: Samples, side: int) -> int:
    """Of all pictures, where small ones are enlarged to at most ``side`` pixels."""
    return samples.count * math.prod(samples.shape[1:]) * _enlarging(samples, side) ** 2


# ------------------------------------------------------------------ the table


def _bytes_per_value(count: float) -> Callable[[Samples], float]:
    return lambda samples: samples.values * count


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        ".png": Format(_write_sheet, _sheet_size, most=LARGEST_GRID),
        ".gif": Format(_write_animation, _animation_size, points=False, most=LARGEST_ANIMATION),
        ".npy": Format(_write_array, lambda s: NPY_HEADER + 4 * s.values, exact=True),
        ".npz": Format(_write_zipped_array, lambda s: 400 + 4 * s.values),
        ".csv": Format(write_csv, _bytes_per_value(11), pictures=False),
        ".parquet": Format(write_parquet, _parquet_size, pictures=False),
        ".zip": Format(_write_zipped_pictures, _archive_size, points=False),
    }
)
"""Suffix → format. No suffix means a folder of single pictures."""
