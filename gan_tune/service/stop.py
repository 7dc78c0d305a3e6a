"""`gan-tune stop`: ask a running search to end, also from another machine."""

from __future__ import annotations

from pathlib import Path

from gan_tune.errors import SearchNotFoundError
from gan_tune.storage.places import DEFAULT_STORAGE, STOP, look_in, search_names
from gan_tune.words.wording import there_are


def stop(name: str, storage: str | Path = DEFAULT_STORAGE) -> None:
    """Ask the command that works on a search to end, as its first Ctrl-C would.

    The wish lies in the search's folder, so it may come from any machine that sees the storage. The
    next command that begins to work on the search removes it.

    Raises:
        SearchNotFoundError: no search of that name; the message lists the existing ones.
        StorageError: the storage cannot be written.
    """
    root = look_in(storage)
    known = search_names(root)
    if name not in known:
        raise SearchNotFoundError(
            f"no search named {name!r} in {storage}; {there_are(name, known)}"
        )
    root.below(name).write_json(STOP, {})
