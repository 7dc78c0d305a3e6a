"""The data that a search is asked to begin from: a folder or file, or an array from Python."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from gan_tune.atomic_file import whole_file
from gan_tune.data.arrays import check_array
from gan_tune.data.dataset import SPLITS, Dataset
from gan_tune.data.mapped import MAPPED_FROM
from gan_tune.errors import DataError, StorageError
from gan_tune.regular_file import real_path
from gan_tune.starting.seen_data import Seen, load_data, look
from gan_tune.starting.sources import name_of, source_of

__all__ = ["DataGiven", "Given", "GivenArrays", "GivenPath", "given_data"]

OWNER = "the array given"
DataGiven = str | Path | Dataset | NDArray[Any]
"""A folder of pictures, a data file, a data set, or an array as in an `.npz` file."""

ARRAYS = "data"
"""Name of a search of an array."""


class Given(Protocol):
    """Data to begin from."""

    @property
    def name(self) -> str:
        """The name that a search of these data has by default."""

    @property
    def place(self) -> str:
        """The absolute path of the folder or file; empty for arrays."""

    def digest(self, largest: int) -> str:
        """The data's digest; ``largest`` is the largest side at which pictures are read."""

    def digest_as(self, tree: Mapping[str, Any]) -> str:
        """The data's digest, if they are read as the data part ``tree`` of an earlier search."""

    def look(self, folder: Path, largest: int) -> tuple[Seen, str]:
        """What is seen, and the digest; ``folder`` is the search's, where arrays are kept."""

    def keep_again(self, tree: Mapping[str, Any]) -> None:
        """Write arrays that were kept as the data part ``tree`` says, where they are lost."""


@dataclass(frozen=True)
class GivenPath:
    """A folder or file as the user names it."""

    path: Path

    @property
    def name(self) -> str:
        return name_of(self.path)

    @property
    def place(self) -> str:
        return str(real_path(self.path))

    def digest(self, largest: int) -> str:
        return look(self.path, largest=largest).dataset.digest

    def digest_as(self, tree: Mapping[str, Any]) -> str:
        source = source_of(self.path)
        if tree["name"] != source.part:
            return ""
        return load_data({**tree, source.place: str(self.path)}).digest

    def look(self, folder: Path, largest: int) -> tuple[Seen, str]:
        seen = look(self.path, largest=largest)
        return seen, seen.dataset.digest

    def keep_again(self, tree: Mapping[str, Any]) -> None:
        """Do nothing: the path is the user's."""


@dataclass(frozen=True)
class GivenArrays:
    """An array, or the splits and labels of a data set, by their names in an `.npz` file."""

    arrays: Mapping[str, NDArray[Any]]
    name: str
    place: str = ""

    def digest(self, largest: int) -> str:
        return self._digest

    def digest_as(self, tree: Mapping[str, Any]) -> str:
        return self._digest

    @cached_property
    def _digest(self) -> str:
        sha = hashlib.sha256()
        for name, array in self.arrays.items():
            sha.update(f"{name}{array.dtype.str}{array.shape}".encode())
            sha.update(np.ascontiguousarray(array).data)
        return sha.hexdigest()[:16]

    def look(self, folder: Path, largest: int) -> tuple[Seen, str]:
        path = self._kept(folder)
        try:
            return look(path, largest=largest, called=OWNER), self._digest
        except DataError:
            path.unlink()
            raise

    def keep_again(self, tree: Mapping[str, Any]) -> None:
        for path in (Path(str(value)) for value in tree.values()):
            if path.is_absolute() and path.stem == self._stem and not path.exists():
                self._write(path)

    @property
    def _stem(self) -> str:
        return f"{self.name}-{self._digest[:6]}"

    @property
    def _is_large(self) -> bool:
        return list(self.arrays) == ["x"] and self.arrays["x"].nbytes >= MAPPED_FROM

    def _kept(self, folder: Path) -> Path:
        """Write the arrays into a search's folder; a large one as a file that can be mapped."""
        return self._write(folder / f"{self._stem}.{'npy' if self._is_large else 'npz'}")

    def _write(self, path: Path) -> Path:
        lone = self._is_large
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with whole_file(path) as file:
                if lone:
                    np.save(file, self.arrays["x"], allow_pickle=False)
                else:
                    np.savez(file, allow_pickle=False, **self.arrays)
        except OSError as error:
            raise StorageError(f"storage: cannot write {path}: {error.strerror}") from None
        return path


def given_data(data: DataGiven) -> Given:
    """The data that a user gives.

    Raises:
        DataError: it is neither a path nor a data set nor an array of pictures or points.
    """
    if isinstance(data, np.ndarray):
        check_array(OWNER, "x", data)
        return GivenArrays({"x": data}, ARRAYS)
    if isinstance(data, Dataset):
        arrays: dict[str, NDArray[Any]] = {name: data.split(name) for name in SPLITS}
        for name in SPLITS:
            if (labels := data.labels(name)) is not None:
                arrays[f"{name}_labels"] = labels
        return GivenArrays(arrays, name_of(Path(data.name)))
    if isinstance(data, (str, Path)):
        return GivenPath(Path(data).expanduser())
    raise DataError(f"data must be a path, an array or a gan_tune.Dataset: {type(data).__name__}")
