"""What the shell offers for arguments, after `gan-tune --install-completion`."""

from __future__ import annotations

from collections.abc import Iterable

import typer

__all__ = ["searches_here", "spaces"]


def spaces(incomplete: str) -> list[str]:
    """The shipped spaces. Files are offered by the shell itself, where none of these fits."""
    from gan_tune.space import shipped_spaces

    return _fitting(shipped_spaces(), incomplete)


def searches_here(context: typer.Context, incomplete: str) -> list[str]:
    """The searches in the storage."""
    from gan_tune.errors import GanTuneError
    from gan_tune.storage.places import DEFAULT_STORAGE, look_in, search_names

    try:
        storage = look_in(context.params.get("storage") or DEFAULT_STORAGE)
        return _fitting(search_names(storage), incomplete)
    except GanTuneError:
        return []  # a line of it would end up in the command


def _fitting(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
