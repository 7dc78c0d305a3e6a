"""Chooses and checks the names of a search, of its experiment and of its model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gan_tune.errors import GanTuneError
from gan_tune.space import SearchSpace, check_name
from gan_tune.storage.places import RESULT, SEARCH_NOTE, STUDY_NOTE, taken_names

if TYPE_CHECKING:
    from gan_tune.storage.storage import Storage


@dataclass(frozen=True)
class Names:
    """The names of a search, of its experiment in MLflow, and of the model it registers."""

    search: str
    experiment: str
    model: str


def check_names(**names: str | None) -> None:
    """Check that names can be used. Each keyword says what is named; None is skipped.

    Raises:
        GanTuneError: a name breaks the rule of :func:`gan_tune.space.check_name`.
    """
    for what, name in names.items():
        rule = None if name is None else check_name(name)
        if rule is not None:
            raise GanTuneError(f"{what}: {rule}: {name!r}")


def choose_name(
    root: Storage, wanted: str, space: SearchSpace, sources: Sequence[str], *, fresh: bool
) -> str:
    """The name of the search to begin or continue: ``wanted``, or ``wanted`` with a number.

    Args:
        root: the storage that holds searches.
        wanted: the requested name.
        space: of the search.
        sources: the earlier searches of its warm start.
        fresh: whether it must be a new search.
    """
    if not (fresh or sources):
        return wanted
    taken = {*taken_names(root), *sources}
    return next(
        name
        for name in numbered(wanted)
        if name not in taken
        or (not fresh and name not in sources and _can_continue(root.below(name), space, sources))
    )


def numbered(name: str) -> Iterator[str]:
    """The name, then `NAME-2`, `NAME-3` and so on."""
    yield name
    yield from (f"{name}-{i}" for i in range(2, 10_000))


def _can_continue(home: Storage, space: SearchSpace, sources: Sequence[str]) -> bool:
    """Whether a folder's search has this space and warm start, or has not begun."""
    noted = home.read_json(STUDY_NOTE)
    if noted is None:
        return {SEARCH_NOTE, RESULT}.isdisjoint(home.names())
    if not isinstance(noted, dict):
        return False
    return bool(noted.get("warm_start") == list(sources) and noted.get("space") == space.digest)
