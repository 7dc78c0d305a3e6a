"""Where a command may write its output: nothing is replaced unasked, and no file is half written.

It needs no torch, so that a page or a schema is written without it.
"""

from __future__ import annotations

from os.path import exists, isdir  # unlike those of Path, false for a name that is too long
from pathlib import Path

from gan_tune.atomic_file import write_whole
from gan_tune.errors import OutputError

__all__ = ["check_place", "write_file"]


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


def check_place(path: Path, *, force: bool = False, folder: bool = False) -> None:
    """Check in advance that a file (or a folder of samples) can be written to ``path``.

    Raises:
        OutputError: no such parent folder, or something is there already.
    """
    if not path.name:
        raise OutputError(f"{path}: must name a new file or folder")
    if not isdir(path.parent):
        raise OutputError(f"{path}: its folder {path.parent} must exist")
    if not exists(path):
        return
    if isdir(path) != folder:
        raise OutputError(f"{path}: is {'a folder' if isdir(path) else 'a file'} already")
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
