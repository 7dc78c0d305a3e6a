"""Opens the study of a search: it is found or created, claimed, prepared and checked.

This is the only place where a study is written before its first proposal. It lies in a journal
file, in a folder behind a URI, or in a database that many searches may share.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend
from optuna.trial import FixedTrial, FrozenTrial, TrialState

from gan_tune.errors import Fault, OutageError, SpaceError, StorageError
from gan_tune.searching.study.database import UNREADABLE_DATABASE, open_database, open_to_read
from gan_tune.searching.study.journal import UNREADABLE_JOURNAL, Journal, mend_journal
from gan_tune.searching.study.optuna_internals import enqueued_params, quiet_optuna
from gan_tune.searching.study.origins import ORIGIN, SAMPLED, START, Start
from gan_tune.searching.study.reading import (
    DIRECTIONS,
    WARM_START,
    check_numbers,
    own_study,
    own_trials,
)
from gan_tune.searching.study.samplers import SAMPLERS, build_sampler
from gan_tune.searching.study.segments import SEGMENTS, SegmentedJournal, has_segments
from gan_tune.searching.study.study import AnyJournal, Study
from gan_tune.searching.study.telling import HEALTH, tell_arguments
from gan_tune.searching.study.warm_start import EarlierTrial
from gan_tune.space import SearchSpace, changes
from gan_tune.storage.patience import NONE, Patience, is_away
from gan_tune.storage.storage import Storage
from gan_tune.words.wording import first_line, in_one_line

__all__ = ["LAYOUT", "changed_space", "open_study", "study_as_it_stands"]

Place = Path | str | Storage
"""Where a study lies: in a journal file, a database's URL, or a search's folder behind a URI."""

LAYOUT = 1
"""Version of a study's layout. Increase it if an older gan-tune would misread a newer study."""


def open_study(
    place: Place,
    space: SearchSpace,
    *,
    name: str | None = None,
    owner: str | None = None,
    warm: Sequence[EarlierTrial] = (),
    starts: Sequence[Start] = (),
    begun: bool = False,
    patience: Patience = NONE,
) -> Study:
    """Open the study of a search; it is created if it does not exist.

    Args:
        place: the journal file, the search's folder behind a URI, or the URL of a database. A
            search must be held by this process alone (see :mod:`gan_tune.storage.lease`).
        space: a checked space.
        name: the study's name in the database, by default the space's.
        owner: identifies the search's folder. Only the owner that created a study may open it,
            since the trials are in the owner's folder. None: not checked.
        warm: trials of earlier searches, for the sampler. They are no settings of this search. They
            are added only when the study is created.
        starts: settings to try after those of the space's `start_from`; in effect only when the
            study is created.
        begun: whether trials of the search exist, so that its study must exist too.
        patience: with outages, once the study is open.

    Raises:
        StorageError: the journal or database cannot be read or written; or the study has another
            owner, was written by another version in another layout, or is lost.
        StudyError: an SQLite database stays locked.
        SpaceError: the study belongs to another space; the message says what has changed.
    """
    name = name or space.name
    with quiet_optuna():
        journal: AnyJournal | None = None
        if isinstance(place, Path):
            stored, journal = _open_journal(place, space, begun, patience)
        elif isinstance(place, Storage):
            stored, journal = _open_segments(place, space, begun)
        else:
            stored = _open_database(place, space, name, begun, patience)
        _check_layout(stored, place)
        if owner is not None:
            _claim(stored, place, owner)
        if "space" not in stored.user_attrs:
            _prepare(stored, space, warm, starts)
    _check_space(stored, space, name)
    return Study(stored, space, journal)


def _open_journal(
    path: Path, space: SearchSpace, begun: bool, patience: Patience
) -> tuple[optuna.Study, Journal]:
    mend_journal(path)
    if begun and not (path.exists() and path.stat().st_size):  # Optuna would make a new one
        raise _lost(f"storage: {path}, the study of this search,")
    try:
        journal = Journal(path, patience)
        return _load_only(journal, space), journal
    except UNREADABLE_JOURNAL as error:
        raise StorageError(f"storage: cannot use the study {path}: {error}") from None


def _open_segments(
    home: Storage, space: SearchSpace, begun: bool
) -> tuple[optuna.Study, SegmentedJournal]:
    if begun and not has_segments(home):
        raise _lost(
            f"storage: {_shown(home)}, the study of this search (which earlier "
            "versions kept on the machine that they ran on: go on there once, in the same folder),"
        )
    try:
        journal = SegmentedJournal(home)
        return _load_only(journal, space), journal
    except UNREADABLE_JOURNAL as error:
        raise StorageError(f"storage: cannot use the study {_shown(home)}: {error}") from None


def _load_only(journal: BaseJournalBackend, space: SearchSpace) -> optuna.Study:
    """The one study in a journal, made if there is none."""
    storage = JournalStorage(journal)
    known = optuna.get_all_study_names(storage)  # the space may have been renamed
    return _load(storage, space, known[0] if known else space.name)


def _open_database(
    url: str, space: SearchSpace, name: str, begun: bool, patience: Patience
) -> optuna.Study:
    try:
        storage = open_database(url, patience)
        if begun and name not in optuna.get_all_study_names(storage):
            raise _lost(f"search.study: the study {name} in {url}")
        return _load(storage, space, name)
    except UNREADABLE_DATABASE as error:
        cause = error.__cause__ or error
        kind = OutageError if is_away(str(cause)) else StorageError
        raise kind(f"search.study: cannot use {url}: {first_line(cause)}") from None


def _load(storage: BaseStorage, space: SearchSpace, name: str) -> optuna.Study:
    return optuna.create_study(
        storage=storage,
        sampler=_first_sampler(space),
        study_name=name,
        directions=[DIRECTIONS[one.mode] for one in space.objectives],
        load_if_exists=True,
    )


def _first_sampler(space: SearchSpace) -> BaseSampler:
    search = space.search
    return build_sampler(search.sampler, search_seed=search.seed, proposal=0)


# ---------------------------------------------------------------- owner, layout and space


def _claim(study: optuna.Study, place: Place, owner: str) -> None:
    """Record the study's owner, or refuse the study.

    Raises:
        StorageError: it has another owner.
    """
    known = study.user_attrs.get("owner")
    is_anothers = bool(study.get_trials(deepcopy=False)) if known is None else known != owner
    if is_anothers:
        raise StorageError(
            f"{_which(study, place)} belongs to a search in another folder; use another --name"
        )
    if known is None:
        study.set_user_attr("owner", owner)


def _check_layout(study: optuna.Study, place: Place) -> None:
    """Refuse a study that another version of gan-tune wrote in another layout."""
    layout = study.user_attrs.get("layout", LAYOUT)  # missing: the study is being created
    if layout != LAYOUT:
        raise StorageError(
            f"{_which(study, place)} must have layout {LAYOUT}, but has {layout}, of another "
            "version of gan-tune; go on with that one, or use another --name"
        )


def _check_space(study: optuna.Study, space: SearchSpace, name: str) -> None:
    """Refuse a space that differs from the one with which the study began."""
    known = study.user_attrs
    if known["space"] != space.digest:
        was = json.loads(known["space_blocks"]) if "space_blocks" in known else None
        raise changed_space(name, space, was)


def changed_space(search: str, space: SearchSpace, was: Mapping[str, Any] | None) -> SpaceError:
    """The error for a space that differs from the one with which its search began.

    ``was`` are the :attr:`SearchSpace.decisive` blocks at that time; None if they were not kept.
    """
    rule = (
        "the space has changed since this search began; use --fresh, "
        f"--warm-start {search}, or another --name"
    )
    found = [] if was is None else changes(was, space.decisive)
    return SpaceError([Fault("", rule), *found], source=search)


def _which(study: optuna.Study, place: Place) -> str:
    """A study and its place, for the beginning of a message."""
    if not isinstance(place, str):
        return f"storage: the study {_shown(place)}"
    return f"search.study: the study {study.study_name} in {place}"


def _lost(study: str) -> StorageError:
    """The error for a search whose trials exist but whose study is missing."""
    return StorageError(
        f"{study} is gone, but its trials are there; restore it, or start a new search with --fresh"
    )


# ---------------------------------------------------------------- a new study


def _prepare(
    study: optuna.Study,
    space: SearchSpace,
    warm: Sequence[EarlierTrial],
    further: Sequence[Start],
) -> None:
    """Write a new study's content: its first settings, earlier searches' trials, its space.

    The process may be killed at any point. The next command does what is missing. The space's
    digest is written last; it shows that the study is complete.
    """
    enqueued = {json.dumps(enqueued_params(trial)) for trial in own_trials(study)}
    starts = space.start_assignments()
    if warm:
        starts[:1] = [_cold_start(study, space, starts[0] if starts else {})]
    own = [Start(f"{START} {place}", start) for place, start in enumerate(starts, start=1)]
    if further and not own:
        # The gain is measured against the first setting, which is drawn as without the others.
        own = [Start(SAMPLED, {})]
    for start in [*own, *further]:
        if json.dumps(start.assignment) not in enqueued:
            study.enqueue_trial(dict(start.assignment), user_attrs={ORIGIN: start.origin})
    _add_earlier(study, space, warm)
    if len(space.objectives) > 1:
        study.set_metric_names([one.metric for one in space.objectives])
    study.set_user_attr("layout", LAYOUT)
    study.set_user_attr("space_blocks", json.dumps(space.decisive))
    study.set_user_attr("space", space.digest)


def _cold_start(study: optuna.Study, space: SearchSpace, start: dict[str, Any]) -> dict[str, Any]:
    """The complete first setting, as it would be without a warm start.

    The gain is measured against it, so it must not depend on earlier searches.
    """
    cold = optuna.create_study(sampler=_first_sampler(space), directions=study.directions)
    cold.enqueue_trial(start)
    trial = cold.ask()
    space.sample(trial, seed=0)
    return trial.params


def _add_earlier(study: optuna.Study, space: SearchSpace, warm: Iterable[EarlierTrial]) -> None:
    """Add earlier searches' trials to the study, apart from this search's settings."""
    there = {trial.user_attrs.get(WARM_START) for trial in study.get_trials(deepcopy=False)}
    # Completed ones first: unsound ones may get the worst of their values.
    for trial in sorted(warm, key=lambda trial: trial.outcome != "completed"):
        if trial.source not in there:  # it exists if a command was killed during this loop
            study.add_trial(_as_optunas(trial, study, space))


def _as_optunas(trial: EarlierTrial, study: optuna.Study, space: SearchSpace) -> FrozenTrial:
    """An earlier search's trial in the form that Optuna would store if this search had run it."""
    fixed = FixedTrial(dict(trial.assignment))
    space.sample(fixed, seed=0)
    values = [] if trial.value is None else [trial.value]
    arguments = tell_arguments(
        trial.outcome,
        values,
        space.objectives,
        reads_constraints=SAMPLERS[space.search.sampler.name].reads_constraints,
        completed=_completed(study),
    )
    # Optuna gives a pruned trial the value of its last report, so it gets that value here, too.
    is_pruned = arguments.state == TrialState.PRUNED
    return optuna.trial.create_trial(
        state=arguments.state,
        values=(values or None) if is_pruned else arguments.values,
        params=fixed.params,
        distributions=fixed.distributions,
        intermediate_values=dict(trial.curve),
        constraints={HEALTH: arguments.health or 0.0},
        user_attrs={WARM_START: trial.source},
    )


def _completed(study: optuna.Study) -> list[list[float]]:
    """The values of all complete trials."""
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return [trial.values for trial in complete]


# ---------------------------------------------------------------- read only


def study_as_it_stands(place: Place, name: str | None = None) -> optuna.Study:
    """A search's study, read only: nothing is locked or written.

    Another process may work on it at the same time. An incomplete last line of a journal is
    ignored. A journal holds one study; in a database the study is found by its ``name``.

    Raises:
        StorageError: there is no such study, it cannot be read, or it has another version's layout.
    """
    try:
        with quiet_optuna():
            storage = _to_read(place)
            named = name if isinstance(place, str) else None
            stored = optuna.load_study(study_name=named, storage=storage)
            _check_layout(stored, place)
            seen = own_study(stored, copied=True)
            check_numbers(seen)
    except StorageError:
        raise
    except Exception as error:  # Optuna replays a journal without checking it: anything may come
        reason = in_one_line(error)
        raise StorageError(f"storage: cannot read the study {_shown(place)}: {reason}") from None
    return seen


def _to_read(place: Place) -> BaseStorage:
    """Optuna's storage of a study that exists; Optuna itself would make an empty one."""
    if isinstance(place, str):
        return open_to_read(place)
    # A pipe would be waited for.
    there = place.is_file() if isinstance(place, Path) else has_segments(place)
    if not there:
        shown = _shown(place)
        raise StorageError(f"storage: no study {shown}; it lies where the search was started")
    return JournalStorage(
        JournalFileBackend(str(place)) if isinstance(place, Path) else SegmentedJournal(place)
    )


def _shown(place: Place) -> str:
    """A place, for messages."""
    return place.readable_path(SEGMENTS) if isinstance(place, Storage) else str(place)
