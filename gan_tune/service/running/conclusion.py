"""The end of a search: champion, test figures, registered model, report, stored result."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

from gan_tune.metrics import Judge
from gan_tune.model.export import draw
from gan_tune.record.tags import Tag
from gan_tune.registry.publish import Registration, register_champion
from gan_tune.samples import pictures
from gan_tune.searching.jobs import lineage_tree
from gan_tune.searching.leading.conductor import Conductor
from gan_tune.searching.leading.crowning import Champion, crown_champion, measure_on_test
from gan_tune.searching.study.insight import importances
from gan_tune.searching.study.leaderboard import Row, leaderboard
from gan_tune.service.look import Inside, look_inside
from gan_tune.service.report_page import Heading, report_page
from gan_tune.service.running.context import SearchContext
from gan_tune.service.running.recording import flat_row
from gan_tune.service.search_result import ChampionFigures, SearchResult
from gan_tune.storage.places import CHAMPION_PICTURE, LEADERBOARD, REPORT, RESULT
from gan_tune.words.wording import masked

if TYPE_CHECKING:
    from gan_tune.record.events import Picture
    from gan_tune.record.recorder import Recorder

GRID_SAMPLES = 64
GRID_SEED = 0


@dataclass(frozen=True)
class Crowned:
    """The champion with all that is made from it; all fields are empty if there is none.

    Attributes:
        champion: the winning setting, with its generator.
        test: figures on the test split.
        grid: PNG of its samples.
        registration: the registered model.
        seen: pictures of a look inside it.
    """

    champion: Champion | None = None
    test: Mapping[str, float] = field(default_factory=dict)
    grid: bytes | None = None
    registration: Registration | None = None
    seen: Inside | None = None


class Conclusion:
    """Concludes a search whose trials have ended or were interrupted."""

    def __init__(self, context: SearchContext, conductor: Conductor, recorder: Recorder) -> None:
        self._context, self._conductor, self._recorder = context, conductor, recorder
        self._study = conductor.study.optuna_study

    def conclude(self) -> SearchResult:
        """Choose and register the champion; store and record the result.

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
        page = report_page(home, self._study, rows, heading)
        home.write(REPORT, page)
        self._recorder.finished(
            "completed" if finished else "interrupted",
            leaderboard=[flat_row(row) for row in rows],
            figures=_files(page, crowned),
            metrics=_metrics(crowned, self._context.judge),
            tags={Tag.FINISHED: str(finished).lower()},
        )
        self._recorder.flush(timeout=120)
        home.write_json(LEADERBOARD, [row.to_json() for row in rows])
        home.write_json(RESULT, result.to_json())
        # In the form that a later call reads: tuples have become lists.
        return SearchResult.from_json(home.read_json(RESULT))

    # ---------------------------------------------------------------- the champion

    def _crown(self) -> Crowned:
        """Choose the champion, then measure, draw, register and look inside it."""
        context = self._context
        champion = crown_champion(self._conductor, context.dataset)
        if champion is None:
            return Crowned()
        context.watcher.stage("measuring the champion on the test split")
        test = measure_on_test(self._conductor, champion, context.dataset, context.test_judge())
        grid = self._grid(champion)
        context.home.write(CHAMPION_PICTURE, grid)
        context.watcher.stage("registering the champion")
        registration = self._register(champion, test, grid)
        context.watcher.stage("looking inside the champion")
        seen = look_inside(
            champion.generator,
            _latent(champion),
            dataset=context.dataset,
            features=context.judge.extractor,
            seed=GRID_SEED,
        )
        return Crowned(champion, test, grid, registration, seen)

    def _grid(self, champion: Champion) -> bytes:
        dataset = self._context.dataset
        points = dataset.kind == "points"
        count = len(pictures.background(dataset)) if points else GRID_SAMPLES
        samples = draw(champion.generator, count, latent=_latent(champion), seed=GRID_SEED)
        if points:
            return pictures.png(pictures.scatter(samples, dataset))
        return pictures.png(pictures.grid(samples))

    def _register(self, champion: Champion, test: Mapping[str, float], grid: bytes) -> Registration:
        context, recorder = self._context, self._recorder
        metric, mode = context.objective.metric, context.objective.mode
        recorder.flush(timeout=120)
        return register_champion(
            champion.generator,
            latent=_latent(champion),
            model=context.names.model,
            run_id=recorder.run_id(champion.job.name),
            value=champion.mean,
            mode=mode,
            comparable=f"{context.judge.comparable(metric)}/{mode}/{context.dataset.digest}",
            confirmed_seeds=champion.seeds,
            tags={
                Tag.SEARCH: context.names.search,
                Tag.TRIAL: champion.job.name,
                Tag.OBJECTIVE: metric,
                Tag.KIND_OF_DATA: context.dataset.kind,
                **{f"{Tag.PREFIX}{name}": f"{value:.6g}" for name, value in test.items()},
            },
            files={CHAMPION_PICTURE: grid},
            uri=context.uri,
        )

    # ---------------------------------------------------------------- the result

    def _result(self, finished: bool, rows: Sequence[Row], crowned: Crowned) -> SearchResult:
        context, champion, model = self._context, crowned.champion, crowned.registration
        return SearchResult(
            name=context.names.search,
            finished=finished,
            metric=context.objective.metric,
            mode=context.objective.mode,
            trials=context.space.budget.trials,
            minutes=context.space.budget.minutes,
            outcomes=dict(Counter(row.outcome or "interrupted" for row in rows)),
            rows=rows,
            champion=_champion_figures(champion) if champion else None,
            first_mean=champion.first_mean if champion else None,
            test=crowned.test,
            model=model.name if model else None,
            model_version=model.version if model else None,
            promoted=model.promoted if model else False,
            model_note=model.reason if model else "",
            grid=context.home.local_path(CHAMPION_PICTURE) if champion else None,
            tracking_uri=masked(context.uri),  # the file may be read by others
            experiment=context.names.experiment,
            run_id=self._recorder.parent_run_id,
            importances=asdict(importances(self._study)),
            seconds=self._conductor.seconds_used,
            space_digest=context.space.digest,
        )


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
        lineage=lineage_tree(champion.job),
    )


def _files(page: bytes, crowned: Crowned) -> dict[str, Picture]:
    """Files of the parent run: the report, and the pictures of the champion if there is one."""
    found: dict[str, Picture] = {REPORT: page}
    if crowned.grid is not None:
        found[CHAMPION_PICTURE] = crowned.grid
    if crowned.seen is not None:
        found |= {f"champion/{name}": png for name, png in crowned.seen.pictures.items()}
    return found


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
    return figures | dict(crowned.test)
