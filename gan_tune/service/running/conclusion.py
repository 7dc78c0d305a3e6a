"""The end of a search: champion, test figures, exported model, report, stored result.

Everything is stored in the search's folder before MLflow is asked for anything.
"""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from gan_tune.data.columns import columns_to_json
from gan_tune.metrics import Judge
from gan_tune.model.export import draw
from gan_tune.record.spool import EndingChampion, SearchEnding
from gan_tune.record.tags import Tag
from gan_tune.registry.candidate import keep_candidate
from gan_tune.registry.card import CURVE_PICTURE
from gan_tune.registry.mlflow_model import COLUMNS
from gan_tune.registry.publish import export_champion
from gan_tune.samples import pictures
from gan_tune.searching.jobs import earlier_settings
from gan_tune.searching.leading.conductor import Conductor
from gan_tune.searching.leading.crowning import Champion, crown_champion, measure_on_test
from gan_tune.searching.study import plots
from gan_tune.searching.study.equal_steps import at_equal_steps
from gan_tune.searching.study.insight import Insight
from gan_tune.searching.study.leaderboard import Row, leaderboard
from gan_tune.service.look import Inside, look_inside
from gan_tune.service.report_page import Heading, plots_page, report_page
from gan_tune.service.running.card_details import card_details, curve_picture
from gan_tune.service.running.context import SearchContext
from gan_tune.service.running.examination import Examination, examine, is_shipped
from gan_tune.service.running.planning import counted_trials
from gan_tune.service.running.recording import UNREGISTERED
from gan_tune.service.search_result import WITHHELD, ChampionFigures, SearchResult, read_result
from gan_tune.storage.places import (
    CHAMPION_PICTURE,
    CHAMPION_PICTURES,
    LEADERBOARD,
    PLOTS,
    REPORT,
    RESULT,
)
from gan_tune.words.wording import masked

GRID_SAMPLES = 64
GRID_SEED = 0
EXAMINED = ("farness", "distinct_share", "copies", "copies_of_selection")
"""Figures of the examination that are metrics of the parent run."""


@dataclass(frozen=True)
class Crowned:
    """The champion with all that is made from it; all fields are empty if there is none.

    Attributes:
        champion: the winning setting, with its generator.
        test: figures on the test split.
        seen: pictures of a look inside it.
        examination: what speaks against it.
        exported: whether its model waits to be registered.
    """

    champion: Champion | None = None
    test: Mapping[str, float] = field(default_factory=dict)
    seen: Inside | None = None
    examination: Examination | None = None
    exported: bool = False


class Conclusion:
    """Concludes a search whose trials have ended or were interrupted."""

    def __init__(self, context: SearchContext, conductor: Conductor) -> None:
        self._context, self._conductor = context, conductor
        self._study = conductor.study.optuna_study

    def conclude(self) -> SearchEnding:
        """Choose the champion, and store the result; returns what MLflow is to show of it.

        An interrupted search has a result without a champion.
        """
        home, watcher = self._context.home, self._context.watcher
        finished = not self._conductor.stop_requested
        rows = leaderboard(self._study, self._conductor.standings())
        crowned = self._crown() if finished else Crowned()
        result = self._result(finished, rows, crowned)
        watcher.stage("drawing the report")
        heading = Heading(
            result.name,
            "finished" if finished else "interrupted",
            result.metric,
            result.seconds,
            result,
        )
        drawn = plots.drawn(self._study, metric=result.metric)
        home.write(REPORT, report_page(home, self._study, rows, heading, drawn=drawn))
        home.write(PLOTS, plots_page(result.name, drawn))
        home.write_json(LEADERBOARD, [row.to_json() for row in rows])
        home.write_json(RESULT, result.to_json())
        return SearchEnding(
            "completed" if finished else "interrupted",
            time_ms=time.time_ns() // 1_000_000,
            leaderboard=[_flat_row(row) for row in rows],
            files=_files(crowned),
            metrics=_metrics(crowned, self._context.judge),
            tags={Tag.FINISHED: str(finished).lower()},
            champion=self._told(crowned),
        )

    def _told(self, crowned: Crowned) -> EndingChampion:
        """What the description of the search's run tells of the champion."""
        champion = crowned.champion
        if champion is None:
            return EndingChampion()
        return EndingChampion(
            trial=champion.job.name,
            setting=champion.job.setting,
            mean=champion.mean,
            spread=champion.spread if champion.seeds > 1 else None,
            seeds=champion.seeds if champion.confirmed else 0,
            model=self._context.names.model if crowned.exported else None,
        )

    # ---------------------------------------------------------------- the champion

    def _crown(self) -> Crowned:
        """Choose the champion, then measure, draw, export and look inside it."""
        context = self._context
        champion = crown_champion(self._conductor, context.dataset)
        if champion is None:
            return Crowned()
        context.watcher.stage("measuring the champion on the test split")
        test = measure_on_test(self._conductor, champion, context.dataset, context.test_judge())
        grid = self._grid(champion)
        context.home.write(CHAMPION_PICTURE, grid)
        context.watcher.stage("looking inside the champion")
        seen = look_inside(
            champion.generator,
            _latent(champion),
            dataset=context.dataset,
            features=context.judge.extractor,
            seed=GRID_SEED,
        )
        for place, png in zip(_places(seen), seen.pictures.values(), strict=True):
            context.home.write(place, png)
        examination = examine(
            champion,
            context.dataset,
            context.judge,
            objective=context.objective.metric,
            rule=context.any_config.collapse,
            copied=seen.copied,
        )
        exported = self._may_register(examination)
        if exported:
            context.watcher.stage("exporting the champion")
            self._export(champion, {**test, **_examined(examination)}, grid, examination)
        return Crowned(champion, test, seen, examination, exported)

    def _may_register(self, examination: Examination) -> bool:
        """Whether nothing speaks against the champion, or the user wants it all the same.

        A shipped space withholds none, nor does a search that has registered one before.
        """
        context = self._context
        if not examination.faults or context.register_anyway or is_shipped(context.space.source):
            return True
        earlier = read_result(context.home)
        return earlier is not None and earlier.model is not None

    def _grid(self, champion: Champion) -> bytes:
        dataset = self._context.dataset
        points = dataset.kind == "points"
        count = len(pictures.background(dataset)) if points else GRID_SAMPLES
        samples = draw(champion.generator, count, latent=_latent(champion), seed=GRID_SEED)
        if points:
            return pictures.png(pictures.scatter(samples, dataset))
        return pictures.png(pictures.grid(samples))

    def _export(
        self,
        champion: Champion,
        figures: Mapping[str, float],
        grid: bytes,
        examination: Examination,
    ) -> None:
        """Store the generator as MLflow's model, with the request to register it."""
        context = self._context
        metric, mode = context.objective.metric, context.objective.mode
        curve = curve_picture(context, self._conductor, champion)
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary) / "model"
            candidate = export_champion(
                champion.generator,
                folder,
                latent=_latent(champion),
                model=context.names.model,
                trial=champion.job.name,
                value=champion.mean,
                mode=mode,
                comparable=f"{context.judge.comparable(metric)}/{mode}/{context.dataset.digest}",
                confirmed_seeds=champion.seeds,
                tags={
                    Tag.SEARCH: context.names.search,
                    Tag.TRIAL: champion.job.name,
                    Tag.OBJECTIVE: metric,
                    Tag.KIND_OF_DATA: context.dataset.kind,
                    **{f"{Tag.PREFIX}{name}": f"{value:.6g}" for name, value in figures.items()},
                },
                files={CHAMPION_PICTURE: grid, CURVE_PICTURE: curve, **self._columns_file()},
                details=card_details(context, self._conductor, champion, examination.faults),
            )
            keep_candidate(context.home, candidate, folder)

    def _columns_file(self) -> dict[str, bytes]:
        """The columns of a table as a file of the model; nothing for other data."""
        columns = self._context.dataset.columns
        return {COLUMNS: columns_to_json(columns)} if columns else {}

    # ---------------------------------------------------------------- the result

    def _result(self, finished: bool, rows: Sequence[Row], crowned: Crowned) -> SearchResult:
        context, champion = self._context, crowned.champion
        return SearchResult(
            name=context.names.search,
            finished=finished,
            metric=context.objective.metric,
            mode=context.objective.mode,
            most_trials=counted_trials(context.space),
            minutes=context.space.budget.minutes,
            gpu_hours=context.space.budget.gpu_hours,
            outcomes=dict(Counter(row.outcome or "interrupted" for row in rows)),
            rows=rows,
            champion=_champion_figures(champion) if champion else None,
            first_mean=champion.first_mean if champion else None,
            test=crowned.test,
            model=None,
            model_version=None,
            promoted=False,
            model_note=_registering(crowned),
            grid=context.home.readable_path(CHAMPION_PICTURE) if champion else None,
            tracking_uri=masked(context.uri),  # the file may be read by others
            experiment=context.names.experiment,
            run_id=None,
            mattered=asdict(Insight(self._study).importances),
            examination=asdict(crowned.examination) if crowned.examination else {},
            at_equal_steps=self._at_equal_steps(champion),
            seconds=self._conductor.seconds_used,
            space_digest=context.space.digest,
        )

    def _at_equal_steps(self, champion: Champion | None) -> dict[str, float] | None:
        if champion is None:
            return None
        steps = self._context.space.steps
        found = at_equal_steps(self._study, champion.job.setting, steps=steps)
        return None if found is None else asdict(found)


def _registering(crowned: Crowned) -> str:
    """What the result says of the registration until it is done."""
    if crowned.champion is None:
        return ""
    return UNREGISTERED if crowned.exported else WITHHELD


def _latent(champion: Champion) -> int:
    latent: int = champion.job.config.generator.args["latent"]
    return latent


def _champion_figures(champion: Champion) -> ChampionFigures:
    return ChampionFigures(
        trial=champion.job.name,
        setting=champion.job.setting,
        mean=champion.mean,
        spread=champion.spread if champion.seeds > 1 else None,
        seeds=champion.seeds,
        confirmed=champion.confirmed,
        config=champion.job.config.tree(),
        lineage=earlier_settings(champion.job),
    )


def _flat_row(row: Row) -> dict[str, Any]:
    """A leaderboard row as a table row, with a column for each objective and dimension."""
    plain = row.to_json()
    del plain["changes"], plain["further"]
    return plain | dict(row.further) | dict(row.changes)


def _examined(examination: Examination | None) -> dict[str, float]:
    """The figures of an examination by their names in MLflow."""
    if examination is None:
        return {}
    found = {f"champion.{name}": getattr(examination, name) for name in EXAMINED}
    return {name: value for name, value in found.items() if value is not None}


def _files(crowned: Crowned) -> dict[str, str]:
    """Files of the search's run: report, plots, and the champion's pictures if there is one."""
    files = {REPORT: REPORT, PLOTS: PLOTS}
    if crowned.champion is not None:
        files[CHAMPION_PICTURE] = CHAMPION_PICTURE
    if crowned.seen is not None:
        files |= {name: name for name in _places(crowned.seen)}
    return files


def _places(seen: Inside) -> list[str]:
    return [f"{CHAMPION_PICTURES}/{name}" for name in seen.pictures]


def _metrics(crowned: Crowned, judge: Judge) -> dict[str, float]:
    """Metrics of the parent run."""
    champion, seen = crowned.champion, crowned.seen
    figures = {f"selection.floor.{name}": value for name, value in judge.floor.items()}
    if champion is not None:
        figures["champion.mean"] = champion.mean
        if champion.first_mean is not None:
            figures["first.mean"] = champion.first_mean
    if seen is not None and seen.nearest_neighbour_ratio is not None:
        figures["champion.nearest_neighbour_ratio"] = seen.nearest_neighbour_ratio
    figures |= _examined(crowned.examination)
    return figures | dict(crowned.test)
