"""One command's work on one search: open its study and record, run its trials, conclude it."""

from __future__ import annotations

import time
from contextlib import ExitStack

from gan_tune.cluster import connection as cluster
from gan_tune.cluster.ray_internals import started_here
from gan_tune.record.recorder import Recorder
from gan_tune.searching.leading.breeding import Breeder
from gan_tune.searching.leading.conductor import Conductor
from gan_tune.searching.leading.resuming import resume_search
from gan_tune.searching.on_ray.tuning import Shared, run
from gan_tune.searching.populations.population import POPULATIONS
from gan_tune.searching.rules.stopping import NoStopping, StoppingRule, stopping_rule
from gan_tune.searching.study.study import Study
from gan_tune.service.running.context import SearchContext
from gan_tune.service.running.ctrl_c import interruptible
from gan_tune.service.running.earlier_searches import WarmStart
from gan_tune.service.running.note import SearchNote
from gan_tune.service.running.recording import RecordKeeper, bring_up_to_date, open_recorder
from gan_tune.service.running.study_place import study_of_search
from gan_tune.service.search_result import SearchResult
from gan_tune.storage.trial_folder import TrialFolders


class SearchCommand:
    """One command's work on one search."""

    def __init__(self, context: SearchContext) -> None:
        self._context = context

    def run(self, warm: WarmStart, address: str | None, max_concurrent: int | None) -> SearchResult:
        """Run the trials that are left, and conclude the search.

        Args:
            warm: trials of earlier searches for the sampler of a new search.
            address: of a Ray cluster; None or empty: RAY_ADDRESS, else Ray is started here.
            max_concurrent: largest number of trials at a time; None: as many as the cluster allows.
        """
        context = self._context
        space, home, watcher = context.space, context.home, context.watcher
        judge = context.judge  # before anything is written, since data or a metric may be refused
        study = study_of_search(space, home, context.names.search, warm)
        with ExitStack() as stack:
            watcher.stage("starting Ray" if not address else f"joining Ray at {address}")
            stack.enter_context(cluster.connected(address, home))
            slots = cluster.slots(space.resources, max_concurrent)
            recorder = open_recorder(context, warm.searches)
            stack.callback(recorder.close)
            stack.push(lambda error, *_: recorder.finished("interrupted") if error else None)
            resumed = study.proposed()
            conductor = self._conductor(study, recorder, slots, max_concurrent)
            shared = Shared(context.dataset, judge, home, space.resources)
            self._write_note(study.seconds_used)
            watcher.begin(conductor, slots, resumed)
            with interruptible(conductor):
                try:
                    run(conductor, shared, slots=slots, tick=watcher.tick)
                finally:
                    watcher.end()
                # Its imports take a second; the first trials need not wait for them.
                from gan_tune.service.running.conclusion import Conclusion

                # This takes seconds, so a first Ctrl-C no longer interrupts it.
                return Conclusion(context, conductor, recorder).conclude()

    def _conductor(
        self, study: Study, recorder: Recorder, slots: int, max_concurrent: int | None
    ) -> Conductor:
        """The conductor of the trials, with the state that earlier commands stored."""
        context = self._context
        rule, breeder = self._scheduler(study)
        resumed = resume_search(study, TrialFolders(context.home), rule, breeder)
        bring_up_to_date(recorder, context.home, study, context.objective.metric)
        # Jobs of a population must not be fetched in advance. Without autoscaling, others need
        # not be either: Tune would start a worker for each and kill it half started.
        fixed = breeder is not None or started_here()
        return Conductor(
            study,
            context.home,
            rule,
            resumed,
            breeder=breeder,
            observers=[RecordKeeper(recorder, context.objective.metric), context.watcher],
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
        """Write the note with the facts that read-only commands do not find in trials' folders."""
        context = self._context
        SearchNote(
            metric=context.objective.metric,
            mode=context.objective.mode,
            trials=context.space.budget.trials,
            minutes=context.space.budget.minutes,
            experiment=context.names.experiment,
            seconds_before=seconds_before,
            started_ms=int(time.time() * 1000),
        ).write(context.home)
