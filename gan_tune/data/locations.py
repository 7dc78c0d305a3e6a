"""The places in which files of well-known data sets are searched, and the place of downloads."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from gan_tune.errors import DataError

__all__ = ["cache_folder", "find_folder"]

DOWNLOAD_TIMEOUT_SECONDS = 20.0


def cache_folder() -> Path:
    """The folder of downloads, trained classifiers and decoded pictures.

    $GAN_TUNE_CACHE, or ~/.cache/gan_tune.
    """
    return Path(os.environ.get("GAN_TUNE_CACHE") or Path.home() / ".cache" / "gan_tune")


def find_folder(
    name: str,
    root: str | None,
    *,
    search: Callable[[Path], Path | None],
    wanted: str,
    download: Callable[[Path], object],
    places: Sequence[Path] = (),
    ways: Sequence[str],
) -> Path:
    """The folder that holds the files of the set ``name``.

    If ``root`` is given, only that is searched. Otherwise $GAN_TUNE_DATA, ``places`` and the cache
    folder are searched; if the set is not found, ``download`` brings it to the cache folder.
    ``search`` returns the folder below a place that has all files. ``wanted`` and ``ways`` describe
    the files and how to get them.

    Raises:
        DataError: the set is not found; the message lists all ways to provide it.
    """
    if root is not None:
        found = search(Path(root))
        if found is None:
            raise DataError(f"data set {name}: root must hold {wanted}: {root!r}")
        return found
    given = os.environ.get("GAN_TUNE_DATA")
    downloads = cache_folder() / "datasets"
    for place in (*([Path(given)] if given else []), *places, downloads):
        found = search(place)
        if found is not None:
            return found
    try:
        _download(download, downloads)
        found = search(downloads)
        if found is None:
            raise FileNotFoundError(f"the download left no {wanted} under {downloads}")
    except Exception as error:  # torchvision passes on any error of the network
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"data set {name}: not on this machine; {', or '.join(ways)}, which failed: {reason}"
        ) from None
    return found


def _download(download: Callable[[Path], object], downloads: Path) -> None:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_SECONDS)  # torchvision sets none and could hang
    try:
        with contextlib.redirect_stdout(sys.stderr):
            download(downloads)
    finally:
        socket.setdefaulttimeout(before)
