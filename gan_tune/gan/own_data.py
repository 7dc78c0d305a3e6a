"""A user's own data: NumPy `.npz` files and folders of pictures, as plain arrays."""

from __future__ import annotations

import zipfile
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gan_tune.errors import DataError

__all__ = [
    "PICTURE_SUFFIXES",
    "LabelledPictures",
    "check_npz",
    "check_picture_folder",
    "read_npz",
    "read_picture_folder",
]

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm")
_SPLITS = ("train", "selection", "test")


class LabelledPictures(NamedTuple):
    """Pictures uint8 [N, C, H, W] and, where there are classes, labels int64 [N]."""

    pictures: NDArray[np.uint8]
    labels: NDArray[np.int64] | None


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file that gan-tune knows, in gan-tune's layout.

    `train`, and perhaps `selection` and `test`: pictures uint8 [N, C, H, W] or points float32
    [N, D]; `train_labels` and so on: int64. Nothing is unpickled.

    Raises:
        DataError: the file is missing, damaged, or its arrays are of another kind.
    """
    known = [*_SPLITS, *(f"{name}_labels" for name in _SPLITS)]
    try:
        with np.load(path, allow_pickle=False) as stored:
            check_npz_names(path, stored.files)
            arrays = {name: stored[name] for name in known if name in stored.files}
    except FileNotFoundError:
        raise DataError(f"{path}: must exist: no such file") from None
    except (OSError, ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: must be an .npz file without pickled objects: {error}") from None
    return {name: _lay_out(path, name, array) for name, array in arrays.items()}


def check_npz(path: Path) -> None:
    """Check that a file exists and names the arrays it must, without reading them.

    Raises:
        DataError: the file is missing, damaged or lacks an array.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
    except FileNotFoundError:
        raise DataError(f"{path}: must exist: no such file") from None
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: must be an .npz file: {error}") from None
    check_npz_names(path, names)


def check_npz_names(path: Path, names: Collection[str]) -> None:
    """Check that the arrays of a file are a data set by their names.

    Raises:
        DataError: `train` is missing, or only one of `selection` and `test` is there.
    """
    if "train" not in names:
        raise DataError(f"{path}: must hold an array named train: {', '.join(names) or 'none'}")
    if ("selection" in names) != ("test" in names):
        alone = "selection" if "selection" in names else "test"
        raise DataError(f"{path}: selection and test must be given together: {alone} alone")


def _lay_out(path: Path, name: str, array: NDArray[Any]) -> NDArray[Any]:
    if name.endswith("_labels"):
        if not np.issubdtype(array.dtype, np.integer):
            raise DataError(f"{path}: {name} must be integers: {array.dtype}")
        return array.astype(np.int64)
    if array.dtype == np.uint8 and array.ndim == 3:
        return np.ascontiguousarray(array[:, None])
    if array.dtype == np.uint8 and array.ndim == 4 and array.shape[1] in (1, 3):
        return np.ascontiguousarray(array)
    if array.dtype == np.uint8 and array.ndim == 4 and array.shape[3] in (1, 3):
        return np.ascontiguousarray(array.transpose(0, 3, 1, 2))
    if np.issubdtype(array.dtype, np.floating) and array.ndim == 2:
        return array.astype(np.float32, order="C")
    rule = "must be uint8 [N, H, W], [N, H, W, C] or [N, C, H, W] with C of 1 or 3, or float [N, D]"
    raise DataError(f"{path}: {name} {rule}: {array.dtype} {list(array.shape)}")


def read_picture_folder(root: Path, *, size: int, channels: int) -> LabelledPictures:
    """All pictures of a folder, cropped to their central square and resized to ``size``.

    The resizing filters (Lanczos), so that fine patterns do not alias. With two or more
    sub-folders that hold pictures each is a class, counted in the order of their names.

    Raises:
        DataError: the folder is missing or empty, or a file is no picture.
    """
    paths, labels = _find_pictures(root)
    with ThreadPoolExecutor() as pool:
        pictures = list(pool.map(lambda path: _open_picture(path, size, channels), paths))
    return LabelledPictures(np.stack(pictures), labels)


def check_picture_folder(root: Path, *, size: int, channels: int) -> int:
    """The number of pictures in a folder, the first of them opened.

    Raises:
        DataError: as :func:`read_picture_folder`, as far as that shows.
    """
    paths, _ = _find_pictures(root)
    _open_picture(paths[0], size, channels)
    return len(paths)


def _find_pictures(root: Path) -> tuple[list[Path], NDArray[np.int64] | None]:
    if not root.is_dir():
        raise DataError(f"{root}: must be a folder of pictures: no such folder")
    inside = sorted(path for path in root.iterdir() if not path.name.startswith("."))
    loose = [path for path in inside if _is_picture(path)]
    found = {path: _pictures_below(path) for path in inside if path.is_dir()}
    classes = [paths for paths in found.values() if paths]
    if loose and classes:
        rule = "must hold pictures or sub-folders of pictures, not both"
        raise DataError(f"{root}: {rule}: {loose[0].name}, {classes[0][0].relative_to(root)}")
    if not loose and not classes:
        raise DataError(f"{root}: must hold pictures ({' '.join(PICTURE_SUFFIXES)}): none found")
    if len(classes) < 2:
        return loose or classes[0], None
    labels = np.repeat(np.arange(len(classes)), [len(paths) for paths in classes])
    return [path for paths in classes for path in paths], labels.astype(np.int64)


def _pictures_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if _is_picture(path))


def _is_picture(path: Path) -> bool:
    hidden = path.name.startswith(".")
    return not hidden and path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()


def _open_picture(path: Path, size: int, channels: int) -> NDArray[np.uint8]:
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as source:
            upright = ImageOps.exif_transpose(source).convert("L" if channels == 1 else "RGB")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: must be a picture that Pillow can open: {error}") from None
    side = min(upright.size)
    left, top = (upright.width - side) // 2, (upright.height - side) // 2
    square = upright.crop((left, top, left + side, top + side))
    fitted = np.asarray(square.resize((size, size), Image.Resampling.LANCZOS))
    return np.ascontiguousarray(fitted.reshape(size, size, channels).transpose(2, 0, 1))
