"""Begins a search from data: its name, its space, and what is kept to go on with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from gan_tune.errors import DataError, Fault, SpaceError
from gan_tune.parts.all_parts import catalogue
from gan_tune.service.running.given_data import DataGiven, Given, given_data
from gan_tune.service.running.names import check_names, numbered
from gan_tune.service.running.note import PlanNote
from gan_tune.space import Budget, Resources, SearchSpace
from gan_tune.space.yaml_text import YamlFaultsError, parse
from gan_tune.starting.proposal import USUAL_MINUTES, largest_side, propose
from gan_tune.starting.sources import find_data
from gan_tune.storage.places import (
    DATA_NOTE,
    DEFAULT_STORAGE,
    PLAN_NOTE,
    RESULT,
    SEARCH_NOTE,
    SPACE_FILE,
    STUDY_NOTE,
    driver_folder,
    look_in,
    taken_names,
)
from gan_tune.storage.stored import read_stored
from gan_tune.words.wording import faults_of

if TYPE_CHECKING:
    from gan_tune.storage.storage import Storage

__all__ = ["Beginning", "DataNote", "begin", "checked_limits", "find_data"]


@dataclass(frozen=True)
class DataNote:
    """The data that a search began from: the content of `data.json`.

    Attributes:
        place: absolute path of the folder or file; empty for arrays from Python.
        digest: of the data.
        tree: the data part as proposed, with which the data are read again.
    """

    place: str
    digest: str
    tree: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Beginning:
    """A search that begins from data, or goes on with them.

    Attributes:
        name: of the search.
        space: checked, with the overrides.
        told: what was seen and what is proposed, one paragraph; when it goes on, one sentence.
        space_file: where the space file is written, in readable form.
        space_text: the space file, for the search's folder; without the overrides.
        note: which data it began from.
        goes_on: whether the search has begun before.
        plan: for this machine, as proposed; None where an override may have changed it, and when it
            goes on.
    """

    name: str
    space: SearchSpace
    told: str
    space_file: str
    space_text: str
    note: DataNote
    goes_on: bool
    plan: PlanNote | None = None

    def keep(self, home: Storage) -> None:
        """Write space file, plan and note into the search's folder, unless they are there."""
        if home.read(DATA_NOTE) is None:
            home.write(SPACE_FILE, self.space_text.encode())
            if self.plan is not None:
                home.write_json(PLAN_NOTE, asdict(self.plan))
            home.write_json(DATA_NOTE, asdict(self.note))


def begin(
    data: DataGiven,
    overrides: Sequence[str] = (),
    *,
    minutes: float | None = None,
    gpu: float | None = None,
    name: str | None = None,
    storage: str | Path = DEFAULT_STORAGE,
    fresh: bool = False,
    max_concurrent: int | None = None,
) -> Beginning:
    """Look at data and propose a search for them; or take up the one that began from them.

    Nothing is written, but for an array: it is kept in the search's folder.

    Args:
        data: a folder of pictures, a data file, an array, or a data set (its mixture is not kept).
        overrides: `PATH=VALUE` texts, as for :func:`load_space`.
        minutes: time for the whole search, > 0; default ten.
        gpu: GPUs of a trial; default `auto`.
        name: of the search; default the stem of the data's path.
        storage: folder or URI that holds searches.
        fresh: begin a new search, `NAME-2`, if there is one of this name.
        max_concurrent: largest number of trials at a time.

    Raises:
        DataError: the data cannot be used, or have changed since the search of this name began.
        SpaceError: an override is invalid.
    """
    check_names(name=name)
    short = {"budget.minutes": minutes, "resources.gpu": gpu}
    limits = [f"{path}={value:g}" for path, value in short.items() if value is not None]
    minutes, gpu = checked_limits(minutes, gpu)
    given, root, largest = given_data(data), look_in(storage), largest_side(minutes, gpu)
    own = search = name or given.name
    if fresh:
        taken = taken_names(root)
        search = next(one for one in numbered(own) if one not in taken)
    else:
        own, note = _own_name(root, given, own, largest, fixed=name is not None)
        search = own
        if note is not None:
            given.keep_again(note.tree)
            return _going_on(root.below(search), search, note, [*overrides, *limits])
    home = root.below(search)
    seen, digest = given.look(driver_folder(home, search), largest)
    made = propose(seen, own, minutes=minutes, gpu=gpu, slots=max_concurrent)
    space = SearchSpace.load(made.tree, catalogue(), overrides=overrides)
    note = DataNote(given.place, digest, dict(seen.tree))
    text, file = made.text, home.readable_path(SPACE_FILE)
    space = replace(space, source=text)
    # Steps timed again on the workers would tell little more, eight seconds later.
    fits = made.plan
    noted = PlanNote(step_seconds=fits.step_seconds, slots=fits.slots, minutes=fits.minutes)
    plan = None if overrides else noted
    return Beginning(search, space, made.paragraph, file, text, note, goes_on=False, plan=plan)


def checked_limits(minutes: float | None, gpu: float | None) -> tuple[float, float | None]:
    """The minutes, their default filled in, and a trial's GPUs; None: `auto`.

    Raises:
        SpaceError: no space takes them.
    """
    faults: list[Fault] = []
    for block, model, given in (
        ("budget", Budget, {"steps": 1, "minutes": minutes}),
        ("resources", Resources, {"gpu": 0 if gpu is None else gpu}),
    ):
        try:
            model.model_validate(given)
        except ValidationError as error:
            faults += faults_of(error, block, model=model)
    if faults:
        raise SpaceError(faults)
    return USUAL_MINUTES if minutes is None else minutes, gpu


def _own_name(
    root: Storage, given: Given, wanted: str, largest: int, *, fixed: bool
) -> tuple[str, DataNote | None]:
    """The name of the search for these data, and its note if it has begun.

    It is the name wanted, or that with six digits of the data's digest where it is the name of
    another search, unless it is ``fixed``.
    """
    note = _note(root.below(wanted))
    if note is not None and _is_same(note, given):
        return wanted, note
    if note is not None and note.place and note.place == given.place:
        rule = f"has changed since the search {wanted} began; use --fresh to begin another"
        raise DataError(f"{given.place}: {rule}")
    if note is None and not _is_begun(root.below(wanted)):
        return wanted, None
    if fixed:
        raise DataError(f"{wanted}: is another search's name; use --fresh or another --name")
    own = f"{wanted}-{given.digest(largest)[:6]}"
    return _own_name(root, given, own, largest, fixed=True)


def _is_same(note: DataNote, given: Given) -> bool:
    try:
        return given.digest_as(note.tree) == note.digest
    except DataError:
        if note.place == given.place:
            raise
        return False  # other data, which cannot be read in that way


def _is_begun(home: Storage) -> bool:
    return not {SEARCH_NOTE, STUDY_NOTE, RESULT}.isdisjoint(home.names())


def _note(home: Storage) -> DataNote | None:
    return read_stored(home, DATA_NOTE, DataNote)


def _going_on(home: Storage, name: str, note: DataNote, overrides: Sequence[str]) -> Beginning:
    """A search that has begun before: with the space that it began with."""
    file = home.readable_path(SPACE_FILE)
    text = (home.read(SPACE_FILE) or b"").decode(errors="replace")
    try:
        tree = parse(text)
    except YamlFaultsError as error:
        raise SpaceError(error.faults, file) from None
    if not isinstance(tree, dict):
        raise SpaceError([Fault("", "must hold the space with which the search began")], file)
    space = SearchSpace.load(tree, catalogue(), overrides=overrides)
    told = f"The search {name} began from these data; its space is {file}."
    return Beginning(name, replace(space, source=text), told, file, text, note, goes_on=True)
