"""Which folders and files are data, and which part of `data` reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from os.path import exists, isdir  # unlike those of Path, false for a name that is too long
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from gan_tune.data.table import READERS
from gan_tune.errors import DataError
from gan_tune.regular_file import real_path
from gan_tune.space import check_name, shipped_spaces
from gan_tune.space.space_file import LONGEST_NAME

__all__ = ["FOLDER", "SOURCES", "Source", "find_data", "name_of", "source_of"]

SPACE_SUFFIXES = (".yaml", ".yml")
DIGEST_ROOM = 8
"""Characters of a name that are left for a hyphen and digits of a digest, or for `-2`."""


class Source(NamedTuple):
    """A part of `data`, and its argument that names the folder or file."""

    part: str
    place: str

    def tree(self, path: str, **args: Any) -> dict[str, Any]:
        """The part as it stands in a space file, without the arguments of training."""
        return {"name": self.part, self.place: path, **args}


FOLDER = Source("pictures", "root")

SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        ".npz": Source("npz", "path"),
        ".npy": Source("npz", "path"),
        **dict.fromkeys(READERS, Source("table", "path")),
    }
)
"""Suffix of a data file, in lower case → what reads it. A folder is read by :data:`FOLDER`."""


def find_data(given: str) -> Path | None:
    """The folder or file of data that a command names; None if it names a space.

    What ends in `.yaml` or `.yml` is a space, and so is the bare name of a shipped one. Otherwise
    an existing folder or file is data.
    """
    if given.endswith(SPACE_SUFFIXES) or given in shipped_spaces():
        return None
    path = Path(given).expanduser()
    return path if given and exists(path) else None


def source_of(path: Path) -> Source:
    """What reads the data at a path.

    Raises:
        DataError: there is nothing, or nothing reads files of that suffix.
    """
    if isdir(path):
        return FOLDER
    if not exists(path):
        raise DataError(f"{path}: must exist: no such folder or file")
    for suffix, source in SOURCES.items():
        if path.name.lower().endswith(suffix):
            return source
    known = ", ".join(SOURCES)
    rule = f"must be a folder of pictures, or a file that ends in one of {known}"
    raise DataError(f"{path}: {rule}: {path.suffix or 'no suffix'}")


def name_of(path: Path) -> str:
    """A search's name from the stem of its data: other characters become `_`."""
    resolved = real_path(path)
    stem = resolved.name if isdir(resolved) else resolved.name.split(".")[0]
    name = re.sub(r"[^A-Za-z0-9_.-]+", "_", stem).lstrip("_.-").rstrip("_")
    name = name[: LONGEST_NAME - DIGEST_ROOM]
    return name if check_name(name) is None else "data"
