"""The conductor, driven without Ray by a table of curves: one fake worker, one fake clock."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from conftest import trial_tree

from gan_tune.cluster.connection import Places
from gan_tune.errors import CheckpointError, UnfitNodesError
from gan_tune.gan import checkpoint
from gan_tune.parts.all_parts import catalogue
from gan_tune.searching.jobs import Job
from gan_tune.searching.leading.conductor import Conductor, Next, follow_cluster
from gan_tune.searching.leading.crowning import crown_champion
from gan_tune.searching.leading.protocols import Observers
from gan_tune.searching.leading.resuming import resume_search
from gan_tune.searching.on_ray.elastic import ClusterSize
from gan_tune.searching.rules.champion import contenders
from gan_tune.searching.rules.faults import Fault
from gan_tune.searching.rules.stopping import Asha, NoStopping, StoppingRule
from gan_tune.searching.study.leaderboard import leaderboard
from gan_tune.searching.study.opening import open_study
from gan_tune.space import SearchSpace
from gan_tune.storage.storage import Storage, open_storage
from gan_tune.storage.trial_folder import TrialFolder, TrialFolders
from gan_tune.storage.trial_records import Ending, Result

Curve = Callable[[Job, int], Result]
STEPS = (20, 40, 60, 80, 100)


def space(**changes: Any) -> SearchSpace:
    left_out = ("steps", "evaluations", "seed")
    trial = {key: value for key, value in trial_tree().items() if key not in left_out}
    trial["generator_optimizer"] = {"name": "adam", "lr": {"log_uniform": [1e-4, 1e-2]}}
    tree: dict[str, Any] = {
        "name": "toy",
        "budget": {"trials": 6, "steps": 100, "evaluations": 5},
        "confirm": {"top": 2, "seeds": 2},
        "trial": trial,
        "start_from": [{"generator_optimizer": {"lr": 1e-3}}],
    }
    return SearchSpace.load(tree | changes, catalogue())


def result(step: int, value: float | None, best: float | None, outcome: Any = None) -> Result:
    return Result(step, {}, value, best, outcome, 0, training_seconds=1.0)


def steady(job: Job, step: int) -> Result:
    """A setting is as good as its number is high; replicates differ a little."""
    value = 10.0 - job.setting + 0.01 * job.replicate - 0.001 * step
    return result(step, value, value, "completed" if step == STEPS[-1] else None)


@dataclass
class Log:
    """An observer that writes down what it hears."""

    started: list[str] = field(default_factory=list)
    reported: list[tuple[str, int]] = field(default_factory=list)
    ended: dict[str, Ending] = field(default_factory=dict)

    def trial_started(self, job: Job, *, resumed: bool) -> None:
        self.started.append(job.name)

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        self.reported.append((job.name, result.step))

    def trial_ended(self, job: Job, ending: Ending) -> None:
        self.ended[job.name] = ending


class Worker:
    """Runs jobs one report at a time, storing reports as the trainable does."""

    def __init__(
        self, folder: Path, *, slots: int = 2, rule: StoppingRule | None = None, **changes: Any
    ) -> None:
        self.now = 0.0
        self.space = space(**changes)
        self.storage: Storage = open_storage(folder)
        self.trials = TrialFolders(self.storage)
        self.study = open_study(folder / "study.journal", self.space)
        self.log = Log()
        self.slots = slots
        rule = rule or NoStopping()
        self.conductor = Conductor(
            self.study,
            self.storage,
            rule,
            resume_search(self.study, self.trials, rule),
            observers=[self.log],
            slots=slots,
            clock=lambda: self.now,
        )
        self.jobs: dict[str, tuple[Job, list[int]]] = {}
        self.left: dict[str, list[int]] = {}  # the reports that paused trials have yet to make

    def run(self, curve: Curve, *, reports: int = 10_000) -> None:
        """Run until done, or for so many reports."""
        while reports > 0:
            while len(self.jobs) < self.slots:
                job = self.conductor.next_job()
                if job is Next.DONE:
                    return
                if job is Next.WAIT:
                    break
                assert isinstance(job, Job)
                self.jobs[job.name] = (job, self.left.pop(job.name, list(STEPS)))
            for name, (job, steps) in list(self.jobs.items()):
                reports -= 1
                self.now += 1.0
                heard = curve(job, steps.pop(0))
                self.trials[name].write_report(heard)
                if self.conductor.reported(name, heard):
                    del self.jobs[name]
                    if name in self.log.ended and self.log.ended[name].paused:
                        self.left[name] = steps


def test_searches_confirms_and_ends(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    worker.run(steady)
    assert worker.study.proposed() == 6
    assert {e.outcome for e in worker.log.ended.values()} == {"completed"}
    names = [name for name in worker.log.ended if "confirm" in name]
    settings = {int(name[:4]) for name in names}
    assert {0, 4, 5} <= settings, "the two best and the first"
    winner = worker.conductor.standings()[0]
    assert (winner.setting, winner.seeds) == (5, 2)
    assert worker.conductor.running == []


def test_slots_do_not_idle_while_the_last_search_trials_run(tmp_path: Path) -> None:
    """Two are left for four slots when the first four have ended; the first is confirmed beside."""
    worker = Worker(tmp_path, slots=4)
    worker.run(steady, reports=4 * len(STEPS) + 4)
    running = [job.name for job in worker.conductor.running]
    assert running == ["0004", "0005", "0000-confirm-1", "0000-confirm-2"]


def test_outcomes_of_trials_reach_the_study(tmp_path: Path) -> None:
    def troubled(job: Job, step: int) -> Result:
        if job.setting == 1:
            return result(step, None, None, "diverged")
        if job.setting == 2 and step == 40:
            return result(step, 5.0, 4.0, "collapsed")
        if job.setting == 3 and step == 60:
            return Result(step, {}, None, 3.0, "failed", 0, error="ValueError: no")
        return steady(job, step)

    worker = Worker(tmp_path)
    worker.run(troubled)
    outcomes = {s.number: s.outcome for s in worker.study.settings()}
    assert outcomes == {
        0: "completed", 1: "diverged", 2: "collapsed", 3: "failed", 4: "completed", 5: "completed",
    }  # fmt: skip
    assert worker.log.ended["0003"].error == "ValueError: no"
    assert not [t for t in worker.study.optuna_study.trials if not t.state.is_finished()]


def test_the_first_setting_is_stopped_like_others_and_confirmed_after_them(tmp_path: Path) -> None:
    def first_is_worst(job: Job, step: int) -> Result:
        value = 100.0 if job.setting == 0 else 10.0 + job.setting
        return result(step, value, value, "completed" if step == 100 else None)

    asha = Asha(100, "min", reduction=2, grace=0.2)
    worker = Worker(tmp_path, rule=asha, slots=1)
    worker.run(first_is_worst)
    outcomes = [s.outcome for s in worker.study.settings()]
    assert outcomes[0] == "pruned"
    assert "completed" in outcomes
    assert worker.log.ended["0005"].outcome == "pruned"
    confirmed = [name for name in worker.log.started if "confirm" in name]
    assert confirmed[-2:] == ["0000-confirm-1", "0000-confirm-2"]
    assert worker.conductor.standings()[-1].setting == 0


def falling(job: Job, step: int) -> Result:
    """The earlier a setting, the worse; all get better with time."""
    value = 10.0 - job.setting - 0.001 * step
    return result(step, value, value, "completed" if step == STEPS[-1] else None)


def halving(folder: Path, **changes: Any) -> Worker:
    """One in three goes on at steps 20 and 40 (rungs at 10 and 30)."""
    changes = {"confirm": {"top": 0}, "slots": 1} | changes
    return Worker(folder, rule=Asha(100, "min", reduction=3, grace=0.1), **changes)


def test_the_first_at_a_rung_wait_until_they_can_be_judged(tmp_path: Path) -> None:
    worker = halving(tmp_path, budget={"trials": 9, "steps": 100, "evaluations": 5})
    worker.run(falling, reports=2)
    assert {name: end.paused for name, end in worker.log.ended.items()} == {
        "0000": True, "0001": True,
    }  # fmt: skip
    worker.run(falling, reports=2)
    assert worker.log.started == ["0000", "0001", "0002"]
    assert [s.outcome for s in worker.study.settings()] == ["pruned", "pruned", None]
    assert worker.log.ended["0002"].paused, "nobody else has come to step 40"
    worker.run(falling)
    settings = worker.study.settings()
    assert [s.steps for s in settings] == [20, 20, 40, 40, *[100] * 5]
    assert [s.outcome for s in settings] == [*["pruned"] * 4, *["completed"] * 5]


def test_if_the_last_of_the_best_collapse_the_best_of_the_pruned_becomes_champion(
    tmp_path: Path,
) -> None:
    def collapsing(job: Job, step: int) -> Result:
        found = falling(job, step)
        ends = step == STEPS[-1] and job.kind == "search"
        return replace(found, outcome="collapsed") if ends else found

    budget = {"trials": 9, "steps": 100, "evaluations": 5}
    worker = halving(tmp_path, budget=budget, confirm={"top": 1, "seeds": 2})
    worker.run(collapsing)
    outcomes = [s.outcome for s in worker.study.settings()]
    assert set(outcomes) == {"pruned", "collapsed"}
    best = max(number for number, outcome in enumerate(outcomes) if outcome == "pruned")
    winner = worker.conductor.standings()[0]
    assert (winner.setting, winner.seeds) == (best, 2)
    found = contenders(
        worker.conductor.standings(),
        worker.study.settings(),
        worker.space.objective,
        replicated=False,
    )
    assert found[0].setting == best


def test_a_worker_is_told_where_to_store_its_state(tmp_path: Path) -> None:
    """At the first report on or after each rung, and from when the time may be up."""
    worker = halving(tmp_path, budget={"trials": 9, "steps": 100, "evaluations": 5, "minutes": 2})
    job = worker.conductor.next_job()
    assert isinstance(job, Job)
    assert job.pause_steps == (20, 40)
    assert 110 < job.always_store_after - time.time() < 120
    with_minutes = {"trials": 1, "steps": 100, "evaluations": 5, "minutes": 2}
    confirm = {"top": 1, "seeds": 1, "share": 0.5}
    kept = halving(tmp_path / "top", budget=with_minutes, confirm=confirm)
    compared = kept.conductor.next_job()
    assert isinstance(compared, Job)
    assert compared.pause_steps == (20, 40), "the first setting is judged like others"
    assert 33 < compared.always_store_after - time.time() < 43, "half of it, with a safety"
    for step in STEPS:
        kept.conductor.reported("0000", steady(compared, step))
    confirming = kept.conductor.next_job()
    assert isinstance(confirming, Job)
    assert (confirming.name, confirming.always_store_after) == ("0000-confirm-1", math.inf)


def test_who_waits_goes_on_when_nothing_else_is_left_to_begin(tmp_path: Path) -> None:
    worker = halving(tmp_path, budget={"trials": 2, "steps": 100, "evaluations": 5})
    worker.run(falling)
    assert [s.outcome for s in worker.study.settings()] == ["completed"] * 2
    assert worker.log.started == ["0000", "0001", "0000"]


def rising(job: Job, step: int) -> Result:
    """The later a setting, the worse."""
    value = job.setting - 0.001 * step
    return result(step, value, value, "completed" if step == STEPS[-1] else None)


def test_of_those_who_wait_the_best_goes_on_first(tmp_path: Path) -> None:
    """Nothing new is left to begin when the second one, the worse, comes to its rung."""
    budget = {"trials": 2, "steps": 100, "evaluations": 5, "minutes": 8 / 60}
    worker = halving(tmp_path, budget=budget)
    worker.run(rising)
    assert worker.log.started[:3] == ["0000", "0001", "0000"]
    assert worker.study.settings()[0].outcome == "completed"


def test_whom_a_driver_would_only_keep_ready_waits_on(tmp_path: Path) -> None:
    worker = halving(tmp_path, budget={"trials": 2, "steps": 100, "evaluations": 5})
    worker.run(rising, reports=2)
    job = worker.conductor.next_job()
    assert isinstance(job, Job)
    assert job.name == "0000"
    assert worker.conductor.next_job() is Next.WAIT, "the only slot is taken"


def test_who_waits_goes_on_while_there_is_just_time_for_it(tmp_path: Path) -> None:
    """Setting 2 waits at step 40 from the fourth second on; its last reports take 3 s."""
    budget = {"trials": 99, "steps": 100, "evaluations": 5, "minutes": 11 / 60}
    worker = halving(tmp_path, budget=budget)

    def worse_later(job: Job, step: int) -> Result:
        value = abs(job.setting - 2) - 0.001 * step
        return result(step, value, value, "completed" if step == STEPS[-1] else None)

    worker.run(worse_later)
    assert worker.study.settings()[2].outcome == "completed"
    assert worker.conductor.seconds_used <= 11


def test_a_trial_longer_than_the_time_does_not_take_it_all(tmp_path: Path) -> None:
    """All five reports of a trial take 5 s; the best of those tried in half of the time goes on."""
    budget = {"trials": 99, "steps": 100, "evaluations": 5, "minutes": 4 / 60}
    worker = halving(tmp_path, budget=budget)
    worker.run(falling)
    assert worker.log.started == ["0000", "0001"]
    assert [s.steps for s in worker.study.settings()] == [20, 60]


def test_who_waits_still_waits_after_a_kill(tmp_path: Path) -> None:
    budget = {"trials": 9, "steps": 100, "evaluations": 5}
    through = halving(tmp_path / "through", budget=budget)
    through.run(falling)
    for reports in range(1, 16):
        folder = tmp_path / str(reports)
        halving(folder, budget=budget).run(falling, reports=reports)
        again = halving(folder, budget=budget)
        again.run(falling)
        assert again.study.settings() == through.study.settings()


class Listening(NoStopping):
    """Writes down what it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[int, int, float | None]] = []

    def decide(self, trial: int, step: int, value: float | None) -> bool:
        self.told.append((trial, step, value))
        return False


def test_a_rule_hears_while_trials_run_what_a_later_one_is_told(tmp_path: Path) -> None:
    """Also of trials that end by themselves, and of those that were interrupted."""

    def troubled(job: Job, step: int) -> Result:
        if job.setting == 1 and step == 40:
            return result(step, 9.0, 4.0, "collapsed")
        if job.setting == 2:
            return result(step, None, None, "diverged" if step == 60 else None)
        return steady(job, step)

    worker = Worker(tmp_path, rule=(rule := Listening()))
    worker.run(troubled, reports=14)
    worker.conductor.stop_requested = True
    worker.run(troubled)
    later = Worker(tmp_path, rule=(again := Listening()))
    while isinstance(later.conductor.next_job(), Job):
        pass  # it hears the last report of a trial once that is taken up
    heard = {told for told in again.told if told[2] is not None}
    assert heard == {told for told in rule.told if told[2] is not None}
    assert heard == set(later.study.reports())


@pytest.mark.parametrize("heard", [True, False])
def test_a_decision_that_a_kill_kept_from_being_stored_is_made_anew(
    tmp_path: Path, heard: bool
) -> None:
    """The second setting is behind at its first report, which the driver may have told or not."""

    def worse_and_worse(job: Job, step: int) -> Result:
        value = 10.0 + job.setting
        return result(step, value, value, "completed" if step == STEPS[-1] else None)

    def asha() -> Asha:
        return Asha(100, "min", reduction=2, grace=0.2)

    killed = Worker(tmp_path, rule=asha(), slots=1)
    killed.run(worse_and_worse, reports=1)
    job = killed.conductor.next_job()
    assert isinstance(job, Job)
    stored = worse_and_worse(job, STEPS[0])
    killed.trials[job.name].write_report(stored)
    if heard:
        killed.study.report(job.setting, stored.step, stored.best)
    again = Worker(tmp_path, rule=asha(), slots=1)
    following = again.conductor.next_job()
    assert isinstance(following, Job)
    assert following.setting == 0, "it has waited for the second one"
    ending = again.log.ended[job.name]
    assert (ending.outcome, ending.step, ending.value) == ("pruned", STEPS[0], stored.best)
    assert again.study.settings()[1].outcome == "pruned"


def test_no_more_trials_are_handed_out_than_the_limit(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    resumed = resume_search(worker.study, worker.trials, NoStopping())
    limited = Conductor(worker.study, worker.storage, NoStopping(), resumed, slots=4, limit=1)
    job = limited.next_job()
    assert isinstance(job, Job)
    assert limited.next_job() is Next.WAIT
    limited.lost(job.name, Fault("exception", "gone"))
    assert isinstance(limited.next_job(), Job)


def test_an_exception_fails_a_trial_when_it_comes_again_in_a_fresh_worker(tmp_path: Path) -> None:
    worker = Worker(tmp_path, slots=1)
    worker.run(steady, reports=5)
    fault = Fault("exception", "ValueError: no")
    for outcome in ("interrupted", "failed"):
        job = worker.conductor.next_job()
        assert isinstance(job, Job)
        assert job.name == "0001"
        worker.conductor.lost(job.name, fault)
        assert worker.log.ended[job.name].outcome == outcome
    assert worker.log.ended["0001"] == Ending("failed", None, 0, "ValueError: no")
    assert worker.study.settings()[1].outcome == "failed"


def test_the_same_exception_of_every_setting_is_no_settings_own(tmp_path: Path) -> None:
    """While nothing has worked: no setting is told to have failed, and the search should end."""
    worker = Worker(tmp_path, slots=1)
    lost = worker.conductor.lost_trials
    for name in ("0000", "0000", "0001", "0001", "0002"):
        assert lost.same_everywhere is None
        job = worker.conductor.next_job()
        assert isinstance(job, Job)
        assert job.name == name
        worker.conductor.lost(name, Fault("exception", "ImportError: no module named nets"))
    assert lost.same_everywhere == "ImportError: no module named nets"
    worker.conductor.interrupt_all()
    again = Worker(tmp_path, slots=1)
    assert len(again.study.finish_proposals()) == 3, "all go on when it is corrected"
    again.run(steady)
    assert [s.outcome for s in again.study.settings()] == ["completed"] * 6


def test_a_node_that_is_gone_says_nothing_of_others(tmp_path: Path) -> None:
    """Three of its trials are lost with it before any has reported; the search goes on."""
    worker = Worker(tmp_path, slots=3)
    for job in [worker.conductor.next_job() for _ in range(3)]:
        assert isinstance(job, Job)
        worker.conductor.lost(job.name, Fault("machine", "its node died", node_gone=True))
    assert worker.conductor.lost_trials.same_everywhere is None


def test_what_a_machine_says_is_the_same_with_other_files_and_numbers(tmp_path: Path) -> None:
    worker = Worker(tmp_path, slots=3)
    text = "storage: cannot write /runs/x/trials/000{}/trial.json: {} bytes are left"
    for number, job in enumerate([worker.conductor.next_job() for _ in range(3)]):
        assert isinstance(job, Job)
        worker.conductor.lost(job.name, Fault("machine", text.format(number, number)))
    assert worker.conductor.lost_trials.same_everywhere == text.format(0, 0)


def test_a_limit_stays_where_a_cluster_shrinks(tmp_path: Path) -> None:
    """So an autoscaler sees what waits, and makes the nodes again that were taken away."""
    conductor = Worker(tmp_path, slots=16).conductor
    conductor.limit = 16
    follow_cluster(conductor, 4)
    assert (conductor.slots, conductor.limit) == (4, 16)


def test_a_setting_that_fails_before_others_work_has_failed_at_last(tmp_path: Path) -> None:
    budget = {"trials": 2, "steps": 100, "evaluations": 5}
    worker = Worker(tmp_path, slots=1, budget=budget, confirm={"top": 0})
    for _ in range(2):
        assert worker.conductor.next_job().name == "0000"  # type: ignore[union-attr]
        worker.conductor.lost("0000", Fault("exception", "ValueError: no"))
    worker.run(steady, reports=5)
    assert worker.log.ended["0001"].outcome == "completed"
    assert worker.conductor.next_job().name == "0000"  # type: ignore[union-attr]
    worker.conductor.lost("0000", Fault("exception", "ValueError: no"))
    assert worker.study.settings()[0].outcome == "failed"


def test_what_the_machine_does_is_no_verdict_on_a_setting(tmp_path: Path) -> None:
    """However often, with progress between; and it reaches neither Optuna nor a mean."""
    worker = Worker(tmp_path, slots=2)
    plain = Worker(tmp_path / "undisturbed", slots=2)
    plain.run(steady)
    kinds: list[Any] = ["machine", "death", "exception", "preempted"]
    for turn in range(200):
        worker.run(steady, reports=1)
        if (running := worker.conductor.running) and turn % 3 == 0:
            lost = running[turn % len(running)].name
            worker.left[lost] = worker.jobs.pop(lost)[1]
            worker.conductor.lost(lost, Fault(kinds[turn % 4], f"{turn}"))
    worker.run(steady)
    assert [s.outcome for s in worker.study.settings()] == ["completed"] * 6
    ours, theirs = worker.conductor.standings(), plain.conductor.standings()
    assert ours == theirs, "replicates that were lost are trained again"


def test_who_was_killed_for_memory_is_tried_again_alone(tmp_path: Path) -> None:
    """Nothing else begins beside it, and a second kill is its outcome."""
    worker = Worker(tmp_path, slots=2, confirm={"top": 0})
    conductor, full = worker.conductor, Fault("memory", "its node's memory was full")
    first, second = conductor.next_job(), conductor.next_job()
    assert isinstance(first, Job)
    assert isinstance(second, Job)
    conductor.lost(first.name, full)
    third = conductor.next_job()
    assert isinstance(third, Job)
    assert third.setting == 2, "one that waits to be alone keeps nobody waiting"
    conductor.lost(second.name, full)
    assert conductor.next_job() is Next.WAIT, "as many as there are slots do"
    conductor.lost(third.name, Fault("machine", "gone"))
    assert conductor.next_job().name == first.name  # type: ignore[union-attr]
    assert conductor.next_job() is Next.WAIT
    conductor.lost(first.name, full)
    ending = worker.log.ended[first.name]
    assert ending.outcome == "failed"
    assert str(ending.error).startswith("out of memory, also when it ran alone: take a smaller")


def lose(worker: Worker, fault: Fault, *, times: int) -> None:
    """Begin the next job, and cut it off, so many times."""
    for _ in range(times):
        job = worker.conductor.next_job()
        assert isinstance(job, Job)
        worker.conductor.lost(job.name, fault)


def test_who_may_find_another_node_lets_three_others_begin_first(tmp_path: Path) -> None:
    worker = Worker(tmp_path, slots=1, budget={"trials": 9, "steps": 100, "evaluations": 5})
    conductor = worker.conductor
    cut_off = Fault("exception", "RuntimeError: launch", "10.0.0.7", "a", frozenset({"b"}))

    def begun() -> str:
        job = conductor.next_job()
        assert isinstance(job, Job)
        return job.name

    conductor.lost(begun(), cut_off)
    assert [begun() for _ in range(4)] == ["0001", "0002", "0003", "0000"]
    conductor.lost("0000", cut_off)
    assert worker.log.ended["0000"].paused, "twice on one node is no setting's own fault yet"
    assert [begun() for _ in range(4)] == ["0004", "0005", "0006", "0000"]
    conductor.lost("0000", replace(cut_off, node_id="b"))
    assert worker.log.ended["0000"].outcome == "failed"


def test_who_may_find_another_node_goes_on_at_once_if_there_is_nothing_else(
    tmp_path: Path,
) -> None:
    worker = Worker(tmp_path, slots=1, budget={"trials": 1, "steps": 100, "evaluations": 5})
    lose(worker, Fault("exception", "no", "", "a", frozenset({"b"})), times=4)
    assert worker.conductor.next_job() is Next.DONE
    assert worker.conductor.lost_trials.aside == {"0000": "no"}, "one node alone says nothing"


def test_who_makes_no_progress_is_put_aside_and_goes_on_in_the_next_command(
    tmp_path: Path,
) -> None:
    worker = Worker(tmp_path, slots=1, budget={"trials": 1, "steps": 100, "evaluations": 5})
    lose(worker, Fault("machine", "OSError: no space left", "10.0.0.7"), times=4)
    assert worker.conductor.next_job() is Next.DONE
    reason = "OSError: no space left (node 10.0.0.7)"
    assert worker.conductor.lost_trials.aside == {"0000": reason}
    assert worker.study.settings()[0].outcome is None
    again = Worker(tmp_path, slots=1, budget={"trials": 1, "steps": 100, "evaluations": 5})
    again.run(steady)
    assert again.study.settings()[0].outcome == "completed"


def test_reports_that_the_driver_missed_are_heard_when_the_trial_goes_on(tmp_path: Path) -> None:
    worker = Worker(tmp_path, slots=1)
    worker.run(steady, reports=1)
    (job,) = worker.conductor.running
    worker.trials[job.name].write_report(steady(job, 40))  # and then its worker dies
    worker.conductor.lost(job.name, Fault("death", "its worker died"))
    assert worker.conductor.next_job().name == job.name  # type: ignore[union-attr]
    assert worker.log.reported == [(job.name, 20), (job.name, 40)]


@pytest.mark.parametrize("reports", [1, 3, 7, 12, 22, 31, 40])
def test_going_on_after_a_kill_loses_and_repeats_nothing(tmp_path: Path, reports: int) -> None:
    """The driver dies after so many reports: no sweep, no goodbye."""
    killed = Worker(tmp_path)
    killed.run(steady, reports=reports)
    over = {name for name, ending in killed.log.ended.items()}
    again = Worker(tmp_path)
    again.run(steady)
    assert over.isdisjoint(again.log.started), "a finished trial was repeated"
    whole = Worker(tmp_path / "undisturbed")
    whole.run(steady)
    assert over | again.log.ended.keys() >= {f"{n:04d}" for n in range(6)}
    assert [s.outcome for s in again.study.settings()] == ["completed"] * 6
    assert again.conductor.standings()[0] == whole.conductor.standings()[0]
    assert all(t.state.is_finished() for t in again.study.optuna_study.trials)


def test_what_was_stored_but_not_told_is_told_on_the_next_start(tmp_path: Path) -> None:
    worker = Worker(tmp_path, slots=1)
    job = worker.conductor.next_job()
    assert isinstance(job, Job)
    worker.trials[job.name].write_report(steady(job, 20))
    ending = Ending("completed", 9.0, 100)
    worker.trials[job.name].write_ending(ending)
    again = Worker(tmp_path)
    assert again.study.settings()[0].outcome == "completed"
    assert again.study.optuna_study.trials[0].intermediate_values == {20: pytest.approx(9.98)}


def test_reports_that_nobody_heard_are_told_when_their_trial_goes_on(tmp_path: Path) -> None:
    """The worker outlived the driver by some reports and its last checkpoint."""
    worker = Worker(tmp_path, slots=1, budget={"trials": 1, "steps": 100, "evaluations": 5})
    worker.run(steady, reports=1)
    for step in STEPS[1:]:
        stored = steady(worker.conductor.running[0], step)
        worker.trials["0000"].write_report(stored)
    later = Worker(tmp_path, slots=1, budget={"trials": 1, "steps": 100, "evaluations": 5})
    job = later.conductor.next_job()
    assert isinstance(job, Job)
    assert later.log.reported == [("0000", step) for step in STEPS]
    assert later.conductor.reported("0000", steady(job, 100)), "the end, heard a second time"
    assert later.log.ended["0000"].outcome == "completed"
    assert [step for _, step, _ in later.study.reports()] == list(STEPS)


def test_a_stop_interrupts_at_the_next_report_and_the_trial_stays_open(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    worker.run(steady, reports=4)
    worker.conductor.stop_requested = True
    assert worker.conductor.next_job() is Next.WAIT
    worker.conductor.interrupt_all()
    assert {e.outcome for e in worker.log.ended.values()} == {"interrupted"}
    assert worker.conductor.next_job() is Next.DONE
    assert len(Worker(tmp_path).study.finish_proposals()) == 2


def test_the_time_budget_ends_the_search_and_keeps_a_share_for_the_confirmation(
    tmp_path: Path,
) -> None:
    budget = {"trials": 1000, "steps": 100, "evaluations": 5, "minutes": 2}
    worker = Worker(tmp_path, slots=1, budget=budget)
    worker.run(steady)
    assert worker.conductor.seconds_used <= 130
    assert any(e.outcome == "completed" for n, e in worker.log.ended.items() if "confirm" in n)
    first_confirmation = next(n for n in worker.log.started if "confirm" in n)
    before = [n for n in worker.log.reported if n[0] == first_confirmation]
    assert before
    # A later command has no time left, and starts nothing.
    worker.study.seconds_used = 121.0
    again = Worker(tmp_path, slots=1, budget=budget)
    assert again.conductor.next_job() is Next.DONE
    assert again.log.started == []


def test_a_setting_that_the_end_of_the_time_cut_off_is_wasted_on_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second one, cut off after two reports of five, is better than the first ever was."""
    monkeypatch.setattr(
        "gan_tune.searching.leading.crowning._generator", lambda _, job, __: job.name
    )
    short = {"trials": 2, "steps": 100, "evaluations": 5, "minutes": 0.1}
    alone = Worker(tmp_path / "alone", slots=1, budget=short, confirm={"top": 0})
    alone.run(steady)
    assert [s.outcome for s in alone.study.settings()] == ["completed", None]
    for best, winner, mean in ((None, "0000", 9.9), (8.99, "0001", 8.99), (9.95, "0000", 9.9)):
        if best is not None:  # what the last stored weights came to
            state = checkpoint.pack({}, {"best": best}, "digest")
            alone.trials["0001"].write_checkpoint(state)
        champion = crown_champion(alone.conductor, None)  # type: ignore[arg-type]
        assert champion is not None
        assert (champion.job.name, champion.confirmed) == (winner, False)
        assert champion.mean == pytest.approx(mean)
    long = short | {"minutes": 0.2}
    confirm = {"top": 1, "seeds": 1, "share": 0.5}
    confirmed = Worker(tmp_path / "confirmed", slots=1, budget=long, confirm=confirm)
    confirmed.run(steady)
    assert confirmed.log.ended["0001"].outcome == "interrupted"
    assert confirmed.log.ended["0001-confirm-1"].outcome == "completed"
    more = Worker(tmp_path / "confirmed", slots=1, budget=long | {"minutes": 2}, confirm=confirm)
    more.run(steady)
    assert more.log.started == ["0001", "0000-confirm-1"], "it goes on, and stays confirmed"


def test_any_more_time_extends_a_search_whose_best_are_confirmed(tmp_path: Path) -> None:
    """Though the share of the time that the confirmation may take is more than what is left."""
    budget = {"trials": 1000, "steps": 100, "evaluations": 5, "minutes": 1.0}
    confirm = {"top": 1, "seeds": 1, "share": 0.6}
    Worker(tmp_path, slots=1, budget=budget, confirm=confirm).run(steady)
    before = open_study(
        tmp_path / "study.journal", space(budget=budget, confirm=confirm)
    ).proposed()
    more = Worker(tmp_path, slots=1, budget=budget | {"minutes": 1.5}, confirm=confirm)
    more.run(steady)
    assert more.study.proposed() > before
    assert more.conductor.standings()[0].seeds == 1
    assert more.conductor.seconds_used <= 91


@pytest.mark.parametrize("reports", range(5, 55, 7))
def test_a_kill_does_not_end_the_search_before_its_time(tmp_path: Path, reports: int) -> None:
    """What a full trial takes, and so what the confirmation needs, is known from its reports."""
    budget = {"trials": 1000, "steps": 100, "evaluations": 5, "minutes": 1.0}
    confirm = {"top": 1, "seeds": 1, "share": 0.5}
    through = Worker(tmp_path / "through", slots=1, budget=budget, confirm=confirm)
    through.run(steady)
    killed = Worker(tmp_path / "killed", slots=1, budget=budget, confirm=confirm)
    killed.run(steady, reports=reports)
    killed.study.seconds_used = float(reports)
    again = Worker(tmp_path / "killed", slots=1, budget=budget, confirm=confirm)
    again.left = {name: steps for name, (_, steps) in killed.jobs.items()}
    again.run(steady)
    assert [s.outcome for s in again.study.settings()] == [
        s.outcome for s in through.study.settings()
    ]
    assert [row.setting for row in again.conductor.standings()] == [
        row.setting for row in through.conductor.standings()
    ]


@pytest.mark.ci
@pytest.mark.parametrize("slots", [1, 4, 8])
def test_the_confirmation_keeps_the_time_for_all_its_seeds(tmp_path: Path, slots: int) -> None:
    """Replicates come whole: 12 of them take two rounds on 8 slots, not one and a half."""
    budget = {"trials": 1000, "steps": 100, "evaluations": 5, "minutes": 3.0}
    confirm = {"top": 3, "seeds": 3, "share": 0.9}
    worker = Worker(tmp_path, slots=slots, budget=budget, confirm=confirm)

    def timed(job: Job, step: int) -> Result:
        worker.now += 1 / slots - 1  # as the worker counts a second for each report
        value = 10.0 - 0.001 * job.setting + 0.1 * job.replicate  # nobody is clearly worse
        outcome = "completed" if step == STEPS[-1] else None
        return replace(result(step, value, value, outcome), training_seconds=1.0)

    worker.run(timed)
    assert [row.seeds for row in worker.conductor.standings()] == [3] * 4
    assert worker.conductor.seconds_used <= 181


def test_what_the_confirmation_leaves_over_is_the_searchs(tmp_path: Path) -> None:
    """The best setting's first trial was slow, its replicates are quick."""

    def curve(job: Job, step: int) -> Result:
        slow = job.kind == "search"
        worker.now += 3.0 * slow
        return replace(steady(job, step), training_seconds=4.0 if slow else 1.0)

    budget = {"trials": 1000, "steps": 100, "evaluations": 5, "minutes": 5.0}
    confirm = {"top": 1, "seeds": 3, "share": 0.6}
    worker = Worker(tmp_path, slots=1, budget=budget, confirm=confirm)
    worker.run(curve)
    names = worker.log.started
    last = max(i for i, name in enumerate(names) if "confirm" in name)
    first = min(i for i, name in enumerate(names) if "confirm" in name)
    assert any("confirm" not in name for name in names[first:last])
    assert all(row.seeds == 3 for row in worker.conductor.standings())
    assert worker.conductor.seconds_used <= 304


def test_a_slow_setting_does_not_keep_a_quick_one_from_being_confirmed(tmp_path: Path) -> None:
    """The worst setting takes 20 s a report, more than a fifth of the time in all."""

    def curve(job: Job, step: int) -> Result:
        slow = job.setting == 1
        worker.now += 19.0 * slow
        return replace(steady(job, step), training_seconds=20.0 if slow else 1.0)

    budget = {"trials": 1000, "steps": 100, "evaluations": 5, "minutes": 3}
    confirm = {"top": 1, "seeds": 2}
    worker = Worker(tmp_path, slots=1, budget=budget, confirm=confirm)
    worker.run(curve)
    confirmed = [job for job in worker.log.ended if "confirm" in job]
    assert len(confirmed) == 4, "two of the best setting, two of the first"
    assert worker.conductor.seconds_used <= 180
    standings = worker.conductor.standings()
    assert [row.seeds for row in standings] == [2, 2]
    assert standings[0].setting == max(int(job[:4]) for job in confirmed)


def test_a_slow_first_setting_leaves_the_others_their_time(tmp_path: Path) -> None:
    """It takes 30 s a report, so all its replicates would take as long as the whole budget."""

    def curve(job: Job, step: int) -> Result:
        slow = job.setting == 0
        worker.now += 29.0 * slow
        return replace(steady(job, step), training_seconds=30.0 if slow else 1.0)

    budget = {"trials": 12, "steps": 100, "evaluations": 5, "minutes": 6}
    worker = Worker(tmp_path, slots=1, budget=budget, confirm={"top": 1, "seeds": 2})
    worker.run(curve)
    confirmed = [name for name, end in worker.log.ended.items() if "confirm" in name]
    assert {"0011-confirm-1", "0011-confirm-2"} <= set(confirmed)
    assert worker.conductor.seconds_used <= 360


def test_more_trials_extend_a_search(tmp_path: Path) -> None:
    Worker(tmp_path).run(steady)
    more = Worker(tmp_path, budget={"trials": 8, "steps": 100, "evaluations": 5})
    more.run(steady)
    assert more.study.proposed() == 8
    assert {"0006", "0007"} <= set(more.log.started)
    assert "0005-confirm-1" not in more.log.started
    assert more.conductor.standings()[0].setting == 7


def test_an_extension_forgets_nobody_who_was_confirmed(tmp_path: Path) -> None:
    """The new settings are better in the search and worse than ever when confirmed."""

    def lucky_later(job: Job, step: int) -> Result:
        value = 50.0 if job.setting > 5 and job.kind == "confirmation" else 10.0 - job.setting
        return result(step, value, value, "completed" if step == STEPS[-1] else None)

    first = Worker(tmp_path)
    first.run(lucky_later)
    before = first.conductor.standings()[0]
    assert before.setting == 5
    more = Worker(tmp_path, budget={"trials": 9, "steps": 100, "evaluations": 5})
    more.run(lucky_later)
    assert any(name.startswith("0008-confirm") for name in more.log.started)
    assert not any(name.startswith("0005") for name in more.log.started)
    assert more.conductor.standings()[0] == before


def test_an_extension_confirms_to_the_end_whom_it_displaces(tmp_path: Path) -> None:
    """Its first seed alone could have been luck, and its mean is within the noise."""

    def alike(job: Job, step: int) -> Result:
        value = 10.0 - 0.001 * job.setting + 0.1 * job.replicate
        return result(step, value, value, "completed" if step == STEPS[-1] else None)

    first = Worker(tmp_path, slots=1)
    first.run(alike, reports=6 * len(STEPS) + len(STEPS))
    assert [(row.setting, row.seeds) for row in first.conductor.standings()] == [(5, 1)]
    more = Worker(tmp_path, slots=1, budget={"trials": 8, "steps": 100, "evaluations": 5})
    more.run(alike)
    assert {row.setting: row.seeds for row in more.conductor.standings()} == dict.fromkeys(
        (7, 6, 0, 5), 2
    )


def test_a_champion_is_the_next_best_that_has_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    worker = Worker(tmp_path)
    worker.run(steady)
    there = {name for name, ending in worker.log.ended.items() if ending.outcome == "completed"}
    monkeypatch.setattr(
        "gan_tune.searching.leading.crowning._generator",
        lambda _, job, __: job.name if job.name in there else None,
    )
    chosen = []
    while there:
        champion = crown_champion(worker.conductor, None)  # type: ignore[arg-type]
        assert champion is not None
        chosen.append((champion.job.name, champion.confirmed))
        there.remove(champion.job.name)
    rows = {row.setting: row for row in worker.conductor.standings()}
    assert rows[4].dropped, "as clearly worse than 5, yet it is better than 0"
    assert chosen == [
        *((f"000{s}-confirm-{seed}", True) for s in (5, 4, 0) for seed in rows[s].values),
        *((f"000{s}", False) for s in (5, 4, 3, 2, 1, 0)),
    ]
    assert "champion: the weights of trial 0005-confirm-1 are gone" in caplog.text
    with pytest.raises(
        CheckpointError, match=r"must have a checkpoint\.safetensors, but all"
    ) as no:
        crown_champion(worker.conductor, None)  # type: ignore[arg-type]
    assert "\n" not in str(no.value)


def test_a_report_heard_twice_changes_nothing(tmp_path: Path) -> None:
    worker = Worker(tmp_path, slots=1)
    job = worker.conductor.next_job()
    assert isinstance(job, Job)
    for _ in range(2):
        worker.conductor.reported(job.name, steady(job, 20))
    assert worker.log.reported == [(job.name, 20)]


def test_reports_are_read_back_in_order(tmp_path: Path) -> None:
    worker = Worker(tmp_path, slots=1)
    worker.run(steady, reports=5)
    assert worker.trials["0000"].report_steps() == list(STEPS)


def test_everything_diverging_confirms_nothing(tmp_path: Path) -> None:
    worker = Worker(tmp_path)
    worker.run(lambda job, step: result(step, None, None, "diverged"))
    assert worker.conductor.standings() == []
    assert len(worker.log.ended) == 6


def test_a_confirming_trial_that_diverged_counts_as_bad_whatever_it_once_came_to(
    tmp_path: Path,
) -> None:
    def curve(job: Job, step: int) -> Result:
        if (job.setting, job.replicate, step) == (5, 2, 60):
            return result(step, None, 1.0, "diverged")
        return steady(job, step)

    worker = Worker(tmp_path)
    worker.run(curve)
    for conductor in (worker.conductor, Worker(tmp_path).conductor):
        standings = conductor.standings()
        assert standings[0].setting == 4
        assert next(row for row in standings if row.setting == 5).values[2] is None


def test_queries_change_nothing(tmp_path: Path) -> None:
    """A search whose every question is asked over and over ends as one that nobody asks."""
    budget = {"trials": 1000, "steps": 100, "evaluations": 5, "minutes": 1.5}
    confirm = {"top": 2, "seeds": 2, "share": 0.5}
    watched, alone = (
        halving(tmp_path / name, budget=budget, confirm=confirm) for name in ("watched", "alone")
    )

    def asking(job: Job, step: int) -> Result:
        before = (watched.storage.folder / "study.journal").read_bytes()  # type: ignore[operator]
        for _ in range(2):
            conductor = watched.conductor
            seen = conductor.standings(), conductor.running, conductor.seconds_left
            assert seen == (conductor.standings(), conductor.running, conductor.seconds_left)
        assert (watched.storage.folder / "study.journal").read_bytes() == before  # type: ignore[operator]
        return falling(job, step)

    watched.run(asking)
    alone.run(falling)
    assert watched.log == alone.log
    assert watched.conductor.standings() == alone.conductor.standings()
    assert any("confirm" in name for name in alone.log.ended)


def test_building_a_conductor_writes_nothing(tmp_path: Path) -> None:
    """Taking the search up does: what a killed command stored but did not tell is told there."""
    worker = Worker(tmp_path, slots=1)
    worker.run(steady, reports=7)
    trial = worker.trials["0001"]
    trial.write_ending(Ending("completed", 1.0, 100))
    study = open_study(tmp_path / "study.journal", worker.space)
    journal = tmp_path / "study.journal"
    before = journal.read_bytes()
    resumed = resume_search(study, worker.trials, NoStopping())
    told = journal.read_bytes()
    assert study.settings()[1].outcome == "completed"
    assert len(told) > len(before)
    Conductor(study, worker.storage, NoStopping(), resumed)
    assert journal.read_bytes() == told


def test_building_a_conductor_reads_no_trial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who is to be confirmed in a limited time is chosen as the search is resumed."""
    timed = {"trials": 3, "steps": 100, "evaluations": 10, "minutes": 5.0}
    Worker(tmp_path, slots=1, budget=timed).run(steady, reports=12)
    again = Worker(tmp_path, slots=1, budget=timed)
    resumed = resume_search(again.study, again.trials, NoStopping())
    assert resumed.planner.planned()

    def read(*_: object) -> None:
        raise AssertionError("the storage is read")

    monkeypatch.setattr(Storage, "read", read)
    conductor = Conductor(again.study, again.storage, NoStopping(), resumed)
    assert conductor.seconds_left < math.inf


@pytest.mark.parametrize(
    ("metric", "sign"), [("frechet_distance", 1.0), ("precision", -1.0)], ids=["min", "max"]
)
@pytest.mark.parametrize(("reports", "champion"), [(3, "0005-confirm-1"), (6, "0004-confirm-2")])
def test_a_lucky_setting_with_fewer_seeds_is_no_champion(
    tmp_path: Path,
    reports: int,
    champion: str,
    metric: str,
    sign: float,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Setting 4 has the better mean from the first; it wins once it has all the seeds of 5."""

    def curve(job: Job, step: int) -> Result:
        value = 20.0 - job.setting
        if job.kind == "confirmation":
            own = {5: 14.0 + 0.4 * job.replicate, 4: 14.4 - 0.1 * job.replicate}
            value = own.get(job.setting, 19.0)
        return result(step, sign * value, sign * value, "completed" if step == STEPS[-1] else None)

    mode = "min" if sign > 0 else "max"
    worker = Worker(tmp_path, slots=1, objective={"metric": metric, "mode": mode})
    worker.run(curve, reports=6 * len(STEPS))
    for _ in range(reports):  # 5 and 4 in rounds, then the first setting
        worker.run(curve, reports=len(STEPS))
    monkeypatch.setattr(
        "gan_tune.searching.leading.crowning._generator", lambda _, job, __: job.name
    )
    rows = {row.setting: row for row in worker.conductor.standings()}
    assert (rows[5].seeds, rows[4].seeds) == (2, 1 if reports == 3 else 2)
    assert not any(rows[setting].dropped for setting in (4, 5))
    assert sign * rows[4].mean < sign * rows[5].mean
    chosen = crown_champion(worker.conductor, None)  # type: ignore[arg-type]
    assert chosen is not None
    assert chosen.job.name == champion
    assert chosen.confirmed
    won = rows[chosen.job.setting]
    assert (chosen.mean, chosen.seeds) == (won.mean, won.seeds)
    assert chosen.first_mean == (None if reports == 3 else sign * 19.0)


@pytest.mark.parametrize(
    ("metric", "sign"), [("frechet_distance", 1.0), ("precision", -1.0)], ids=["min", "max"]
)
def test_the_leaderboard_tells_what_search_and_confirmation_came_to(
    tmp_path: Path, metric: str, sign: float
) -> None:
    """Values, means, spreads and numbers of seeds all differ from row to row."""
    luck = {5: 1.5, 4: 0.2, 0: 0.1}

    def curve(job: Job, step: int) -> Result:
        value = 10.0 - job.setting - 0.001 * step
        if job.kind == "confirmation":
            value += luck.get(job.setting, 0.0) + 0.03 * (1 + job.setting) * job.replicate
        return result(step, sign * value, sign * value, "completed" if step == STEPS[-1] else None)

    mode = "min" if sign > 0 else "max"
    worker = Worker(tmp_path, slots=1, objective={"metric": metric, "mode": mode})
    worker.run(curve)
    standings = {row.setting: row for row in worker.conductor.standings()}
    assert next(s for s, row in standings.items() if not row.dropped) == 4, "5 was lucky"
    rows = leaderboard(worker.study.optuna_study, list(standings.values()))
    rest = [s for s in (5, 4, 3, 2, 1, 0) if s not in standings]
    behind = sorted([s for s in standings if s != 4], key=lambda s: sign * standings[s].mean)
    assert [row.setting for row in rows] == [4, *behind, *rest]
    for row in rows:
        assert row.outcome == "completed"
        assert row.value == pytest.approx(sign * (10.0 - row.setting - 0.1))
        assert (row.value_seeds, row.value_spread, row.steps) == (1, None, 100)
        confirmed = standings.get(row.setting)
        if confirmed is None:
            assert (row.mean, row.spread, row.seeds) == (None, None, 0)
        else:
            spread = confirmed.spread if confirmed.seeds > 1 else None
            assert (row.mean, row.spread, row.seeds) == (confirmed.mean, spread, confirmed.seeds)
            assert row.seeds > 0
        assert row.changes == worker.study.assignment(row.setting)


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_what_is_not_to_begin_runs(tmp_path: Path, slots: int) -> None:
    """Nobody is handed out who does not run: whose time is too short is handed back at once.

    The first setting takes 30 s a report, so all its replicates would take as long as the budget.
    """

    def curve(job: Job, step: int) -> Result:
        slow = job.setting == 0
        worker.now += 29.0 * slow
        return replace(steady(job, step), training_seconds=30.0 if slow else 1.0)

    budget = {"trials": 12, "steps": 100, "evaluations": 5, "minutes": 6}
    worker = Worker(tmp_path, slots=slots, budget=budget, confirm={"top": 2, "seeds": 2})
    conductor = worker.conductor
    compared = 0
    for _ in range(200):
        before = worker.now
        worker.run(curve, reports=1)
        for setting in (0, 10, 11):
            running = [
                job
                for job in conductor.running
                if job.kind == "confirmation" and job.setting == setting
            ]
            missing = conductor.confirmation.missing(setting)
            if missing:
                assert missing - conductor.confirmation.to_begin(setting) == len(running)
                compared += 1
        if worker.now == before:
            break
    assert compared > 50


@pytest.mark.parametrize(
    ("first", "champion"),
    [(1.0, ("0000-confirm-1", 2.5, True)), (9.0, ("0005", 4.5, False))],
    ids=["the first is the best", "another is better"],
)
def test_a_first_setting_that_was_confirmed_alone_has_beaten_nobody(
    tmp_path: Path,
    first: float,
    champion: tuple[str, float, bool],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The time sufficed for one of its replicates: it wins only where it led the search, too."""

    def curve(job: Job, step: int) -> Result:
        value = 9.5 - job.setting if job.setting else first
        return result(step, value, value, "completed" if step == STEPS[-1] else None)

    monkeypatch.setattr(
        "gan_tune.searching.leading.crowning._generator", lambda _, job, __: job.name
    )
    Worker(tmp_path, slots=1).run(curve, reports=6 * len(STEPS))
    ending = Ending("completed", 2.5, 100)
    worker = Worker(tmp_path, slots=1)
    worker.storage.write_json("trials/0000-confirm-1/outcome.json", vars(ending))
    conductor = Worker(tmp_path, slots=1).conductor
    assert [row.setting for row in conductor.standings()] == [0]
    chosen = crown_champion(conductor, None)  # type: ignore[arg-type]
    assert chosen is not None
    assert (chosen.job.name, chosen.mean, chosen.confirmed) == champion


def test_a_grid_is_read_only_for_an_observer_that_shows_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    folder = TrialFolders(open_storage(tmp_path))["0000-0"]
    folder.write_grid(10, b"PNG")
    grid = TrialFolder.grid
    monkeypatch.setattr(TrialFolder, "grid", lambda self, at: read.append(at) or grid(self, at))
    heard: list[bytes | None] = []

    class Shows(Log):
        def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
            heard.append(grid)

    class Notes(Shows):
        shows_grids = False

    job = Worker(tmp_path / "search").study.ask()
    Observers([Notes()]).trial_reported(job, steady(job, 10), folder)
    assert (heard, read) == ([None], [])
    Observers([Notes(), Shows()]).trial_reported(job, steady(job, 10), folder)
    assert (heard, read) == ([None, None, b"PNG"], [10])


def test_the_slots_follow_the_cluster_and_the_time_counts_from_the_first_placement(
    tmp_path: Path,
) -> None:
    budget = {"trials": 100, "steps": 100, "evaluations": 5, "minutes": 1}
    worker = Worker(tmp_path, slots=1, budget=budget)
    conductor, slots, now, heard = worker.conductor, [0], [0.0], []
    size = ClusterSize(
        conductor, lambda: Places(slots[0], min(1, slots[0])), heard.append, 1, clock=lambda: now[0]
    )
    worker.now += 500
    assert conductor.seconds_left == 60
    assert size.look(trains=False) is None
    now[0] += 59
    assert size.look(trains=False) is None
    slots[0], now[0] = 3, now[0] + 5
    assert size.look(trains=False) is None
    assert (conductor.slots, conductor.limit) == (3, None)
    assert [isinstance(conductor.next_job(), Job) for _ in range(4)] == [True] * 4
    size.placed()
    worker.now += 10
    size.placed()
    assert conductor.seconds_left == 50
    slots[0], now[0] = 0, now[0] + 100
    assert size.look(trains=True) is None, "its node is gone, and is not yet missed"
    assert conductor.slots == 3
    assert heard == [(0, 0), (3, 1), (0, 0)]
    now[0] += 5
    assert size.look(trains=False) is None
    now[0] += 61
    error = size.look(trains=False)
    assert isinstance(error, UnfitNodesError)
    assert error.exit_code == 1
    assert str(error).startswith("no node has had room for a trial since ")
