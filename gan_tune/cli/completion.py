"""What the shell offers for arguments, after `gan-tune --install-completion`."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable

import typer

__all__ = ["models_here", "searches_here", "spaces"]

MODELS = (
    "SELECT name FROM registered_model_tags WHERE key = ? AND value = 'generator' ORDER BY name"
)
VERSIONS = (
    "SELECT version FROM model_versions WHERE name = ? AND current_stage != 'Deleted_Internal'"
)


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


def models_here(context: typer.Context, incomplete: str) -> list[str]:
    """The models of a record in SQLite, and behind a slash a model's versions.

    MLflow is not asked: its import alone takes longer than one waits for a shell.
    """
    from gan_tune.errors import GanTuneError
    from gan_tune.record.tags import Tag
    from gan_tune.record.tracking_uri import locate, sqlite_path

    name, slash, _ = incomplete.partition("/")
    with contextlib.suppress(GanTuneError, sqlite3.Error):
        place = sqlite_path(locate(context.params.get("tracking_uri"))).as_uri()
        with contextlib.closing(sqlite3.connect(f"{place}?mode=ro", uri=True)) as store:
            asked = (VERSIONS, name) if slash else (MODELS, Tag.KIND)
            found = [str(text) for (text,) in store.execute(asked[0], asked[1:])]
            return _fitting([f"{name}/{text}" if slash else text for text in found], incomplete)
    return []


def _fitting(names: Iterable[str], incomplete: str) -> list[str]:
    return [name for name in names if name.startswith(incomplete)]
