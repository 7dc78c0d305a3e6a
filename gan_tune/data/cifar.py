"""CIFAR-10 in its binary version: files of records, each a label byte and 3 x 32 x 32 bytes.

The better known "python version" is a set of pickles. Unpickling can run any program in the file,
so it is not read. If only that version is found, the message says so. Downloads are always of the
binary version.

Source: https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gan_tune.data.locations import find_folder
from gan_tune.data.reading import check_room, reading
from gan_tune.errors import DataError

__all__ = ["CifarPart", "check_cifar_folder", "find_cifar_folder", "read_cifar_folder"]

SHAPE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32
CLASSES = 10
TRAIN_FILES = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
TEST_FILES = ("test_batch.bin",)
FOLDER, PICKLED_FOLDER = "cifar-10-batches-bin", "cifar-10-batches-py"
URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
MD5 = "c32a1d4ab5d03f1284b67883e8d87530"  # from the data set's page


class CifarPart(NamedTuple):
    """Pictures uint8 [N, 3, 32, 32] and labels int64 [N] in 0..9."""

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64]


def read_cifar_folder(folder: Path) -> tuple[CifarPart, CifarPart]:
    """The training part (its five files in order) and the test part.

    Raises:
        DataError: a file is damaged.
    """
    check_cifar_folder(folder)
    return _read(folder, TRAIN_FILES), _read(folder, TEST_FILES)


def check_cifar_folder(folder: Path) -> None:
    """Check that each file holds complete records.

    Raises:
        DataError: a file is empty or truncated.
    """
    for name in (*TRAIN_FILES, *TEST_FILES):
        with reading(folder / name, "readable"):
            size = (folder / name).stat().st_size
        if size == 0 or size % RECORD:
            rule = f"must hold records of {RECORD} bytes each"
            raise DataError(f"{folder / name}: {rule}: {size} bytes")


def find_cifar_folder(root: str | None) -> Path:
    """The folder of the six files, in ``root``, $GAN_TUNE_DATA, the cache, or downloaded.

    Raises:
        DataError: it is not found; the message lists all ways to provide it.
    """
    ways = [
        f"give the folder {FOLDER} as `root` or in $GAN_TUNE_DATA (the binary version; the pickled "
        f"{PICKLED_FOLDER} is not read, since unpickling would run what is in the file)",
        f"go online for the download of {URL}",
    ]
    wanted = f"{FOLDER} with {TRAIN_FILES[0]} and its five companions, not the pickled version"
    return find_folder(
        "cifar10", root, search=_search, wanted=wanted, download=_download, ways=ways
    )


def _search(place: Path) -> Path | None:
    names = (*TRAIN_FILES, *TEST_FILES)
    candidates = (place / FOLDER, place)
    return next((f for f in candidates if all((f / name).is_file() for name in names)), None)


def _download(downloads: Path) -> None:
    from torchvision.datasets.utils import download_and_extract_archive

    download_and_extract_archive(URL, str(downloads), md5=MD5, remove_finished=True)


def _read(folder: Path, names: tuple[str, ...]) -> CifarPart:
    records = np.concatenate([_records(folder / name) for name in names])
    return CifarPart(records[:, 1:].reshape(-1, *SHAPE), records[:, 0].astype(np.int64))


def _records(path: Path) -> NDArray[np.uint8]:
    with reading(path, "readable"):
        check_room(path, path.stat().st_size)
        records = np.fromfile(path, np.uint8).reshape(-1, RECORD)
    if records[:, 0].max() >= CLASSES:
        raise DataError(f"{path}: must hold labels in 0..{CLASSES - 1}: {records[:, 0].max()}")
    return records
