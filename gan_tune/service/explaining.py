"""One page that explains a search: what was best, what mattered, what failed and how."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gan_tune.errors import OutputError, SearchNotFoundError
from gan_tune.samples.files import check_place, write_file
from gan_tune.service.result import SearchResult, load_result
from gan_tune.service.search_status import folder_status
from gan_tune.storage.places import DEFAULT_STORAGE, STUDY, driver_folder, look_in, search_names
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_name import setting_name
from gan_tune.words.outcomes import OUTCOMES
from gan_tune.words.readable import clock, counted, number, short_form
from gan_tune.words.wording import there_are

if TYPE_CHECKING:
    from gan_tune.searching.study.study import OptunaStudy
    from gan_tune.storage.storage import Storage

Row = Mapping[str, Any]
"""One line of the leaderboard, as `result.json` holds it."""

TEMPLATE = "report.html.jinja"
BEST_SHOWN, ROWS_SHOWN = 3, 10
UNSOUND = tuple(name for name, meaning in OUTCOMES.items() if not meaning.is_sound)


@dataclass(frozen=True)
class Exhibit:
    """A sample grid with what it is of; ``picture`` is a data URI, None where there is none."""

    title: str
    text: str
    changes: Mapping[str, Any]
    picture: str | None


@dataclass(frozen=True)
class Heading:
    """What stands on top of a page: the search's name, `finished`, `running` or `interrupted`, its
    objective, wall time, and its result where it has come to one."""

    name: str
    state: str
    metric: str
    seconds: float | None
    result: SearchResult | None = None


def report(
    name: str,
    out: str | Path | None = None,
    storage: str | Path = DEFAULT_STORAGE,
    *,
    force: bool = False,
) -> Path:
    """Write the page of a search, finished or not, to ``out`` (default `NAME_report.html`).

    Raises:
        SearchNotFoundError: no search of that name in the storage; lists those there are.
        OutputError: ``out`` does not end in `.html`, is there already, or cannot be written.
        StorageError: what the search has stored cannot be read.
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
    write_file(path, _page_of(root, name, storage), force=force)
    return path


def _page_of(root: Storage, name: str, storage: str | Path) -> bytes:
    from gan_tune.searching.leading.confirming import stored_standings
    from gan_tune.searching.rules.champion import leaderboard
    from gan_tune.searching.study.study import study_as_it_stands

    home, status = root.below(name), folder_status(root, name)
    noted = home.read_json(STUDY) or {}
    journal = driver_folder(home, name) / "study.journal"
    study = study_as_it_stands(noted.get("url") or journal, name)
    heading = Heading(name, status.state, status.metric, status.seconds)
    if status.state == "finished":
        result = load_result(name, storage)
        heading = Heading(name, status.state, status.metric, result.seconds, result)
        return report_page(home, study, result.rows, heading)
    rows = leaderboard(study, stored_standings(home, study))
    return report_page(home, study, [asdict(row) for row in rows], heading)


def report_page(home: Storage, study: OptunaStudy, rows: Sequence[Row], heading: Heading) -> bytes:
    """The page as HTML that loads nothing: plotly's JavaScript and all pictures are in it.

    Args:
        home: the search's folder, for its sample grids.
        study: of the search.
        rows: its leaderboard, best first.
        heading: what it is called and how it stands.
    """
    import jinja2

    from gan_tune.searching.study import insight as explain
    from gan_tune.searching.study import plots

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"number": number, "short": short_form, "extent": _extent}
    template = environment.from_string((files(__package__) / TEMPLATE).read_text("utf-8"))
    outcomes = [row["outcome"] or _unfinished(heading) for row in rows]
    page = template.render(
        heading=heading,
        direction="less is better" if _sign(study) > 0 else "more is better",
        front=None if len(study.directions) == 1 else [row for row in rows if row["on_front"]],
        time=None if heading.seconds is None else clock(heading.seconds),
        counts=counted({outcome: outcomes.count(outcome) for outcome in outcomes}),
        rows=[{**row, "outcome": outcome} for row, outcome in zip(rows, outcomes, strict=True)],
        rows_shown=ROWS_SHOWN,
        importances=explain.importances(study),
        regions=explain.best_regions(study),
        fewest=explain.FEWEST,
        choices=explain.outcomes_by_choice(study),
        plots=plots.drawn(study, metric=heading.metric),
        best=_best(home, rows, heading),
        failures=_failures(home, rows, study),
        script=plots.script(),
    )
    return page.encode()


def _sign(study: OptunaStudy) -> float:
    return 1.0 if study.directions[0].name == "MINIMIZE" else -1.0


def _unfinished(heading: Heading) -> str:
    return "running" if heading.state == "running" else "interrupted"


def _extent(extent: Any) -> str:
    """A range of numbers, or the options that occur with their shares."""
    if isinstance(extent, Mapping):
        shares = sorted(extent.items(), key=lambda item: -item[1])
        return ", ".join(f"{option} {share:.0%}" for option, share in shares if share)
    low, high = extent
    return f"{number(low)} to {number(high)}" if low < high else number(low)


# ---------------------------------------------------------------- sample grids


def _best(home: Storage, rows: Sequence[Row], heading: Heading) -> list[Exhibit]:
    """The champion's grid, and the last ones of the best settings."""
    found = []
    champion = heading.result.champion if heading.result else None
    if champion is not None:
        decided = {row["setting"]: row["changes"] for row in rows}[champion["setting"]]
        text = f"trial {champion['trial']}, its best weights"
        found.append(Exhibit("champion", text, decided, _data_uri(home.read("champion.png"))))
    sound = [row for row in rows if row["outcome"] not in UNSOUND and row["value"] is not None]
    return found + [
        _exhibit(home, row, f"number {place} of the leaderboard")
        for place, row in enumerate(sound[:BEST_SHOWN], start=1)
    ]


def _failures(home: Storage, rows: Sequence[Row], study: OptunaStudy) -> list[Exhibit]:
    """A typical diverged and collapsed setting, and the worst of those that ran their length."""
    found = []
    for outcome in ("diverged", "collapsed"):
        alike = sorted(
            (row for row in rows if row["outcome"] == outcome), key=lambda row: row["steps"]
        )
        if alike:
            title = f"{outcome}: one of {len(alike)}" if len(alike) > 1 else outcome
            found.append(_exhibit(home, alike[len(alike) // 2], title))
    completed = [row for row in rows if row["outcome"] == "completed" and row["value"] is not None]
    if len(completed) > BEST_SHOWN:
        worst = max(completed, key=lambda row: _sign(study) * row["value"])
        found.append(_exhibit(home, worst, "the worst that ran its full length"))
    return found


def _exhibit(home: Storage, row: Row, title: str) -> Exhibit:
    """The last grid of a setting's own trial."""
    name = setting_name(row["setting"])
    trial = TrialFolders(home)[name]
    steps, ending = trial.grid_steps(), trial.ending()
    parts = [f"setting {name}"]
    if row["value"] is not None:
        parts.append(f"best value {number(row['value'])}")
    if steps:
        parts.append(f"seen at step {steps[-1]:,}")
    if ending is not None and ending.symptoms:
        parts.append(f"symptoms: {', '.join(ending.symptoms)}")
    if ending is not None and ending.error:
        parts.append(ending.error)
    picture = trial.grid(steps[-1]) if steps else None
    return Exhibit(title, "; ".join(parts), row["changes"], _data_uri(picture))


def _data_uri(png: bytes | None) -> str | None:
    return None if png is None else f"data:image/png;base64,{base64.b64encode(png).decode()}"
