"""Small findings about files that are kept in the cache folder, for as long as these stay."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from gan_tune.atomic_file import write_whole
from gan_tune.data.locations import cache_folder
from gan_tune.errors import DataError
from gan_tune.regular_file import why_not_regular

__all__ = ["recall", "remember"]


def recall(key: Iterable[object]) -> dict[str, Any] | None:
    """What was remembered for this key, which names the files' states; None for nothing.

    Whoever asks checks the values, as the file may be damaged.
    """
    path = _place(key)
    if why_not_regular(path):
        return None
    try:
        finding = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):  # not there, or damaged: found once more
        return None
    return finding if isinstance(finding, dict) else None


def remember(key: Iterable[object], finding: dict[str, Any]) -> dict[str, Any]:
    """Keep a finding of plain values, and return it as it will be recalled.

    Raises:
        DataError: the cache folder cannot be written.
    """
    path, content = _place(key), json.dumps(finding)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content.encode())
    except OSError as error:
        rule = "must be readable and have room (GAN_TUNE_CACHE names another)"
        raise DataError(f"{path.parent}: {rule}: {error}") from None
    return dict(json.loads(content))


def _place(key: Iterable[object]) -> Path:
    digest = hashlib.sha256(repr(tuple(key)).encode()).hexdigest()[:32]
    return cache_folder() / "folders" / f"{digest}.json"
