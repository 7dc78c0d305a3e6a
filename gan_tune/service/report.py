"""`gan-tune report`: write the page that explains a search, finished or not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from gan_tune.errors import OutputError, SearchNotFoundError
from gan_tune.regular_file import real_path
from gan_tune.samples.output import check_place, write_file
from gan_tune.service.damage import Damage
from gan_tune.service.search_result import load_result
from gan_tune.service.status_from_folder import folder_status
from gan_tune.storage.places import DEFAULT_STORAGE, look_in, search_names
from gan_tune.words.wording import there_are

if TYPE_CHECKING:
    from gan_tune.storage.storage import Storage


def report(
    name: str,
    out: str | Path | None = None,
    storage: str | Path = DEFAULT_STORAGE,
    *,
    force: bool = False,
    study: str | None = None,
) -> Path:
    """Write the page of a search, finished or not, to ``out`` (default `NAME_report.html`).

    ``study`` is the URL of the database, where the search keeps its study in one.

    Raises:
        SearchNotFoundError: no search in the storage has that name; lists the existing ones.
        OutputError: ``out`` does not end in `.html`, exists already, or cannot be written.
        StorageError: the search's files cannot be read, or its study lies in a database that is
            not named.
    """
    path = Path(f"{name}_report.html" if out is None else out)
    if path.suffix != ".html":
        raise OutputError(f"{path}: must end in .html")
    root = look_in(storage)
    known = search_names(root)
    if name not in known:
        raise SearchNotFoundError(
            f"no search named {name!r} in {storage}; {there_are(name, known)}"
        )
    check_place(path, force=force)
    write_file(path, _page_of(root, name, storage, path, study), force=force)
    return path


def _page_of(root: Storage, name: str, storage: str | Path, path: Path, url: str | None) -> bytes:
    # Optuna and plotly are imported only after the arguments have been checked.
    from gan_tune.searching.leading.confirming import stored_standings
    from gan_tune.searching.study.leaderboard import leaderboard
    from gan_tune.service.report_page import Heading, report_page
    from gan_tune.service.stored_study import read_study

    home, status = root.below(name), folder_status(root, name, with_trials=False)
    study = read_study(home, name, url)
    heading = Heading(name, status.state, status.metric, status.seconds)
    if status.state == "finished":
        result = load_result(name, storage)
        heading = Heading(name, status.state, status.metric, result.seconds, result)
        return report_page(home, study, result.rows, heading, place=_seen_from(path, home))
    damage = Damage()
    rows = leaderboard(study, stored_standings(home, study, damage))
    return report_page(home, study, rows, heading, place=_seen_from(path, home), damage=damage)


def _seen_from(page: Path, home: Storage) -> str:
    """The search's folder, as links of a page name it."""
    if home.folder is None:
        return f"{home.uri}/"
    return f"{os.path.relpath(home.folder, real_path(page).parent)}/"
