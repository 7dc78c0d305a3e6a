"""One command's work on one search: wires the search to the record."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

from gan_tune.config import TrialConfig
from gan_tune.data.dataset import Dataset
from gan_tune.errors import StorageError
from gan_tune.metrics import Judge, build_judge
from gan_tune.model.export import draw
from gan_tune.parts.catalogue import dataset_of
from gan_tune.samples import pictures
from gan_tune.searching.leading.jobs import lineage_tree
from gan_tune.service.explaining import Heading, report_page
from gan_tune.service.interruption import interruptible
from gan_tune.service.looking_inside import Inside, look_inside
from gan_tune.service.recording import Recording, flat_row, parent_metrics, space_params
from gan_tune.service.result import SearchResult
from gan_tune.service.suggesters import LowEnds
from gan_tune.service.warm_starting import WarmStart, warm_start
from gan_tune.service.watcher import Watcher
from gan_tune.space import SearchSpace
from gan_tune.storage.places import HEADING, REPORT, RESULT, STUDY, driver_folder
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.words.wording import masked

if TYPE_CHECKING:
    from gan_tune.record.ended_trials import RecordedSearch
    from gan_tune.record.events import Picture
    from gan_tune.record.recorder import Recorder
    from gan_tune.registry.models import Registration
    from gan_tune.searching.leading.conductor import Conductor
    from gan_tune.searching.populations.breeding import Breeder
    from gan_tune.searching.rules.champion import Champion
    from gan_tune.searching.rules.stopping import StoppingRule
    from gan_tune.searching.study.study import OptunaStudy, Study
    from gan_tune.storage.storage import Storage

GRID_SAMPLES = 64
GRID_SEED = 0


class Work:
    """One command's work on one search."""

    def __init__(
        self,
        space: SearchSpace,
        home: Storage,
        uri: str,
        names: tuple[str, str, str],
        watcher: Watcher,
    ) -> None:
        self.space, self.home, self.uri, self.watcher = space, home, uri, watcher
        self.name, self.experiment, self.model = names

    @cached_property
    def dataset(self) -> Dataset:
        """The data, the same for every setting."""
        self.watcher.stage("loading data and preparing the metrics")
        return dataset_of(self._any_config.data)

    @cached_property
    def judge(self) -> Judge:
        """What scores every trial."""
        return build_judge(self.dataset, "selection", extra=self._any_config.wanted_metrics)

    @cached_property
    def _any_config(self) -> TrialConfig:
        return self.space.sample(LowEnds(), seed=0)

    def run(self, warm: WarmStart, address: str | None, max_concurrent: int | None) -> SearchResult:
        from gan_tune.cluster import connection as cluster
        from gan_tune.cluster.ray_internals import started_here
        from gan_tune.searching.leading.conductor import Conductor
        from gan_tune.searching.leading.taking_up import take_up
        from gan_tune.searching.on_ray.tuning import Shared, run

        space = self.space
        judge = self.judge  # before anything is written: data or a metric may still be refused
        study = open_study(space, self.home, self.name, warm)
        with ExitStack() as stack:
            self.watcher.stage("starting Ray" if not address else f"joining Ray at {address}")
            stack.enter_context(cluster.connected(address, self.home))
            slots = cluster.slots(space.resources, max_concurrent)
            recorder = self._open_recorder(judge, warm.searches)
            stack.callback(recorder.close)
            stack.push(lambda error, *_: recorder.finished("interrupted") if error else None)
            resumed = study.proposed()
            rule, breeder = self._scheduler(study, self._any_config.report_steps)
            taken_up = take_up(study, TrialFolders(self.home), rule, breeder)
            self._bring_record_up_to_date(recorder, study)
            # Who takes turns must not be taken in advance. Nor need others, where no node will be
            # added for those that wait: Tune starts a worker for each, and kills it half started
            # when a warm one is free first.
            fixed = breeder is not None or started_here()
            limit = slots if fixed else max_concurrent
            conductor = Conductor(
                study,
                self.home,
                rule,
                taken_up,
                breeder=breeder,
                observers=[Recording(recorder, space.objective.metric), self.watcher],
                slots=slots,
                limit=limit,
            )
            shared = Shared(self.dataset, judge, self.home, space.resources)
            self._note_heading(study.seconds_used)
            self.watcher.begin(conductor, slots, resumed)
            with interruptible(conductor):
                try:
                    run(conductor, shared, slots=slots, tick=self.watcher.tick)
                finally:
                    self.watcher.end()
                # Seconds that are worth finishing: a first Ctrl-C here changes nothing any more.
                return self._conclude(conductor, judge, recorder)

    def warm_start(self, earlier: Sequence[RecordedSearch]) -> WarmStart:
        """What earlier searches have to say; only where they are asked are the data needed yet.

        Raises:
            GanTuneError: values of one of them cannot be compared with those of this search.
        """
        from gan_tune.searching.study.samplers import SAMPLERS

        if not earlier:
            return WarmStart()
        version = self.judge.versions[self.space.objective.metric]
        warm = warm_start(earlier, self.space, metric_version=version, data=self.dataset.digest)
        self.watcher.note(str(warm))
        sampler = self.space.search.sampler.name
        if not SAMPLERS[sampler].reads_others:
            self.watcher.note(f"warm start: the sampler {sampler} learns nothing from it; tpe does")
        return warm

    def _scheduler(
        self, study: Study, report_steps: Sequence[int]
    ) -> tuple[StoppingRule, Breeder | None]:
        """What stops trials, and what breeds them where the scheduler is a population."""
        from gan_tune.searching.populations.breeding import Breeder
        from gan_tune.searching.populations.population import POPULATIONS
        from gan_tune.searching.rules.stopping import NoStopping, stopping_rule

        space, part = self.space, self.space.search.scheduler
        if part.name not in POPULATIONS:
            return stopping_rule(space), None
        build = POPULATIONS[part.name]
        population = build(space.trial, report_steps, space.objective.mode, **part.args)
        return NoStopping(), Breeder(study, TrialFolders(self.home), population)

    def _note_heading(self, seconds_before: float) -> None:
        """Note for :func:`status` what the trials' folders do not tell."""
        heading = {
            "metric": self.space.objective.metric,
            "mode": self.space.objective.mode,
            "trials": self.space.budget.trials,
            "minutes": self.space.budget.minutes,
            "experiment": self.experiment,
            "seconds_before": seconds_before,
            "started_ms": int(time.time() * 1000),
        }
        self.home.write_json(HEADING, heading)

    # ---------------------------------------------------------------- the record

    def _open_recorder(self, judge: Judge, warm: Sequence[str]) -> Recorder:
        from gan_tune.record.events import DatasetInfo
        from gan_tune.record.recorder import Recorder

        space, data = self.space, self.dataset
        recorder = Recorder(self.uri, experiment=self.experiment, search=self.name)
        counts = {split: len(data.split(split)) for split in ("train", "selection", "test")}
        started_from = {"gan_tune.warm_start": ", ".join(warm)} if warm else {}
        recorder.open(
            space_text=space.source,
            space_params=space_params(space),
            objective=space.objective,
            tags={
                "gan_tune.metric_version": judge.versions[space.objective.metric],
                "gan_tune.objectives": ", ".join(
                    f"{o.metric} ({o.mode})" for o in space.objectives
                ),
                **started_from,
            },
            dataset=DatasetInfo(data.name, data.digest, data.name, counts),
        )
        return recorder

    def _bring_record_up_to_date(self, recorder: Recorder, study: Any) -> None:
        """Record what an earlier command stored but could not record any more."""
        recording = Recording(recorder, self.space.objective.metric)
        trials = TrialFolders(self.home)
        for name in trials.names():
            ending, described = trials[name].ending(), trials[name].description()
            if ending is None or described is None:
                continue
            if recorder.recorded_outcome(name) == ending.outcome:
                continue
            job = study.job(described["setting"], described["replicate"])
            recording.trial_started(job, resumed=True)
            for result in trials[name].reports():
                recording.trial_reported(job, result, trials[name].grid(result.step))
            recording.trial_ended(job, ending)

    # ---------------------------------------------------------------- the end

    def _conclude(self, conductor: Conductor, judge: Judge, recorder: Recorder) -> SearchResult:
        from gan_tune.searching.rules.champion import choose_champion, leaderboard, measure_on_test

        finished = not conductor.stop_requested
        study = conductor.study.optuna_study
        rows = [asdict(row) for row in leaderboard(study, conductor.standings())]
        champion = choose_champion(conductor, self.dataset) if finished else None
        test: dict[str, float] = {}
        registration = grid = seen = None
        if champion is not None:
            self.watcher.stage("measuring the champion on the test split")
            test = measure_on_test(
                conductor,
                champion,
                self.dataset,
                build_judge(self.dataset, "test", extra=judge.names),
            )
            grid = self._champion_grid(champion)
            self.home.write("champion.png", grid)
            self.watcher.stage("registering the champion")
            registration = self._register(champion, judge, recorder, test, grid)
            self.watcher.stage("looking inside the champion")
            seen = self._look_inside(champion, judge)
        result = self._result(conductor, finished, rows, champion, test, registration, recorder)
        self.watcher.stage("drawing the report")
        page = self._report(study, result)
        self.home.write(REPORT, page)
        recorder.finished(
            "completed" if finished else "interrupted",
            leaderboard=[flat_row(row) for row in rows],
            figures=self._figures(page, grid, seen),
            metrics=parent_metrics(champion, judge, test, seen),
            tags={"gan_tune.finished": str(finished).lower()},
        )
        recorder.flush(timeout=120)
        self.home.write_json("leaderboard.json", rows)
        self.home.write_json(RESULT, asdict(result))
        # As a later call reads it back: tuples have become lists.
        return SearchResult(**self.home.read_json(RESULT))

    def _report(self, study: OptunaStudy, result: SearchResult) -> bytes:
        state = "finished" if result.finished else "interrupted"
        heading = Heading(self.name, state, result.metric, result.seconds, result)
        return report_page(self.home, study, result.rows, heading)

    def _figures(self, page: bytes, grid: bytes | None, seen: Inside | None) -> dict[str, Picture]:
        """Files of the parent run: the report, and the champion's pictures if there is one."""
        inside = {f"champion/{name}": png for name, png in seen.pictures.items()} if seen else {}
        return {REPORT: page, **({"champion.png": grid} if grid else {}), **inside}

    def _look_inside(self, champion: Champion, judge: Judge) -> Inside:
        return look_inside(
            champion.generator,
            champion.job.config.generator.args["latent"],
            dataset=self.dataset,
            features=judge.extractor,
            seed=GRID_SEED,
        )

    def _champion_grid(self, champion: Champion) -> bytes:
        latent = champion.job.config.generator.args["latent"]
        points = self.dataset.kind == "points"
        count = len(pictures.background(self.dataset)) if points else GRID_SAMPLES
        samples = draw(champion.generator, count, latent=latent, seed=GRID_SEED)
        if points:
            return pictures.png(pictures.scatter(samples, self.dataset))
        return pictures.png(pictures.grid(samples))

    def _register(
        self,
        champion: Champion,
        judge: Judge,
        recorder: Recorder,
        test: Mapping[str, float],
        grid: bytes,
    ) -> Registration:
        from gan_tune.registry.models import register_champion

        metric, mode = self.space.objective.metric, self.space.objective.mode
        recorder.flush(timeout=120)
        return register_champion(
            champion.generator,
            latent=champion.job.config.generator.args["latent"],
            model=self.model,
            run_id=recorder.run_id(champion.job.name),
            value=champion.mean,
            mode=mode,
            comparable=f"{judge.comparable(metric)}/{mode}/{self.dataset.digest}",
            confirmed_seeds=champion.seeds,
            tags={
                "gan_tune.search": self.name,
                "gan_tune.trial": champion.job.name,
                "gan_tune.objective": metric,
                "gan_tune.kind_of_data": self.dataset.kind,
                **{f"gan_tune.{name}": f"{value:.6g}" for name, value in test.items()},
            },
            files={"champion.png": grid},
            uri=self.uri,
        )

    def _result(
        self,
        conductor: Conductor,
        finished: bool,
        rows: list[dict[str, Any]],
        champion: Champion | None,
        test: Mapping[str, float],
        registration: Registration | None,
        recorder: Recorder,
    ) -> SearchResult:
        from gan_tune.searching.study.insight import importances

        outcomes: dict[str, int] = {}
        for row in rows:
            outcome = row["outcome"] or "interrupted"
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
        return SearchResult(
            name=self.name,
            finished=finished,
            metric=self.space.objective.metric,
            mode=self.space.objective.mode,
            trials=self.space.budget.trials,
            minutes=self.space.budget.minutes,
            outcomes=outcomes,
            rows=rows,
            champion=_champion_figures(champion),
            first_mean=champion.first_mean if champion else None,
            test=test,
            model=registration.name if registration else None,
            model_version=registration.version if registration else None,
            promoted=registration.promoted if registration else False,
            model_note=registration.reason if registration else "",
            grid=self.home.local_path("champion.png") if champion else None,
            tracking_uri=masked(self.uri),  # the file may be read by others
            experiment=self.experiment,
            run_id=recorder.parent_run_id,
            importances=asdict(importances(conductor.study.optuna_study)),
            seconds=conductor.seconds_used,
            space_digest=self.space.digest,
        )


def _champion_figures(champion: Champion | None) -> dict[str, Any] | None:
    if champion is None:
        return None
    return {
        "trial": champion.job.name,
        "setting": champion.job.setting,
        "mean": champion.mean,
        "spread": champion.spread if champion.seeds > 1 else None,
        "seeds": champion.seeds,
        "confirmed": champion.confirmed,
        "config": champion.job.config.tree(),
        "lineage": lineage_tree(champion.job),
    }


def open_study(
    space: SearchSpace, home: Storage, name: str, warm: WarmStart | None = None
) -> Study:
    """The study of a search, where its first command put it; only that one's warm start counts.

    Raises:
        StorageError: the space names another place by now, the place cannot be used, or trials are
            there without their study.
        SpaceError: the study is of another space.
    """
    from gan_tune.searching.study.study import Study

    url = space.search.study
    earlier = home.read_json(STUDY)
    warm = warm or WarmStart()
    noted = earlier or {
        "url": url,
        "owner": uuid.uuid4().hex,
        "space": space.digest,
        "warm_start": list(warm.searches),
    }
    if noted["url"] != url:
        began = noted["url"] or "a journal in its folder"
        raise StorageError(
            f"search.study: the search {name} keeps its study in {began}; leave it there, or use "
            "--fresh or another --name"
        )
    journal = driver_folder(home, name) / "study.journal"
    home.write_json(STUDY, noted)  # first: a study that is claimed must find its owner again
    try:
        return Study(
            url or journal,
            space,
            name=name,
            owner=noted["owner"],
            warm=warm.trials,
            begun=bool(TrialFolders(home).names()),
        )
    except StorageError:
        if earlier is None:
            home.delete(STUDY)  # nothing has begun, so another place may be named
        raise
