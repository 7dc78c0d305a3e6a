"""A folder of pictures as people have them: what is in it is found, and said.

These rules are for the data set `pictures`, and for a folder that `image_folder` refuses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from gan_tune.data.folder_walk import files_below, holds, unreadable
from gan_tune.data.picture_folder import SUFFIXES
from gan_tune.errors import DataError

__all__ = ["FoundFolder", "find_pictures"]

MORE_SUFFIXES = (".jfif", ".jpe", ".avif", ".pgm", ".pbm")
"""Read here, where Pillow can, beside :data:`SUFFIXES`."""
SYSTEM_NAMES = frozenset(
    {"@eadir", "thumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "#recycle", "lost+found"}
)
"""Made by systems for themselves, in lower case; so is each name that starts with a dot."""
MAX_CLASSES = 1_000
MIN_PER_CLASS = 10
"""With fewer, a class would have none in the selection split."""
NAMED_SUFFIXES = 4


@dataclass(frozen=True)
class FoundFolder:
    """The pictures below a folder, sorted, with what the user should know about them.

    ``labels`` int64 [N] are there where the sub-folders are classes. ``notes`` say what was decided
    and ``left_out`` what was left out, a line each.
    """

    root: Path
    paths: Sequence[Path]
    labels: NDArray[np.int64] | None
    notes: tuple[str, ...]
    left_out: tuple[str, ...] = ()


@dataclass
class _Walk:
    """What was met below a folder beside pictures."""

    hidden: int = 0
    links: int = 0
    circles: int = 0
    others: Counter[str] = field(default_factory=Counter)


def find_pictures(root: Path) -> FoundFolder:
    """Find the pictures at every depth, except in hidden folders and in those of systems.

    If all are in sub-folders, each of these is a class: of 2 to 1,000, with at least 10 pictures
    each. Otherwise the pictures have no labels.

    Raises:
        DataError: the folder is missing, unreadable, too deep, or holds no picture.
    """
    walk = _Walk()
    try:
        if not root.is_dir():
            raise DataError(f"{root}: must be a folder of pictures: no such folder")
        inside = list(_first_level(root, walk))
        loose = [path for path in inside if not path.is_dir() and _is_picture(path, walk)]
        found = {path: list(_below(path, walk)) for path in inside if path.is_dir()}
    except OSError as error:
        raise unreadable(root, error) from None
    classes = {path.name: sorted(paths) for path, paths in found.items() if paths}
    if not loose and not classes:
        rule = f"must hold pictures ({' '.join(SUFFIXES)})"
        raise DataError(f"{root}: {rule}: none found{_beside(walk)}")
    unlabelled, left_out = _why_no_labels(loose, classes), tuple(_left_out(walk))
    paths = [path for paths in classes.values() for path in paths]
    if unlabelled is not None or len(classes) < 2:
        notes = (unlabelled,) if unlabelled else ()
        return FoundFolder(root, sorted([*loose, *paths]), None, notes, left_out)
    labels = np.repeat(np.arange(len(classes)), [len(paths) for paths in classes.values()])
    return FoundFolder(root, paths, labels, (), left_out)


def _first_level(root: Path, walk: _Walk) -> Iterator[Path]:
    for path in sorted(root.iterdir()):
        if _is_hidden(path, walk):
            continue
        if holds(path, root):
            walk.circles += 1
        else:
            yield path


def _is_hidden(path: Path, walk: _Walk) -> bool:
    hidden = _has_hidden_name(path)
    walk.hidden += hidden
    return hidden


def _has_hidden_name(path: Path) -> bool:
    return path.name.startswith(".") or path.name.lower() in SYSTEM_NAMES


def _is_picture(path: Path, walk: _Walk) -> bool:
    suffix = path.suffix.lower()
    if suffix in SUFFIXES or (suffix in MORE_SUFFIXES and suffix in Image.registered_extensions()):
        return True
    walk.others[suffix or "no suffix"] += 1
    return False


def _below(folder: Path, walk: _Walk) -> Iterator[Path]:
    """The pictures at every depth. Links to folders are not followed: they may form a circle."""

    def enters(path: Path) -> bool:
        return not (path.is_symlink() or _has_hidden_name(path))

    for path in files_below(folder, enters=enters):
        if _is_hidden(path, walk):
            continue
        if path.is_dir():
            walk.links += 1
        elif _is_picture(path, walk):
            yield path


def _why_no_labels(loose: Sequence[Path], classes: Mapping[str, Sequence[Path]]) -> str | None:
    """Why sub-folders give no labels, for the user; None if they do, or if there are no two."""
    total = len(loose) + sum(map(len, classes.values()))
    read = f"all {total:,} pictures are read without labels"
    if loose and classes:
        return f"pictures beside sub-folders: {read}"
    if len(classes) > MAX_CLASSES:
        return f"{len(classes):,} sub-folders are more than {MAX_CLASSES:,} classes: {read}"
    small = {name: len(paths) for name, paths in classes.items() if len(paths) < MIN_PER_CLASS}
    if small and len(classes) > 1:
        name = min(small, key=lambda name: small[name])
        few = f"sub-folder {name} holds {small[name]} pictures, and labels need {MIN_PER_CLASS}"
        return f"{few} in each: {read}"
    return None


def _left_out(walk: _Walk) -> Iterator[str]:
    if walk.others:
        yield f"left out: {_kinds(walk.others)}"
    if walk.links:
        links = "link" if walk.links == 1 else "links"
        yield f"left out: {walk.links:,} {links} to folders below the first level"
    if walk.circles:
        links = "link" if walk.circles == 1 else "links"
        yield f"left out: {walk.circles:,} {links} to folders that hold this one"
    if walk.hidden:
        what = "file or folder" if walk.hidden == 1 else "files and folders"
        yield f"left out: {walk.hidden:,} {what} of the system (hidden, thumbnails)"


def _beside(walk: _Walk) -> str:
    notes = "; ".join(_left_out(walk))
    return f" ({notes})" if notes else ""


def _kinds(others: Counter[str]) -> str:
    total = sum(others.values())
    named = [f"{suffix} {count:,}" for suffix, count in others.most_common(NAMED_SUFFIXES)]
    more = ["..."] if len(others) > NAMED_SUFFIXES else []
    files = "file" if total == 1 else "files"
    return f"{total:,} {files} of other kinds ({', '.join([*named, *more])})"
