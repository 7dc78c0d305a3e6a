"""Runs a search: opens its study and record, runs its trials, and concludes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from gan_tune.cluster import connection as cluster
from gan_tune.cluster.ray_internals import started_here
from gan_tune.errors import OutageError
from gan_tune.searching.leading.breeding import Breeder
from gan_tune.searching.leading.conductor import Conductor
from gan_tune.searching.leading.resuming import resume_search
from gan_tune.searching.on_ray.tuning import Shared, run
from gan_tune.searching.populations.population import POPULATIONS
from gan_tune.searching.rules.stopping import NoStopping, StoppingRule, stopping_rule
from gan_tune.searching.study.study import Study
from gan_tune.service.running.context import SearchContext
from gan_tune.service.running.ctrl_c import Signals
from gan_tune.service.running.earlier_searches import WarmStart
from gan_tune.service.running.first_settings import first_settings
from gan_tune.service.running.judging import keep_judge
from gan_tune.service.running.metric_versions import changed_metrics
from gan_tune.service.running.note import SearchNote, read_note
from gan_tune.service.running.planning import counted_trials, settle_plan
from gan_tune.service.running.precision import settle_precision
from gan_tune.service.running.resources import settle_resources
from gan_tune.service.running.retrying import take_up
from gan_tune.service.running.study_place import study_of_search
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.words.readable import plural

if TYPE_CHECKING:
    from gan_tune.service.running.recording import SearchRecord

TRAINABLE = "gan_tune.searching.on_ray.trainable"
"""What each worker of a Ray started here imports first: all that trials need."""


class SearchCommand:
    """One command's work on one search. A search may take several commands."""

    def __init__(self, context: SearchContext) -> None:
        self._context = context

    def run(
        self,
        warm: WarmStart,
        address: str | None,
        max_concurrent: int | None,
        *,
        signals: Signals,
        ask_mlflow: Callable[[], object],
    ) -> SearchRecord:
        """Run the trials that are left, and conclude the search: its result is stored then.

        Returns its record, of which something may still have to be delivered.

        Args:
            warm: trials of earlier searches for the sampler of a new search.
            address: of a Ray cluster; None or empty: RAY_ADDRESS, else Ray is started here.
            max_concurrent: largest number of trials at a time; None: as many as the cluster allows.
            signals: heeded.
            ask_mlflow: raises an error if MLflow would refuse the record of a new search.
        """
        context = self._context
        _ = context.dataset  # first, since data may be refused
        begun = bool(TrialFolders(context.home).names())
        study = self._study(warm) if begun else None  # before Ray: the space may have changed
        with ExitStack() as stack:
            with ThreadPoolExecutor(1) as beside:  # both take seconds, and Ray mostly waits
                asked = beside.submit(ask_mlflow)
                stack.enter_context(self._ray(address, signals))
                asked.result()
            # The judge may refuse a metric. It is made while Ray's workers import what they need,
            # not beside Ray's start, which forks: BLAS may hang where another thread uses it then.
            _ = context.judge
            if study is None:
                study = self._study(warm)
            shared = self._shared()
            slots = cluster.slots(shared.resources, max_concurrent, without=shared.without)
            settle_plan(context, slots)
            study.space = context.space
            record = self._record(warm, begun=begun)
            record.begin()
            stack.push(lambda error, *_: record.interrupt() if error else None)
            conductor = self._train(study, record, shared, slots, max_concurrent, signals)
            self._tell_why_it_ended(conductor, study)
            # Imported here because it takes a second, for which the first trials would wait.
            from gan_tune.service.running.conclusion import Conclusion

            record.end(Conclusion(context, conductor).conclude())
        return record

    def _study(self, warm: WarmStart) -> Study:
        context = self._context
        starts = first_settings(context, warm)
        return study_of_search(context.space, context.home, context.names.search, warm, starts)

    @contextmanager
    def _ray(self, address: str | None, signals: Signals) -> Iterator[None]:
        watcher = self._context.watcher
        with ExitStack() as stack:
            watcher.stage("starting Ray" if not address else f"joining Ray at {address}")
            with signals.held():
                stack.enter_context(
                    cluster.connected(address, self._context.home, preload=TRAINABLE)
                )
            yield

    def _shared(self) -> Shared:
        """What all trials share; what depends on the cluster is decided here, once a search."""
        context = self._context
        settle_resources(context)
        without, emulates = settle_precision(context)
        keep_judge(context.dataset, context.judge.extractor, context.home)
        return Shared(
            context.dataset,
            context.judge,
            context.home,
            context.space.resources,
            without,
            emulates,
        )

    def _record(self, warm: WarmStart, *, begun: bool) -> SearchRecord:
        # Imported here because it imports MLflow, which has been imported beside Ray's start.
        from gan_tune.service.running.recording import SearchRecord, entry_of

        context = self._context
        uri = None if context.offline else context.uri
        return SearchRecord(context.home, entry_of(context, warm.searches, begun=begun), uri)

    def _train(
        self,
        study: Study,
        record: SearchRecord,
        shared: Shared,
        slots: int,
        max_concurrent: int | None,
        signals: Signals,
    ) -> Conductor:
        """Run the trials that are left. Returns the conductor, which knows what came of them."""
        watcher = self._context.watcher
        if again := take_up(self._context.home, study):
            watcher.note(f"trained again, since they were put back: {', '.join(again)}")
        resumed = study.proposed()
        conductor = self._conductor(study, record, slots, max_concurrent)
        self._write_note(study.seconds_used)

        def count(aside: Collection[str]) -> cluster.Places:
            without = {*shared.without, *aside}
            return cluster.fitting(shared.resources, max_concurrent, without=without)

        watcher.begin(conductor, slots, resumed)
        try:
            with signals.asking(conductor):
                run(
                    conductor,
                    shared,
                    slots=slots,
                    tick=watcher.tick,
                    note=watcher.note,
                    placed=record.trial_placed,
                    count=None if started_here() else count,
                    resized=watcher.resized,
                    wanted=max_concurrent,
                )
        finally:
            watcher.end()
        return conductor

    def _tell_why_it_ended(self, conductor: Conductor, study: Study) -> None:
        """Say what ended the search before its trials and its time were used.

        Raises:
            OutageError: the machine kept trials from ending.
        """
        _check_none_is_put_aside(conductor)
        budget, watcher = self._context.space.budget, self._context.watcher
        if conductor.time.has_spent_its_gpus:
            watcher.note(
                f"budget.gpu_hours: {conductor.time.gpu_hours_used:.3g} GPU hours are used; a "
                "larger budget continues the search"
            )
        if study.is_exhausted() and study.proposed() < budget.most_trials:
            watcher.note("every setting of the space has been tried")

    def _conductor(
        self, study: Study, record: SearchRecord, slots: int, max_concurrent: int | None
    ) -> Conductor:
        """The conductor of the trials, with the state that earlier commands stored."""
        context = self._context
        rule, breeder = self._scheduler(study)
        resumed = resume_search(study, TrialFolders(context.home), rule, breeder)
        # Without a limit, Tune fetches jobs in advance, so that a cluster can grow. A population
        # must decide at the last moment. Ray on one machine cannot grow: Tune would start a worker
        # for each job and kill it half started.
        fixed = breeder is not None or started_here()
        return Conductor(
            study,
            context.home,
            rule,
            resumed,
            breeder=breeder,
            observers=[record, context.watcher],
            slots=slots,
            limit=slots if fixed else max_concurrent,
        )

    def _scheduler(self, study: Study) -> tuple[StoppingRule, Breeder | None]:
        """The stopping rule, and the breeder if the scheduler is a population."""
        context = self._context
        space, part = context.space, context.space.search.scheduler
        if part.name not in POPULATIONS:
            return stopping_rule(space), None
        build = POPULATIONS[part.name]
        steps = context.any_config.report_steps
        population = build(space.trial, steps, space.objective.mode, **part.args)
        return NoStopping(), Breeder(study, TrialFolders(context.home), population)

    def _write_note(self, seconds_before: float) -> None:
        """Write `search.json`: facts for read-only commands that are not in the trials' folders."""
        context = self._context
        earlier, versions = read_note(context.home), context.judge.versions
        begun_with = earlier.metric_versions if earlier else versions
        for name in changed_metrics(begun_with, versions):
            context.watcher.note(
                f"{name} is computed in another way since this search began: values from before "
                "cannot be compared with those from now on"
            )
        SearchNote(
            metric=context.objective.metric,
            mode=context.objective.mode,
            trials=counted_trials(context.space),
            minutes=context.space.budget.minutes,
            experiment=context.names.experiment,
            seconds_before=seconds_before,
            started_ms=int(time.time() * 1000),
            metric_versions=begun_with,
        ).write(context.home)


def _check_none_is_put_aside(conductor: Conductor) -> None:
    """Refuse to conclude a search of which the machine kept trials from ending."""
    aside = conductor.lost_trials.aside
    if aside and not conductor.stop_requested:
        name, reason = next(iter(aside.items()))
        raise OutageError(
            f"{plural(len(aside), 'trial')} put aside, which the same command continues: {name}: "
            f"{reason}"
        )
