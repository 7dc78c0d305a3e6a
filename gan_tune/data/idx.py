"""MNIST and similar sets: the IDX file format, plain or gzipped, and the search for its files.

Source: http://yann.lecun.com/exdb/mnist (big-endian; two zero bytes, a type code, the number of
dimensions, each dimension as a 32-bit number, then the values).
"""

from __future__ import annotations

import gzip
import math
import os
import struct
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gan_tune.data.locations import find_folder
from gan_tune.data.reading import check_room, reading
from gan_tune.errors import DataError

__all__ = [
    "IdxPart",
    "check_idx",
    "check_idx_folder",
    "find_idx_folder",
    "read_idx",
    "read_idx_folder",
]

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
IDX_FOLDERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "fashion_mnist": ("fashion-mnist", "fashion_mnist", "FashionMNIST/raw"),
        "mnist": ("mnist", "MNIST/raw"),
    }
)
UNSIGNED_BYTE = 0x08
COMPLETE = "a complete file"


class IdxPart(NamedTuple):
    """One of the four files of a set: which split, pictures or labels."""

    split: Literal["train", "t10k"]
    what: Literal["images", "labels"]

    @property
    def dimensions(self) -> int:
        """3 for pictures [N, H, W], 1 for labels [N]."""
        return 3 if self.what == "images" else 1

    @property
    def filename(self) -> str:
        """The file's usual name, without `.gz`."""
        return f"{self.split}-{self.what}-idx{self.dimensions}-ubyte"


PARTS = (
    IdxPart("train", "images"),
    IdxPart("train", "labels"),
    IdxPart("t10k", "images"),
    IdxPart("t10k", "labels"),
)


def read_idx(path: Path, *, dimensions: int) -> NDArray[np.uint8]:
    """The values of an IDX file of unsigned bytes, with the required number of dimensions.

    Raises:
        DataError: the file is damaged, truncated or of another kind.
    """
    with reading(path, COMPLETE), gzip.open(path) if _zipped(path) else path.open("rb") as file:
        shape, _ = _parse_header(path, file.read(_header_size(dimensions)), dimensions)
        declared = math.prod(shape)
        check_room(path, declared)
        content = file.read(declared + 1)  # one more, to see whether there is more
        _check_length(path, shape, len(content))
        return np.frombuffer(content, dtype=np.uint8).reshape(shape)


def check_idx(path: Path, *, dimensions: int) -> tuple[int, ...]:
    """The shape that an IDX file declares; checks the file's length without reading the values.

    Raises:
        DataError: the file is damaged, truncated or of another kind.
    """
    size = _header_size(dimensions)
    with reading(path, COMPLETE):
        if _zipped(path):
            with gzip.open(path) as unzipped:
                header = unzipped.read(size)
            with path.open("rb") as raw:
                raw.seek(-4, os.SEEK_END)  # gzip ends with the unzipped length modulo 2^32
                length = int(struct.unpack("<I", raw.read(4))[0])
        else:
            with path.open("rb") as raw:
                header = raw.read(size)
            length = path.stat().st_size
    shape, offset = _parse_header(path, header, dimensions)
    _check_length(path, shape, length - offset)
    return shape


def read_idx_folder(folder: Path) -> dict[IdxPart, NDArray[np.uint8]]:
    """All four files of a folder, checked first.

    Raises:
        DataError: as :func:`check_idx_folder`.
    """
    check_idx_folder(folder)
    files = _files(folder)
    return {part: read_idx(path, dimensions=part.dimensions) for part, path in files.items()}


def check_idx_folder(folder: Path) -> None:
    """Check the headers and lengths of the four files, and that they fit each other.

    Raises:
        DataError: a file is damaged, or does not fit the others.
    """
    files = _files(folder)
    shapes = {part: check_idx(path, dimensions=part.dimensions) for part, path in files.items()}
    train, train_labels, test, test_labels = PARTS
    for images, labels in ((train, train_labels), (test, test_labels)):
        if shapes[images][0] != shapes[labels][0]:
            rule = f"must have one label for each of {shapes[images][0]} pictures"
            raise _damaged(files[labels], rule, shapes[labels][0])
    if shapes[train][1:] != shapes[test][1:]:
        rule = f"must have pictures of {shapes[train][1:]} as {files[train].name}"
        raise _damaged(files[test], rule, shapes[test][1:])
    if shapes[train][0] < 12:
        raise _damaged(files[train], "must hold at least 12 pictures", shapes[train][0])


def find_idx_folder(name: str, root: str | None) -> Path:
    """The folder that holds all four files of the set ``name``.

    If ``root`` is given, only that is searched. Otherwise $GAN_TUNE_DATA, the folder of Debian's
    package (Fashion-MNIST) and the cache are searched. torchvision downloads missing files to the
    cache.

    Raises:
        DataError: the set is not found; the message lists all ways to provide it.
    """
    debian = name == "fashion_mnist"
    ways = ["give its folder of IDX files as `root` or in $GAN_TUNE_DATA"]
    if debian:
        ways.append("install Debian's package (apt install dataset-fashion-mnist)")
    return find_folder(
        name,
        root,
        search=lambda place: _search(name, place),
        wanted=f"{PARTS[0].filename} and its three companions (.gz or not)",
        places=[DEBIAN_FASHION_MNIST] if debian else [],
        download=lambda downloads: _download(name, downloads),
        ways=[*ways, "go online for torchvision's download"],
    )


def _search(name: str, place: Path) -> Path | None:
    # Sub-folders first: MNIST and Fashion-MNIST have files of the same names.
    candidates = [place / folder for folder in IDX_FOLDERS[name]] + [place]
    return next((folder for folder in candidates if len(_files(folder)) == len(PARTS)), None)


def _files(folder: Path) -> dict[IdxPart, Path]:
    """The files of a folder; those it lacks are left out."""
    candidates = {part: (folder / part.filename, folder / f"{part.filename}.gz") for part in PARTS}
    found = {part: [path for path in paths if path.is_file()] for part, paths in candidates.items()}
    return {part: paths[0] for part, paths in found.items() if paths}


def _download(name: str, downloads: Path) -> None:
    from torchvision import datasets

    source = {"fashion_mnist": datasets.FashionMNIST, "mnist": datasets.MNIST}[name]
    source(str(downloads), download=True)


def _zipped(path: Path) -> bool:
    return path.suffix == ".gz"


def _header_size(dimensions: int) -> int:
    return 4 + 4 * dimensions


def _parse_header(path: Path, header: bytes, dimensions: int) -> tuple[tuple[int, ...], int]:
    size = _header_size(dimensions)
    if len(header) < size:
        raise _damaged(path, f"must start with a header of {size} bytes", f"{len(header)} bytes")
    magic, *shape = struct.unpack(f">{1 + dimensions}I", header)
    wanted = UNSIGNED_BYTE << 8 | dimensions
    if magic != wanted:
        raise _damaged(path, f"must start with the IDX number 0x{wanted:08x}", f"0x{magic:08x}")
    if 0 in shape:  # no values, and yet four thousand million rows
        raise _damaged(path, "must have no empty dimension", shape)
    return tuple(shape), size


def _check_length(path: Path, shape: tuple[int, ...], length: int) -> None:
    declared = math.prod(shape)
    if length != declared:
        what = "x".join(map(str, shape))
        rule = f"must hold the {declared} values its header declares ({what})"
        raise _damaged(path, rule, f"{length} values")


def _damaged(path: Path, rule: str, given: object) -> DataError:
    return DataError(f"{path}: {rule}: {given}")
