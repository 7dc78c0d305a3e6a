"""A population over a study and folders: turns, forks, kills, and what is confirmed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from conftest import trial_tree

from gan_tune.errors import SpaceError
from gan_tune.parts.all_parts import catalogue
from gan_tune.searching.jobs import FIRST_SETTING, Job
from gan_tune.searching.leading.breeding import Breeder
from gan_tune.searching.leading.conductor import Conductor, Next, follow_cluster
from gan_tune.searching.leading.resuming import resume_search
from gan_tune.searching.populations.population import POPULATIONS
from gan_tune.searching.rules.stopping import NoStopping
from gan_tune.searching.study.insight import Insight
from gan_tune.searching.study.opening import open_study
from gan_tune.searching.study.study import Study
from gan_tune.space import SearchSpace
from gan_tune.storage.storage import open_storage
from gan_tune.storage.trial_folder import TrialFolders
from gan_tune.storage.trial_records import Ending, Result

STEPS = tuple(range(10, 101, 10))
TRIALS, SIZE = 12, 4
PBT: dict[str, Any] = {"name": "pbt", "population": SIZE}

Value = Callable[[Job, int], float | None]
every_population = pytest.mark.parametrize("name", POPULATIONS)


def tree(**changes: Any) -> dict[str, Any]:
    left_out = ("steps", "evaluations", "seed")
    trial = {key: value for key, value in trial_tree().items() if key not in left_out}
    rate = {"log_uniform": [1e-4, 1e-2]}
    trial["generator_optimizer"] = {
        "choice": [{"name": "adam", "lr": rate}, {"name": "sgd", "lr": rate}]
    }
    return {
        "name": "herd",
        "budget": {"trials": TRIALS, "steps": 100, "evaluations": 10},
        "search": {"scheduler": PBT},
        "confirm": {"top": 1, "seeds": 2},
        "trial": trial,
        "start_from": [{"generator_optimizer": {"name": "adam", "lr": 1e-3}}],
    } | changes


def space(**changes: Any) -> SearchSpace:
    return SearchSpace.load(tree(**changes), catalogue())


def by_number(job: Job, step: int) -> float | None:
    """Later settings are better, and all get better while they train."""
    return 50.0 - job.setting - 0.01 * step


@dataclass
class Log:
    """An observer that writes down what it hears."""

    reported: list[tuple[str, int]] = field(default_factory=list)
    ended: dict[str, Ending] = field(default_factory=dict)
    pauses: int = 0

    def trial_started(self, job: Job, *, resumed: bool) -> None: ...

    def trial_reported(self, job: Job, result: Result, grid: bytes | None) -> None:
        self.reported.append((job.name, result.step))

    def trial_ended(self, job: Job, ending: Ending) -> None:
        self.pauses += ending.paused
        if not ending.paused:
            assert job.name not in self.ended
            self.ended[job.name] = ending


class Farm:
    """Workers without training: a checkpoint is the way that its weights have gone."""

    def __init__(self, folder: Path, *, slots: int = 2, **changes: Any) -> None:
        self.space = space(**changes)
        self.storage = open_storage(folder)
        self.trials = TrialFolders(self.storage)
        self.study = open_study(folder / "study.journal", self.space)
        part = self.space.search.scheduler
        population = POPULATIONS[part.name](self.space.trial, STEPS, "min", **part.args)
        self.log, self.slots, self.now = Log(), slots, 0.0
        breeder = Breeder(self.study, self.trials, population)
        self.conductor = Conductor(
            self.study,
            self.storage,
            NoStopping(),
            resume_search(self.study, self.trials, NoStopping(), breeder),
            breeder=breeder,
            observers=[self.log],
            slots=slots,
            limit=slots,
            clock=lambda: self.now,
        )
        self.population = population
        self.jobs: dict[str, tuple[Job, list[int], str]] = {}
        self.ways: dict[str, str] = {}
        self.most_apart = 0

    def begin(self, job: Job) -> None:
        folder = self.trials[job.name]
        known = folder.checkpoint()
        if known is None and job.lineage and job.kind == "search":
            known = folder.inherited()
            assert known is not None, "a fork without weights"
        way = "0" if known is None else known.decode()
        done = int(way.rpartition(":")[2]) if ":" in way else 0
        self.jobs[job.name] = (job, [step for step in STEPS if step > done], way)

    def advance(self, name: str, value: Value) -> None:
        job, steps, way = self.jobs[name]
        step = steps.pop(0)
        way = f"{way} {name}:{step}"
        self.jobs[name] = (job, steps, way)
        now = value(job, step)
        self.now += 1.0 / self.slots
        outcome: Any = "diverged" if now is None else "completed" if step == STEPS[-1] else None
        result = Result(step, {}, now, now, outcome, 0, training_seconds=1.0)
        if step in job.ready_steps and outcome is None:
            self.trials[name].write_ready(step, way.encode())
            self.trials[name].write_checkpoint(way.encode())
        self.trials[name].write_report(result)
        if self.conductor.reported(name, result):
            del self.jobs[name]
            self.ways[name] = way

    def run(self, value: Value = by_number, *, reports: int = 10_000) -> bool:
        """Run until all is done, or for so many reports; whether all is done."""
        while True:
            while len(self.jobs) < self.slots:
                job = self.conductor.next_job()
                if job is Next.DONE:
                    return True
                if job is Next.WAIT:
                    break
                assert isinstance(job, Job)
                self.begin(job)
            for name in list(self.jobs):
                if reports == 0:
                    return False
                reports -= 1
                self.advance(name, value)
            living = [m for m in self.study.settings() if m.outcome is None]
            if len(living) == SIZE:
                reached = [self.population.reached(m.number) for m in living]
                self.most_apart = max(self.most_apart, max(reached) - min(reached))


def outcomes(study: Study) -> list[str | None]:
    return [setting.outcome for setting in study.settings()]


@pytest.mark.parametrize("slots", [1, 2, 3, 4, 8])
@every_population
def test_a_population_lives_on_any_number_of_slots(name: str, slots: int, tmp_path: Path) -> None:
    farm = Farm(tmp_path, slots=slots, search={"scheduler": {"name": name, "population": SIZE}})
    assert farm.run()
    assert len(farm.study.settings()) == TRIALS
    told = outcomes(farm.study)
    assert told.count("completed") == SIZE
    assert told.count("pruned") == TRIALS - SIZE
    assert told[FIRST_SETTING] == "completed"
    assert (farm.log.pauses > 0) == (slots < SIZE)
    if slots < SIZE:
        assert farm.most_apart <= 20, "who is behind in steps goes first"
    assert all(trial.state.is_finished() for trial in farm.study.optuna_study.trials)


def test_a_populations_limit_follows_the_cluster(tmp_path: Path) -> None:
    """What is decided at the last moment is not handed out in advance."""
    conductor = Farm(tmp_path, slots=4).conductor
    follow_cluster(conductor, 2)
    assert (conductor.slots, conductor.limit) == (2, 2)


def test_no_report_is_heard_twice(tmp_path: Path) -> None:
    farm = Farm(tmp_path, slots=1)
    farm.run()
    assert len(farm.log.reported) == len(set(farm.log.reported))


def test_forks_go_on_from_the_weights_of_their_parents(tmp_path: Path) -> None:
    farm = Farm(tmp_path)
    farm.run()
    forks = farm.study.forks()
    assert len(forks) == TRIALS - SIZE
    for number, (fork, replaced) in forks.items():
        way = farm.ways[f"{number:04d}"].split()
        own = [entry for entry in way if entry.startswith(f"{number:04d}:")]
        inherited = way[: way.index(own[0])]
        assert inherited[-1] == f"{fork.parent:04d}:{fork.step}"
        assert own[0] == f"{number:04d}:{fork.step + 10}"
        steps = [int(entry.partition(":")[2]) for entry in way[1:]]
        assert steps == list(STEPS[: len(steps)]), "each step is trained once"
        assert outcomes(farm.study)[replaced] == "pruned"
        assert farm.study.assignment(number) == dict(fork.assignment)


def test_weights_that_nobody_needs_any_more_are_deleted(tmp_path: Path) -> None:
    farm = Farm(tmp_path)
    most = 0
    while not farm.run(reports=1):
        trials = farm.trials.names()
        most = max(most, sum(len(farm.storage.names(f"trials/{trial}/ready")) for trial in trials))
    assert most <= 4 * SIZE
    for trial in farm.trials.names():
        assert farm.storage.names(f"trials/{trial}/ready") == []
        assert farm.trials[trial].inherited() is None


def test_who_diverges_is_replaced(tmp_path: Path) -> None:
    farm = Farm(tmp_path)
    farm.run(lambda job, step: None if job.setting == 3 and step == 20 else by_number(job, step))
    assert farm.study.settings()[3].outcome == "diverged"
    (fork,) = (fork for fork, replaced in farm.study.forks().values() if replaced == 3)
    assert fork.step <= 20
    assert outcomes(farm.study).count("completed") == SIZE


def test_who_is_stopped_by_its_user_is_replaced(tmp_path: Path) -> None:
    farm = Farm(tmp_path)
    reported = farm.conductor.reported

    def stopping(name: str, result: Result) -> bool:
        """As where `gan-tune stop NAME 0002` has named it."""
        named = name == "0002" and result.step == 30
        return reported(name, replace(result, outcome="pruned") if named else result)

    farm.conductor.reported = stopping  # type: ignore[method-assign]
    farm.run()
    assert farm.study.settings()[2].outcome == "pruned"
    assert [replaced for _, replaced in farm.study.forks().values()].count(2) == 1
    assert outcomes(farm.study).count("completed") == SIZE


def test_who_diverges_before_anyone_has_weights_is_replaced_by_a_fresh_setting(
    tmp_path: Path,
) -> None:
    farm = Farm(tmp_path, slots=1)
    farm.run(lambda job, step: None if job.setting == 0 else by_number(job, step), reports=1)
    ((job, _, _),) = farm.jobs.values()
    assert (job.setting, job.lineage) == (1, ())
    assert farm.study.forks() == {}


def test_a_founder_begins_before_the_forks_that_wait(tmp_path: Path) -> None:
    """Each founder is worse than the first one, so that a fork takes its place at once."""

    def worse(job: Job, step: int) -> float:
        return (0.0 if job.setting == FIRST_SETTING else 50.0 + job.setting) - 0.01 * step

    farm = Farm(tmp_path, slots=1)
    farm.run(worse, reports=2)
    ((job, _, _),) = farm.jobs.values()
    assert list(farm.study.forks()) == [2]
    assert (job.setting, job.lineage) == (3, ()), "it has the fork's step to make up for"
    again = Farm(tmp_path, slots=1)
    assert again.run(worse)
    assert len(again.study.settings()) == TRIALS
    assert outcomes(again.study).count("completed") == SIZE
    for number, (fork, _) in again.study.forks().items():
        assert again.study.assignment(number) == dict(fork.assignment)


def test_everything_diverging_ends_with_the_budget(tmp_path: Path) -> None:
    farm = Farm(tmp_path)
    assert farm.run(lambda job, step: None)
    assert outcomes(farm.study) == ["diverged"] * TRIALS


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("reports", [1, 3, 7, 12, 22, 31, 40, 47, 55, 63])
def test_a_kill_at_any_report_loses_and_repeats_nothing(
    tmp_path: Path, reports: int, slots: int
) -> None:
    """The driver dies: no sweep, no goodbye. Another one rebuilds the population."""
    killed = Farm(tmp_path, slots=slots)
    killed.run(reports=reports)
    over = set(killed.log.ended)
    again = Farm(tmp_path, slots=slots)
    assert again.run()
    assert over.isdisjoint(again.log.ended)
    told = outcomes(again.study)
    assert told.count("completed") == SIZE
    # Who is compared with whom differs after a kill, and with it the number of forks.
    assert TRIALS - 1 <= len(told) <= TRIALS
    assert all(trial.state.is_finished() for trial in again.study.optuna_study.trials)
    for number, (fork, _) in again.study.forks().items():
        way = (again.ways | killed.ways)[f"{number:04d}"].split()
        assert f"{fork.parent:04d}:{fork.step}" in way


class Killed(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("method", ["add_fork", "tell"])
@pytest.mark.parametrize("after", [False, True])
def test_a_kill_within_a_fork_replaces_nobody_twice(
    tmp_path: Path, method: str, after: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    farm = Farm(tmp_path, slots=1)
    plain = getattr(Study, method)

    def killing(self: Study, *args: Any, **options: Any) -> None:
        if after:
            plain(self, *args, **options)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Study, method, killing)
        with pytest.raises(Killed):
            farm.run()
    again = Farm(tmp_path, slots=1)
    assert again.run()
    replaced = [setting for _, setting in again.study.forks().values()]
    assert len(replaced) == len(set(replaced))
    assert outcomes(again.study).count("completed") == SIZE


def test_after_a_kill_within_a_proposal_forks_have_their_parents_networks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = {"generator": {"name": "mlp", "latent": {"int": [2, 64]}, "hidden": [16]}}
    changes: dict[str, Any] = {"slots": 1, "trial": tree()["trial"] | networks}

    def killing(self: SearchSpace, *args: Any, **options: Any) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(SearchSpace, "sample", killing)
        with pytest.raises(Killed):
            Farm(tmp_path, **changes).run()
    farm = Farm(tmp_path, **changes)
    farm.run(lambda job, step: job.setting - 0.01 * step)
    assert farm.study.forks()
    for number, (fork, _) in farm.study.forks().items():
        own, parents = map(farm.study.assignment, (number, fork.parent))
        assert own["generator.latent"] == parents["generator.latent"]


def test_an_interrupted_population_goes_on(tmp_path: Path) -> None:
    farm = Farm(tmp_path, slots=1)
    farm.run(reports=20)
    farm.conductor.stop_requested = True
    farm.conductor.interrupt_all()
    assert {ending.outcome for ending in farm.log.ended.values()} <= {"interrupted", "pruned"}
    open_ones = [name for name, end in farm.log.ended.items() if end.outcome == "interrupted"]
    assert len(open_ones) == SIZE, "those too whose turn it was not"
    again = Farm(tmp_path, slots=1)
    assert again.run()
    assert outcomes(again.study).count("completed") == SIZE


def test_more_trials_are_more_forks(tmp_path: Path) -> None:
    farm = Farm(tmp_path, budget={"trials": 5, "steps": 100, "evaluations": 10})
    farm.run(reports=24)
    assert len(farm.study.settings()) == 5
    more = Farm(tmp_path)
    more.run()
    assert len(more.study.settings()) > 6
    assert outcomes(more.study).count("completed") == SIZE


def test_a_short_time_lets_the_best_reach_their_end(tmp_path: Path) -> None:
    """24 s on one slot, a fifth being kept back, are not enough for four members of 10 s each."""
    budget = {"trials": TRIALS, "steps": 100, "evaluations": 10, "minutes": 0.5}
    farm = Farm(tmp_path, slots=1, budget=budget)
    assert farm.run()
    told = farm.study.settings()
    assert [setting for setting in told if setting.outcome == "completed"]
    assert farm.conductor.seconds_used <= 31
    best = min(setting.value for setting in told if setting.value is not None)
    assert best in [setting.value for setting in told if setting.outcome == "completed"]


def test_forks_are_decided_by_the_seed_of_the_search(tmp_path: Path) -> None:
    one, same = (Farm(tmp_path / name, slots=1) for name in "ab")
    other = Farm(tmp_path / "c", slots=1, search={"scheduler": PBT, "seed": 1})
    for farm in (one, same, other):
        farm.run()
    assert one.study.forks() == same.study.forks()
    assert one.study.forks() != other.study.forks()


def test_a_confirmation_trains_through_the_lineage_with_a_seed_of_its_own(tmp_path: Path) -> None:
    farm = Farm(tmp_path)
    farm.run()
    winner = farm.conductor.standings()[0].setting
    assert winner != FIRST_SETTING
    own, replicate = farm.study.job(winner, 0), farm.study.job(winner, 1)
    assert len(own.lineage) >= 2
    assert [a.trial for a in own.lineage] == [a.trial for a in replicate.lineage]
    seeds = {ancestor.config.seed for ancestor in replicate.lineage} | {replicate.config.seed}
    assert len(seeds) == 1
    assert seeds.isdisjoint({own.config.seed})
    untils = [ancestor.until for ancestor in replicate.lineage]
    assert untils == sorted(untils)
    for ancestor in replicate.lineage:
        mine = farm.study.job(int(ancestor.trial), 0).config.generator_optimizer
        assert ancestor.config.generator_optimizer == mine
    assert f"{winner:04d}-confirm-2" in farm.log.ended
    assert {f"0000-confirm-{i}" for i in (1, 2)} <= farm.log.ended.keys()
    assert len(farm.storage.read_json(f"trials/{winner:04d}/trial.json")["lineage"]) >= 2
    steps = [step for name, step in farm.log.reported if name == f"{winner:04d}-confirm-1"]
    assert steps == list(STEPS), "from the start"


def test_what_explains_a_search_copes_with_forks(tmp_path: Path) -> None:
    farm = Farm(tmp_path)
    farm.run()
    study = farm.study.optuna_study
    compared = len(Insight(study).common.trials)
    assert compared == SIZE, "only who was there at the first ready point"
    assert Insight(study).importances.settings == compared
    assert sum(choice.settings for choice in Insight(study).choices) == TRIALS


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize("name", POPULATIONS)
@pytest.mark.parametrize("sampler", ["tpe", "random", {"name": "gp", "startup": 3}])
def test_a_sampler_beside_a_population_is_refused_in_one_line(name: str, sampler: Any) -> None:
    with pytest.raises(SpaceError) as raised:
        space(search={"scheduler": name, "sampler": sampler})
    assert "\n" not in str(raised.value)
    assert "search.sampler: does not go with search.scheduler: a population" in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"budget": {"trials": 4, "steps": 100}}, r"start_from=1, population=4, trials=4"),
        ({"start_from": [{}] * 5}, r"start_from=5, population=4, trials=12"),
    ],
)
def test_a_population_that_does_not_fit_the_budget_is_refused(changes: Any, rule: str) -> None:
    with pytest.raises(SpaceError, match=rf"^search.scheduler.population: .*{rule}\)$"):
        space(**changes)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        (
            {"objective": [{"metric": "frechet_distance"}, {"metric": "generator_parameters"}]},
            "search.scheduler: does not go with objective: a population supports one objective",
        ),
        (
            {"search": {"scheduler": PBT, "seeds": 2}},
            "search.scheduler: does not go with search.seeds: a fork goes on from the weights",
        ),
    ],
)
def test_what_a_population_does_not_go_with_is_refused(changes: Any, rule: str) -> None:
    with pytest.raises(SpaceError) as raised:
        space(**changes)
    assert str(raised.value).startswith(rule)
    assert "\n" not in str(raised.value)


def test_the_first_generation_is_drawn_at_random() -> None:
    assert space().search.sampler.name == "random"


def test_a_fork_counts_for_the_confirmation_with_the_length_of_a_whole_trial(
    tmp_path: Path,
) -> None:
    """It has trained its last steps alone, but its replicates begin at the start: 10 s each.

    Two of the winner and two of the first setting are to come, one at a time.
    """
    budget = {"trials": TRIALS, "steps": 100, "evaluations": 10, "minutes": 10.0}
    farm = Farm(tmp_path, slots=1, budget=budget)
    while not any(job.kind == "confirmation" for job, _, _ in farm.jobs.values()):
        farm.run(reports=1)
    winner = min(farm.study.settings(), key=lambda s: s.value or 0.0)
    assert winner.outcome == "completed"
    assert farm.study.job(winner.number, 0).first_step > 10
    again = Farm(tmp_path, slots=1, budget=budget)  # which knows of it by the stored reports
    for one in (farm, again):
        one.now += one.conductor.seconds_left - 1.25 * 40 - 0.5
        assert not one.conductor.time.search_is_over
        one.now += 1.0
        assert one.conductor.time.search_is_over
