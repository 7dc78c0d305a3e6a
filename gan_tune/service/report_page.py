"""The page that explains a search: the best settings, what mattered, and what failed and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

import jinja2

from gan_tune.config import Objective
from gan_tune.errors import StorageError
from gan_tune.searching.study import plots
from gan_tune.searching.study.insight import FEWEST, Insight
from gan_tune.searching.study.leaderboard_row import Row, best_by_origin
from gan_tune.searching.study.plots import Drawn
from gan_tune.searching.study.reading import OptunaStudy, objective_of
from gan_tune.service.damage import Damage
from gan_tune.service.embedded import embedded_png
from gan_tune.service.gallery import gallery
from gan_tune.service.search_result import SearchResult
from gan_tune.storage.lease import holder_of
from gan_tune.storage.nodes_aside import nodes_aside
from gan_tune.storage.places import CHAMPION_PICTURE, LEADERBOARD
from gan_tune.storage.running_trials import running_trials
from gan_tune.storage.storage import Storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_name import TrialName, setting_name
from gan_tune.words.outcomes import ENDINGS, is_healthy, reason
from gan_tune.words.readable import clock, counted, number, plural, short_form

TEMPLATE, PLOTS_TEMPLATE = "report.html.jinja", "plots.html.jinja"
BEST_SHOWN, ROWS_SHOWN, MOST_ROWS = 3, 10, 500
"""Settings with pictures at the top, rows of the leaderboard at once, and when it is unfolded."""
ENDINGS_SHOWN = ("diverged", "collapsed", "pruned", "completed", "failed")
"""Columns of the table of failures; divergence and collapse come first."""
assert set(ENDINGS_SHOWN) == set(ENDINGS)


@dataclass(frozen=True)
class Exhibit:
    """A sample grid with its title; ``picture`` is a data URI, None if there is no grid."""

    title: str
    text: str
    changes: Mapping[str, Any]
    picture: str | None


@dataclass(frozen=True)
class Heading:
    """The top of a page: the search's name, its state (`finished`, `running` or `interrupted`), its
    objective, wall time, and its result if it has one."""

    name: str
    state: str
    metric: str
    seconds: float | None
    result: SearchResult | None = None


def report_page(
    home: Storage,
    study: OptunaStudy,
    rows: Sequence[Row],
    heading: Heading,
    *,
    place: str = "",
    damage: Damage | None = None,
    drawn: Mapping[str, Drawn] | None = None,
) -> bytes:
    """The page as self-contained HTML: plotly's JavaScript and all pictures are in it.

    Args:
        home: the search's folder, for its sample grids.
        study: of the search.
        rows: its leaderboard, best first.
        heading: its name, state and result.
        place: the search's folder, as links name it; empty: the page lies in it.
        damage: the trials that are known to be damaged.
        drawn: its plots, if they have been drawn already.
    """
    objective, insight = objective_of(study), Insight(study)
    template = _template(TEMPLATE)
    damage = damage or Damage()
    unfinished = _unfinished(home, heading)
    shown = [replace(row, outcome=row.outcome or unfinished(row)) for row in rows]
    best = _best(home, rows, heading, objective, damage)
    failures = _failures(home, rows, objective, damage)
    with ThreadPoolExecutor(1) as beside:  # while pictures are decoded, plots are drawn
        every_picture = beside.submit(
            gallery, home, shown, metric=heading.metric, place=place, damaged=damage
        )
        drawn = drawn or plots.drawn(study, metric=heading.metric, insight=insight)
    page = template.render(
        heading=heading,
        direction=objective.direction,
        front=None if len(study.directions) == 1 else [row for row in rows if row.on_front],
        time=None if heading.seconds is None else clock(heading.seconds),
        counts=counted(Counter(str(row.outcome) for row in shown)),
        rows=shown,
        by_origin=best_by_origin(rows, objective),
        rows_shown=ROWS_SHOWN,
        most_rows=MOST_ROWS,
        whole=f"{place}{LEADERBOARD}" if heading.state == "finished" else "",
        insight=insight,
        fewest=FEWEST,
        outcomes=ENDINGS_SHOWN,
        plots=drawn,
        best=best,
        failures=failures,
        every_picture=every_picture.result(),
        left_out=damage.trials,
        aside=nodes_aside(home).values(),
        script=plots.script(),
    )
    return page.encode()


def plots_page(name: str, drawn: Mapping[str, Drawn]) -> bytes:
    """The plots of a search alone, as a page that loads nothing either."""
    page = _template(PLOTS_TEMPLATE).render(name=name, plots=drawn.values(), script=plots.script())
    return page.encode()


def _template(name: str) -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "number": number,
        "plural": plural,
        "short": short_form,
        "extent": _extent,
        "reason": reason,
    }
    return environment.from_string((files(__package__) / name).read_text("utf-8"))


def _unfinished(home: Storage, heading: Heading) -> Callable[[Row], str]:
    """How a setting stands that has no outcome: it waits if none of its trials has a worker."""
    if heading.state != "running":
        return lambda row: "interrupted"
    trials = running_trials(home, holder_of(home, heading.name))
    running = None if trials is None else {TrialName.parse(trial).setting for trial in trials}
    return lambda row: "running" if running is None or row.setting in running else "waiting"


def _extent(extent: Any) -> str:
    """A range of numbers as text, or the options that occur with their shares."""
    if isinstance(extent, Mapping):
        shares = sorted(extent.items(), key=lambda item: -item[1])
        return ", ".join(f"{option} {share:.0%}" for option, share in shares if share)
    low, high = extent
    return f"{number(low)} to {number(high)}" if low < high else number(low)


# ---------------------------------------------------------------- sample grids


def _best(
    home: Storage, rows: Sequence[Row], heading: Heading, objective: Objective, damage: Damage
) -> list[Exhibit]:
    """The champion's grid, and the last grids of the settings with the best values."""
    found = []
    champion = heading.result.champion if heading.result else None
    if champion is not None:
        decided = {row.setting: row.changes for row in rows}[champion.setting]
        text = f"trial {champion.trial}, its best weights"
        found.append(Exhibit("champion", text, decided, embedded_png(home.read(CHAMPION_PICTURE))))
    sound = [
        (objective.cost(row.value), place, row)
        for place, row in enumerate(rows, start=1)
        if is_healthy(row.outcome) and row.value is not None
    ]
    # The first setting may stand above better ones, since it is confirmed in any case.
    best = sorted(sound, key=lambda one: one[:2])[:BEST_SHOWN]
    return found + [
        _exhibit(home, row, f"number {place} of the leaderboard", damage) for _, place, row in best
    ]


def _failures(
    home: Storage, rows: Sequence[Row], objective: Objective, damage: Damage
) -> list[Exhibit]:
    """A typical diverged setting, a typical collapsed one, and the worst that ran its length."""
    found = []
    for outcome in ("diverged", "collapsed"):
        alike = sorted((row for row in rows if row.outcome == outcome), key=lambda row: row.steps)
        if alike:
            title = f"{outcome}: one of {len(alike)}" if len(alike) > 1 else outcome
            found.append(_exhibit(home, alike[len(alike) // 2], title, damage))
    completed = [
        (row.value, row) for row in rows if row.outcome == "completed" and row.value is not None
    ]
    if len(completed) > BEST_SHOWN:
        _, worst = max(completed, key=lambda pair: objective.cost(pair[0]))
        found.append(_exhibit(home, worst, "the worst that ran its full length", damage))
    return found


def _exhibit(home: Storage, row: Row, title: str, damage: Damage) -> Exhibit:
    """The last grid of a setting's own trial."""
    name = setting_name(row.setting)
    parts = [f"setting {name}"]
    if row.value is not None:
        parts.append(f"best value {number(row.value)}")
    picture = None
    try:
        trial = TrialFolders(home)[name]
        if steps := trial.grid_steps():
            parts.append(f"seen at step {steps[-1]:,}")
            picture = trial.grid(steps[-1])
        ending = trial.ending()
        if ending is not None and ending.symptoms:
            parts.append(f"symptoms: {', '.join(ending.symptoms)}")
        if ending is not None and ending.error:
            parts.append(ending.error)
    except StorageError as error:
        damage(name, error)
    return Exhibit(title, "; ".join(parts), row.changes, embedded_png(picture))
